import { describe, expect, test } from "vitest";
import { arange, HooklensError, slice, tensor } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

const x = () => arange(24).reshape(2, 3, 4);
const z = () => x().to("float32").named("batch", "pos", "head");

describe("get", () => {
  test("numbers take an axis away, negative ones count from the end", () => {
    expect(x().get(1, -1, 0).item()).toBe(20);
    expect(x().get(-1).shape).toEqual([3, 4]);
  });

  test("ranges are half open, with steps, and clipped as in Python", () => {
    expect(
      arange(7)
        .get(slice(1, null, 2))
        .toArray(),
    ).toEqual([1, 3, 5]);
    expect(arange(7).get({ start: -2 }).toArray()).toEqual([5, 6]);
    expect(arange(7).get({ stop: 100, step: 3 }).toArray()).toEqual([0, 3, 6]);
    expect(arange(7).get(slice(5, 2)).toArray()).toEqual([]);
  });

  test("null adds an axis and an ellipsis skips axes", () => {
    expect(x().get(null, 0, "...", null).shape).toEqual([1, 3, 4, 1]);
    expect(x().get("...", 0).toArray(2)).toEqual([
      [0, 4, 8],
      [12, 16, 20],
    ]);
  });

  test("lists and index tensors pick, masks filter", () => {
    expect(x().get(0, [2, 0], -1).toArray()).toEqual([11, 3]);
    expect(
      x()
        .get(slice(), tensor([0, -1], { dtype: "int64" }), 0)
        .toArray(2),
    ).toEqual([
      [0, 8],
      [12, 20],
    ]);
    expect(arange(4).get([true, false, false, true]).toArray()).toEqual([0, 3]);
    const t = tensor([
      [1, -2],
      [-3, 4],
    ]);
    expect(t.get(t.gt(0)).toArray()).toEqual([1, 4]);
  });

  test("gradients go to what was picked", () => {
    const t = tensor([1, 2, 3], { requiresGrad: true });
    t.get([2, 0, 2]).sum().backward();
    expect(t.grad?.toArray()).toEqual([1, 0, 2]);
  });

  test("what cannot be picked is an error", () => {
    expect(codeOf(() => x().get(2))).toBe("index_out_of_range");
    expect(codeOf(() => x().get(0, 0, 0, 0))).toBe("rank_mismatch");
    expect(codeOf(() => x().get([0, 9]))).toBe("index_out_of_range");
    expect(codeOf(() => x().get([true, false, true]))).toBe("shape_mismatch");
    expect(codeOf(() => x().get(slice(null, null, -1)))).toBe("invalid_argument");
    expect(codeOf(() => x().get([0.5]))).toBe("invalid_argument");
    expect(codeOf(() => x().get(0.5))).toBe("invalid_argument");
    expect(codeOf(() => x().get("0" as never))).toBe("invalid_argument");
    expect(codeOf(() => x().get(undefined as never))).toBe("invalid_argument");
  });
});

describe("at", () => {
  test("by axis name reads and changes a copy", () => {
    const before = z();
    const after = before.at({ head: 3 }).fill(0);
    expect(after.axes).toEqual(["batch", "pos", "head"]);
    expect(after.at({ head: 3 }).get().abs().sum().item()).toBe(0);
    expect(
      after
        .at({ head: [0, 1, 2] })
        .get()
        .eq(before.get("...", slice(0, 3)))
        .all()
        .item(),
    ).toBe(true);
    expect(before.get(1, 2, 3).item()).toBe(23);
    expect(before.at({ pos: -1, batch: 0 }).get().toArray()).toEqual([8, 9, 10, 11]);
    expect(before.at({ pos: -1, batch: 0 }).get().axes).toEqual(["head"]);
  });

  test("sets, adds, multiplies and applies", () => {
    const t = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(t.at(0, slice(1)).set(9).toArray(2)).toEqual([
      [1, 9],
      [3, 4],
    ]);
    expect(
      t
        .at(0)
        .set(tensor([7, 8]))
        .toArray(2),
    ).toEqual([
      [7, 8],
      [3, 4],
    ]);
    expect(
      t
        .at("...", 0)
        .add(tensor([10, 20]))
        .toArray(2),
    ).toEqual([
      [11, 2],
      [23, 4],
    ]);
    expect(t.at(1).mul(-1).toArray(2)).toEqual([
      [1, 2],
      [-3, -4],
    ]);
    expect(
      t
        .at(t.gt(2))
        .apply((part) => part.square())
        .toArray(2),
    ).toEqual([
      [1, 2],
      [9, 16],
    ]);
    expect(t.at([0, 0]).add(1).toArray(2)).toEqual([
      [3, 4],
      [3, 4],
    ]);
    expect(t.toArray(2)).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("a change keeps gradients: none to what was overwritten, all to the new values", () => {
    const t = tensor([1, 2, 3], { requiresGrad: true });
    const v = tensor([5], { requiresGrad: true });
    t.at([1]).set(v).square().sum().backward();
    expect(t.grad?.toArray()).toEqual([2, 0, 6]);
    expect(v.grad?.toArray()).toEqual([10]);
  });

  test("an empty index names the whole tensor", () => {
    expect(tensor([1, 2]).named("pos").at({}).mul(2).toArray()).toEqual([2, 4]);
  });

  test("unknown names and names on an unnamed tensor are errors that say which exist", () => {
    expect(codeOf(() => z().at({ query: 0 } as never))).toBe("unknown_axis");
    expect(() => z().at({ query: 0 } as never)).toThrow("batch, pos, head");
    expect(codeOf(() => x().at({ pos: 0 }))).toBe("unknown_axis");
    expect(codeOf(() => z().sum("query" as never))).toBe("unknown_axis");
    expect(
      codeOf(() =>
        tensor([1, 2])
          .at(0)
          .set(tensor([1, 2, 3])),
      ),
    ).toBe("shape_mismatch");
    expect(() => z().named("a", "b")).toThrow(HooklensError);
    expect(codeOf(() => z().named("a", "a", "b"))).toBe("invalid_argument");
  });
});

describe("axis names", () => {
  test("follow the axes", () => {
    expect(z().transpose("pos", "head").axes).toEqual(["batch", "head", "pos"]);
    expect(z().permute("head", "batch", "pos").axes).toEqual(["head", "batch", "pos"]);
    expect(z().mean("pos").axes).toEqual(["batch", "head"]);
    expect(z().mean({ dim: ["pos"], keepdim: true }).axes).toEqual(["batch", "pos", "head"]);
    expect(z().sum(-1).axes).toEqual(["batch", "pos"]);
    expect(z().select("batch", 0).axes).toEqual(["pos", "head"]);
    expect(z().max("head").indices.axes).toEqual(["batch", "pos"]);
    expect(z().add(tensor([1, 2, 3, 4])).axes).toEqual(["batch", "pos", "head"]);
    expect(tensor([1, 2, 3, 4]).add(z()).axes).toEqual(["batch", "pos", "head"]);
    expect(z().get(0, slice(1), null).axes).toEqual([]);
    expect(z().get(0, slice(1)).axes).toEqual(["pos", "head"]);
    expect(z().get("...", 0).axes).toEqual(["batch", "pos"]);
    expect(z().softmax("head").axes).toEqual(["batch", "pos", "head"]);
    expect(z().named().axes).toEqual([]);
    expect(z().get(slice(0, 1)).squeeze("batch").axes).toEqual(["pos", "head"]);
  });

  test("have the right number of names everywhere", () => {
    const t = z();
    for (const y of [
      t.sum(),
      t.reshape(-1),
      t.unsqueeze(0),
      t.flatten(),
      t.expand(5, 2, 3, 4),
      t.T,
      t.get([0, 1]),
    ]) {
      expect([0, y.rank]).toContain(y.axes.length);
    }
    expect(t.T.axes).toEqual(["head", "pos", "batch"]);
  });
});

import { describe, expect, test } from "vitest";
import { arange, rearrange, reduce, repeat, tensor } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

const x = () => arange(24).to("float32").reshape(2, 3, 4);

describe("einops patterns", () => {
  test("rearrange splits, moves and joins axes", () => {
    const heads = rearrange(x(), "b p (h d) -> b h p d", { h: 2 });
    expect(heads.shape).toEqual([2, 2, 3, 2]);
    expect(heads.get(1, 1, 2).toArray()).toEqual(x().get(1, 2, [2, 3]).toArray());
    expect(rearrange(heads, "b h p d -> b p (h d)").eq(x()).all().item()).toBe(true);
    expect(rearrange([tensor([1, 2]), tensor([3, 4])], "n d -> d n").toArray(2)).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  test("reduce leaves axes out, repeat adds them", () => {
    expect(reduce(x(), "b p d -> b d", "mean").toArray(2)).toEqual(x().mean(1).toArray(2));
    expect(reduce(x(), "b p (d two) -> b d", "max", { two: 2 }).shape).toEqual([2, 2]);
    expect(repeat(tensor([1, 2]), "d -> d n", { n: 3 }).toArray(2)).toEqual([
      [1, 1, 1],
      [2, 2, 2],
    ]);
  });

  test("gradients flow through", () => {
    const w = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    );
    repeat(w, "a b -> (n b) a", { n: 3 }).sum().backward();
    expect(w.grad?.toArray(2)).toEqual([
      [3, 3],
      [3, 3],
    ]);
  });

  test("patterns that do not fit are errors", () => {
    const refused = (pattern: string, sizes = {}) => codeOf(() => rearrange(x(), pattern, sizes));
    for (const code of [refused("b p -> b p"), refused("b p (h d) -> b h p d", { h: 3 })]) {
      expect(["invalid_argument", "shape_mismatch", "rank_mismatch", "element_count"]).toContain(code);
    }
    expect(refused("b p d -> b p")).toBe("invalid_argument");
    expect(refused("b p d - b p d")).toBe("invalid_argument");
  });
});

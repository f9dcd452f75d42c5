import { describe, expect, test } from "vitest";
import {
  arange,
  fromFloat32Array,
  full,
  fullLike,
  linspace,
  ones,
  tensor,
  zeros,
  zerosLike,
} from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

describe("tensor", () => {
  test("takes numbers, nested arrays and typed arrays", () => {
    expect(tensor(3).shape).toEqual([]);
    expect(tensor([[1, 2, 3]]).shape).toEqual([1, 3]);
    expect(tensor([[], []]).shape).toEqual([2, 0]);
    expect(tensor(new Float64Array([1, 2, 3, 4]), { shape: [2, 2] }).toArray(2)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor(new Int32Array([-1, 2])).dtype).toBe("int64");
    expect(tensor([true, false]).dtype).toBe("bool");
    expect(tensor([1n, 2n]).dtype).toBe("int64");
    expect(tensor([1, 2], { dtype: "float16" }).dtype).toBe("float16");
  });

  test("refuses ragged arrays, wrong shapes and what the dtype cannot hold", () => {
    expect(codeOf(() => tensor([[1, 2], [3]]))).toBe("shape_mismatch");
    expect(codeOf(() => tensor([[1], 2] as never))).toBe("shape_mismatch");
    expect(codeOf(() => tensor([1, [2]] as never))).toBe("shape_mismatch");
    expect(codeOf(() => tensor(new Float32Array(3), { shape: [2] }))).toBe("element_count");
    expect(codeOf(() => tensor([1.5], { dtype: "int64" }))).toBe("invalid_argument");
    expect(codeOf(() => tensor([256], { dtype: "uint8" }))).toBe("invalid_argument");
    expect(codeOf(() => tensor([2n ** 63n]))).toBe("invalid_argument");
    expect(codeOf(() => tensor(["a"] as never))).toBe("invalid_argument");
    expect(codeOf(() => tensor([null] as never))).toBe("invalid_argument");
    expect(codeOf(() => tensor(new BigUint64Array(1) as never))).toBe("invalid_argument");
    expect(codeOf(() => zeros([-1]))).toBe("invalid_argument");
    expect(codeOf(() => zeros([1.5]))).toBe("invalid_argument");
    expect(codeOf(() => zeros([2 ** 40, 2 ** 40]))).toMatch(/invalid_argument|element_count|memory_limit/);
    expect(codeOf(() => tensor([1], { device: "tpu" as never }))).toBe("device_unavailable");
  });

  test("is a copy: later changes of the array do not show", () => {
    const data = new Float32Array([1, 2]);
    const t = fromFloat32Array(data);
    data[0] = 9;
    expect(t.toArray()).toEqual([1, 2]);
    const out = t.toFloat32Array();
    out[0] = 7;
    expect(t.toArray()).toEqual([1, 2]);
  });
});

describe("toArray and its kin", () => {
  test("give numbers, booleans and exact integers", () => {
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ]).toArray(2),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor([1, 2]).gt(1).toArray(1)).toEqual([false, true]);
    expect(tensor([1.5, 2], { dtype: "bfloat16" }).toArray(1)).toEqual([1.5, 2]);
    expect(tensor([2n ** 53n + 1n]).toBigInt64Array()).toEqual(new BigInt64Array([2n ** 53n + 1n]));
    expect(tensor(5).toArray()).toBe(5);
    expect(tensor([7n]).item()).toBe(7);
    expect(tensor([true]).item()).toBe(true);
    expect(zeros([2, 0, 3]).toArray(3)).toEqual([[], []]);
    expect(tensor([1, 2], { dtype: "float16" }).toTypedArray()).toEqual(new Uint16Array([0x3c00, 0x4000]));
    expect(arange(3).toFloat32Array()).toEqual(new Float32Array([0, 1, 2]));
  });

  test("say what does not fit", () => {
    expect(codeOf(() => tensor([2n ** 53n]).toArray())).toBe("unsafe_integer");
    expect(codeOf(() => tensor([2n ** 53n]).item())).toBe("unsafe_integer");
    expect(codeOf(() => tensor([1, 2]).toArray(2))).toBe("rank_mismatch");
    expect(codeOf(() => tensor([1, 2]).item())).toBe("scalar_required");
    expect(codeOf(() => tensor([1]).toBigInt64Array())).toBe("wrong_dtype");
    expect(codeOf(() => JSON.stringify({ t: tensor([1]) }))).toBe("invalid_argument");
  });
});

describe("as text", () => {
  test("reads like torch's", () => {
    expect(
      String(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      ),
    ).toBe("tensor([[1., 2.],\n        [3., 4.]])");
    expect(String(tensor([0.1, -20, 300]))).toBe("tensor([ 1.0000e-01, -2.0000e+01,  3.0000e+02])");
    expect(String(tensor([1, 2], { dtype: "int64" }))).toBe("tensor([1, 2])");
    expect(String(tensor([true, false]))).toBe("tensor([ true, false])");
    expect(String(tensor([0.5], { requiresGrad: true }))).toBe("tensor([0.5000], requires_grad=true)");
    expect(String(tensor([0.5], { dtype: "float64" }))).toBe("tensor([0.5000], dtype=float64)");
    expect(String(tensor([0.5], { requiresGrad: true }).exp())).toBe("tensor([1.6487], grad_fn=<exp>)");
    expect(String(zeros([2, 0]))).toBe("tensor([], size=[2, 0])");
  });

  test("is short for long tensors", () => {
    expect(String(arange(2000))).toBe("tensor([   0,    1,    2,  ..., 1997, 1998, 1999])");
  });
});

describe("creation", () => {
  test("has torch's dtypes", () => {
    expect([arange(3).dtype, arange(0, 1, 0.5).dtype, linspace(0, 1, 2).dtype]).toEqual([
      "int64",
      "float32",
      "float32",
    ]);
    expect([full([1], true).dtype, full([1], 2).dtype, full([1], 2n).dtype]).toEqual([
      "bool",
      "float32",
      "int64",
    ]);
    expect(zeros([1], { dtype: "bfloat16" }).dtype).toBe("bfloat16");
    const like = zerosLike(ones([2], { dtype: "float64" }).named("pos"));
    expect([like.dtype, like.axes, like.toArray()]).toEqual(["float64", ["pos"], [0, 0]]);
  });
});

describe("dtypes of results", () => {
  test("follow torch", () => {
    const i = tensor([1, 2], { dtype: "int64" });
    const f = tensor([1, 2]);
    expect([i.add(1).dtype, i.add(0.5).dtype, i.div(2).dtype, i.mul(f).dtype]).toEqual([
      "int64",
      "float32",
      "float32",
      "float32",
    ]);
    expect(i.gt(1).sum().dtype).toBe("int64");
    expect(tensor([1], { dtype: "uint8" }).sum().dtype).toBe("int64");
    expect(f.to("float64").add(f).dtype).toBe("float64");
    expect(f.to("float16").add(1).dtype).toBe("float16");
    expect(i.exp().dtype).toBe("float32");
  });
});

describe("whole numbers", () => {
  test("out of a dtype's range are refused, not wrapped around", () => {
    const bytes = () => zeros([2], { dtype: "uint8" });
    const mask = tensor([true, false]);
    for (const value of [-1, 256, 300.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(
        codeOf(() => full([2], value, { dtype: "uint8" })),
        `full ${value}`,
      ).toBe("wrong_dtype");
      expect(
        codeOf(() => fullLike(bytes(), value)),
        `fullLike ${value}`,
      ).toBe("wrong_dtype");
      expect(
        codeOf(() => bytes().maskedFill(mask, value)),
        `maskedFill ${value}`,
      ).toBe("wrong_dtype");
      expect(
        codeOf(() => bytes().at(0).fill(value)),
        `fill ${value}`,
      ).toBe("wrong_dtype");
    }
    expect(codeOf(() => full([2], 2 ** 32, { dtype: "uint32" }))).toBe("wrong_dtype");
    expect(codeOf(() => full([2], -1, { dtype: "uint32" }))).toBe("wrong_dtype");
    expect(codeOf(() => full([2], 1e30, { dtype: "int64" }))).toBe("wrong_dtype");
    expect(bytes().at(0).fill(255).toArray()).toEqual([255, 0]);
    expect(full([1], -1, { dtype: "int64" }).toArray()).toEqual([-1]);
    expect(full([1], 2 ** 32 - 1, { dtype: "uint32" }).toArray()).toEqual([2 ** 32 - 1]);
  });
});

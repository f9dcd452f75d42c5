/** What the compiler knows of tensors: names and number of axes, dtypes, and which mistakes do not compile. */

import { describe, expectTypeOf, test } from "vitest";
import {
  grad,
  type NestedArray,
  noGrad,
  slice,
  type Tensor,
  tensor,
  tidy,
  type ValuesAndIndices,
  zeros,
} from "../../ts/index.ts";

declare const z: Tensor<["batch", "pos", "head"]>;
declare const plain: Tensor;
declare const mask: Tensor<["pos"], "bool">;

describe("axis names", () => {
  test("name gives a tuple", () => {
    expectTypeOf(zeros([2, 3]).named("batch", "pos")).toEqualTypeOf<
      Tensor<readonly ["batch", "pos"], "float32">
    >();
  });

  test("survive element-wise operations and go with reduced axes", () => {
    expectTypeOf(z.mul(2).exp().axes).toEqualTypeOf<["batch", "pos", "head"]>();
    expectTypeOf(z.add(z).axes).toEqualTypeOf<["batch", "pos", "head"]>();
    expectTypeOf(z.add(plain).axes).toEqualTypeOf<readonly string[]>();
    expectTypeOf(z.sum("pos").axes).toEqualTypeOf<["batch", "head"]>();
    expectTypeOf(z.sum(["batch", "head"]).axes).toEqualTypeOf<["pos"]>();
    expectTypeOf(z.mean({ dim: "head", keepdim: true }).axes).toEqualTypeOf<["batch", "pos", "head"]>();
    expectTypeOf(z.mean({ dim: "head" }).axes).toEqualTypeOf<["batch", "pos"]>();
    expectTypeOf(z.sum().axes).toEqualTypeOf<[]>();
    expectTypeOf(z.sum(0).axes).toEqualTypeOf<readonly string[]>();
    expectTypeOf(z.max("pos")).toEqualTypeOf<ValuesAndIndices<["batch", "head"]>>();
    expectTypeOf(z.select("batch", 0).axes).toEqualTypeOf<["pos", "head"]>();
  });

  test("are checked", () => {
    // @ts-expect-error no axis of that name
    z.sum("query");
    // @ts-expect-error no axis of that name
    z.softmax("query");
    // @ts-expect-error no axis of that name
    z.at({ query: 0 });
    z.at({ head: 3, pos: slice(1) }).fill(0);
    z.at({ head: [0, 2] }).set(plain);
    plain.sum("any name may be right here");
  });

  test("stay on a changed copy", () => {
    expectTypeOf(z.at({ head: 3 }).fill(0)).toEqualTypeOf<Tensor<["batch", "pos", "head"]>>();
  });

  test("a named tensor goes where any tensor is wanted, not the other way round", () => {
    expectTypeOf(z).toExtend<Tensor>();
    expectTypeOf(mask).toExtend<Tensor>();
    expectTypeOf(plain).not.toExtend<Tensor<["batch"]>>();
    expectTypeOf<Tensor<["batch"]>>().not.toExtend<Tensor<["pos"]>>();
  });
});

describe("elements", () => {
  test("nest as deep as there are names", () => {
    expectTypeOf(z.toArray()).toEqualTypeOf<number[][][]>();
    expectTypeOf(mask.toArray()).toEqualTypeOf<boolean[]>();
    expectTypeOf(z.sum().toArray()).toEqualTypeOf<number>();
    expectTypeOf(plain.toArray(2)).toEqualTypeOf<number[][]>();
    expectTypeOf(plain.gt(0).toArray(1)).toEqualTypeOf<boolean[]>();
    expectTypeOf(plain.toArray()).toEqualTypeOf<NestedArray<number>>();
  });

  test("have the type of the dtype", () => {
    expectTypeOf(z.gt(0).all().item()).toEqualTypeOf<boolean>();
    expectTypeOf(z.sum().item()).toEqualTypeOf<number>();
    expectTypeOf(tensor([1, 2]).toTypedArray()).toEqualTypeOf<Float32Array>();
    expectTypeOf(tensor([1, 2], { dtype: "int64" }).toTypedArray()).toEqualTypeOf<BigInt64Array>();
    expectTypeOf(tensor([true]).dtype).toEqualTypeOf<"bool">();
    expectTypeOf(tensor(new Int32Array(1)).dtype).toEqualTypeOf<"int64">();
    expectTypeOf(tensor([[1], [2]]).to("float64").dtype).toEqualTypeOf<"float64">();
    expectTypeOf(z.lt(z).axes).toEqualTypeOf<["batch", "pos", "head"]>();
  });
});

describe("mistakes that do not compile", () => {
  test("wrong dtypes, devices, options and operands", () => {
    // @ts-expect-error no such dtype
    zeros([1], { dtype: "float8" });
    // @ts-expect-error no such device
    plain.to("tpu");
    // @ts-expect-error a typo
    zeros([1], { requireGrad: true });
    // @ts-expect-error not an operand
    plain.add("1");
    // @ts-expect-error text is no element
    tensor(["a"]);
    // @ts-expect-error tensors are values
    plain.shape = [1];
  });
});

describe("scopes", () => {
  test("give what the body gives", () => {
    expectTypeOf(tidy(() => [z, 1] as const)).toEqualTypeOf<readonly [typeof z, 1]>();
    expectTypeOf(noGrad(() => z)).toEqualTypeOf<typeof z>();
  });

  test("grad gives one gradient for each input", () => {
    expectTypeOf(grad(plain, [plain, z])).toEqualTypeOf<readonly [Tensor, Tensor]>();
    expectTypeOf(grad(plain, [plain], { allowUnused: true })).toEqualTypeOf<readonly [Tensor | null]>();
  });
});

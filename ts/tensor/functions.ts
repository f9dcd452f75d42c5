/** Operations on several tensors that belong to none of them in particular. */

import type { DType } from "../engine/engine.ts";
import { requireIterable, requireTensor } from "./arguments.ts";
import { type Closeness, type Operand, runBinary } from "./arithmetic.ts";
import { type Dim, dimNumber } from "./axes.ts";
import type { AttentionOptions } from "./neural.ts";
import { run } from "./operation.ts";
import { checkOptionKeys } from "./option-keys.ts";
import type { PatternSizes } from "./shapes.ts";
import type { Tensor } from "./tensor.ts";

/** Joins tensors along an axis; other sizes must agree (`shape_mismatch`). */
export function cat<Axes extends readonly string[], D extends DType>(
  tensors: readonly Tensor<Axes, D>[],
  dim: Dim<Axes> = 0,
): Tensor<Axes, D> {
  requireIterable("cat", "a list of tensors", tensors);
  const list = [...tensors];
  const axes = list[0] === undefined ? [] : requireTensor(list[0]).axes;
  return run("cat", list, { dim: dimNumber(axes, dim) }, axes);
}

/** Joins tensors of equal shape along a new axis before axis `dim`; -1 puts it last. */
export function stack<D extends DType>(
  tensors: readonly Tensor<readonly string[], D>[],
  dim = 0,
): Tensor<readonly string[], D> {
  requireIterable("stack", "a list of tensors", tensors);
  return run("stack", [...tensors], { dim });
}

/**
 * Sums of products by an equation, as in NumPy: repeated letters that the output leaves out are summed over, `...`
 * stands for leading axes. Without `->` the output has the letters that occur once, in alphabetical order.
 *
 * @example
 * ```ts
 * const [q, k] = [randn([1, 5, 2, 8]), randn([1, 5, 2, 8])];
 * einsum("bqhd,bkhd->bhqk", q, k).shape; // attention scores, [1, 2, 5, 5]
 * ```
 */
export function einsum(equation: string, ...tensors: readonly Tensor[]): Tensor {
  return run("einsum", tensors, { equation });
}

/** `x` where the bool tensor `condition` is true, `y` elsewhere; all broadcast. */
export function where(condition: Tensor, x: Tensor, y: Tensor | number): Tensor {
  return requireTensor(x).where(condition, y);
}

/** Rearranges axes by an einops pattern; see {@link Tensor.rearrange}. Several tensors are stacked along a first axis. */
export function rearrange(x: Tensor | readonly Tensor[], pattern: string, sizes: PatternSizes = {}): Tensor {
  return stacked(x).rearrange(pattern, sizes);
}

/** Reduces axes by an einops pattern; see {@link Tensor.reduce}. */
export function reduce(
  x: Tensor | readonly Tensor[],
  pattern: string,
  how: "sum" | "mean" | "max" | "min" | "prod",
  sizes: PatternSizes = {},
): Tensor {
  return stacked(x).reduce(pattern, how, sizes);
}

/** Repeats along axes by an einops pattern; see {@link Tensor.repeatAxes}. */
export function repeat(x: Tensor | readonly Tensor[], pattern: string, sizes: PatternSizes): Tensor {
  return stacked(x).repeatAxes(pattern, sizes);
}

function stacked(x: Tensor | readonly Tensor[]): Tensor {
  return Array.isArray(x) ? stack(x) : requireTensor(x as Tensor);
}

/** Attention; see {@link Tensor.scaledDotProductAttention}. */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  return requireTensor(query).scaledDotProductAttention(key, value, options);
}

/** `left - right`, where either may be a number. */
export function sub(left: Operand, right: Operand): Tensor {
  return runBinary("sub", left, right);
}

/** `left / right`, where either may be a number; see {@link Tensor.div}. */
export function div(left: Operand, right: Operand, roundingMode?: "floor" | "trunc"): Tensor {
  return runBinary("div", left, right, { rounding_mode: roundingMode });
}

/** `left` to the power `right`, where either may be a number. */
export function pow(left: Operand, right: Operand): Tensor {
  return runBinary("pow", left, right);
}

/** Whether all elements of two tensors, which broadcast, are close; see {@link Tensor.isclose}. */
export function allclose(a: Tensor, b: Tensor, options: Closeness = {}): boolean {
  checkOptionKeys("allclose", options, ["rtol", "atol", "equalNan"]);
  const { rtol, atol, equalNan } = options;
  using close = run<[], "bool">("allclose", [a, b], { rtol, atol, equal_nan: equalNan });
  return close.item();
}

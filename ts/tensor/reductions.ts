/** Operations that reduce axes: sums, extremes, statistics, and the running forms of them. */

import type { DType } from "../engine/engine.ts";
import {
  type AfterReduction,
  axesAfter,
  type Dim,
  dimNumber,
  type Over,
  type OverOne,
  reduction,
  type Without,
} from "./axes.ts";
import { ElementwiseOps } from "./elementwise.ts";
import { run, runPair } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/** The extreme or middle elements along an axis, and where they are. */
export interface ValuesAndIndices<Axes extends readonly string[] = readonly string[]> {
  /** The elements. */
  readonly values: Tensor<Axes>;
  /** Their places along the axis. */
  readonly indices: Tensor<Axes, "int64">;
}

/** The extremes of the elements. */
export interface MinMax<Axes extends readonly string[] = readonly string[]> {
  /** The smallest element. */
  readonly min: Tensor<Axes>;
  /** The largest element. */
  readonly max: Tensor<Axes>;
}

/**
 * Reductions. `over` says which axes go: none given means all, then an axis, several, or
 * `{ dim, keepdim: true }` to keep them with size 1; axes go by number or by name.
 *
 * @example
 * ```ts
 * const x = tensor([[1, 2], [3, 4]]).named("batch", "pos");
 * x.sum().item();                          // 10
 * x.sum("pos").toArray();                  // [3, 7]
 * x.mean({ dim: 0, keepdim: true }).shape; // [1, 2]
 * ```
 *
 * @category Reductions
 */
export abstract class ReductionOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends ElementwiseOps<Axes, D> {
  #reduce<A extends readonly string[], K extends DType = DType>(
    op: string,
    over: Over | undefined,
    args: Readonly<Record<string, number | string>> = {},
  ): Tensor<A, K> {
    const { dim, keepdim } = reduction(this.axes, over);
    return run(op, [this], { ...args, dim, keepdim }, axesAfter(this.axes, dim, keepdim));
  }

  #extreme(op: string, dim: number | string, keepdim: boolean): ValuesAndIndices {
    const at = dimNumber(this.axes, dim);
    const [values, indices] = runPair(op, [this], { dim: at, keepdim }, axesAfter(this.axes, at, keepdim));
    return { values, indices: indices as Tensor<readonly string[], "int64"> };
  }

  /** Sum; integers and truth values are summed as int64. */
  sum<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("sum", over);
  }

  /** Sum without the NaN elements. */
  nansum<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("nansum", over);
  }

  /** Mean. Integers throw `wrong_dtype`. */
  mean<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("mean", over);
  }

  /** Product. */
  prod<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("prod", over);
  }

  /** Largest element; ties share the gradient. Over no elements throws `empty_reduction`. */
  amax<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("amax", over);
  }

  /** Smallest element; ties share the gradient. Over no elements throws `empty_reduction`. */
  amin<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("amin", over);
  }

  /** Smallest and largest elements at once. */
  aminmax<const R extends Over<Axes> = null>(over?: R): MinMax<AfterReduction<Axes, R>> {
    const { dim, keepdim } = reduction(this.axes, over);
    const [min, max] = runPair("aminmax", [this], { dim, keepdim }, axesAfter(this.axes, dim, keepdim));
    return { min, max } as MinMax<AfterReduction<Axes, R>>;
  }

  /** Largest element of all, or with an axis the largest along it and where it is. */
  max(): Tensor<[]>;
  max<const N extends Dim<Axes>>(dim: N): ValuesAndIndices<Without<Axes, N>>;
  max(dim: Dim<Axes>, keepdim: boolean): ValuesAndIndices;
  max(dim?: Dim<Axes>, keepdim = false): Tensor | ValuesAndIndices {
    return dim === undefined ? run("max", [this]) : this.#extreme("max", dim, keepdim);
  }

  /** Smallest element of all, or with an axis the smallest along it and where it is. */
  min(): Tensor<[]>;
  min<const N extends Dim<Axes>>(dim: N): ValuesAndIndices<Without<Axes, N>>;
  min(dim: Dim<Axes>, keepdim: boolean): ValuesAndIndices;
  min(dim?: Dim<Axes>, keepdim = false): Tensor | ValuesAndIndices {
    return dim === undefined ? run("min", [this]) : this.#extreme("min", dim, keepdim);
  }

  /** Median of all (of an even number the lower of the two), or with an axis the medians along it and where they are. */
  median(): Tensor<[]>;
  median<const N extends Dim<Axes>>(dim: N): ValuesAndIndices<Without<Axes, N>>;
  median(dim: Dim<Axes>, keepdim: boolean): ValuesAndIndices;
  median(dim?: Dim<Axes>, keepdim = false): Tensor | ValuesAndIndices {
    return dim === undefined ? run("median", [this]) : this.#extreme("median", dim, keepdim);
  }

  /** Place of the largest element: in the flattened tensor, or along an axis. */
  argmax<const R extends OverOne<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>, "int64"> {
    return this.#reduce("argmax", over);
  }

  /** Place of the smallest element: in the flattened tensor, or along an axis. */
  argmin<const R extends OverOne<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>, "int64"> {
    return this.#reduce("argmin", over);
  }

  /** Whether any element is true (not zero). */
  any<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>, "bool"> {
    return this.#reduce("any", over);
  }

  /** Whether all elements are true (not zero). */
  all<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>, "bool"> {
    return this.#reduce("all", over);
  }

  /** How many elements are not zero. */
  countNonzero<const R extends Dim<Axes> | readonly Dim<Axes>[] | null = null>(
    dim?: R,
  ): Tensor<AfterReduction<Axes, R>, "int64"> {
    const at = reduction(this.axes, dim).dim;
    return run("count_nonzero", [this], { dim: at }, axesAfter(this.axes, at, false));
  }

  /** Variance: squared deviations over `n - correction`. */
  var<const R extends Over<Axes> = null>(over?: R, correction = 1): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("var", over, { correction });
  }

  /** Standard deviation: the square root of {@link var}. */
  std<const R extends Over<Axes> = null>(over?: R, correction = 1): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("std", over, { correction });
  }

  /** The p-norm of the elements: `p` is 2 by default; `Infinity` gives the largest magnitude. */
  norm<const R extends Over<Axes> = null>(over?: R, p = 2): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("norm", over, { p });
  }

  /** `log(sum(exp(x)))` without overflow. */
  logsumexp<const R extends Over<Axes> = null>(over?: R): Tensor<AfterReduction<Axes, R>> {
    return this.#reduce("logsumexp", over);
  }

  /** Running sum along an axis. */
  cumsum(dim: Dim<Axes>): Tensor<Axes> {
    return run("cumsum", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** Running product along an axis. */
  cumprod(dim: Dim<Axes>): Tensor<Axes> {
    return run("cumprod", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** Running {@link logsumexp} along an axis. */
  logcumsumexp(dim: Dim<Axes>): Tensor<Axes> {
    return run("logcumsumexp", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }
}

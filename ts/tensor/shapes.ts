/** Operations that move elements about without computing anything. They take every dtype and keep it. */

import type { DType } from "../engine/engine.ts";
import { requireObject } from "./arguments.ts";
import { type Dim, dimNumber, dimNumbers, type Without } from "./axes.ts";
import { run, runMany } from "./operation.ts";
import { ReductionOps } from "./reductions.ts";
import type { Tensor } from "./tensor.ts";

/** Sizes of axes in a pattern, by name: `{ head: 12 }`. */
export type PatternSizes = Readonly<Record<string, number>>;

/** Sizes as one list or as separate arguments. */
type Sizes = readonly number[] | readonly [readonly number[]];

function flat(sizes: Sizes): number[] {
  return sizes.flat();
}

/**
 * Shape and order of axes. Axis names survive where the axes do.
 *
 * @category Shape and order of axes
 */
export abstract class ShapeOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends ReductionOps<Axes, D> {
  /**
   * The same elements in row-major order under another shape; one size may be -1 and is then inferred.
   * Throws `element_count` if the sizes do not fit.
   *
   * @example
   * ```ts
   * arange(12).reshape([3, -1]).shape; // [3, 4]
   * arange(12).reshape(2, 6).shape;    // [2, 6]
   * ```
   */
  reshape(...shape: readonly number[] | [readonly number[]]): Tensor<readonly string[], D> {
    return run("reshape", [this], { shape: flat(shape) });
  }

  /** Like {@link reshape}, but throws `needs_copy` where the memory layout would force a copy. */
  view(...shape: readonly number[] | [readonly number[]]): Tensor<readonly string[], D> {
    return run("view", [this], { shape: flat(shape) });
  }

  /** Merges the axes `startDim` to `endDim` (both included) into one. */
  flatten(startDim: Dim<Axes> = 0, endDim: Dim<Axes> = -1): Tensor<readonly string[], D> {
    return run("flatten", [this], {
      start_dim: dimNumber(this.axes, startDim),
      end_dim: dimNumber(this.axes, endDim),
    });
  }

  /** Swaps two axes. */
  transpose(dim0: Dim<Axes>, dim1: Dim<Axes>): Tensor<readonly string[], D> {
    const [a, b] = [dimNumber(this.axes, dim0), dimNumber(this.axes, dim1)];
    const axes = [...this.axes];
    const [nameA, nameB] = [this.axes.at(a), this.axes.at(b)];
    if (nameA !== undefined && nameB !== undefined) {
      axes[a < 0 ? a + axes.length : a] = nameB;
      axes[b < 0 ? b + axes.length : b] = nameA;
    }
    return run("transpose", [this], { dim0: a, dim1: b }, axes);
  }

  /** The transpose of a matrix or vector: all axes in reverse order. */
  get T(): Tensor<readonly string[], D> {
    return this.permute(Array.from({ length: this.rank }, (_, i) => this.rank - 1 - i));
  }

  /** Reorders the axes; every axis is named once. `x.permute(0, 2, 1)` or `x.permute(["batch", "head", "pos"])`. */
  permute(...dims: readonly Dim<Axes>[] | [readonly Dim<Axes>[]]): Tensor<readonly string[], D> {
    const order = (dims.flat() as Dim<Axes>[]).map((dim) => dimNumber(this.axes, dim));
    const names = order.map((dim) => this.axes.at(dim));
    return run("permute", [this], { dims: order }, names.every((name) => name !== undefined) ? names : []);
  }

  /** Removes axes of size 1: the given ones (others stay if their size is not 1), or all. */
  squeeze(dim?: Dim<Axes> | readonly Dim<Axes>[]): Tensor<readonly string[], D> {
    const at = dimNumbers(this.axes, dim);
    const rank = this.rank;
    const chosen = at === null ? null : new Set([at].flat().map((d) => (d < 0 ? d + rank : d)));
    const axes = this.axes.filter((_, i) => this.shape[i] !== 1 || (chosen !== null && !chosen.has(i)));
    return run("squeeze", [this], { dim: at }, axes);
  }

  /** Inserts an axis of size 1 before axis `dim`; -1 puts it last. */
  unsqueeze(dim: number): Tensor<readonly string[], D> {
    return run("unsqueeze", [this], { dim });
  }

  /** Repeats axes of size 1 to the given sizes without copying; -1 keeps a size; new axes may come in front. */
  expand(...size: readonly number[] | [readonly number[]]): Tensor<readonly string[], D> {
    const sizes = flat(size);
    return run("expand", [this], { size: sizes }, sizes.length === this.rank ? this.axes : []);
  }

  /** Repeats the tensor along its axes; as many counts as axes, more put new axes in front. */
  repeat(...repeats: readonly number[] | [readonly number[]]): Tensor<readonly string[], D> {
    const counts = flat(repeats);
    return run("repeat", [this], { repeats: counts }, counts.length === this.rank ? this.axes : []);
  }

  /** Repeats each slice along an axis, all as often or each by its own count; without an axis flattens first. */
  repeatInterleave(repeats: number | Tensor, dim?: Dim<Axes>): Tensor<readonly string[], D> {
    const at = dimNumbers(this.axes, dim);
    const axes = at === null ? [] : this.axes;
    return typeof repeats === "number"
      ? run("repeat_interleave", [this], { repeats, dim: at }, axes)
      : run("repeat_interleave", [this, repeats], { dim: at }, axes);
  }

  /** Cuts into pieces of one size (the last may be smaller) or of the given sizes along an axis. */
  split(sizes: number | readonly number[], dim: Dim<Axes> = 0): Tensor<Axes, D>[] {
    const args = { split_size_or_sections: sizes, dim: dimNumber(this.axes, dim) };
    return runMany("split", [this], args, this.axes) as Tensor<Axes, D>[];
  }

  /** Cuts into at most `chunks` pieces of equal size (the last may be smaller) along an axis. */
  chunk(chunks: number, dim: Dim<Axes> = 0): Tensor<Axes, D>[] {
    return runMany("chunk", [this], { chunks, dim: dimNumber(this.axes, dim) }, this.axes) as Tensor<
      Axes,
      D
    >[];
  }

  /** Reverses the order along axes. */
  flip(dims: Dim<Axes> | readonly Dim<Axes>[]): Tensor<Axes, D> {
    return run("flip", [this], { dims: dimNumbers(this.axes, dims) }, this.axes);
  }

  /** Rotates elements along axes; without axes the flattened tensor is rotated. */
  roll(shifts: number | readonly number[], dims?: Dim<Axes> | readonly Dim<Axes>[]): Tensor<Axes, D> {
    return run("roll", [this], { shifts, dims: dimNumbers(this.axes, dims) }, this.axes);
  }

  /** `length` slices along an axis from `start` on. Throws `index_out_of_range` if that runs past the end. */
  narrow(dim: Dim<Axes>, start: number, length: number): Tensor<Axes, D> {
    return run("narrow", [this], { dim: dimNumber(this.axes, dim), start, length }, this.axes);
  }

  /** One slice along an axis; the axis goes. */
  select<const N extends Dim<Axes>>(dim: N, index: number): Tensor<Without<Axes, N>, D> {
    const at = dimNumber(this.axes, dim);
    const axes = this.axes.filter((_, i) => i !== (at < 0 ? at + this.axes.length : at));
    return run("select", [this], { dim: at, index }, axes);
  }

  /** A range along an axis, as in Python: `start` and `stop` may be negative or beyond the end, `step` is positive. */
  slice(dim: Dim<Axes>, start: number | null = null, stop: number | null = null, step = 1): Tensor<Axes, D> {
    return run("slice", [this], { dim: dimNumber(this.axes, dim), start, stop, step }, this.axes);
  }

  /** The lower triangle of each matrix `[..., n, m]`, zeros elsewhere; `diagonal` moves the border up. */
  tril(diagonal = 0): Tensor<Axes, D> {
    return run("tril", [this], { diagonal }, this.axes);
  }

  /** The upper triangle of each matrix `[..., n, m]`, zeros elsewhere; `diagonal` moves the border up. */
  triu(diagonal = 0): Tensor<Axes, D> {
    return run("triu", [this], { diagonal }, this.axes);
  }

  /** The diagonal over two axes, as a new last axis; `offset` moves it up. */
  diagonal(offset = 0, dim1: Dim<Axes> = 0, dim2: Dim<Axes> = 1): Tensor<readonly string[], D> {
    return run("diagonal", [this], {
      offset,
      dim1: dimNumber(this.axes, dim1),
      dim2: dimNumber(this.axes, dim2),
    });
  }

  /** Adds `[before, after]` elements of `value` to the last axis, then the one before it, …; negative counts cut. */
  pad(pad: readonly number[], value = 0): Tensor<Axes, D> {
    return run("pad", [this], { pad, value }, this.axes);
  }

  /** Windows of `size` along an axis, `step` apart, as a new last axis. */
  unfold(dim: Dim<Axes>, size: number, step: number): Tensor<readonly string[], D> {
    return run("unfold", [this], { dim: dimNumber(this.axes, dim), size, step });
  }

  /** The tensor in a memory layout of its own, row-major: itself if it already is. */
  contiguous(): Tensor<Axes, D> {
    return run("contiguous", [this], {}, this.axes);
  }

  /**
   * Rearranges axes by an einops pattern.
   *
   * @example
   * ```ts
   * const x = randn([2, 5, 96]);
   * x.rearrange("batch pos (head d) -> batch head pos d", { head: 12 }).shape; // [2, 12, 5, 8]
   * ```
   */
  rearrange(pattern: string, sizes: PatternSizes = {}): Tensor<readonly string[], D> {
    return run("rearrange", [this], { pattern, ...patternSizes(sizes) });
  }

  /** Reduces the axes that the right side of an einops pattern leaves out: `x.reduce("b p d -> b d", "mean")`. */
  reduce(
    pattern: string,
    how: "sum" | "mean" | "max" | "min" | "prod",
    sizes: PatternSizes = {},
  ): Tensor<readonly string[], DType> {
    return run("reduce", [this], { pattern, reduction: how, ...patternSizes(sizes) });
  }

  /** Repeats along the axes that only the right side of an einops pattern has: `x.repeatAxes("d -> n d", { n: 3 })`. */
  repeatAxes(pattern: string, sizes: PatternSizes): Tensor<readonly string[], D> {
    return run("repeat_axes", [this], { pattern, ...patternSizes(sizes) });
  }
}

/** Sizes as the engine takes them: a list of names and a list of numbers. */
function patternSizes(sizes: PatternSizes): { names: string[]; sizes: number[] } {
  requireObject("sizes", "an object of axis names and sizes", sizes);
  return { names: Object.keys(sizes), sizes: Object.values(sizes) };
}

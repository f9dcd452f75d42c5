/** Axis names in types: how `["batch", "pos", "head"]` changes when an operation removes or moves an axis. */

import { HooklensError } from "../engine/errors.ts";
import { describe } from "./base.ts";
import { checkOptionKeys } from "./option-keys.ts";

/** An axis, by number (negative from the back) or by name. */
export type Dim<Axes extends readonly string[] = readonly string[]> = number | Axes[number];

/** What a reduction runs over: nothing (all axes), an axis, several, or these with `keepdim`. */
export type Over<Axes extends readonly string[] = readonly string[]> =
  | null
  | Dim<Axes>
  | readonly Dim<Axes>[]
  | OverOptions<Axes>;

/** The long form of {@link Over}. */
export interface OverOptions<Axes extends readonly string[] = readonly string[]> {
  /** The axis or axes to reduce; all of them if left out. */
  readonly dim?: Dim<Axes> | readonly Dim<Axes>[] | null;
  /**
   * Keep reduced axes with size 1.
   * @default false
   */
  readonly keepdim?: boolean;
}

/** What {@link Tensor.argmax} and {@link Tensor.argmin} run over: nothing (all elements), an axis, or that with `keepdim`. */
export type OverOne<Axes extends readonly string[] = readonly string[]> =
  | null
  | Dim<Axes>
  | OverOneOptions<Axes>;

/** The long form of {@link OverOne}. */
export interface OverOneOptions<Axes extends readonly string[] = readonly string[]> {
  /** The axis. */
  readonly dim: Dim<Axes>;
  /**
   * Keep the axis with size 1.
   * @default false
   */
  readonly keepdim?: boolean;
}

/** `Axes` without the names in `Names`; unknown where that cannot be told. */
export type Without<Axes extends readonly string[], Names> = number extends Axes["length"]
  ? readonly string[]
  : string extends Names
    ? readonly string[]
    : [Extract<Names, number>] extends [never]
      ? Removed<Axes, Names>
      : readonly string[];

type Removed<Axes extends readonly string[], Names> = Axes extends readonly [
  infer Head extends string,
  ...infer Tail extends readonly string[],
]
  ? Head extends Names
    ? Removed<Tail, Names>
    : [Head, ...Removed<Tail, Names>]
  : [];

/** The axes left after a reduction over `R`. */
export type AfterReduction<Axes extends readonly string[], R> = R extends null | undefined
  ? []
  : R extends readonly (infer Names)[]
    ? Without<Axes, Names>
    : R extends number | string
      ? Without<Axes, R>
      : R extends Readonly<Record<"keepdim", true>>
        ? Axes
        : R extends Readonly<Record<"keepdim", infer K>>
          ? boolean extends K
            ? readonly string[]
            : AfterDim<Axes, R>
          : AfterDim<Axes, R>;

type AfterDim<Axes extends readonly string[], R> = R extends { readonly dim: infer Dims }
  ? Dims extends readonly (infer Names)[]
    ? Without<Axes, Names>
    : Dims extends null | undefined
      ? []
      : Without<Axes, Dims>
  : [];

/** The axis number that `dim` means in a tensor with these axes. Numbers pass through: the engine checks them. */
export function dimNumber(axes: readonly string[], dim: number | string): number {
  if (typeof dim === "number") return dim;
  if (typeof dim !== "string") {
    throw new HooklensError(
      "invalid_argument",
      `expected an axis, by number or by name, got ${describe(dim)}`,
    );
  }
  const at = axes.indexOf(dim);
  if (at >= 0) return at;
  const known =
    axes.length > 0 ? `its axes are ${axes.join(", ")}` : "its axes have no names (see Tensor.named)";
  throw new HooklensError("unknown_axis", `no axis is called '${dim}': ${known}`, {
    axis: dim,
    axes: [...axes],
  });
}

/** {@link dimNumber} for one axis, several, or none. */
export function dimNumbers(
  axes: readonly string[],
  dim: number | string | readonly (number | string)[] | null | undefined,
): number | number[] | null {
  if (dim === null || dim === undefined) return null;
  if (typeof dim === "number" || typeof dim === "string") return dimNumber(axes, dim);
  if (!Array.isArray(dim)) {
    throw new HooklensError(
      "invalid_argument",
      `expected an axis, by number or by name, or a list of them, got ${describe(dim)}`,
    );
  }
  return Array.from<number | string, number>(dim, (d) => dimNumber(axes, d));
}

/** An {@link Over} taken apart, with axis numbers. */
export function reduction(
  axes: readonly string[],
  over: Over<readonly string[]> | undefined,
): { dim: number | number[] | null; keepdim: boolean } {
  if (over === null || over === undefined) return { dim: null, keepdim: false };
  if (typeof over === "object" && !Array.isArray(over)) {
    const options = over as OverOptions;
    checkOptionKeys("a reduction", options, ["dim", "keepdim"]);
    return { dim: dimNumbers(axes, options.dim), keepdim: options.keepdim ?? false };
  }
  return { dim: dimNumbers(axes, over as number | string | readonly (number | string)[]), keepdim: false };
}

/** The names left when the axes numbered `dim` are removed (or kept at size 1). */
export function axesAfter(
  axes: readonly string[],
  dim: number | readonly number[] | null,
  keepdim: boolean,
): readonly string[] {
  if (axes.length === 0 || keepdim) return axes;
  if (dim === null) return [];
  const gone = new Set((typeof dim === "number" ? [dim] : dim).map((d) => (d < 0 ? d + axes.length : d)));
  return axes.filter((_, i) => !gone.has(i));
}

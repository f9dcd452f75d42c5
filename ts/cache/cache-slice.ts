/** Slicing every tensor of a cache along named axes. */

import { hooklensError } from "../engine/errors.ts";
import type { PosSlice } from "../hooks/caching.ts";
import type { Axes } from "../hooks/names.ts";
import type { Without } from "../tensor/axes.ts";
import { describe } from "../tensor/base.ts";
import { tensor } from "../tensor/create.ts";
import { type Range, slice as range } from "../tensor/indexing.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The names of the axes of all points of `P`. */
export type AxisOf<P> = {
  [Name in keyof P]: P[Name] extends Axes ? P[Name][number] : string;
}[keyof P];

/** Positions by axis name: a number (the axis goes), a list or a range (it stays). Negative numbers count from the end. */
export type CacheSlice<P> = { readonly [Axis in AxisOf<P>]?: PosSlice };

/** The axes that are surely dropped: those that a number is given for. */
type Dropped<Slices> = {
  [Axis in keyof Slices]: [Slices[Axis]] extends [number] ? Axis : never;
}[keyof Slices];

/** The axes of which the compiler cannot tell, because they are given a number or something else. */
type Unsure<Slices> = {
  [Axis in keyof Slices]: [Slices[Axis]] extends [number]
    ? never
    : number extends Slices[Axis]
      ? Axis
      : Extract<Slices[Axis], number> extends never
        ? never
        : Axis;
}[keyof Slices];

/** Points with the axes that their tensors have after a slice. */
export type Sliced<P, Slices> = {
  readonly [Name in keyof P]: P[Name] extends Axes
    ? [Extract<P[Name][number], Unsure<Slices>>] extends [never]
      ? Readonly<Without<P[Name], Dropped<Slices>>>
      : Axes
    : Axes;
};

/** Checks what is given for an axis. */
export function checkSlice(axis: string, slice: unknown): asserts slice is PosSlice {
  const whole = (value: unknown) => Number.isSafeInteger(value);
  const valid =
    whole(slice) ||
    (Array.isArray(slice)
      ? slice.every(whole)
      : typeof slice === "object" && slice !== null && Object.entries(slice).every(isRangeEntry));
  if (valid) return;
  throw hooklensError(
    "invalid_argument",
    `slice: for axis '${axis}' expected a position, a list of them, or { start, stop, step }, got ${describe(slice)}`,
    { axis },
  );
}

function isRangeEntry([key, value]: [string, unknown]): boolean {
  return (
    ["start", "stop", "step"].includes(key) &&
    (value === null || value === undefined || Number.isSafeInteger(value))
  );
}

/**
 * The positions of those axes that the tensor has. A copy, so that it does not keep the whole tensor alive; the tensor
 * itself, shared, if it has none of the axes.
 */
export function sliceNamed(whole: Tensor, slices: ReadonlyMap<string, PosSlice>): Tensor {
  const ranges: Record<string, number | Range> = {};
  const isList = (slice: number | readonly number[] | Range): slice is readonly number[] =>
    Array.isArray(slice);
  let part = whole;
  for (const [axis, slice] of slices) {
    if (!whole.axes.includes(axis)) continue;
    if (isList(slice)) part = part.indexSelect(axis, positions(slice, whole, axis));
    else ranges[axis] = typeof slice === "number" ? slice : range(slice.start, slice.stop, slice.step);
  }
  if (Object.keys(ranges).length > 0) part = part.at(ranges).get().clone();
  return part === whole ? whole.share() : part;
}

/** A list of positions as an index; those counted from the end are counted from the start. */
function positions(list: readonly number[], of: Tensor, axis: string): Tensor {
  const size = of.shape[of.axes.indexOf(axis)] ?? 0;
  const odd = list.find((at) => at < -size || at >= size);
  if (odd !== undefined) {
    throw hooklensError(
      "index_out_of_range",
      `slice: position ${odd} is outside axis '${axis}' of ${size} positions`,
      { axis, index: odd, size },
    );
  }
  return tensor(
    BigInt64Array.from(list, (at) => BigInt(at < 0 ? at + size : at)),
    { device: of.device },
  );
}

/** Nested arrays of numbers or truth values, in types and at run time. */

import { HooklensError } from "../engine/errors.ts";
import { describe } from "./base.ts";

/** An element, or nested arrays of them to any depth. */
export type Nested<T> = T | readonly Nested<T>[];

/** Nested arrays of depth `Rank`; any depth if `Rank` is not known. */
export type NestedOfRank<T, Rank extends number> = number extends Rank ? NestedArray<T> : Deepen<T, Rank>;

/** An element or nested arrays of them: what comes out where the number of axes is not known to the compiler. */
export type NestedArray<T> = T | NestedArray<T>[];

type Deepen<T, Rank extends number, Count extends readonly unknown[] = []> = Count["length"] extends Rank
  ? T
  : Deepen<T[], Rank, readonly [...Count, unknown]>;

/** Row-major elements as nested arrays of that shape. */
export function nest<T>(flat: ArrayLike<T>, shape: readonly number[]): NestedArray<T> {
  let at = 0;
  const level = (axis: number): NestedArray<T> => {
    if (axis === shape.length) return flat[at++] as T;
    const size = shape[axis] ?? 0;
    const out: NestedArray<T>[] = new Array(size);
    for (let i = 0; i < size; i++) out[i] = level(axis + 1);
    return out;
  };
  return level(0);
}

/** The shape of nested arrays and their elements in row-major order; throws `shape_mismatch` if they are ragged. */
export function unnest<T>(data: Nested<T>): { shape: number[]; flat: T[] } {
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
    if (shape.length > 32)
      throw new HooklensError("rank_mismatch", "tensor: arrays are nested more than 32 deep");
  }
  const flat: T[] = [];
  const visit = (value: unknown, axis: number): void => {
    if (axis === shape.length) {
      if (Array.isArray(value)) throw ragged(axis, "an element", value);
      flat.push(value as T);
      return;
    }
    if (!Array.isArray(value) || value.length !== shape[axis]) {
      throw ragged(axis, `${shape[axis]} entries`, value);
    }
    for (const item of value) visit(item, axis + 1);
  };
  visit(data, 0);
  return { shape, flat };
}

function ragged(axis: number, expected: string, got: unknown): HooklensError {
  const came = Array.isArray(got) ? `an array of ${got.length}` : describe(got);
  return new HooklensError(
    "shape_mismatch",
    `tensor: ragged arrays: axis ${axis} has ${expected} elsewhere, here ${came}`,
  );
}

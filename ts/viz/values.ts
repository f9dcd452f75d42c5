/** Numbers as users have them: nested arrays, or anything with a shape and elements, such as a tensor. */

import { hooklensError } from "../engine/errors.ts";

/** What pictures need of a tensor. */
export interface TensorLike {
  /** Size of each axis. */
  readonly shape: readonly number[];
  /** The elements, row-major. */
  toFloat32Array(): Float32Array;
}

/** Numbers along one axis: a list, or a tensor of rank 1. */
export type Vector = TensorLike | readonly number[];
/** Numbers along two axes: a list of rows, or a tensor of rank 2. */
export type Matrix = TensorLike | readonly (readonly number[])[];
/** Matrices along a third axis: a list of them, or a tensor of rank 3. */
export type Matrices = TensorLike | readonly (readonly (readonly number[])[])[];
/** {@link Matrices} along a fourth axis: a list of them, or a tensor of rank 4. */
export type MatricesOfLayers = TensorLike | readonly (readonly (readonly (readonly number[])[])[])[];

type Nested = number | readonly Nested[];

/** Numbers of a known shape, row-major. */
export interface Numbers {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/**
 * Reads numbers of one of these ranks.
 *
 * @throws `rank_mismatch` for another rank, `shape_mismatch` for rows of different lengths, `invalid_argument` for
 * anything else.
 */
export function readNumbers(
  what: string,
  values: TensorLike | readonly Nested[],
  ranks: readonly number[],
): Numbers {
  const read = isTensorLike(values)
    ? { shape: [...values.shape], data: values.toFloat32Array() }
    : readNested(what, values);
  if (ranks.includes(read.shape.length)) return read;
  throw hooklensError(
    "rank_mismatch",
    `${what}: expected ${ranks.join(" or ")} axes, got shape [${read.shape.join(", ")}]`,
    { expected: ranks, got: read.shape },
  );
}

function isTensorLike(values: unknown): values is TensorLike {
  return typeof values === "object" && values !== null && "toFloat32Array" in values && "shape" in values;
}

function readNested(what: string, values: readonly Nested[]): Numbers {
  const shape: number[] = [];
  for (let level: Nested | undefined = values; Array.isArray(level); level = level[0])
    shape.push(level.length);
  const data: number[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      if (value.length !== shape[depth]) {
        throw hooklensError(
          "shape_mismatch",
          `${what}: its lists have different lengths, ${value.length} and ${shape[depth] ?? "none"}`,
        );
      }
      for (const item of value) visit(item, depth + 1);
    } else if (typeof value === "number" && depth === shape.length) {
      data.push(value);
    } else {
      throw hooklensError("invalid_argument", `${what}: expected numbers in nested lists, or a tensor`);
    }
  };
  visit(values, 0);
  return { shape, data };
}

/** Part `index` along the first axis. */
export function part({ shape, data }: Numbers, index: number): Numbers {
  const rest = shape.slice(1);
  const size = rest.reduce((product, n) => product * n, 1);
  return { shape: rest, data: Array.prototype.slice.call(data, index * size, (index + 1) * size) };
}

/** The rows of a matrix. */
export function rowsOf(matrix: Numbers): number[][] {
  return Array.from({ length: matrix.shape[0] ?? 0 }, (_, row) => Array.from(part(matrix, row).data));
}

/** @throws `shape_mismatch` if there are not as many names as there are things to name. */
export function checkNames(what: string, names: readonly string[], count: number): void {
  if (!Array.isArray(names) || names.some((name) => typeof name !== "string")) {
    throw hooklensError("invalid_argument", `${what}: expected a list of texts`);
  }
  if (names.length === count) return;
  throw hooklensError("shape_mismatch", `${what}: ${names.length} names for ${count}`, {
    expected: count,
    got: names.length,
  });
}

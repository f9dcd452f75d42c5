/** Positions in a tensor, as in Python's `x[0, 1::2, None, ..., ids, mask]`; what they mean is decided by the engine. */

import { engine } from "../engine/current.ts";
import type { Arg } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { describe, isTensor, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

/** A range of positions along an axis. */
export interface Range {
  /** First position; from the end if negative. @default 0 */
  readonly start?: number | null;
  /** The position after the last; from the end if negative. @default the axis' size */
  readonly stop?: number | null;
  /** Distance of positions, at least 1. @default 1 */
  readonly step?: number | null;
}

/** Positions along one axis: a number (the axis goes), a range, a list, an index tensor or a mask. */
export type AxisIndex = number | Range | readonly number[] | readonly boolean[] | Tensor;

/** One item of an index: positions along the next axis, `null` for a new axis of size 1, `"..."` for all axes between. */
export type IndexItem = AxisIndex | null | "...";

/** Positions by axis name; axes that are left out are taken whole. */
export type NamedIndex<Axes extends readonly string[]> = { readonly [A in Axes[number]]?: AxisIndex };

/**
 * A range of positions, as Python's `start:stop:step`.
 *
 * @example
 * ```ts
 * const x = arange(12).reshape(3, 4);
 * x.get(slice(1));           // x[1:]
 * x.get(slice(null, -1));    // x[:-1]
 * x.get("...", slice(0, null, 2)); // x[..., ::2]
 * ```
 */
export function slice(
  start: number | null = null,
  stop: number | null = null,
  step: number | null = null,
): Range {
  return { start, stop, step };
}

/** An index as the engine takes it, with the index tensors that it refers to, and the axis names of what it picks. */
export interface EngineIndex {
  readonly items: Arg[];
  /** Inputs number 1, 2, … of the operation. */
  readonly tensors: Tensor[];
  readonly axes: readonly string[];
}

/** Translates an index of a tensor. */
export function engineIndex(
  index: readonly IndexItem[],
  of: { readonly axes: readonly string[]; readonly rank: number; readonly device: string },
): EngineIndex {
  const { axes, rank } = of;
  const items: Arg[] = [];
  const tensors: Tensor[] = [];
  const kept: string[] = [];
  let named = axes.length > 0;
  let axis = 0;
  const consumed = index.filter((item) => item !== null && item !== "...").length;
  for (const item of index) {
    if (item === null) {
      items.push(["none"]);
      named = false;
    } else if (item === "...") {
      items.push(["ellipsis"]);
      const skipped = Math.max(0, rank - consumed);
      kept.push(...axes.slice(axis, axis + skipped));
      axis += skipped;
    } else if (typeof item === "number") {
      items.push(["int", item]);
      axis += 1;
    } else if (isTensor(item) || Array.isArray(item)) {
      const tensor = isTensor(item) ? item : listIndex(item, of.device);
      tensors.push(tensor);
      items.push([tensor.dtype === "bool" ? "mask" : "tensor", tensors.length]);
      // Where the axes of several index tensors go depends on their places, and a mask may span axes.
      named = false;
    } else if (isRange(item)) {
      items.push(["slice", item.start ?? null, item.stop ?? null, item.step ?? null]);
      kept.push(...axes.slice(axis, axis + 1));
      axis += 1;
    } else {
      throw new HooklensError(
        "invalid_argument",
        `an index is made of numbers, slice(start, stop, step), null, "...", lists, index tensors and masks; got ${describe(item)}`,
      );
    }
  }
  kept.push(...axes.slice(axis));
  return { items, tensors, axes: named ? kept : [] };
}

/** The items that pick positions by axis name. */
export function namedIndex(
  index: Readonly<Record<string, AxisIndex | undefined>>,
  axes: readonly string[],
): IndexItem[] {
  for (const name of Object.keys(index)) {
    if (axes.includes(name)) continue;
    const known =
      axes.length > 0 ? `its axes are ${axes.join(", ")}` : "its axes have no names (see Tensor.named)";
    throw new HooklensError("unknown_axis", `at: no axis is called '${name}': ${known}`, {
      axis: name,
      axes: [...axes],
    });
  }
  return axes.map((name) => index[name] ?? slice());
}

/** Whether `at` was called with axis names: a plain object that is neither a range nor a tensor. */
export function isNamedIndex(value: unknown): value is Readonly<Record<string, AxisIndex | undefined>> {
  if (typeof value !== "object" || value === null || Array.isArray(value) || isTensor(value)) return false;
  return !isRange(value);
}

function isRange(value: unknown): value is Range {
  if (typeof value !== "object" || value === null) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => key === "start" || key === "stop" || key === "step");
}

function listIndex(list: readonly unknown[], device: string): Tensor {
  if (list.length > 0 && list.every((x) => typeof x === "boolean")) {
    return wrap(
      engine().fromBits(
        Uint8Array.from(list, (x) => (x ? 1 : 0)),
        "bool",
        [list.length],
        device,
      ),
    );
  }
  if (list.every((x) => typeof x === "number" && Number.isInteger(x))) {
    const bits = BigInt64Array.from(list, (x) => BigInt(x as number));
    return wrap(engine().fromBits(bits, "int64", [list.length], device));
  }
  const integer = (x: unknown) => typeof x === "number" && Number.isInteger(x);
  const strange = list.find((x) => !integer(x) && typeof x !== "boolean");
  throw new HooklensError(
    "invalid_argument",
    `a list in an index holds whole numbers only, or true and false only${strange === undefined ? "" : `, got ${describe(strange)}`}; each axis has an argument of its own, or a name: { pos: -1 }`,
  );
}

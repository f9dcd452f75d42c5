/** Options of caching, and the captures that follow from them. */

import type { ActivationCache } from "../cache/activation-cache.ts";
import type { ActivationMap } from "../cache/activation-map.ts";
import type { CaptureOptions, DType, EngineCache } from "../engine/engine.ts";
import { type HooklensError, hooklensError } from "../engine/errors.ts";
import type { TransformerKeys, TransformerPoints } from "../models/transformer-points.ts";
import { describe } from "../tensor/base.ts";
import type { Range } from "../tensor/indexing.ts";
import { keep } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkFlags } from "./call-options.ts";
import { Capture, type HookDir } from "./hook-fn.ts";
import type { PointsOf, pointNames, Recorded } from "./names.ts";
import type { Chosen, NamesFilter } from "./selection.ts";

/** Positions: one, a list of them, or a range. Negative numbers count from the end. */
export type PosSlice = number | readonly number[] | Range;

/** What a cache records, and in which form. */
export interface CachingOptions<P = unknown, RemoveBatch extends boolean = boolean> {
  /**
   * Which points.
   * @default null: all that the reference records; points that cost extra work must be named
   */
  readonly namesFilter?: NamesFilter<P>;
  /**
   * Record gradients too, under the name with `_grad`.
   * @default false
   */
  readonly inclBwd?: boolean;
  /** Move what is recorded to this device. */
  readonly device?: string | null;
  /** Convert recorded floats to this dtype. */
  readonly dtype?: DType | null;
  /**
   * Drop the batch axis, which must have size 1.
   * @default false
   */
  readonly removeBatchDim?: RemoveBatch;
  /** Keep only these positions; the axis stays. */
  readonly posSlice?: PosSlice | null;
}

/** What `runWithCache` takes beside the model's own options. */
export interface RunWithCacheOptions<
  P = unknown,
  RemoveBatch extends boolean = boolean,
  AsObject extends boolean = boolean,
> extends CachingOptions<P, RemoveBatch> {
  /**
   * Give a cache object; otherwise a plain `Map` from names to tensors.
   * @default true
   */
  readonly returnCacheObject?: AsObject;
  /**
   * Whether recording stops when the call returns.
   * @default true
   */
  readonly resetHooksEnd?: boolean;
  /**
   * Whether the scratch space of every point is emptied when the call returns.
   * @default false
   */
  readonly clearContexts?: boolean;
}

/** What `addCachingHooks` and `getCachingHooks` take. */
export interface IntoCacheOptions<
  P = unknown,
  RemoveBatch extends boolean = boolean,
  Cache = ActivationMap | Map<string, Tensor>,
> extends CachingOptions<P, RemoveBatch> {
  /** Record into this cache, or into a plain `Map`, instead of a new cache. */
  readonly cache?: Cache;
}

/** What `runWithCache` records into, beside `Cache`, which it does by default. */
export type CacheOrMap<Cache, AsObject extends boolean> = [AsObject] extends [true]
  ? Cache
  : [AsObject] extends [false]
    ? Map<string, Tensor>
    : Cache | Map<string, Tensor>;

/** What a root records into unless told otherwise: built-in models into caches that know short names. */
export type CacheFor<Root, RemoveBatch extends boolean> =
  Root extends Readonly<Record<typeof pointNames, infer P>>
    ? ActivationCache<Recorded<[P] extends [TransformerPoints] ? TransformerKeys : P, RemoveBatch>>
    : ActivationMap<Recorded<PointsOf<Root>, RemoveBatch>>;

/** The keys of {@link RunWithCacheOptions}. */
export const CACHE_KEYS: ReadonlySet<string> = new Set([
  "namesFilter",
  "inclBwd",
  "device",
  "dtype",
  "removeBatchDim",
  "posSlice",
  "resetHooksEnd",
  "clearContexts",
  "returnCacheObject",
]);

/** A list or an object of numbers in full, as far as JSON knows a form for it. */
function shown(value: unknown): string {
  try {
    return JSON.stringify(value)?.slice(0, 200) ?? describe(value);
  } catch {
    return describe(value);
  }
}

function invalid(what: string, expected: string, got: unknown): HooklensError {
  return hooklensError("invalid_argument", `${what}: expected ${expected}, got ${shown(got)}`);
}

function enginePosSlice(slice: PosSlice): NonNullable<CaptureOptions["posSlice"]> {
  const whole = (value: number) => {
    if (!Number.isInteger(value)) throw invalid("posSlice", "whole numbers", slice);
    return value;
  };
  if (typeof slice === "number") return { indices: [whole(slice)] };
  if (typeof slice !== "object")
    throw invalid("posSlice", "a position, a list of them, or { start, stop, step }", slice);
  if ("length" in slice) return { indices: Array.from(slice, whole) };
  const unknown = Object.keys(slice).find((key) => !["start", "stop", "step"].includes(key));
  if (unknown !== undefined) throw invalid("posSlice", "the keys start, stop and step", unknown);
  const part = (value: number | null | undefined) =>
    value === null || value === undefined ? null : whole(value);
  return { start: part(slice.start), stop: part(slice.stop), step: part(slice.step) };
}

/** Where captures go. */
export interface Destination {
  readonly store: EngineCache;
  /** Told the key after each recording. */
  readonly deliver?: (key: string) => void;
}

/** A map of the caller's own as a destination, by way of `recorded`. Internal. */
export function into(map: Map<string, Tensor>, recorded: ActivationMap): Destination {
  const deliver = (key: string) => {
    // The caller's own, also when the model runs inside `tidy`.
    // Gradients of several shapes have no sum.
    if (!recorded.has(key)) map.delete(key);
    else map.set(key, keep(recorded.get(key)));
    // Gradients stay for the sum over the point's firings; an activation would be kept for nothing.
    if (!key.endsWith("_grad")) recorded.delete(key);
  };
  return { store: recorded.store, deliver };
}

/** `capture` for a point that this root knows by another name than its own: a part of the root of a larger one. Internal. */
export function captureAt({ name, point }: Chosen, capture: Capture, dir: HookDir): Capture {
  if (name === point.name) return capture;
  const key = dir === "fwd" ? name : `${name}_grad`;
  return new Capture(capture.cache, { ...capture.options, key }, capture.deliver);
}

/** What records into a destination at any point, activations or gradients. Internal. */
export function captureInto(
  { store, deliver }: Destination,
  { inclBwd, device, dtype, removeBatchDim = false, posSlice }: CachingOptions,
): Capture {
  checkFlags({ inclBwd, removeBatchDim });
  const options: CaptureOptions = {
    removeBatchDim,
    ...(device === null || device === undefined ? {} : { device }),
    ...(dtype === null || dtype === undefined ? {} : { dtype }),
    ...(posSlice === null || posSlice === undefined ? {} : { posSlice: enginePosSlice(posSlice) }),
  };
  return new Capture(store, options, deliver ?? null);
}

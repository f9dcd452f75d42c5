/** Recorded activations by name. */

import { engine } from "../engine/current.ts";
import type { EngineCache, EngineTensor } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import type { AxesOfKey, DynamicKey, GradName, NameOf } from "../hooks/names.ts";
import { nearestNames } from "../hooks/near-miss.ts";
import { requireFunction, requireText } from "../tensor/arguments.ts";
import { describe, handleOf, isTensor, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The keys of a cache: names of points, and with `_grad` those of their gradients. */
export type CacheKey<P> = NameOf<P> | GradName<NameOf<P>>;

/** Axis names of an activation of the point called so; empty if unknown. */
export type AxesLookup = (
  name: string,
  activation: { readonly shape: readonly number[] },
) => readonly string[];

/**
 * What a run recorded: detached tensors by the names of their points, in the order in which the points fired. Gradients
 * have their own keys, with `_grad` behind the name.
 *
 * A tensor got from it shares its elements with the cache and lives on when the cache is disposed. Tensors are values:
 * nothing that is done with one changes what the cache holds.
 *
 * @category Recorded tensors
 */
export class ActivationMap<P = unknown> implements Iterable<[CacheKey<P>, Tensor]>, Disposable {
  #store: EngineCache | null;
  readonly #axes: AxesLookup;
  /** Keys whose tensors were there and were taken out. */
  readonly #forgotten = new Set<string>();
  /** Names of the axes of what was stored by hand; what a run records has those of its point. */
  readonly #ownAxes = new Map<string, readonly string[]>();

  /** @internal */
  constructor(axes: AxesLookup = () => [], store: EngineCache = engine().createCache()) {
    this.#axes = axes;
    this.#store = store;
  }

  /** Throws `disposed` after the end. @internal */
  get store(): EngineCache {
    if (this.#store !== null) return this.#store;
    throw hooklensError(
      "disposed",
      `this ${this.constructor.name} was disposed, by its dispose method or at the end of a \`using\` block; nothing can use it any more`,
      { what: "cache" },
    );
  }

  /**
   * The tensor recorded under a name.
   *
   * @throws `not_cached` with what there is. Use {@link has} to ask.
   */
  get<Key extends CacheKey<P>>(key: Key): Tensor<AxesOfKey<P, Key>>;
  get<Key extends string>(key: DynamicKey<Key>): Tensor;
  get(key: string): Tensor {
    return this.lookUp(key);
  }

  /** The tensor under any key, its axes as far as they are known. @internal */
  protected lookUp(key: string): Tensor {
    const found = this.store.get(key);
    if (found !== null) return wrap(found, this.#axesOf(key, found));
    const keys = this.store.keys();
    const why = this.#forgotten.has(key)
      ? `it was recorded, and taken out by delete or clear${keys.length > 0 ? `; ${whatThereIs(key, keys)}` : ""}`
      : this.whyMissing(key, keys);
    throw hooklensError("not_cached", `'${key}' is not in the cache: ${why}`, {
      key,
      nearest: nearestNames(key, keys),
      keys,
    });
  }

  /** Whether something is recorded under a name. */
  has(key: string): boolean {
    const found = this.store.get(key);
    // A handle of its own, which nobody would free before the garbage collector does.
    found?.dispose();
    return found !== null;
  }

  /** How many tensors there are. */
  get size(): number {
    return this.store.keys().length;
  }

  /** Bytes that the tensors take. */
  get byteSize(): number {
    return this.store.byteSize;
  }

  /** The names, in the order in which the points fired. */
  keys(): IterableIterator<CacheKey<P>> {
    return (this.store.keys() as CacheKey<P>[]).values();
  }

  /** The tensors, in the order in which the points fired. */
  *values(): Generator<Tensor> {
    for (const key of this.store.keys()) yield this.lookUp(key);
  }

  /** Names and tensors, in the order in which the points fired. */
  *entries(): Generator<[CacheKey<P>, Tensor]> {
    for (const key of this.store.keys()) yield [key as CacheKey<P>, this.lookUp(key)];
  }

  /** The same as {@link entries}. */
  [Symbol.iterator](): Generator<[CacheKey<P>, Tensor]> {
    return this.entries();
  }

  /** Calls `visit` for each tensor. */
  forEach(visit: (tensor: Tensor, key: CacheKey<P>, cache: this) => void): void {
    requireFunction("forEach", visit);
    for (const [key, tensor] of this.entries()) visit(tensor, key, this);
  }

  /** Stores a tensor, without its history, under a key; a key that is there keeps its place. */
  set(key: CacheKey<P>, value: Tensor): this {
    this.put(key, value);
    return this;
  }

  /** Stores a tensor and the names of its axes. @internal */
  protected put(key: string, value: Tensor): void {
    requireText("set", "a key", key);
    if (!isTensor(value)) {
      throw hooklensError("invalid_argument", `set: expected a Tensor for '${key}', got ${describe(value)}`);
    }
    this.store.set(key, handleOf(value));
    this.#ownAxes.set(key, value.axes);
  }

  /** Forgets one tensor; false if there was none. */
  delete(key: string): boolean {
    const wasThere = this.store.delete(key);
    this.#ownAxes.delete(key);
    if (wasThere) this.#forgotten.add(key);
    return wasThere;
  }

  /** Forgets all tensors. */
  clear(): void {
    for (const key of this.store.keys()) this.#forgotten.add(key);
    this.#ownAxes.clear();
    this.store.clear();
  }

  /** Whether it was disposed. */
  get isDisposed(): boolean {
    return this.#store === null;
  }

  /** Frees what was recorded, as `using cache = …` does at the end of a block. Every later use throws `disposed`. */
  [Symbol.dispose](): void {
    this.#store?.clear();
    this.#store = null;
  }

  /** `ActivationMap(19 tensors, 1.2 MB)` */
  toString(): string {
    if (this.isDisposed) return `${this.constructor.name}(disposed)`;
    return `${this.constructor.name}(${this.size} tensors, ${(this.byteSize / 1e6).toFixed(1)} MB)`;
  }

  /** Shows {@link toString} when logged. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #axesOf(key: string, found: EngineTensor): readonly string[] {
    const rank = found.shape.length;
    const own = this.#ownAxes.get(key);
    if (own !== undefined && own.length === rank && rank > 0) return own;
    const axes = this.#axes(pointOf(key), found);
    if (axes.length === rank) return axes;
    // Recorded with removeBatchDim.
    return axes.length === rank + 1 && axes[0] === "batch" ? axes.slice(1) : [];
  }

  /** Why nothing is recorded under a key, as far as it can be told, and what is. @internal */
  protected whyMissing(key: string, keys: readonly string[]): string {
    const hint = key.endsWith("_grad")
      ? (gradientsApart(key, keys) ??
        "gradients are recorded with `inclBwd`, at points that the output depends on")
      : "`namesFilter` may have excluded it, its point may not have fired, or it is recorded only when named";
    return `${hint}; ${whatThereIs(key, keys)}`;
  }
}

/** The name of the point in a key, which may be that of its gradient. */
export function pointOf(key: string): string {
  return key.endsWith("_grad") ? key.slice(0, -"_grad".length) : key;
}

/** Where the gradients of a key are that have no sum, because the point's firings had different shapes; null if none are. */
export function gradientsApart(key: string, keys: readonly string[]): string | null {
  const apart = keys.filter((other) => other.startsWith(`${pointOf(key)}_`) && other.endsWith("_grad"));
  if (!key.endsWith("_grad") || apart.length === 0) return null;
  return `several firings of the point have gradients of different shapes: see ${apart.join(", ")}`;
}

/** What is recorded, for a message about a key that is not. */
export function whatThereIs(key: string, keys: readonly string[]): string {
  if (keys.length === 0) return "nothing was recorded: no recorded point has fired";
  if (keys.length <= 6) return `recorded are ${keys.join(", ")}`;
  return `${keys.length} are recorded, nearest ${nearestNames(key, keys).join(", ")}`;
}

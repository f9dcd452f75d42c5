/** What a transformer keeps of the tokens that it has seen. */

import type { EngineKvCache } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { describe, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The engine's handle of a cache; throws `invalid_argument` for anything else. Internal. */
export let cacheHandle: (cache: KeyValueCache) => EngineKvCache;

/** `[batch, pos, head, d_head]`, with the heads of keys and values. */
export type CachedRows = Tensor<readonly ["batch", "pos", "head", "d_head"]>;

/** A layer's part of a {@link KeyValueCache}: copies, which later forwards do not change. */
export interface KeyValueCacheEntry {
  /** The keys as attention uses them: rotated, where positions rotate them. */
  readonly pastKeys: CachedRows;
  /** The values. */
  readonly pastValues: CachedRows;
}

/** What {@link HookedTransformer.createKvCache} takes. */
export interface KeyValueCacheOptions {
  /**
   * Sequences.
   * @default 1
   */
  readonly batchSize?: number;
  /** Room for so many positions, taken at the first use. Without, the cache grows up to the model's context. */
  readonly capacity?: number;
}

/**
 * The keys and values of a sequence, so that going on costs the new tokens only: give it to `forward` as `pastKvCache`
 * with the tokens that come next.
 *
 * Hooks see the new positions; attention scores and patterns are `[batch, head, new, past + new]`. What hooks on keys and
 * values return is what is kept. A forward that fails, or that is abandoned, adds nothing. Gradients do not flow into a
 * cache: use it under `noGrad`, where its memory is also shared rather than copied.
 *
 * @category The model
 *
 * @example
 * ```ts
 * const model = await HookedTransformer.fromPretrained("builtin:tiny");
 * using cache = model.createKvCache();
 * noGrad(() => model.forward("In the beginning God", { pastKvCache: cache }));
 * cache.freeze(); // one prompt, several continuations
 * for (const word of [" created", " said"]) {
 *   const options = { pastKvCache: cache, prependBos: false } as const;
 *   console.log(noGrad(() => model.forward(word, options)).shape[1], cache.length);
 * }
 * ```
 */
export class KeyValueCache {
  readonly #handle: EngineKvCache;

  static {
    cacheHandle = (cache) => {
      if (typeof cache === "object" && cache !== null && #handle in cache) return cache.#handle;
      throw hooklensError(
        "invalid_argument",
        `pastKvCache: expected what createKvCache gives, got ${describe(cache)}`,
      );
    };
  }

  /** @internal */
  constructor(handle: EngineKvCache) {
    this.#handle = handle;
  }

  /** Sequences. */
  get batchSize(): number {
    return this.#handle.batch;
  }

  /**
   * Positions that are cached in every layer. After a forward that stopped at a layer the layers above hold fewer:
   * {@link entry} tells of each, and a forward of layers that hold different numbers is refused.
   */
  get length(): number {
    return this.#handle.length;
  }

  /** The most positions that it can come to hold. */
  get capacity(): number {
    return this.#handle.capacity;
  }

  /** Bytes that it takes now, room for later positions included. */
  get byteSize(): number {
    return this.#handle.byteSize;
  }

  /** Whether forwards leave it as it is. */
  get frozen(): boolean {
    return this.#handle.frozen;
  }

  /** Lets forwards use what is cached without adding to it. */
  freeze(): this {
    this.#handle.setFrozen(true);
    return this;
  }

  /** Ends {@link freeze}. */
  unfreeze(): this {
    this.#handle.setFrozen(false);
    return this;
  }

  /** Forgets everything. Throws `invalid_argument` while a forward writes to it. */
  clear(): void {
    this.#handle.clear();
  }

  /** What is cached of a layer. */
  entry(layer: number): KeyValueCacheEntry {
    const { keys, values } = this.#handle.layer(layer);
    const axes = ["batch", "pos", "head", "d_head"] as const;
    return { pastKeys: wrap(keys, axes), pastValues: wrap(values, axes) };
  }

  /** 1 for cached tokens and 0 for padding, `[batch, pos]`. */
  get previousAttentionMask(): Tensor<readonly ["batch", "pos"], "int64"> {
    return wrap(this.#handle.attentionMask(), ["batch", "pos"]);
  }

  /** Gives the memory back; every later use throws `disposed`. */
  dispose(): void {
    this.#handle.dispose();
  }

  /** Lets `using cache = model.createKvCache()` free it at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Recorded activations of a transformer. */

import type { EngineRegistry } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import type { AxesOfKey, DynamicKey, Recorded } from "../hooks/names.ts";
import {
  type AxesOfShort,
  pointOfKey,
  type ShortKey,
  type TransformerKeys,
  type TupleKey,
} from "../models/transformer-points.ts";
import { handleOf } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { ActivationMap, type AxesLookup, type CacheKey } from "./activation-map.ts";

/** How a cache was recorded. */
export interface CacheMeta {
  /** The names filter as it was given; functions and expressions as text. */
  readonly namesFilter: string | null;
  /** The positions kept, as they were given. */
  readonly posSlice: unknown;
  /** Whether the batch axis was dropped. */
  readonly removeBatchDim: boolean;
  /** What floats were converted to, if anything. */
  readonly dtype: string | null;
  /** The token ids of the run, if there were any. */
  readonly tokens: Tensor | null;
}

/**
 * What a transformer's run recorded. Names may be full (`blocks.3.attn.hook_pattern`), short (`pattern3`) or tuples with a
 * layer that counts from the end if negative (`["pattern", -1]`).
 *
 * @typeParam P the axes of the points, without the batch axis if it was recorded so.
 *
 * @category By the names of a transformer
 */
export class ActivationCache<P = TransformerKeys> extends ActivationMap<P> {
  /** How it was recorded. */
  readonly meta: CacheMeta;
  readonly #registry: EngineRegistry;
  readonly #names: readonly string[];
  readonly #layers: number;
  #hasBatchDim: boolean;

  /** @internal */
  constructor(
    axes: AxesLookup,
    registry: EngineRegistry,
    names: readonly string[],
    layers: number,
    meta: CacheMeta,
  ) {
    super(axes);
    this.#registry = registry;
    this.#names = names;
    this.#layers = layers;
    this.meta = meta;
    this.#hasBatchDim = !meta.removeBatchDim;
  }

  /** Whether the tensors have their batch axis. */
  get hasBatchDim(): boolean {
    return this.#hasBatchDim;
  }

  /**
   * The tensor recorded under a name.
   *
   * @throws `not_cached` for a point that was not recorded, `unknown_hook` for a name that means no point.
   */
  override get<Key extends CacheKey<P>>(key: Key): Tensor<AxesOfKey<P, Key>>;
  override get<const Key extends ShortKey | TupleKey>(key: Key): Tensor<AxesOfShort<Key, P>>;
  override get<Key extends string>(key: DynamicKey<Key>): Tensor;
  override get(key: string | TupleKey): Tensor {
    return this.lookUp(this.fullName(key));
  }

  /** Whether something is recorded under a name; short names are understood. */
  override has(key: string | TupleKey): boolean {
    if (typeof key === "string" && super.has(key)) return true;
    try {
      return super.has(this.fullName(key));
    } catch {
      return false;
    }
  }

  /** The full name that a key stands for. */
  fullName(key: string | TupleKey): string {
    const text = typeof key === "string" ? key : this.#spelled(key);
    if (super.has(text)) return text;
    const grad = text.endsWith("_grad") ? "_grad" : "";
    const name = text.slice(0, text.length - grad.length);
    if (/[*?[{]/.test(name)) {
      throw hooklensError("not_cached", `'${name}' is a pattern: a cache is asked for one name at a time`, {
        key: name,
      });
    }
    const [id] = this.#registry.select([pointOfKey(name)]);
    if (id === undefined || pointOfKey(name) !== name) return text;
    return `${this.#names[id] ?? name}${grad}`;
  }

  #spelled(key: TupleKey): string {
    const [name, layer, part] = key;
    if (layer === undefined) return name;
    if (!Number.isInteger(layer) || layer < -this.#layers || layer >= this.#layers) {
      throw hooklensError(
        "index_out_of_range",
        `layer ${layer} is outside a model of ${this.#layers} layers`,
        {
          index: layer,
          size: this.#layers,
        },
      );
    }
    return `${name}${layer < 0 ? layer + this.#layers : layer}${part ?? ""}`;
  }

  /** Drops the batch axis, which must have size 1, of every tensor that has one. */
  removeBatchDim(): ActivationCache<Recorded<P, true>> {
    const without = this as unknown as ActivationCache<Recorded<P, true>>;
    if (!this.#hasBatchDim) return without;
    const tensors = [...this.entries()].filter(([, tensor]) => tensor.axes[0] === "batch");
    const odd = tensors.find(([, tensor]) => tensor.shape[0] !== 1);
    if (odd !== undefined) {
      throw hooklensError(
        "invalid_argument",
        `removeBatchDim: '${odd[0]}' has a batch of ${odd[1].shape[0]} rows; the axis can only be removed from a batch of 1`,
      );
    }
    for (const [key, tensor] of tensors) this.store.set(key, handleOf(tensor.squeeze(0)));
    this.#hasBatchDim = false;
    return without;
  }

  /** Moves every tensor to a device. */
  to(device: Parameters<Tensor["to"]>[0]): this {
    for (const [key, tensor] of this.entries()) this.store.set(key, handleOf(tensor.to(device)));
    return this;
  }
}

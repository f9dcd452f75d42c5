/** Recorded activations of a transformer. */

import type { DeviceName, DType } from "../engine/engine.ts";
import { HooklensError, hooklensError } from "../engine/errors.ts";
import type { PosSlice } from "../hooks/caching.ts";
import { warn } from "../hooks/logger.ts";
import type { AxesOfKey, DynamicKey, Recorded } from "../hooks/names.ts";
import { nearestNames } from "../hooks/near-miss.ts";
import { type AxesOfShort, type Short, shortName, type TupleKey } from "../models/act-names.ts";
import { pointOfKey, type TransformerKeys } from "../models/transformer-points.ts";
import { requireText } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { tidy } from "../tensor/memory.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { rememberTokens } from "../tensor/token-texts.ts";
import {
  ActivationMap,
  type AxesLookup,
  type CacheKey,
  gradientsApart,
  pointOf,
  whatThereIs,
} from "./activation-map.ts";
import { type CacheFile, type PointOfFile, readCache, writeCache } from "./cache-file.ts";
import { type CacheMeta, reasonsAgainst } from "./cache-meta.ts";
import { type AxisOf, type CacheSlice, checkSlice, type Sliced, sliceNamed } from "./cache-slice.ts";

/** The model that a cache is of, as far as the cache needs it. */
export interface CacheSource {
  /** The number of its blocks. */
  readonly layers: number;
  /** The axes of its points. */
  readonly axes: AxesLookup;
  /** Throws `unknown_hook` unless it has a point of that name; otherwise says whether it is recorded unasked. */
  readonly isDefault: (name: string) => boolean;
  /** All its points. */
  readonly points: () => readonly PointOfFile[];
  /** The texts of token ids `[pos]`, where the model can tell. */
  readonly strTokens?: (ids: Tensor) => readonly string[];
}

/** What {@link ActivationCache.load} expects. */
export interface LoadCacheOptions<RemoveBatch extends boolean = boolean> {
  /**
   * Whether the tensors of the file must be without their batch axis (true) or with it (false); a file that is otherwise
   * throws `invalid_file`. Said here, the compiler knows the axes.
   * @default either is read
   */
  readonly removeBatchDim?: RemoveBatch;
}

/**
 * What a transformer's run recorded. Names may be full (`blocks.3.attn.hook_pattern`), short (`pattern3`) or tuples with a
 * layer that counts from the end if negative (`["pattern", -1]`); `_grad` behind a name means its gradient.
 *
 * @typeParam P the axes of the points, without the batch axis if it was recorded so.
 *
 * @example
 * ```ts
 * const model = HookedTransformer.fromConfig({
 *   n_layers: 2, d_model: 16, n_ctx: 8, d_head: 4, d_vocab: 10, act_fn: "gelu",
 * });
 * const [, cache] = model.runWithCache([1, 2, 3], { removeBatchDim: true });
 * cache.get("blocks.1.attn.hook_pattern").axes; // ["head", "query", "key"]
 * cache.get("pattern1").shape;                  // [4, 3, 3]
 * cache.get(["resid_post", -1]).at({ pos: -1 }).get().shape; // [16]
 * for (const [name, activation] of cache) console.log(name, activation.shape);
 * ```
 *
 * @category By the names of a transformer
 */
export class ActivationCache<P = TransformerKeys> extends ActivationMap<P> {
  readonly #source: CacheSource;
  #meta: CacheMeta;
  #hasBatchDim: boolean;

  /** @internal */
  constructor(source: CacheSource, meta: CacheMeta) {
    super(source.axes);
    this.#source = source;
    this.#meta = meta;
    this.#hasBatchDim = !meta.removeBatchDim;
  }

  /** How it was recorded. */
  get meta(): CacheMeta {
    return this.#meta;
  }

  /** Whether the tensors have their batch axis. */
  get hasBatchDim(): boolean {
    return this.#hasBatchDim;
  }

  /** Whether the token embeddings are in it. */
  get hasEmbed(): boolean {
    return super.has("hook_embed");
  }

  /** Whether the position embeddings are in it. */
  get hasPosEmbed(): boolean {
    return super.has("hook_pos_embed");
  }

  /**
   * The tensor recorded under a name.
   *
   * @throws `not_cached` for a point that was not recorded, with the nearest names that were and what kept it out;
   *   `unknown_hook` for a name that means no point of the model; `index_out_of_range` for a layer beyond its blocks.
   */
  override get<Key extends CacheKey<P>>(key: Key): Tensor<AxesOfKey<P, Key>>;
  override get<const Key extends TupleKey>(key: Key): Tensor<AxesOfShort<Key, P>>;
  override get<Key extends string>(key: DynamicKey<Key>): Tensor;
  override get<const Key extends string>(key: Short<Key>): Tensor<AxesOfShort<Key, P>>;
  override get(key: string | TupleKey): Tensor {
    const found = this.lookUp(this.fullName(key));
    if (found.axes.at(-1) === "key") rememberTokens(found, () => this.#firstTexts());
    return found;
  }

  /** The texts of the first row's tokens; null where they are not known. */
  #firstTexts(): readonly string[] | null {
    const { tokens } = this.#meta;
    if (tokens === null || tokens.isDisposed) return null;
    return tidy(() => this.#source.strTokens?.(tokens.rank === 2 ? tokens.get(0) : tokens) ?? null);
  }

  /** Whether something is recorded under a name; short names are understood, unknown ones and patterns are not there. */
  override has(key: string | TupleKey): boolean {
    try {
      return super.has(this.fullName(key));
    } catch (error) {
      if (error instanceof HooklensError && NOT_THERE.has(error.code)) return false;
      throw error;
    }
  }

  /** Stores a tensor, without its history, under the full or short name of a point of the model. */
  override set(key: CacheKey<P> | TupleKey, value: Tensor): this;
  override set<const Key extends string>(key: Short<Key>, value: Tensor): this;
  override set(key: string | TupleKey, value: Tensor): this {
    this.put(this.fullName(key), value);
    return this;
  }

  /** Forgets one tensor; false if there was none. */
  override delete(key: string | TupleKey): boolean {
    return this.has(key) && super.delete(this.fullName(key));
  }

  /**
   * Frees all that was recorded, the token ids too, as `using cache = …` does at the end of a block. Every later use throws
   * `disposed`. Without it a cache is freed when it is collected; {@link tidy} frees the tensors got from it alone.
   */
  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#meta.tokens?.dispose();
    this.#meta = { ...this.#meta, tokens: null };
  }

  /** The full name that a key stands for. Throws `unknown_hook` for one that means no point of the model. */
  fullName(key: string | TupleKey): string {
    if (typeof key === "string") {
      if (super.has(key)) return key;
      const name = pointOf(key);
      return this.#known(shortName("cache", name, null, null), key.slice(name.length), name);
    }
    if (!Array.isArray(key) || key.length < 1 || key.length > 3) {
      throw hooklensError(
        "invalid_argument",
        `a key of a cache is a name, or [name, layer, part], got ${describe(key)}`,
      );
    }
    const [name, layer, part]: readonly [string, number?, string?] = key;
    const short = String(name);
    const point = pointOf(short);
    const number = layer === undefined || layer === null ? null : this.#counted(layer);
    const full = shortName("cache", point, number, part ?? null);
    return this.#known(full, short.slice(point.length), `${point}${number ?? ""}${part ?? ""}`);
  }

  /** @param asked the name as it was written, which an error is about. */
  #known(full: string, grad: string, asked: string): string {
    if (super.has(full + grad)) return full + grad;
    if (/[*?[{]/.test(full)) {
      throw hooklensError("not_cached", `'${full}' is a pattern: a cache is asked for one name at a time`, {
        key: full,
      });
    }
    // Throws for names of no point.
    if (!this.#isPoint(pointOfKey(full))) this.#source.isDefault(asked);
    return full + grad;
  }

  #isPoint(name: string): boolean {
    return this.#source.points().some((point) => point.name === name);
  }

  /** A layer that may count from the end as one that counts from 0. */
  #counted(layer: number): number {
    const { layers } = this.#source;
    if (Number.isInteger(layer) && layer >= -layers && layer < layers)
      return layer < 0 ? layer + layers : layer;
    throw hooklensError(
      "index_out_of_range",
      `layer ${describe(layer)} is outside a model of ${layers} layers`,
      { index: layer, size: layers },
    );
  }

  protected override whyMissing(key: string, keys: readonly string[]): string {
    const name = pointOf(key);
    if (name !== key && !this.#meta.inclBwd) {
      return `gradients are recorded with inclBwd; ${whatThereIs(key, keys)}`;
    }
    const apart = gradientsApart(key, keys);
    if (name !== key && keys.includes(name) && apart === null) {
      return `its activation is recorded, but no gradient reached it: the loss does not depend on it, or its elements are whole numbers; ${whatThereIs(key, keys)}`;
    }
    if (apart !== null) return apart;
    const reasons = reasonsAgainst(
      name,
      this.#meta,
      this.#source.layers,
      this.#source.isDefault(pointOfKey(name)),
    );
    const why = reasons.length > 0 ? reasons.join("; ") : "its point did not fire in the run";
    return `${why}; ${whatThereIs(key, keys)}`;
  }

  /**
   * Drops the batch axis of every tensor that has one, and of the token ids; gives the cache itself. Without a batch axis
   * already it warns and changes nothing.
   *
   * @throws `invalid_argument` for a batch of several rows; nothing has changed then. See {@link slice} to pick one.
   */
  removeBatchDim(): ActivationCache<Recorded<P, true>> {
    const without = this as unknown as ActivationCache<Recorded<P, true>>;
    if (!this.#hasBatchDim) {
      warn("removeBatchDim: the tensors of this cache have no batch axis any more");
      return without;
    }
    tidy(() => {
      const tensors = [...this.entries()].filter(([, tensor]) => tensor.axes[0] === "batch");
      const odd = tensors.find(([, tensor]) => tensor.shape[0] !== 1);
      if (odd !== undefined) {
        throw hooklensError(
          "invalid_argument",
          `removeBatchDim: '${odd[0]}' has a batch of ${odd[1].shape[0]} rows; the axis can only be removed from a batch of 1`,
        );
      }
      for (const [key, tensor] of tensors) this.put(key, tensor.squeeze(0));
    });
    const { tokens } = this.#meta;
    if (tokens?.axes[0] === "batch") this.#meta = { ...this.#meta, tokens: tokens.squeeze(0) };
    this.#hasBatchDim = false;
    return without;
  }

  /**
   * Some positions along named axes of every tensor, as a new cache. Tensors without such an axis are in it whole. A number
   * drops its axis, a list or a range keeps it. The new cache has its own copies, except of what is taken whole.
   *
   * Attention maps have the axes `query` and `key` and no `pos`.
   *
   * @throws `unknown_axis` for an axis that no tensor of the cache has; `index_out_of_range`.
   *
   * @example
   * ```ts
   * const model = HookedTransformer.fromConfig({
   *   n_layers: 2, d_model: 16, n_ctx: 8, d_head: 4, d_vocab: 10, act_fn: "gelu",
   * });
   * const [, cache] = model.runWithCache([[1, 2, 3], [4, 5, 6]]);
   * const last = cache.slice({ batch: 1, pos: -1, query: -1 });
   * last.get("resid_post1").shape; // [16]
   * last.get("pattern1").axes;     // ["head", "key"]
   * ```
   */
  slice<const Slices extends CacheSlice<P>>(
    slices: Slices & { readonly [Axis in Exclude<keyof Slices, AxisOf<P>>]: never },
  ): ActivationCache<Sliced<P, Slices>> {
    if (typeof slices !== "object" || slices === null || Array.isArray(slices)) {
      throw hooklensError(
        "invalid_argument",
        `slice: expected an object of axes and positions, such as { batch: 0 }, got ${describe(slices)}`,
      );
    }
    const given = new Map<string, PosSlice>();
    for (const [axis, positions] of Object.entries<unknown>(slices)) {
      if (positions === undefined) continue;
      checkSlice(axis, positions);
      given.set(axis, positions);
    }
    this.#checkAxes([...given.keys()]);
    const tokens = this.#meta.tokens;
    const meta = {
      ...this.#meta,
      tokens: tokens === null ? null : tidy(() => sliceNamed(tokens, given)),
    };
    const sliced = new ActivationCache<Sliced<P, Slices>>(this.#source, meta);
    sliced.#hasBatchDim = this.#hasBatchDim && typeof given.get("batch") !== "number";
    for (const key of this.store.keys()) tidy(() => sliced.put(key, sliceNamed(this.lookUp(key), given)));
    return sliced;
  }

  #checkAxes(asked: readonly string[]): void {
    const axes = new Set<string>();
    tidy(() => {
      for (const tensor of this.values()) for (const axis of tensor.axes) axes.add(axis);
    });
    const unknown = asked.find((axis) => !axes.has(axis));
    if (unknown === undefined) return;
    const known = [...axes];
    throw hooklensError(
      "unknown_axis",
      `slice: no tensor of the cache has an axis '${unknown}'; there are ${known.join(", ") || "none"}`,
      { axis: unknown, axes: known },
    );
  }

  /** {@link slice} along the batch axis: one row (the axis goes), several, or a range. */
  applySliceToBatchDim<const Rows extends PosSlice>(
    rows: Rows,
  ): ActivationCache<Sliced<P, Readonly<Record<"batch", Rows>>>> {
    const slices = { batch: rows } as unknown as CacheSlice<P>;
    return this.slice(slices as never) as ActivationCache<Sliced<P, Readonly<Record<"batch", Rows>>>>;
  }

  /**
   * Moves every tensor to a device, or converts floats to a dtype (whole numbers stay what they are); gives the cache
   * itself. If one tensor cannot be converted, all stay as they were.
   *
   * @throws `device_unavailable`; `wrong_dtype` for a dtype that is no float's.
   */
  to(target: DeviceName | DType): this {
    if (INTEGERS.has(target)) {
      throw hooklensError(
        "wrong_dtype",
        `ActivationCache.to: expected a float dtype or a device, got '${target}'`,
        { expected: "a float dtype", got: target },
      );
    }
    const isFloat = FLOATS.has(target);
    tidy(() => {
      const moved = [...this.entries()]
        .filter(([, tensor]) => !isFloat || FLOATS.has(tensor.dtype))
        .map(([key, tensor]) => [key, tensor.to(target as DeviceName)] as const);
      for (const [key, tensor] of moved) this.put(key, tensor);
    });
    return this;
  }

  /** {@link to} a device. */
  toDevice(device: DeviceName): this {
    if (FLOATS.has(device)) {
      throw hooklensError("invalid_argument", `toDevice: expected a device, got the dtype '${device}'`);
    }
    if (typeof device !== "string" || !/^(cpu|cuda(:\d+)?)$/.test(device)) {
      throw hooklensError(
        typeof device === "string" ? "device_unavailable" : "invalid_argument",
        `toDevice: expected 'cpu', 'cuda' or one of several such as 'cuda:1', got ${describe(device)}`,
        { device },
      );
    }
    return this.to(device);
  }

  /**
   * Writes the cache to one safetensors file: every tensor under its key, the token ids as `tokens`, and in the file's
   * metadata how the cache was recorded, the names of axes, and the order of keys. Replaces the file if it is there.
   *
   * @throws `invalid_file` if it cannot be written.
   *
   * @example
   * ```ts
   * import { tmpdir } from "node:os";
   * import { join } from "node:path";
   *
   * const path = join(tmpdir(), "patterns.safetensors");
   * const [, cache] = model.runWithCache(prompt, { namesFilter: "blocks.*.attn.hook_pattern" });
   * await cache.save(path);
   * const again = await ActivationCache.load(path);
   * again.get(["pattern", -1]).axes; // ["batch", "head", "query", "key"]
   * again.meta.namesFilter;          // "blocks.*.attn.hook_pattern"
   * ```
   */
  async save(path: string): Promise<void> {
    requireText("ActivationCache.save", "the path of a file", path);
    tidy(() =>
      writeCache(path, {
        meta: this.#meta,
        layers: this.#source.layers,
        hasBatchDim: this.#hasBatchDim,
        points: this.#source.points(),
        tensors: [...this.entries()],
      }),
    );
  }

  /**
   * Reads a cache that {@link save} wrote, to the CPU. It needs no model: short names and layers that count from the end
   * work as before.
   *
   * @throws `missing_file`; `invalid_file` for a file that is damaged, no saved cache, of another version, or not as
   *   `options` say.
   */
  static async load<RemoveBatch extends boolean = boolean>(
    path: string,
    options: LoadCacheOptions<RemoveBatch> = {},
  ): Promise<ActivationCache<Recorded<TransformerKeys, RemoveBatch>>> {
    checkOptionKeys("ActivationCache.load", options, ["removeBatchDim"]);
    const file = readCache(path);
    const { removeBatchDim } = options;
    if (removeBatchDim !== undefined && removeBatchDim === file.hasBatchDim) {
      const detail = `its tensors are ${file.hasBatchDim ? "with" : "without"} their batch axis, expected was removeBatchDim: ${removeBatchDim}`;
      throw hooklensError("invalid_file", `${path}: ${detail}`, { path, detail });
    }
    const source = sourceOf(file);
    const cache = new ActivationCache<Recorded<TransformerKeys, RemoveBatch>>(source, file.meta);
    cache.#hasBatchDim = file.hasBatchDim;
    for (const [key, tensor] of file.tensors) {
      cache.put(key, tensor);
      tensor.dispose();
    }
    return cache;
  }
}

/** What a file tells of the model; the axes of what is in it come with the tensors. */
function sourceOf({ layers, points }: CacheFile): CacheSource {
  const defaults = new Map(points.map((point) => [point.name, point.default]));
  const isDefault = (name: string): boolean => {
    const found = defaults.get(name);
    if (found !== undefined) return found;
    const full = shortName("cache", name, null, null);
    const suggestions = nearestNames(full, [...defaults.keys()]);
    throw hooklensError(
      "unknown_hook",
      `the model of this cache has no hook point '${name}'; nearest: ${suggestions.join(", ") || "none"}`,
      { name: full, suggestions },
    );
  };
  return { layers, axes: () => [], isDefault, points: () => points };
}

/** What is wrong with a key under which nothing can be recorded. */
const NOT_THERE: ReadonlySet<string> = new Set(["unknown_hook", "index_out_of_range", "not_cached"]);
const FLOATS: ReadonlySet<string> = new Set<DType>(["float64", "float32", "float16", "bfloat16"]);
const INTEGERS: ReadonlySet<string> = new Set<DType>(["uint8", "uint32", "int64", "bool"]);

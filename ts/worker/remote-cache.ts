/** Caches of a worker. */

import type { CacheKey } from "../cache/activation-map.ts";
import type { AxesOfKey, DynamicKey } from "../hooks/names.ts";
import type { AxesOfShort, Short, TupleKey } from "../models/act-names.ts";
import type { TransformerKeys } from "../models/transformer-points.ts";
import type { Line } from "./line.ts";
import type { CacheWire } from "./protocol.ts";
import { Remote } from "./remote.ts";
import type { RemoteTensor } from "./remote-tensor.ts";

/** What a run recorded, in a worker. */
export class RemoteCache<P = TransformerKeys> extends Remote {
  readonly #keys: readonly CacheKey<P>[];
  /** Bytes that the recorded tensors take there. */
  readonly byteSize: number;

  /** @internal */
  constructor(line: Line, { id, keys, byteSize }: CacheWire) {
    super(line, id);
    this.#keys = keys as readonly CacheKey<P>[];
    this.byteSize = byteSize;
  }

  /** The names under which something is recorded, in the order in which the points fired. */
  keys(): readonly CacheKey<P>[] {
    return this.#keys;
  }

  /** How many tensors there are. */
  get size(): number {
    return this.#keys.length;
  }

  /**
   * The tensor recorded under a name, long or short, as `ActivationCache.get` gives it.
   *
   * @throws `not_cached`, `unknown_hook`, `index_out_of_range`.
   */
  get<Key extends CacheKey<P>>(key: Key): Promise<RemoteTensor<AxesOfKey<P, Key>>>;
  get<const Key extends TupleKey>(key: Key): Promise<RemoteTensor<AxesOfShort<Key, P>>>;
  get<Key extends string>(key: DynamicKey<Key>): Promise<RemoteTensor>;
  get<const Key extends string>(key: Short<Key>): Promise<RemoteTensor<AxesOfShort<Key, P>>>;
  async get(key: string | TupleKey): Promise<unknown> {
    return this.call("get", [key]);
  }
}

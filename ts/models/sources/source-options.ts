/** How files of a model are fetched. */

import { hooklensError } from "../../engine/errors.ts";
import { describe } from "../../tensor/base.ts";
import type { StoreKind } from "../stores/stored-models.ts";
import type { Fetch } from "./http.ts";

/** How files of a model are fetched. */
export interface SourceOptions {
  /** Ends the loading with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * Where the files of a model from an address are kept for the next visit, which then works without a connection as well:
   * in the origin private file system, in the storage of caches, or nowhere. They are fetched again when the server says
   * that it has others. Weights that were loaded in part (`firstNLayers`, `nCtx`) are not kept. {@link storedModels} lists
   * what is kept, {@link deleteStoredModel} deletes it.
   * @default "opfs" in pages that can write there, otherwise "cache-storage" in those that have it; false in Node
   */
  readonly cache?: StoreKind | false;
  /**
   * Asks for files in place of the global `fetch`, to send headers for example.
   *
   * @example
   * ```ts
   * const load = (address: string, token: string) =>
   *   HookedTransformer.fromPretrained(address, {
   *     fetch: (url, init) => {
   *       const headers = new Headers(init.headers);
   *       headers.set("authorization", `Bearer ${token}`);
   *       return fetch(url, { ...init, headers });
   *     },
   *   });
   * ```
   */
  readonly fetch?: Fetch;
}

/** @throws `invalid_argument` for options that are none. */
export function checkSourceOptions({ fetch, signal }: SourceOptions): void {
  if (fetch !== undefined && typeof fetch !== "function") {
    throw hooklensError("invalid_argument", `fetch: expected a function, got ${describe(fetch)}`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw hooklensError("invalid_argument", `signal: expected an AbortSignal, got ${describe(signal)}`);
  }
}

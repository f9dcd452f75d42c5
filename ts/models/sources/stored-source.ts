/**
 * A server's files that are kept for the next visit. What is kept is used if the server still has the same version, or
 * cannot be reached. Internal.
 */

import type { ModelStore, Note } from "../stores/model-store.ts";
import { dismissed, type HttpOptions, sameVersion, versionOf } from "./http.ts";
import type { ModelSource, Reading } from "./source.ts";
import type { StreamFile } from "./stream-file.ts";
import { openUrl, UrlSource } from "./url-source.ts";

/** A server's folder, with a store. */
export class StoredSource implements ModelSource {
  readonly name: string;
  readonly #server: UrlSource;
  readonly #store: ModelStore;
  readonly #options: HttpOptions;
  readonly #isPartial: boolean;

  /** @param isPartial whether parts of the weights will not be asked for: they are then read from the store, but not kept. */
  constructor(base: URL, store: ModelStore, options: HttpOptions, isPartial: boolean) {
    this.#server = new UrlSource(base, options);
    this.name = this.#server.name;
    this.#store = store;
    this.#options = options;
    this.#isPartial = isPartial;
  }

  locate(path: string): string {
    return this.#server.locate(path);
  }

  async open(path: string, reading: Reading): Promise<StreamFile | null> {
    // A store that fails is as good as none.
    const found = await this.#store.find(this.name, path).catch(() => null);
    if (found !== null && (await this.#isCurrent(path, found.note))) {
      return found.note.size === null ? null : found.open();
    }
    const isKept = reading === "whole" || !this.#isPartial;
    const file = await openUrl(this.locate(path), reading, this.#options, async (version, size) =>
      isKept ? this.#store.keep(this.name, path, version, size) : null,
    );
    if (file === null) await this.#store.noteAbsent(this.name, path);
    return file;
  }

  /** Whether the server has the version that is kept, as far as it says. */
  async #isCurrent(path: string, { version, size }: Note): Promise<boolean> {
    const { fetch, signal } = this.#options;
    // What the browser itself has kept is no answer of the server's.
    const init: RequestInit & { cache: "no-cache" } = { method: "HEAD", cache: "no-cache" };
    let response: Response;
    try {
      response = await fetch(this.locate(path), { ...init, ...(signal === undefined ? {} : { signal }) });
    } catch {
      signal?.throwIfAborted();
      return true;
    }
    await dismissed(response);
    const isPage = /^text\/html\b/i.test(response.headers.get("content-type") ?? "");
    if (response.status === 404 || response.status === 410 || (response.ok && isPage)) return size === null;
    // A server that answers no such question says nothing about its files.
    if (!response.ok) return true;
    return size !== null && sameVersion(version, versionOf(response)) !== false;
  }
}

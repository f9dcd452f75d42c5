/** The storage of a page's caches (<https://developer.mozilla.org/docs/Web/API/CacheStorage>). Internal. */

import type { Drawer, DrawerWriter, KeptBytes } from "./drawer.ts";

/** What is used of a `Cache`. */
export interface CacheLike {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
  keys(): Promise<readonly { readonly url: string }[]>;
}

/** What is used of a `CacheStorage`. */
export interface CachesLike {
  open(name: string): Promise<CacheLike>;
}

const CACHE = "hooklens-models";
/** Caches are keyed by addresses; this one is nobody's. */
const BASE = "https://hooklens.invalid/";

/** Answers in a cache. */
export class CacheStorageDrawer implements Drawer {
  readonly kind = "cache-storage";
  readonly #caches: CachesLike;

  constructor(caches: CachesLike) {
    this.#caches = caches;
  }

  async find(name: string): Promise<KeptBytes | null> {
    const cache = await this.#caches.open(CACHE);
    const found = await cache.match(BASE + name);
    if (found === undefined) return null;
    await found.body?.cancel();
    return {
      size: null,
      connect: async () => {
        // An answer can be read once.
        const stream = (await cache.match(BASE + name))?.body;
        if (stream === null || stream === undefined) throw new Error(`${name} was removed meanwhile`);
        return { stream, at: 0 };
      },
    };
  }

  async write(name: string): Promise<DrawerWriter> {
    const cache = await this.#caches.open(CACHE);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    // It is there when all of it has come.
    const put = cache.put(BASE + name, new Response(readable));
    // Where it fails the writer waits for nobody, and `close` says why.
    const failed = put.then(
      () => undefined,
      (error: unknown) => {
        void writer.abort(error).catch(() => undefined);
        throw error;
      },
    );
    failed.catch(() => undefined);
    // A cache that has given up reads no further: why it has is what counts.
    const orWhy = (error: unknown) =>
      failed.then(() => {
        throw error;
      });
    return {
      write: (bytes) => Promise.race([writer.write(bytes).catch(orWhy), failed]),
      close: async () => {
        await writer.close().catch(orWhy);
        await failed;
      },
      abort: async () => {
        await writer.abort(new Error("not kept")).catch(() => undefined);
        await failed.catch(() => undefined);
      },
    };
  }

  async remove(name: string): Promise<void> {
    const cache = await this.#caches.open(CACHE);
    await cache.delete(BASE + name);
  }

  async names(): Promise<string[]> {
    const cache = await this.#caches.open(CACHE);
    const keys = await cache.keys();
    return keys.map(({ url }) => url.slice(BASE.length));
  }
}

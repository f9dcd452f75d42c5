/** What is kept between visits, for those who keep it. */

import { hooklensError } from "../../engine/errors.ts";
import { platform } from "../../platform/platform.ts";
import { describe } from "../../tensor/base.ts";
import { CacheStorageDrawer, type CachesLike } from "./cache-storage-drawer.ts";
import type { Drawer } from "./drawer.ts";
import { type Estimate, ModelStore } from "./model-store.ts";
import { type FolderHandle, OpfsDrawer } from "./opfs-drawer.ts";

/** Where files of models may be kept between visits. */
export type StoreKind = "opfs" | "cache-storage";

/** A model whose files are kept. */
export interface StoredModel {
  /** The address that it was loaded from. */
  readonly source: string;
  /** Where it is kept. */
  readonly store: StoreKind;
  /** Bytes of all its files. */
  readonly bytes: number;
  /** Paths of its files. */
  readonly files: readonly string[];
  /** When the last of them was kept. */
  readonly storedAt: Date;
}

const KINDS: readonly StoreKind[] = ["opfs", "cache-storage"];

interface PageStorage {
  getDirectory?(): Promise<FolderHandle>;
  estimate?: Estimate;
}

/** What a page offers for keeping files. */
interface Page {
  readonly navigator?: { readonly storage?: PageStorage };
  readonly caches?: CachesLike;
  /** The class of files; older browsers let only workers write them. */
  readonly FileSystemFileHandle?: { readonly prototype: { readonly createWritable?: unknown } };
}

const page = (): Page => globalThis as Page;

function drawer(kind: StoreKind): Drawer | null {
  const { navigator, caches, FileSystemFileHandle } = page();
  if (kind === "cache-storage") return caches === undefined ? null : new CacheStorageDrawer(caches);
  const storage = navigator?.storage;
  const getDirectory = storage?.getDirectory?.bind(storage);
  const canWrite = FileSystemFileHandle?.prototype.createWritable !== undefined;
  return getDirectory === undefined || !canWrite ? null : new OpfsDrawer(getDirectory);
}

function open(kind: StoreKind): ModelStore | null {
  const found = drawer(kind);
  const storage = page().navigator?.storage;
  return found && new ModelStore(found, storage?.estimate?.bind(storage) ?? null);
}

/**
 * The store that an option asks for; by default the best that a page has, and none in a process. Internal.
 *
 * @throws `invalid_argument` for one that is not there.
 */
export function storeFor(cache: StoreKind | false | undefined): ModelStore | null {
  if (cache === false) return null;
  if (cache === undefined) return platform().files === null ? (open("opfs") ?? open("cache-storage")) : null;
  const known = KINDS.includes(cache);
  const store = known ? open(cache) : null;
  if (store !== null) return store;
  const detail = known
    ? `there is no '${cache}' here: browsers have it in pages of https and localhost`
    : `expected 'opfs', 'cache-storage' or false, got ${describe(cache)}`;
  throw hooklensError("invalid_argument", `cache: ${detail}`, { option: "cache" });
}

function stores(): ModelStore[] {
  return KINDS.map(open).filter((store) => store !== null);
}

/**
 * The models whose files this site keeps between visits: those that were loaded from an address with the option `cache`.
 *
 * @example
 * ```ts
 * for (const { source, bytes } of await storedModels()) console.log(source, bytes);
 * ```
 */
export async function storedModels(): Promise<StoredModel[]> {
  const found = await Promise.all(
    stores().map(async (store) => {
      const models = new Map<string, StoredModel>();
      for (const { source, path, size, storedAt } of await store.notes()) {
        if (size === null) continue;
        const { bytes = 0, files = [], storedAt: last = new Date(0) } = models.get(source) ?? {};
        models.set(source, {
          source,
          store: store.kind,
          bytes: bytes + size,
          files: [...files, path].sort(),
          storedAt: new Date(Math.max(last.getTime(), storedAt)),
        });
      }
      return [...models.values()];
    }),
  );
  return found.flat();
}

/**
 * Deletes the files of a model that this site keeps. A model that was loaded from them stays as it is.
 *
 * @param source the address that it was loaded from, as {@link storedModels} gives it.
 * @returns whether anything was kept.
 */
export async function deleteStoredModel(source: string | URL): Promise<boolean> {
  if (typeof source !== "string" && !(source instanceof URL)) {
    throw hooklensError(
      "invalid_argument",
      `deleteStoredModel: expected the address of a model, got ${describe(source)}`,
    );
  }
  const address = String(source);
  const names = new Set([address, address.endsWith("/") ? address : `${address}/`]);
  const removed = await Promise.all(
    stores().flatMap((store) => [...names].map((name) => store.remove(name))),
  );
  return removed.includes(true);
}

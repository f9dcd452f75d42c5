/** From what `fromPretrained` is given to where the files are. Internal. */

import { hooklensError } from "../../engine/errors.ts";
import { type Files, platform } from "../../platform/platform.ts";
import { describe } from "../../tensor/base.ts";
import { storeFor } from "../stores/stored-models.ts";
import { type DirectoryHandle, type FileLike, FilesSource, HandleSource } from "./blob-source.ts";
import { BuiltinSource } from "./builtin-source.ts";
import { FolderSource } from "./folder-source.ts";
import type { Fetch, HttpOptions } from "./http.ts";
import type { ModelSource } from "./source.ts";
import type { SourceOptions } from "./source-options.ts";
import { StoredSource } from "./stored-source.ts";
import { UrlSource } from "./url-source.ts";

/**
 * Where a model is:
 * - in a process the path of a folder, in a page an address, absolute or relative to the page;
 * - an `http:` or `https:` address, as text or `URL`, under which there are the files of such a folder; for a repository of
 *   Hugging Face it is `https://huggingface.co/<name>/resolve/main/`;
 * - the files themselves, as `<input type="file" webkitdirectory multiple>` or a drop gives them;
 * - a `FileSystemDirectoryHandle`;
 * - `builtin:tiny` or `builtin:induction`, which come with the package.
 */
export type ModelLocation = string | URL | Iterable<FileLike> | ArrayLike<FileLike> | DirectoryHandle;

/** A folder that the engine may read by itself, or files that are brought to it. */
export type Found =
  | { readonly folder: string; readonly source: ModelSource }
  | { readonly folder: null; readonly source: ModelSource };

const BUILTIN = "builtin:";
/** The models that come with the package: folders of `models/`. */
const BUILTIN_MODELS: readonly string[] = ["tiny", "induction"];
const builtinNames = BUILTIN_MODELS.map((name) => `${BUILTIN}${name}`).join(" and ");

const EXPECTED = `the path of a folder, an address, files, a directory handle, or ${builtinNames}`;

const defaultFetch: Fetch = (url, init) => globalThis.fetch(url, init);

/**
 * Finds out where a model's files are.
 *
 * @param isPartial whether only parts of its weights will be read.
 * @throws `missing_file` where there is no such thing, `invalid_argument` for what is no location.
 */
export function chooseSource(
  model: ModelLocation,
  { fetch = defaultFetch, signal, cache }: SourceOptions,
  isPartial: boolean,
): Found {
  const http: HttpOptions = { fetch, signal };
  const { files, pageUrl } = platform();
  if (typeof model === "string" && model.startsWith(BUILTIN)) return builtin(files, model, http);
  const url = urlOf(model, files, pageUrl());
  if (url?.protocol === "file:" && files !== null) return folder(files, files.pathOf(url));
  if (url !== null) {
    if (!/^https?:$/.test(url.protocol)) {
      throw hooklensError(
        "invalid_argument",
        `fromPretrained: addresses begin with http: or https:, got '${url.href.slice(0, 200)}'`,
      );
    }
    const store = storeFor(cache);
    const source = store === null ? new UrlSource(url, http) : new StoredSource(url, store, http, isPartial);
    return { folder: null, source };
  }
  if (typeof model === "string" && files !== null) return folder(files, model);
  if (typeof model === "object" && isDirectoryHandle(model))
    return { folder: null, source: new HandleSource(model) };
  return { folder: null, source: new FilesSource(filesOf(model)) };
}

function builtin(files: Files | null, model: string, http: HttpOptions): Found {
  const name = model.slice(BUILTIN.length);
  const assets = platform().builtin(name);
  if (!BUILTIN_MODELS.includes(name) || (files === null && assets === null)) {
    throw hooklensError(
      "missing_file",
      `there is no built-in model '${name.slice(0, 200)}'; there are ${builtinNames}`,
      { path: model },
    );
  }
  if (files !== null) return folder(files, files.builtin(name));
  return { folder: null, source: new BuiltinSource(model, assets ?? new Map(), http) };
}

function folder(files: Files, path: string): Found {
  if (files.exists(path)) return { folder: path, source: new FolderSource(files, path) };
  throw hooklensError(
    "missing_file",
    `there is no folder '${path.slice(0, 200)}'; names of models on a hub are not supported yet, only folders, addresses, ${builtinNames}`,
    { path },
  );
}

/** The address that is meant; null for what is none. */
function urlOf(model: ModelLocation, files: Files | null, pageUrl: string | null): URL | null {
  if (model instanceof URL) return model;
  if (typeof model !== "string") return null;
  if (!/^https?:\/\//i.test(model) && files !== null) return null;
  try {
    return new URL(model, pageUrl ?? undefined);
  } catch {
    throw hooklensError(
      "invalid_argument",
      `fromPretrained: '${model.slice(0, 200)}' is no address, and there is no page that it could be relative to`,
    );
  }
}

function isDirectoryHandle(model: Exclude<ModelLocation, string>): model is DirectoryHandle {
  return model !== null && "kind" in model && model.kind === "directory" && "getFileHandle" in model;
}

function isFile(value: unknown): value is FileLike {
  if (typeof value !== "object" || value === null) return false;
  const { name, size, slice } = value as Partial<FileLike>;
  return typeof name === "string" && typeof size === "number" && typeof slice === "function";
}

function filesOf(model: unknown): FileLike[] {
  const isList =
    typeof model === "object" && model !== null && (Symbol.iterator in model || "length" in model);
  const list: unknown[] | null = isList ? Array.from(model as ArrayLike<unknown>) : null;
  const wrong = list === null ? -1 : list.findIndex((file) => !isFile(file));
  if (list === null || wrong >= 0) {
    const got = list === null ? describe(model) : `${describe(list[wrong])} among the files`;
    throw hooklensError("invalid_argument", `fromPretrained: expected ${EXPECTED}; got ${got}`);
  }
  return list.filter(isFile);
}

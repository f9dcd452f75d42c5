/** Which model an experiment is about: one that comes with the page, one at an address, or files of this device. */

import type { DirectoryHandle } from "hooklens";

/** The models that come with the page, by the names that `fromPretrained` knows. */
export const BUILT_IN: readonly (readonly [name: string, about: string])[] = [
  ["builtin:tiny", "tiny: a GPT-2 of 4 layers that read one book"],
  ["builtin:induction", "induction: 2 layers of attention alone"],
];

/** A model's files on this device, as they are sent to the worker. */
export type Local = { readonly handle: DirectoryHandle } | { readonly files: readonly LocalFile[] };

/** A file and where it is below what was chosen or dropped. */
export interface LocalFile {
  readonly path: string;
  readonly file: File;
}

/** A model and how it is loaded. */
export interface ModelChoice {
  /** `builtin:tiny`, an address, or `local:` and the name of a folder. */
  readonly model: string;
  /** Whether weights are kept in half precision. */
  readonly half: boolean;
  /** The files, where the name says that they are of this device. */
  readonly local?: Local;
}

const LOCAL = "local:";

/** The name of files of this device; in a link it says what has to be chosen there. */
export function localName(folder: string): string {
  return LOCAL + (folder || "files");
}

export function isLocal(model: string): boolean {
  return model.startsWith(LOCAL);
}

export function isBuiltIn(model: string): boolean {
  return BUILT_IN.some(([name]) => name === model);
}

/** Whether loading a model asks a server other than the page's. */
export function isElsewhere(model: string, page: string): boolean {
  if (isBuiltIn(model) || isLocal(model)) return false;
  return new URL(model).origin !== new URL(page).origin;
}

/** A model as the page calls it. */
export function describeModel(model: string): string {
  const about = BUILT_IN.find(([name]) => name === model)?.[1];
  if (about !== undefined) return about;
  if (isLocal(model)) return `${model.slice(LOCAL.length)} (of this device)`;
  return model.replace(/^https?:\/\//, "").replace(/\/(resolve\/main\/)?$/, "");
}

const HUB = "https://huggingface.co";
const REPOSITORY = /^[\w.-]+\/[\w.-]+$/;

/** The address of a folder on the hub, of what people copy there: a name or the page of a repository. */
function onHub(url: URL): string | null {
  const found = /^\/([\w.-]+\/[\w.-]+)(?:\/(?:tree|blob|resolve)\/([^/]+))?\/?$/.exec(url.pathname);
  if (url.origin !== HUB || found === null) return null;
  const [, repository, revision = "main"] = found;
  return `${HUB}/${repository}/resolve/${revision}/`;
}

/**
 * The address that a text means: of a folder, whole or relative to the page, of a file in it, of a repository of Hugging
 * Face, or the name of one.
 *
 * @throws for a text that is none of these.
 */
export function addressOf(text: string, page: string): string {
  const trimmed = text.trim();
  if (trimmed === "") throw new Error("There is no address yet.");
  if (REPOSITORY.test(trimmed) && !trimmed.startsWith(".")) return `${HUB}/${trimmed}/resolve/main/`;
  let url: URL;
  try {
    url = new URL(trimmed, page);
  } catch {
    throw new Error(`“${trimmed.slice(0, 200)}” is no address.`);
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new Error(`Addresses of models begin with https:, not with ${url.protocol}`);
  }
  url.hash = "";
  url.pathname = url.pathname.replace(/\/[^/]+\.(json|safetensors)$/, "/");
  const hub = onHub(url);
  if (hub !== null) return hub;
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url.href;
}

/** What a link's model is, with addresses written out; throws where it is none. */
export function normalizedModel(model: string, page: string): string {
  return isBuiltIn(model) || isLocal(model) ? model : addressOf(model, page);
}

/** `548 MB` */
export function megabytes(bytes: number): string {
  const value = bytes / 1e6;
  return value >= 1000 ? `${(value / 1000).toFixed(2)} GB` : `${value.toFixed(value < 10 ? 1 : 0)} MB`;
}

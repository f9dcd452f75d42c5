/**
 * What differs between Node and a page, beside the engine. The entry points install it (`ts/node.ts`, `ts/browser.ts`);
 * everything else asks here and imports nothing of either.
 */

import { hooklensError } from "../engine/errors.ts";

/** What is at a path, and streams of it from any position on. */
export interface OpenFile {
  /** Whether it can be read: it is no folder, and no end of a pipe. */
  readonly isFile: boolean;
  readonly size: number;
  stream(from: number): ReadableStream<Uint8Array>;
}

/** The file system of this machine. */
export interface Files {
  /** Whether there is a file or folder at `path`. */
  exists(path: string): boolean;
  /** The path of `name` inside a folder. */
  join(folder: string, name: string): string;
  /** The path that a `file:` address stands for. */
  pathOf(url: URL): string;
  /** What is at a path; null if there is nothing. Rejects with the system's error. */
  open(path: string): Promise<OpenFile | null>;
  /** Whether a path in a folder is a link that leads out of it. */
  leadsOutside(folder: string, path: string): boolean;
  /**
   * A file as UTF-8 text. Rejects with the system's error, and with `invalid_file` for a file of more than `limit` bytes.
   */
  readText(path: string, limit?: number): Promise<string>;
  /** Writes text, replacing what the file held. Rejects with the system's error. */
  writeText(path: string, text: string): Promise<void>;
  /** The folder of a model that comes with the package. */
  builtin(name: string): string;
}

/** Where this program runs. */
export interface Platform {
  /** Null where programs reach no files by their paths, as in a page. */
  readonly files: Files | null;
  /** The address that others are relative to; null where there is none. */
  pageUrl(): string | null;
  /** The files of a model that comes with the package, where they are assets; null for other names. */
  builtin(name: string): ReadonlyMap<string, URL> | null;
  /** Lets other work of this thread have its turn: timers, input, messages. */
  turn(): Promise<void>;
}

let installed: Platform | null = null;

/** Says where this program runs. Internal. */
export function installPlatform(platform: Platform): void {
  installed = platform;
}

/** Where this program runs. Internal. */
export function platform(): Platform {
  if (installed !== null) return installed;
  throw hooklensError(
    "engine_unavailable",
    "import hooklens by its name: a module of its inside starts nothing",
  );
}

/**
 * The file system, for `what`. Internal.
 *
 * @param instead what to do where there is none, as the end of a sentence.
 * @throws `no_file_system` in a page.
 */
export function files(what: string, instead: string): Files {
  const { files: found } = platform();
  if (found !== null) return found;
  throw hooklensError("no_file_system", `${what} takes a path, and a page has no file system: ${instead}`, {
    what,
  });
}

/**
 * What differs between Node and a page, beside the engine. The entry points install it (`ts/node.ts`, `ts/browser.ts`);
 * everything else asks here and imports nothing of either.
 */

import { hooklensError } from "../engine/errors.ts";

/** The file system of this machine. */
export interface Files {
  /** Whether there is a file or folder at `path`. */
  exists(path: string): boolean;
  /** The path of `name` inside a folder. */
  join(folder: string, name: string): string;
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

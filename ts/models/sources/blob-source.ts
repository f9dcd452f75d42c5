/** Files that a user chose or dropped on a page, or that a program holds. Internal. */

import { hooklensError } from "../../engine/errors.ts";
import { messageOf } from "../../engine/message.ts";
import type { ModelSource } from "./source.ts";
import { type Connection, type Connector, StreamFile } from "./stream-file.ts";

/** What is read of a `Blob`. */
export interface BlobLike {
  /** In bytes. */
  readonly size: number;
  /** The part between two offsets, whose bytes come as a stream. */
  slice(
    start: number,
    end?: number,
  ): {
    /** The bytes. */
    stream(): ReadableStream<Uint8Array>;
  };
}

/** What is read of a `File`. */
export interface FileLike extends BlobLike {
  /** Its name, without the folders that it is in. */
  readonly name: string;
  /** Its path, if a folder was chosen. */
  readonly webkitRelativePath?: string;
}

/** What is used of a `FileSystemDirectoryHandle`. */
export interface DirectoryHandle {
  /** Handles of files have another. */
  readonly kind: "directory";
  /** The folder's name. */
  readonly name: string;
  /** A folder in it. */
  getDirectoryHandle(name: string): Promise<DirectoryHandle>;
  /** A file in it. */
  getFileHandle(name: string): Promise<{
    /** Its content as it is now. */
    getFile(): Promise<BlobLike>;
  }>;
}

/** A blob as a file. */
export function blobFile(location: string, blob: BlobLike): StreamFile {
  return new StreamFile(new BlobConnector(location, blob), null, blob.size);
}

class BlobConnector implements Connector {
  readonly location: string;
  readonly seekable = true;
  readonly #blob: BlobLike;

  constructor(location: string, blob: BlobLike) {
    this.location = location;
    this.#blob = blob;
  }

  async connect(from: number): Promise<Connection> {
    const { size } = this.#blob;
    return { stream: this.#blob.slice(from, size).stream(), at: from, until: null, size };
  }

  async again(error: unknown): Promise<boolean> {
    if (error === null) return false;
    const detail = messageOf(error);
    const told = hooklensError(
      "invalid_file",
      `${this.location}: cannot be read any more; it was changed or removed (${detail})`,
      { path: this.location, detail },
    );
    told.cause = error;
    throw told;
  }
}

const CONFIGS = ["tl_config.json", "config.json"];

function folderOfPath(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** Files by their paths. */
export class FilesSource implements ModelSource {
  readonly name = "the files given";
  readonly #files = new Map<string, FileLike>();

  /**
   * @throws `missing_file` if there is no configuration among them, `invalid_argument` if there are those of several models.
   */
  constructor(files: readonly FileLike[]) {
    const paths = new Map(files.map((file) => [file.webkitRelativePath || file.name, file]));
    const folders = new Set(
      [...paths.keys()]
        .filter((path) => CONFIGS.includes(path.slice(folderOfPath(path).length)))
        .map(folderOfPath),
    );
    const [folder] = folders;
    if (folder === undefined) {
      const names = [...paths.keys()].slice(0, 8).join(", ");
      throw hooklensError(
        "missing_file",
        `there is no config.json or tl_config.json among the ${files.length} files given${names && `: ${names}`}`,
        { path: "config.json" },
      );
    }
    if (folders.size > 1) {
      throw hooklensError(
        "invalid_argument",
        `fromPretrained: the files are of several models: ${[...folders].map((name) => name || ".").join(", ")}`,
      );
    }
    for (const [path, file] of paths) {
      if (path.startsWith(folder)) this.#files.set(path.slice(folder.length), file);
    }
  }

  locate(path: string): string {
    return path;
  }

  async open(path: string): Promise<StreamFile | null> {
    const file = this.#files.get(path);
    return file === undefined ? null : blobFile(path, file);
  }
}

/** What browsers throw for a name that is not there, or is there as something else. */
function isNotThere(error: unknown): boolean {
  return error instanceof Error && (error.name === "NotFoundError" || error.name === "TypeMismatchError");
}

/** A folder that a user opened or dropped. */
export class HandleSource implements ModelSource {
  readonly name: string;
  readonly #root: DirectoryHandle;

  constructor(root: DirectoryHandle) {
    this.#root = root;
    this.name = root.name || "the folder given";
  }

  locate(path: string): string {
    return `${this.name}/${path}`;
  }

  async open(path: string): Promise<StreamFile | null> {
    const folders = path.split("/");
    const name = folders.pop() ?? "";
    const location = this.locate(path);
    try {
      let at = this.#root;
      for (const folder of folders) at = await at.getDirectoryHandle(folder);
      const file = await at.getFileHandle(name);
      return blobFile(location, await file.getFile());
    } catch (error) {
      if (isNotThere(error)) return null;
      const detail = messageOf(error);
      const told = hooklensError(
        "missing_file",
        `${location}: the browser does not let it be read (${detail})`,
        { path: location, detail },
      );
      told.cause = error;
      throw told;
    }
  }
}

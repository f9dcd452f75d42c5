/**
 * The origin private file system: files of this site that nobody else sees
 * (<https://developer.mozilla.org/docs/Web/API/File_System_API/Origin_private_file_system>). Internal.
 */

import type { BlobLike } from "../sources/blob-source.ts";
import type { Drawer, DrawerWriter, KeptBytes } from "./drawer.ts";

interface WritableFile {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

interface FileHandle {
  readonly kind: "file";
  getFile(): Promise<BlobLike>;
  createWritable(): Promise<WritableFile>;
}

/** What is used of a `FileSystemDirectoryHandle`. */
export interface FolderHandle {
  readonly kind: "directory";
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<FolderHandle>;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle>;
  removeEntry(name: string, options?: { recursive?: boolean }): Promise<void>;
  entries(): AsyncIterable<[string, FileHandle | FolderHandle]>;
}

const ROOT = "hooklens-models";

function isNotThere(error: unknown): boolean {
  return error instanceof Error && error.name === "NotFoundError";
}

/** Files in a folder of the origin's. */
export class OpfsDrawer implements Drawer {
  readonly kind = "opfs";
  readonly #getDirectory: () => Promise<FolderHandle>;

  constructor(getDirectory: () => Promise<FolderHandle>) {
    this.#getDirectory = getDirectory;
  }

  /** The folder of a name, and the last part of the name; null if it is not there and is not to be made. */
  async #folder(name: string, create: boolean): Promise<readonly [FolderHandle, string] | null> {
    const folders = [ROOT, ...name.split("/")];
    const file = folders.pop() ?? "";
    try {
      let at = await this.#getDirectory();
      for (const folder of folders) at = await at.getDirectoryHandle(folder, { create });
      return [at, file];
    } catch (error) {
      if (isNotThere(error)) return null;
      throw error;
    }
  }

  async find(name: string): Promise<KeptBytes | null> {
    const found = await this.#folder(name, false);
    if (found === null) return null;
    const [folder, file] = found;
    try {
      const blob = await (await folder.getFileHandle(file)).getFile();
      return {
        size: blob.size,
        connect: async (from) => ({ stream: blob.slice(from, blob.size).stream(), at: from }),
      };
    } catch (error) {
      if (isNotThere(error)) return null;
      throw error;
    }
  }

  async write(name: string): Promise<DrawerWriter> {
    const found = await this.#folder(name, true);
    if (found === null) throw new Error(`the folder of ${name} could not be made`);
    const [folder, file] = found;
    // What is written replaces the file when it is closed, and not before.
    return (await folder.getFileHandle(file, { create: true })).createWritable();
  }

  async remove(name: string): Promise<void> {
    const found = await this.#folder(name, false);
    try {
      await found?.[0].removeEntry(found[1]);
    } catch (error) {
      if (!isNotThere(error)) throw error;
    }
  }

  async names(): Promise<string[]> {
    const root = await this.#folder("x", false);
    const names: string[] = [];
    const walk = async (folder: FolderHandle, prefix: string): Promise<void> => {
      for await (const [name, entry] of folder.entries()) {
        if (entry.kind === "directory") await walk(entry, `${prefix}${name}/`);
        else names.push(prefix + name);
      }
    };
    if (root !== null) await walk(root[0], "");
    return names;
  }
}

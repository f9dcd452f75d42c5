/** A model's files in a folder of this machine. Internal. */

import { hooklensError } from "../../engine/errors.ts";
import { messageOf } from "../../engine/message.ts";
import type { Files } from "../../platform/platform.ts";
import type { ModelSource, Reading } from "./source.ts";
import { StreamFile } from "./stream-file.ts";

/** A folder by its path. */
export class FolderSource implements ModelSource {
  readonly name: string;
  readonly #files: Files;

  constructor(files: Files, folder: string) {
    this.name = folder;
    this.#files = files;
  }

  locate(path: string): string {
    return this.#files.join(this.name, path);
  }

  async open(path: string, reading: Reading): Promise<StreamFile | null> {
    const location = this.locate(path);
    const found = await this.#files.open(location);
    if (found === null) return null;
    if (!found.isFile) {
      throw hooklensError("invalid_file", `${location}: is not a regular file`, { path: location });
    }
    // The names of shards come out of a file: no link may make them lead anywhere else.
    if (
      reading === "parts" &&
      path !== "model.safetensors" &&
      this.#files.leadsOutside(this.name, location)
    ) {
      throw hooklensError(
        "invalid_file",
        `${location}: is a link that leads outside the folder, and was named by the index of a checkpoint`,
        { path: location },
      );
    }
    const { size, stream } = found;
    const connector = {
      location,
      seekable: true,
      connect: async (from: number) => ({ stream: stream(from), at: from, until: null, size }),
      again: async (error: unknown) => {
        if (error === null) return false;
        const detail = messageOf(error);
        throw hooklensError("invalid_file", `${location}: cannot be read: ${detail}`, {
          path: location,
          detail,
        });
      },
    };
    return new StreamFile(connector, null, size);
  }
}

/** Node, and what runs its modules. */

import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hooklensError } from "../engine/errors.ts";
import type { Platform } from "./platform.ts";

/** A process with a file system. */
export const nodePlatform: Platform = {
  files: {
    exists: existsSync,
    join,
    readText: async (path, limit = Number.POSITIVE_INFINITY) => {
      const { size } = await stat(path);
      if (size <= limit) return readFile(path, "utf8");
      throw hooklensError("invalid_file", `${path}: has ${size} bytes, more than the limit of ${limit}`, {
        path,
        size,
        limit,
      });
    },
    writeText: (path, text) => writeFile(path, text),
    builtin: (name) => fileURLToPath(new URL(`../../models/${name}`, import.meta.url)),
  },
  turn: () => setImmediate(),
};

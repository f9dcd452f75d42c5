/** Node, and what runs its modules. */

import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Platform } from "./platform.ts";

/** A process with a file system. */
export const nodePlatform: Platform = {
  files: {
    exists: existsSync,
    join,
    readText: (path) => readFile(path, "utf8"),
    writeText: (path, text) => writeFile(path, text),
    builtin: (name) => fileURLToPath(new URL(`../../models/${name}`, import.meta.url)),
  },
  turn: () => setImmediate(),
};

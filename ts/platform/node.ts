/** Node, and what runs its modules. */

import { createReadStream, existsSync, realpathSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hooklensError } from "../engine/errors.ts";
import type { OpenFile, Platform } from "./platform.ts";

/** Bytes that are read at a time. */
const PIECE = 2 ** 20;

async function open(path: string): Promise<OpenFile | null> {
  if (!existsSync(path)) return null;
  const found = await stat(path);
  const stream = (start: number) =>
    Readable.toWeb(createReadStream(path, { start, highWaterMark: PIECE })) as ReadableStream<Uint8Array>;
  return { isFile: found.isFile(), size: found.size, stream };
}

function leadsOutside(folder: string, path: string): boolean {
  const root = realpathSync(folder);
  // The hub's download cache keeps snapshots full of links into a folder beside these: that is at home.
  const parent = dirname(root);
  const homes = basename(parent) === "snapshots" ? [root, join(dirname(parent), "blobs")] : [root];
  const target = realpathSync(path);
  return !homes.some((home) => target.startsWith(home + sep));
}

/** A process with a file system. */
export const nodePlatform: Platform = {
  files: {
    exists: existsSync,
    join,
    pathOf: (url) => fileURLToPath(url),
    open,
    leadsOutside,
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
  pageUrl: () => null,
  builtin: () => null,
};

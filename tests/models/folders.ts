// Copies of the embedded model's folder, to be damaged.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The embedded model. */
export const TINY = join(import.meta.dirname, "../../models/tiny");

/** Runs `body` with a folder that holds a copy of the embedded model and is gone afterwards. */
export async function withCopy<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hooklens-"));
  try {
    for (const file of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
      cpSync(join(TINY, file), join(folder, file));
    }
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A safetensors file with this header and that many bytes of data. */
export function safetensors(header: unknown, bytes = 0): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(bytes)]);
}

/** Writes text, bytes or JSON to a file of a folder. */
export function put(folder: string, file: string, content: unknown): void {
  const raw = typeof content === "string" || Buffer.isBuffer(content);
  writeFileSync(join(folder, file), raw ? content : JSON.stringify(content));
}

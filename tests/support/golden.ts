import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of golden fixtures: `HOOKLENS_GOLDEN`, by default the repository's own. */
export const GOLDEN = process.env["HOOKLENS_GOLDEN"]
  ? resolve(process.env["HOOKLENS_GOLDEN"])
  : fileURLToPath(new URL("../fixtures/golden", import.meta.url));

/** One stored tensor, as bytes. */
export interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/**
 * Reads a safetensors file. The tests have a reader of their own so that a mistake in the library's reader cannot hide
 * behind itself.
 */
export function readSafetensors(...path: readonly string[]): ReadonlyMap<string, Stored> {
  const file = readFileSync(resolve(GOLDEN, ...path));
  const headerSize = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> =
    JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerSize)));
  const out = new Map<string, Stored>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [start, end] = entry.data_offsets;
    // A copy, because typed arrays need aligned offsets.
    out.set(name, {
      dtype: entry.dtype,
      shape: entry.shape,
      bytes: Uint8Array.from(file.subarray(8 + headerSize + start, 8 + headerSize + end)),
    });
  }
  return out;
}

/** Where the files of a model are: a folder, a server, what a user dropped. Internal. */

import { hooklensError } from "../../engine/errors.ts";

/** How a file will be read: from its beginning to its end at once, or in parts. */
export type Reading = "whole" | "parts";

/** The files of one model. */
export interface ModelSource {
  /** What messages call it. */
  readonly name: string;
  /** Where a file would be, for messages. */
  locate(path: string): string;
  /** Opens a file by its path in the model's folder, with `/` between names; null if there is none. */
  open(path: string, reading: Reading): Promise<SourceFile | null>;
}

/** A file that is read forwards, a piece at a time. */
export interface SourceFile {
  /** Where it comes from, for messages. */
  readonly location: string;
  /** Its bytes; null if that is not known yet. */
  readonly size: number | null;
  /** Where it ended, once that has been seen. */
  readonly ended: number | null;
  /** Its first bytes: at least so many, or all. Before {@link read}. */
  start(bytes: number): Promise<Uint8Array>;
  /** The bytes from `start` to before `end`, fewer only where the file ends. A piece is good until the next. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
  /** Reads what is left where that is of use; gives where the file ends if that was seen. */
  drain(): Promise<number | null>;
  /** Says that what was read is good: where files are kept for the next visit, this one is. */
  keep(): Promise<void>;
  /** Lets go of connections. What is read next opens another. */
  pause(): Promise<void>;
  /** Lets go of everything. */
  close(): Promise<void>;
}

/** Bytes of a JSON file beside the weights: the largest vocabularies in use take a third of it. */
export const MAX_JSON_BYTES = 100_000_000;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The JSON object in a file; null if there is no such file.
 *
 * @throws `invalid_file` for a file that is no JSON object, or has more than `limit` bytes.
 */
export async function readJson(
  source: ModelSource,
  path: string,
  limit: number = MAX_JSON_BYTES,
): Promise<Record<string, unknown> | null> {
  const file = await source.open(path, "whole");
  if (file === null) return null;
  const { location } = file;
  try {
    const size = file.size ?? 0;
    const bytes = size > limit ? null : await file.start(limit + 1);
    if (bytes === null || bytes.length > limit) {
      const has = bytes === null ? `${size}` : `at least ${bytes.length}`;
      throw hooklensError("invalid_file", `${location}: has ${has} bytes, more than the limit of ${limit}`, {
        path: location,
        limit,
      });
    }
    const json = parsed(location, bytes);
    await file.keep();
    return json;
  } finally {
    await file.close();
  }
}

function parsed(location: string, bytes: Uint8Array): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw hooklensError("invalid_file", `${location}: is no JSON: ${String(error)}`, {
      path: location,
      detail: String(error),
    });
  }
  if (!isRecord(json)) {
    throw hooklensError("invalid_file", `${location}: expected a JSON object`, { path: location });
  }
  return json;
}

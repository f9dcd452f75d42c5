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

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON object in a small file; null if there is no such file. */
export async function readJson(
  source: ModelSource,
  path: string,
  limit: number = MAX_JSON_BYTES,
): Promise<Record<string, unknown> | null> {
  const json = await readAnyJson(source, path, limit);
  if (json === undefined) return null;
  if (isRecord(json)) return json;
  const location = source.locate(path);
  throw hooklensError("invalid_file", `${location}: expected a JSON object`, { path: location });
}

/** The JSON in a small file, whatever it is; undefined if there is no such file. */
export async function readAnyJson(
  source: ModelSource,
  path: string,
  limit: number = MAX_JSON_BYTES,
): Promise<unknown> {
  const file = await source.open(path, "whole");
  if (file === null) return undefined;
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

function parsed(location: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw hooklensError("invalid_file", `${location}: is no JSON: ${String(error)}`, {
      path: location,
      detail: String(error),
    });
  }
}

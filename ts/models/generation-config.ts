/** What a model's folder says about writing text. */

import { hooklensError } from "../engine/errors.ts";
import { type ModelSource, readJson } from "./sources/source.ts";

/**
 * The ids in `eos_token_id`, which files write as a number or as a list. Those below 0, which some files have for "none",
 * end nothing.
 */
async function stopIds(source: ModelSource, name: string): Promise<readonly number[]> {
  const config = await readJson(source, name);
  const value: unknown = config?.["eos_token_id"] ?? [];
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!ids.every((id): id is number => Number.isSafeInteger(id))) {
    const path = source.locate(name);
    const detail = `eos_token_id: expected a token id, a list of them or null, got ${JSON.stringify(value)}`;
    throw hooklensError("invalid_file", `${path}: ${detail}`, { path, key: "eos_token_id", detail });
  }
  return ids.filter((id) => id >= 0);
}

/**
 * The tokens that end a text, from `generation_config.json` or else `config.json`; none if neither says.
 *
 * @throws `invalid_file` for a file that is no JSON, or an `eos_token_id` that is no id.
 */
export async function readStopIds(source: ModelSource): Promise<readonly number[]> {
  const own = await stopIds(source, "generation_config.json");
  return own.length > 0 ? own : await stopIds(source, "config.json");
}

/** What a model's folder says about writing text. */

import { hooklensError } from "../engine/errors.ts";
import { isRecord, type ModelSource, readAnyJson, readJson } from "./sources/source.ts";

const GENERATION = "generation_config.json";
const CONFIG = "config.json";

/**
 * The ids in `eos_token_id`, which files write as a number or as a list. Those below 0, which some files have for "none",
 * end nothing.
 */
function stopIds(
  source: ModelSource,
  name: string,
  config: Readonly<Record<string, unknown>> | null,
): readonly number[] {
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
  const own = stopIds(source, GENERATION, await readJson(source, GENERATION));
  if (own.length > 0) return own;
  const config = await readAnyJson(source, CONFIG);
  // What is no configuration at all is said by what reads all of it.
  return isRecord(config) ? stopIds(source, CONFIG, config) : [];
}

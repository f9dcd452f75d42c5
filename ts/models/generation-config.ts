/** What a model's folder says about writing text. */

import type { Files } from "../platform/platform.ts";
import { readJson } from "../text/tokenizer.ts";

/** The ids in `eos_token_id`, which files write as a number or as a list. */
function stopIds(config: Readonly<Record<string, unknown>> | null): readonly number[] {
  const value: unknown = config?.["eos_token_id"];
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  return ids.filter((id) => typeof id === "number" && Number.isSafeInteger(id) && id >= 0) as number[];
}

/**
 * The tokens that end a text, from `generation_config.json` or else `config.json`; none if neither says.
 *
 * @throws `invalid_file` for a file that is no JSON.
 */
export async function readStopIds(files: Files, folder: string): Promise<readonly number[]> {
  const own = stopIds(await readJson(files, files.join(folder, "generation_config.json")));
  return own.length > 0 ? own : stopIds(await readJson(files, files.join(folder, "config.json")));
}

/** What loading a model takes, checked before the engine sees it. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { DType } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { checkKeys } from "../hooks/call-options.ts";
import { describe } from "../tensor/base.ts";
import { Tokenizer } from "../text/tokenizer.ts";

/** How a model is loaded. */
export interface LoadOptions {
  /**
   * What the weights are converted to.
   * @default "float32"
   */
  readonly dtype?: DType;
  /**
   * Where the weights go.
   * @default "cpu"
   */
  readonly device?: string;
  /** Use this tokenizer instead of the one in the folder; null for none. */
  readonly tokenizer?: Tokenizer | null;
}

const BUILTIN = "builtin:";
/** The models that come with the package: folders of `models/`. */
const BUILTIN_MODELS: readonly string[] = ["tiny", "induction"];
const builtinNames = BUILTIN_MODELS.map((name) => `${BUILTIN}${name}`).join(" and ");

/** The folder of a built-in model, or the path itself. */
export function folderOf(model: string): string {
  if (!model.startsWith(BUILTIN)) {
    if (existsSync(model)) return model;
    throw hooklensError(
      "missing_file",
      `there is no folder '${model.slice(0, 200)}'; names of models on a hub are not supported yet, only folders, ${builtinNames}`,
      { path: model },
    );
  }
  const name = model.slice(BUILTIN.length);
  if (!BUILTIN_MODELS.includes(name)) {
    throw hooklensError(
      "missing_file",
      `there is no built-in model '${name.slice(0, 200)}'; there are ${builtinNames}`,
      { path: model },
    );
  }
  return fileURLToPath(new URL(`../../models/${name}`, import.meta.url));
}

const LOAD_KEYS: ReadonlySet<string> = new Set(["dtype", "device", "tokenizer"]);
const WEIGHT_DTYPES: readonly unknown[] = ["float32", "float64", "float16", "bfloat16"];

/** What the engine is told of how to load. */
export function engineOptions(
  what: string,
  options: LoadOptions,
): { readonly dtype?: DType; readonly device?: string } {
  checkKeys(what, options, [LOAD_KEYS]);
  const { dtype, device, tokenizer } = options;
  if (dtype !== undefined && !WEIGHT_DTYPES.includes(dtype)) {
    throw hooklensError(
      "wrong_dtype",
      `${what}: weights can be ${WEIGHT_DTYPES.join(", ")}; got ${describe(dtype)}`,
    );
  }
  if (device !== undefined && typeof device !== "string") {
    throw hooklensError("invalid_argument", `device: expected a name such as 'cpu', got ${describe(device)}`);
  }
  if (tokenizer !== undefined && tokenizer !== null && !(tokenizer instanceof Tokenizer)) {
    throw hooklensError("invalid_argument", `tokenizer: expected a Tokenizer, got ${describe(tokenizer)}`);
  }
  return { ...(dtype === undefined ? {} : { dtype }), ...(device === undefined ? {} : { device }) };
}

/** A configuration as JSON, which has no signs for some values: those would be read as if they were not there. */
export function configJson(config: object): string {
  for (const [key, value] of Object.entries(config)) {
    if (value === undefined || value === null) continue;
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    const bad = items.find((item) => {
      if (typeof item === "number") return !Number.isFinite(item);
      return item !== null && !["string", "boolean"].includes(typeof item);
    });
    if (bad !== undefined) {
      throw hooklensError(
        "unsupported_config",
        `config key '${key}': expected a finite number, text, true, false, null or a list of these, got ${describe(bad)}`,
        { key },
      );
    }
  }
  return JSON.stringify(config);
}

/** What loading a model takes, checked before the engine sees it. */

import type { DType, LoadRequest } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { checkKeys } from "../hooks/call-options.ts";
import { requireCount } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { type ProcessingOptions, stepsOf } from "./processing.ts";
import { checkSourceOptions, type SourceOptions } from "./sources/source-options.ts";

/** How a model is made. */
export interface ModelOptions {
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

/** How far a load is. */
export interface LoadProgress {
  /** Bytes of weights that were read, as they are in memory: in the dtype that they are loaded as. */
  readonly done: number;
  /** Bytes of all weights. */
  readonly total: number;
  /** Whether weights are being read, or are all there and the model is made of them. */
  readonly phase: "weights" | "model";
}

/** How a model is loaded. */
export interface LoadOptions extends ModelOptions, SourceOptions {
  /**
   * Rewrite the weights so that they are easier to read, as {@link HookedTransformer.processWeights} does. Unless asked
   * for, nothing is changed: the numbers are those of the checkpoint.
   * @default false
   */
  readonly process?: ProcessingOptions;
  /** Load only so many blocks, from the first on. What comes after them is left out: the numbers are another model's. */
  readonly firstNLayers?: number;
  /**
   * Another context, in tokens, than the checkpoint's. A smaller one keeps less in memory where positions are learned; a
   * larger one is possible only where they are not, and the model was not made for it.
   */
  readonly nCtx?: number;
  /**
   * Called now and then while the weights are read, and once more at the end. What it throws ends the loading.
   */
  readonly onProgress?: (progress: LoadProgress) => void;
  /**
   * How large `tokenizer.json` may be, in bytes: reading it takes several times that.
   * @default 100_000_000
   */
  readonly maxTokenizerBytes?: number;
}

const MODEL_KEYS: ReadonlySet<string> = new Set(["dtype", "device", "tokenizer"]);
const LOAD_KEYS: ReadonlySet<string> = new Set([
  "process",
  "firstNLayers",
  "nCtx",
  "onProgress",
  "maxTokenizerBytes",
  "signal",
  "cache",
  "fetch",
]);
const WEIGHT_DTYPES: readonly unknown[] = ["float32", "float64", "float16", "bfloat16"];

/** Where the weights go and as what. */
interface Placement {
  readonly dtype?: DType;
  readonly device?: string;
}

/** What the engine is told of how to load. */
export function loadRequest(what: string, options: LoadOptions): LoadRequest {
  checkKeys(what, options, [MODEL_KEYS, LOAD_KEYS]);
  const { process, firstNLayers, nCtx, onProgress, maxTokenizerBytes } = options;
  for (const [option, value] of Object.entries({ firstNLayers, nCtx, maxTokenizerBytes })) {
    if (value !== undefined) requireCount(option, option, value);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw hooklensError("invalid_argument", `onProgress: expected a function, got ${describe(onProgress)}`);
  }
  checkSourceOptions(options);
  return {
    ...placementOf(what, options),
    process: stepsOf("process", process),
    ...(firstNLayers === undefined ? {} : { firstNLayers }),
    ...(nCtx === undefined ? {} : { nCtx }),
  };
}

/** What the engine is told of how to make a model. */
export function modelRequest(what: string, options: ModelOptions): Placement {
  checkKeys(what, options, [MODEL_KEYS]);
  return placementOf(what, options);
}

function placementOf(what: string, { dtype, device, tokenizer }: ModelOptions): Placement {
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

/**
 * A configuration as JSON for a model that is made here. The reference's `device` says where a model was, and is refused
 * where it means another place than this one's, which the option says.
 */
export function newConfigJson(config: object & { readonly device?: unknown }, device = "cpu"): string {
  const asked = config.device;
  if (asked !== undefined && asked !== null && asked !== device) {
    throw hooklensError(
      "unsupported_config",
      `config key 'device' is ${describe(asked)}, the model is made on '${device}': give the option device instead`,
      { key: "device" },
    );
  }
  return configJson(config);
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

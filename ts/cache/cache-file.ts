/**
 * Caches in safetensors files. Each tensor is stored under its key, so that any reader of the format finds it; what else
 * there is to know (order, names of axes, how it was recorded) is in the file's metadata, as JSON. The engine reads the
 * file and checks sizes and offsets; here the metadata are checked against the tensors.
 */

import { engine } from "../engine/current.ts";
import { type HooklensError, hooklensError } from "../engine/errors.ts";
import { files } from "../platform/platform.ts";
import { handleOf, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { CacheMeta } from "./cache-meta.ts";

/** What the metadata call the form of these files. */
const FORM = "hooklens.activation-cache";
/** The only version so far; a reader refuses others. */
const VERSION = "1";
/** The name of the tensor of token ids: no point is called so. */
const TOKENS = "tokens";

/** A point of the model that a cache is of. */
export interface PointOfFile {
  readonly name: string;
  /** Whether it is recorded unasked. */
  readonly default: boolean;
}

/** What a file of a cache holds. */
export interface CacheFile {
  readonly meta: CacheMeta;
  /** The number of the model's blocks. */
  readonly layers: number;
  /** Whether the tensors have their batch axis. */
  readonly hasBatchDim: boolean;
  /** All points of the model, recorded or not. */
  readonly points: readonly PointOfFile[];
  /** The tensors with the names of their axes, in the order in which they were recorded. */
  readonly tensors: readonly (readonly [key: string, tensor: Tensor])[];
}

/** Writes a cache. */
export function writeCache(path: string, { meta, layers, hasBatchDim, points, tensors }: CacheFile): void {
  files("ActivationCache.save", "toTypedArray() gives the elements of each of its tensors");
  const { tokens, ...recorded } = meta;
  const all = tokens === null ? tensors : [...tensors, [TOKENS, tokens] as const];
  const about = {
    ...recorded,
    tokens: tokens === null ? null : tokens.axes,
    layers,
    hasBatchDim,
    points,
    entries: tensors.map(([key, tensor]) => ({ key, axes: tensor.axes })),
  };
  engine().writeTensors(
    path,
    all.map(([name, tensor]) => ({ name, tensor: handleOf(tensor) })),
    { format: FORM, version: VERSION, hooklens: engine().version, cache: JSON.stringify(about) },
  );
}

type Json = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of the metadata, each checked. */
class Fields {
  readonly #json: Json;
  readonly #invalid: (detail: string) => HooklensError;

  constructor(json: Json, invalid: (detail: string) => HooklensError) {
    this.#json = json;
    this.#invalid = invalid;
  }

  /** A field that `is` of the right kind. */
  get<T>(name: string, expected: string, is: (value: unknown) => value is T): T {
    const value = Object.hasOwn(this.#json, name) ? this.#json[name] : undefined;
    if (is(value)) return value;
    throw this.#invalid(
      `'${name}' in its metadata is ${JSON.stringify(value)?.slice(0, 80)}, not ${expected}`,
    );
  }

  text(name: string): string {
    return this.get(name, "a text", (value) => typeof value === "string");
  }

  textOrNull(name: string): string | null {
    return this.get(name, "a text or null", (value) => value === null || typeof value === "string");
  }

  flag(name: string): boolean {
    return this.get(name, "true or false", (value) => typeof value === "boolean");
  }

  wholeOrNull(name: string): number | null {
    return this.get(
      name,
      "a whole number or null",
      (value): value is number | null => value === null || Number.isSafeInteger(value),
    );
  }
}

const RETURN_TYPES: readonly unknown[] = ["logits", "loss", "both", null];
const FLOATS: readonly unknown[] = ["float64", "float32", "float16", "bfloat16", null];

/**
 * Reads what {@link writeCache} wrote.
 *
 * @throws `missing_file`; `invalid_file` for a file that is damaged, of another form or of a later version.
 */
export function readCache(path: string): CacheFile {
  files("ActivationCache.load", "record it again with runWithCache");
  const { tensors: stored, metadata } = engine().readTensors(path);
  const invalid = (detail: string) => hooklensError("invalid_file", `${path}: ${detail}`, { path, detail });
  const pairs = new Map(metadata.map(({ name, text }) => [name, text]));
  if (pairs.get("format") !== FORM) {
    throw invalid(
      `is no saved activation cache: its metadata say the format is ${pairs.get("format")?.slice(0, 80) ?? "not told"}, not ${FORM}`,
    );
  }
  if (pairs.get("version") !== VERSION) {
    throw invalid(
      `is version ${pairs.get("version")?.slice(0, 80)} of saved caches; this is hooklens ${engine().version}, which reads version ${VERSION}`,
    );
  }
  const byName = new Map(stored.map(({ name, tensor }) => [name, tensor]));
  const fields = new Fields(parsed(pairs.get("cache") ?? "", invalid), invalid);
  const named = (name: string, axes: readonly string[]): Tensor => {
    const handle = byName.get(name);
    if (handle === undefined) throw invalid(`its metadata list '${name}', which is not among its tensors`);
    byName.delete(name);
    const { shape } = handle;
    if (axes.length === 0 || axes.length === shape.length) return wrap(handle, axes);
    throw invalid(`'${name}' has shape [${shape.join(", ")}] and the axes [${axes.join(", ")}]`);
  };
  const tensors = fields
    .get("entries", "a list", (value) => Array.isArray(value))
    .map((entry: unknown): readonly [string, Tensor] => {
      const { key, axes } = entryOf(entry, invalid);
      return [key, named(key, axes)];
    });
  const layers = fields.get(
    "layers",
    "a number of blocks",
    (value): value is number => Number.isSafeInteger(value) && Number(value) >= 0,
  );
  const points = fields.get(
    "points",
    "the points of a model",
    (value): value is readonly PointOfFile[] => Array.isArray(value) && value.every(isPoint),
  );
  const tokenAxes = fields.get(
    "tokens",
    "the names of axes or null",
    (value): value is readonly string[] | null => value === null || isAxes(value),
  );
  const meta: CacheMeta = {
    model: fields.text("model"),
    namesFilter: fields.textOrNull("namesFilter"),
    posSlice: fields.get("posSlice", "positions", (value): value is unknown => value !== undefined),
    removeBatchDim: fields.flag("removeBatchDim"),
    dtype: fields.get("dtype", "a float dtype or null", (value): value is CacheMeta["dtype"] =>
      FLOATS.includes(value),
    ),
    inclBwd: fields.flag("inclBwd"),
    startAtLayer: fields.wholeOrNull("startAtLayer"),
    stopAtLayer: fields.wholeOrNull("stopAtLayer"),
    returnType: fields.get("returnType", "a return type", (value): value is CacheMeta["returnType"] =>
      RETURN_TYPES.includes(value),
    ),
    tokens: tokenAxes === null ? null : named(TOKENS, tokenAxes),
  };
  const [extra] = byName.keys();
  if (extra !== undefined) throw invalid(`its tensor '${extra}' is not listed in its metadata`);
  return { meta, layers, hasBatchDim: fields.flag("hasBatchDim"), points, tensors };
}

function isPoint(value: unknown): value is PointOfFile {
  return isRecord(value) && typeof value["name"] === "string" && typeof value["default"] === "boolean";
}

/** Whether `value` can be the names of a tensor's axes. */
function isAxes(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.every((axis) => typeof axis === "string") &&
    new Set(value).size === value.length
  );
}

function parsed(text: string, invalid: (detail: string) => HooklensError): Json {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(`its metadata are no JSON: ${String(error)}`);
  }
  if (isRecord(json)) return json;
  throw invalid("its metadata are no object");
}

function entryOf(
  entry: unknown,
  invalid: (detail: string) => HooklensError,
): { readonly key: string; readonly axes: readonly string[] } {
  if (isRecord(entry)) {
    const { key, axes } = entry;
    if (typeof key === "string" && isAxes(axes)) return { key, axes };
  }
  throw invalid(
    `an entry of its metadata is no key with the names of its axes: ${JSON.stringify(entry)?.slice(0, 200)}`,
  );
}

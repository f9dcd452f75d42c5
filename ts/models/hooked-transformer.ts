/** Built-in transformers. */

import { fileURLToPath } from "node:url";
import { ActivationCache, type CacheMeta } from "../cache/activation-cache.ts";
import type { AxesLookup } from "../cache/activation-map.ts";
import { engine } from "../engine/current.ts";
import type { DType, EngineModel, EngineRegistry, EngineTensor, ForwardRequest } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { CACHE_KEYS, type RunWithCacheOptions } from "../hooks/caching.ts";
import { splitOptions } from "../hooks/call-options.ts";
import type { ScopeOptions } from "../hooks/hook-fn.ts";
import { HookPoint } from "../hooks/hook-point.ts";
import { HookStore } from "../hooks/hook-store.ts";
import { HookedRoot, SCOPE_KEYS } from "../hooks/hooked-root.ts";
import { type LoadStateOptions, Module } from "../hooks/module.ts";
import type { pointNames } from "../hooks/names.ts";
import { describe, handleOf, isTensor, wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Batch, fromIds, fromTexts, type Ids, idsOf, type Tokens } from "../text/batch.ts";
import { type PaddingSide, Tokenizer } from "../text/tokenizer.ts";
import {
  FORWARD_KEYS,
  type ForwardOptions,
  type ForwardOutput,
  type ModelInput,
  type ReturnType,
} from "./forward-options.ts";
import type { TransformerConfig } from "./transformer-config.ts";
import type { TransformerPoints } from "./transformer-points.ts";

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

/** How texts become tokens. */
export interface ToTokensOptions {
  /**
   * Put the beginning-of-sequence token first.
   * @default the model's `cfg.default_prepend_bos`
   */
  readonly prependBos?: boolean;
  /**
   * Where shorter texts are filled up.
   * @default the tokenizer's own
   */
  readonly paddingSide?: PaddingSide;
  /**
   * Cut texts to the model's context.
   * @default true
   */
  readonly truncate?: boolean;
}

const BUILTIN = "builtin:";

/** The folder of a built-in model, or the path itself. */
function folderOf(model: string): string {
  if (!model.startsWith(BUILTIN)) return model;
  const name = model.slice(BUILTIN.length);
  if (name !== "tiny") {
    throw hooklensError("missing_file", `there is no built-in model '${name}'; there is builtin:tiny`, {
      path: model,
    });
  }
  return fileURLToPath(new URL("../../models/tiny", import.meta.url));
}

function engineOptions({ dtype, device }: LoadOptions): { readonly dtype?: DType; readonly device?: string } {
  return { ...(dtype === undefined ? {} : { dtype }), ...(device === undefined ? {} : { device }) };
}

/**
 * A decoder-only language model whose every activation and gradient can be seen and changed.
 *
 * Its numbers are those of the checkpoint: nothing is folded or centred on loading. Hook points that cost extra work,
 * such as `hook_result`, do nothing until one names them.
 */
export class HookedTransformer extends HookedRoot {
  /** Exists in types only. */
  declare readonly [pointNames]: TransformerPoints;
  /** The configuration, under the reference's names. */
  readonly cfg: TransformerConfig;
  /** Turns text into token ids; null if the model came without one. */
  readonly tokenizer: Tokenizer | null;
  readonly #model: EngineModel;
  readonly #registry: EngineRegistry;
  readonly #names: readonly string[];
  #trainable = false;

  private constructor(model: EngineModel, tokenizer: Tokenizer | null) {
    super();
    this.#model = model;
    this.tokenizer = tokenizer;
    this.cfg = Object.freeze(JSON.parse(model.configJson()) as TransformerConfig);
    this.#registry = model.registry();
    const infos = this.#registry.points();
    this.#names = infos.map(({ name }) => name);
    const points = infos.map(
      (info) => new HookPoint(info.axes, { default: info.default, splits: info.name.includes(".ln1.") }),
    );
    const store = HookStore.around(this.#registry, points);
    this.attach(store, partsOf(this.#names, points));
    this.train(false);
  }

  /**
   * Loads a model from a folder: Hugging Face's (`config.json`, safetensors, `tokenizer.json`) or one with the
   * reference's own config (`tl_config.json`). `builtin:tiny` is a small model that comes with the package.
   *
   * @throws `missing_file`, `invalid_file`, `unsupported_architecture`, `unsupported_config`, `weight_mismatch`.
   */
  static async fromPretrained(model: string, options: LoadOptions = {}): Promise<HookedTransformer> {
    if (typeof model !== "string") {
      throw hooklensError(
        "invalid_argument",
        `fromPretrained: expected the path of a folder, got ${describe(model)}`,
      );
    }
    const folder = folderOf(model);
    const loaded = engine().loadModel(folder, engineOptions(options));
    const tokenizer =
      options.tokenizer === undefined ? await Tokenizer.fromDirectory(folder) : options.tokenizer;
    return new HookedTransformer(loaded, tokenizer);
  }

  /**
   * A model with random weights.
   *
   * @param config the reference's configuration, such as `{ n_layers: 2, d_model: 32, n_ctx: 64, d_head: 8, … }`.
   * @throws `unsupported_config` naming the key that is missing, unknown or makes no sense.
   */
  static fromConfig(config: Partial<TransformerConfig>, options: LoadOptions = {}): HookedTransformer {
    if (typeof config !== "object" || config === null) {
      throw hooklensError(
        "invalid_argument",
        `fromConfig: expected a configuration, got ${describe(config)}; to load a model use fromPretrained`,
      );
    }
    const made = engine().createModel(JSON.stringify(config), engineOptions(options));
    return new HookedTransformer(made, options.tokenizer ?? null);
  }

  /**
   * Runs the model on text, token ids or a residual stream.
   *
   * @throws `tokenizer_required` for text without a tokenizer; `token_out_of_range`; `context_length`;
   *   `invalid_argument` for options that make no sense.
   */
  forward<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> = {},
  ): ForwardOutput<R, Stop> {
    checkKeys("forward", options, [FORWARD_KEYS]);
    const { returnType } = options;
    const request = this.#request(input, options);
    const { logits, loss, residual } = this.#model.forward(request);
    const outputs = {
      logits: logits === null ? null : wrap(logits, ["batch", "pos", "d_vocab"]),
      loss: loss === null ? null : wrap(loss),
      residual: residual === null ? null : wrap(residual, ["batch", "pos", "d_model"]),
    };
    const given =
      outputs.residual ??
      (returnType === "both"
        ? { logits: outputs.logits, loss: outputs.loss }
        : (outputs.loss ?? outputs.logits));
    return given as ForwardOutput<R, Stop>;
  }

  /** Like {@link forward}, with hooks that are gone afterwards. */
  override runWithHooks<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & ScopeOptions<TransformerPoints> = {},
  ): ForwardOutput<R, Stop> {
    if ("namesFilter" in options) {
      throw hooklensError(
        "invalid_argument",
        "runWithHooks records nothing: namesFilter is for runWithCache",
      );
    }
    checkKeys("runWithHooks", options, [FORWARD_KEYS, SCOPE_KEYS]);
    const split = splitOptions([input, options], SCOPE_KEYS);
    return this.runScoped(split.inputs, split.options) as ForwardOutput<R, Stop>;
  }

  /**
   * Like {@link forward}, and records what passes the hook points, as the hooks attached before left it.
   *
   * With `inclBwd` and `returnType: "loss"` (or `"both"`) it also runs backward and records gradients.
   */
  override runWithCache<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & RunWithCacheOptions<TransformerPoints> = {},
  ): [output: ForwardOutput<R, Stop>, cache: ActivationCache] {
    checkKeys("runWithCache", options, [FORWARD_KEYS, CACHE_KEYS]);
    const split = splitOptions([input, options], CACHE_KEYS);
    const caching: RunWithCacheOptions = split.options;
    if (caching.inclBwd === true && typeof options.stopAtLayer === "number") {
      throw hooklensError(
        "scalar_required",
        "inclBwd: with stopAtLayer the output is a residual stream; gradients need a run to the loss",
        { got: [] },
      );
    }
    if (caching.inclBwd === true && options.returnType !== "loss" && options.returnType !== "both") {
      throw hooklensError(
        "scalar_required",
        "inclBwd: needs a loss to start from; use returnType 'loss' or 'both'",
        {
          got: [],
        },
      );
    }
    const tokens = this.#tokensOf(input, options);
    // The ids as they were cached: text is encoded once.
    const inputs = [tokens?.tokens ?? input, { ...(split.inputs[1] ?? {}), ...maskOf(tokens, options) }];
    const result = this.runRecorded(inputs, caching, this.#cache(caching, tokens?.tokens ?? null));
    return result as [ForwardOutput<R, Stop>, ActivationCache];
  }

  protected override scalarOf(output: unknown): Tensor {
    const both = typeof output === "object" && output !== null && "loss" in output;
    return super.scalarOf(both ? output.loss : output);
  }

  protected override newCache(): ActivationCache {
    return this.#cache({}, null);
  }

  #cache(
    { namesFilter, posSlice, removeBatchDim, dtype }: RunWithCacheOptions,
    tokens: Tensor | null,
  ): ActivationCache {
    const meta: CacheMeta = {
      namesFilter: namesFilter === undefined || namesFilter === null ? null : String(namesFilter),
      posSlice: posSlice ?? null,
      removeBatchDim: removeBatchDim ?? false,
      dtype: dtype ?? null,
      tokens,
    };
    const points = this.hookDict;
    const axes: AxesLookup = (name, activation) => points.get(name)?.axesOf(activation) ?? [];
    return new ActivationCache(axes, this.#registry, this.#names, this.cfg.n_layers, meta);
  }

  /** The ids of an input that is text or ids; null for a residual stream. */
  #tokensOf(input: ModelInput, options: ForwardOptions): Batch | null {
    if (typeof options.startAtLayer === "number") return null;
    if (isTensor(input)) return { tokens: input as Tokens, attentionMask: null };
    const texts = textsOf(input);
    if (texts === null) return { tokens: fromIds(input as Ids), attentionMask: null };
    return this.#encode(texts, { ...options, truncate: false });
  }

  #request(input: ModelInput, options: ForwardOptions): ForwardRequest {
    const { returnType = "logits", lossPerToken = false, startAtLayer, stopAtLayer, tokens } = options;
    if (returnType !== null && !["logits", "loss", "both"].includes(returnType)) {
      throw hooklensError(
        "invalid_argument",
        `returnType: expected 'logits', 'loss', 'both' or null, got ${describe(returnType)}`,
      );
    }
    const batch = this.#tokensOf(input, options);
    if (batch === null && !isTensor(input)) {
      throw hooklensError(
        "invalid_argument",
        `with startAtLayer the input is a residual stream [batch, pos, d_model], got ${describe(input)}`,
      );
    }
    const main: EngineTensor = handleOf(batch?.tokens ?? (input as Tensor));
    const mask = options.attentionMask ?? batch?.attentionMask;
    return {
      input: main,
      returnType: returnType ?? "none",
      lossPerToken,
      ...(typeof startAtLayer === "number" ? { startAtLayer } : {}),
      ...(typeof stopAtLayer === "number" ? { stopAtLayer } : {}),
      ...(tokens === undefined || tokens === null ? {} : { tokens: handleOf(asIds(tokens)) }),
      ...(mask === undefined || mask === null ? {} : { attentionMask: handleOf(asIds(mask)) }),
    };
  }

  #encode(texts: readonly string[], options: ToTokensOptions): Batch {
    const tokenizer = this.#needTokenizer();
    const {
      prependBos = this.cfg.default_prepend_bos,
      paddingSide = tokenizer.paddingSide,
      truncate = true,
    } = options;
    if (paddingSide !== "left" && paddingSide !== "right") {
      throw hooklensError(
        "invalid_argument",
        `paddingSide: expected 'left' or 'right', got ${describe(paddingSide)}`,
      );
    }
    return fromTexts(texts, tokenizer, { prependBos, paddingSide, limit: truncate ? this.cfg.n_ctx : null });
  }

  #needTokenizer(): Tokenizer {
    if (this.tokenizer !== null) return this.tokenizer;
    throw hooklensError(
      "tokenizer_required",
      "this model came without a tokenizer (its folder has no tokenizer.json): give token ids, or a tokenizer when loading",
    );
  }

  /** Token ids `[batch, pos]` of one text or several. */
  toTokens(input: string | readonly string[], options: ToTokensOptions = {}): Tokens {
    const texts = textsOf(input);
    if (texts === null)
      throw hooklensError("invalid_argument", `toTokens: expected text, got ${describe(input)}`);
    return this.#encode(texts, options).tokens;
  }

  /** The text of token ids: one string for `[pos]`, a list for `[batch, pos]`. Without ids, a description of the model. */
  override toString(): string;
  override toString(tokens: Tensor | Ids | number): string | string[];
  override toString(tokens?: Tensor | Ids | number): string | string[] {
    if (tokens === undefined) {
      const { model_name, n_layers, n_heads, d_model } = this.cfg;
      return `HookedTransformer(${model_name}, ${n_layers} layers, ${n_heads} heads, d_model ${d_model})`;
    }
    const tokenizer = this.#needTokenizer();
    const { rows, rank } = idsOf(tokens);
    const texts = rows.map((row) => tokenizer.decode(row));
    return rank === 2 ? texts : (texts[0] ?? "");
  }

  /** Shows {@link toString} when logged. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** The tokens of one text or of one row of ids, each as text. */
  toStrTokens(input: string | readonly number[] | Tensor, options: ToTokensOptions = {}): string[] {
    const tokenizer = this.#needTokenizer();
    const { rows } = idsOf(typeof input === "string" ? this.toTokens(input, options) : input);
    if (rows.length !== 1) {
      throw hooklensError("shape_mismatch", `toStrTokens: expected one row of token ids, got ${rows.length}`);
    }
    return (rows[0] ?? []).map((id) => tokenizer.decode([id]));
  }

  /** The id of a text that is exactly one token, such as `" cat"`. Throws `not_single_token` otherwise. */
  toSingleToken(text: string): number {
    if (typeof text !== "string") {
      throw hooklensError("invalid_argument", `toSingleToken: expected text, got ${describe(text)}`);
    }
    const ids = this.#needTokenizer().encode(text, false);
    const [id] = ids;
    if (id !== undefined && ids.length === 1) return id;
    throw hooklensError(
      "not_single_token",
      `'${text}' is ${ids.length} tokens, not one${ids.length > 1 ? `: ${this.toStrTokens(ids).join("|")}` : ""}`,
      { text, ids },
    );
  }

  /** The text of one token id. */
  toSingleStrToken(id: number): string {
    if (!Number.isInteger(id)) {
      throw hooklensError("invalid_argument", `toSingleStrToken: expected a token id, got ${describe(id)}`);
    }
    return this.#needTokenizer().decode([id]);
  }

  /** The weights under the reference's names, such as `blocks.0.attn.W_Q` `[n_heads, d_model, d_head]`. */
  override *namedParameters(): Generator<[name: string, parameter: Tensor]> {
    for (const name of this.#model.parameterNames()) yield [name, this.parameter(name)];
  }

  /** One weight by the reference's name. Throws `weight_mismatch` with the nearest names. */
  parameter(name: string): Tensor {
    return wrap(this.#model.parameter(name));
  }

  /** Whether forwards record gradients of the weights: see {@link setTrainable}. */
  get isTrainable(): boolean {
    return this.#trainable;
  }

  /**
   * Makes every weight a leaf that gradients reach and optimisers overwrite, or freezes them again. Weights start frozen,
   * so that gradients of activations cost no gradients of weights.
   */
  setTrainable(on: boolean): this {
    this.#model.setTrainable(on);
    this.#trainable = on;
    return this;
  }

  override loadStateDict(
    state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
    { strict = true }: LoadStateOptions = {},
  ): void {
    const given = new Map(state instanceof Map ? state : Object.entries(state));
    if (!strict) {
      const own = new Map(this.namedParameters());
      for (const name of given.keys()) if (!own.has(name)) given.delete(name);
      for (const [name, parameter] of own) if (!given.has(name)) given.set(name, parameter);
    }
    this.#model.loadParameters([...given].map(([name, tensor]) => ({ name, tensor: handleOf(tensor) })));
  }

  /**
   * Detaches all hooks, permanent ones too, and frees the weights now instead of at some later garbage collection.
   * What was computed stays, as do weights taken out with {@link parameter}. Running the model or asking for its weights
   * then throws `disposed`; a second call does nothing.
   */
  dispose(): void {
    this.resetHooks({ includingPermanent: true });
    this.#model.dispose();
  }

  /** Lets `using model = await HookedTransformer.fromPretrained(…)` free the model at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The parts in the names of points, such as `blocks.0.attn`, as modules. */
function partsOf(names: readonly string[], points: readonly HookPoint[]): ReadonlyMap<string, Module> {
  const modules = new Map<string, Module>();
  for (const [i, name] of names.entries()) {
    const path = name.split(".");
    for (let end = 1; end < path.length; end++) {
      const prefix = path.slice(0, end).join(".");
      // `blocks` is a list and no part.
      if (prefix === "blocks" || modules.has(prefix)) continue;
      const part = new Module();
      part.name = prefix;
      modules.set(prefix, part);
    }
    const point = points[i];
    if (point !== undefined) modules.set(name, point);
  }
  return modules;
}

function textsOf(input: unknown): readonly string[] | null {
  if (typeof input === "string") return [input];
  return Array.isArray(input) && input.length > 0 && typeof input[0] === "string" ? input : null;
}

function asIds(ids: Tensor | Ids): Tensor {
  return isTensor(ids) ? ids : fromIds(ids);
}

function maskOf(batch: Batch | null, options: ForwardOptions): { readonly attentionMask?: Tensor } {
  const mask = batch?.attentionMask;
  return mask === undefined || mask === null || options.attentionMask ? {} : { attentionMask: mask };
}

/** Refuses options that nobody reads: a misspelt one would silently do nothing. */
function checkKeys(what: string, options: object, known: readonly ReadonlySet<string>[]): void {
  const unknown = Object.keys(options).find((key) => !known.some((keys) => keys.has(key)));
  if (unknown === undefined) return;
  const all = known.flatMap((keys) => [...keys]);
  throw hooklensError("invalid_argument", `${what} has no option '${unknown}'; it takes ${all.join(", ")}`, {
    option: unknown,
  });
}

/** Built-in transformers. */

import { ActivationCache, type CacheSource } from "../cache/activation-cache.ts";
import { type CacheMeta, filterText } from "../cache/cache-meta.ts";
import { engine } from "../engine/current.ts";
import type { EngineModel, EngineTensor, ForwardRequest, ForwardResult } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import {
  CACHE_KEYS,
  type CacheOrMap,
  type CachingOptions,
  type RunWithCacheOptions,
} from "../hooks/caching.ts";
import { checkFlags, checkKeys, type SplitArguments, splitOptions } from "../hooks/call-options.ts";
import type { ScopeOptions } from "../hooks/hook-fn.ts";
import { HookPoint } from "../hooks/hook-point.ts";
import { HookStore } from "../hooks/hook-store.ts";
import { type HookedRoot, type Recording, SCOPE_KEYS } from "../hooks/hooked-root.ts";
import type { Recorded } from "../hooks/names.ts";
import { settledFilter } from "../hooks/selection.ts";
import { platform } from "../platform/platform.ts";
import { requireFunction } from "../tensor/arguments.ts";
import { describe, handleOf, isTensor, wrap } from "../tensor/base.ts";
import { enableGrad, isGradEnabled, noGrad } from "../tensor/gradients.ts";
import type { Tensor } from "../tensor/tensor.ts";
// Whoever loads only models needs the class too.
import "../tensor/tensor.ts";
import { type Batch, fromIds, fromMask, type Ids, type Tokens } from "../text/batch.ts";
import { readTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import {
  ASYNC_KEYS,
  type AsyncOptions,
  FORWARD_KEYS,
  type ForwardOptions,
  type ForwardOutput,
  type ModelInput,
  type ReturnType,
} from "./forward-options.ts";
import { readStopIds } from "./generation-config.ts";
import { cacheHandle } from "./key-value-cache.ts";
import {
  configJson,
  type LoadOptions,
  loadRequest,
  type ModelOptions,
  modelRequest,
} from "./load-options.ts";
import { filledOnRight, mayBeIds, paddingOf } from "./padded-ids.ts";
import { readModel } from "./read-model.ts";
import { chooseSource, type ModelLocation } from "./sources/choose-source.ts";
import type { TransformerConfig } from "./transformer-config.ts";
import { TransformerGeneration } from "./transformer-generation.ts";
import { pointOfKey, type TransformerKeys, type TransformerPoints } from "./transformer-points.ts";
import { textsOf } from "./transformer-text.ts";
import { growTree } from "./transformer-tree.ts";

/** What a transformer's `runWithCache` records into. */
export type CacheOf<RemoveBatch extends boolean, AsObject extends boolean> = CacheOrMap<
  ActivationCache<Recorded<TransformerKeys, RemoveBatch>>,
  AsObject
>;

/**
 * A decoder-only language model whose every activation and gradient can be seen and changed.
 *
 * Its numbers are those of the checkpoint: nothing is folded or centred on loading unless one asks for it. Hook points
 * that cost extra work, such as `hook_result`, do nothing until one names them.
 *
 * @category The model
 */
export class HookedTransformer extends TransformerGeneration {
  readonly #hooks: HookStore;

  private constructor(model: EngineModel, tokenizer: Tokenizer | null, stopIds: readonly number[] = []) {
    super(model, tokenizer, stopIds);
    const registry = model.registry();
    const infos = registry.points();
    const names = infos.map(({ name }) => name);
    const points = infos.map(
      (info) => new HookPoint(info.axes, { default: info.default, splits: info.name.includes(".ln1.") }),
    );
    this.#hooks = HookStore.around(registry, points);
    const named = new Map(points.map((point, i) => [names[i] ?? "", point]));
    this.attach(this.#hooks, growTree(this, this, named));
    this.train(false);
  }

  /**
   * Loads a model in Hugging Face's form (`config.json`, safetensors, `tokenizer.json`) or with the reference's own config
   * (`tl_config.json`), from a folder, an address, files that a user dropped, or the package: see {@link ModelLocation}.
   * Two small models come with the package: `builtin:tiny`, a GPT-2, and `builtin:induction`, attention alone with
   * induction heads.
   *
   * From an address, files go into the engine's memory as they come and are never held twice. Parts that are not needed
   * (`firstNLayers`) are not asked for, where the server answers requests for ranges. What broke off is asked for again.
   *
   * @throws `missing_file`, `invalid_file`, `unsupported_architecture`, `unsupported_config`, `weight_mismatch`;
   *   `memory_limit` with the numbers, before any weight is read; `download_failed` with the address; the signal's reason.
   *
   * @example
   * ```ts
   * const model = await HookedTransformer.fromPretrained("builtin:tiny", { process: true });
   * model.cfg.normalization_type; // "LNPre"
   * ```
   *
   * @example A server, with a bar that fills
   * ```ts
   * const pythia = "https://huggingface.co/EleutherAI/pythia-14m/resolve/main/";
   * const load = (bar: { value: number }, signal: AbortSignal) =>
   *   HookedTransformer.fromPretrained(pythia, {
   *     signal,
   *     onProgress: ({ done, total }) => {
   *       bar.value = done / total;
   *     },
   *   });
   * ```
   *
   * @example Files that were dropped on a page, or chosen with a file input
   * ```ts
   * const load = (files: readonly File[]) => HookedTransformer.fromPretrained(files);
   * ```
   */
  static async fromPretrained(model: ModelLocation, options: LoadOptions = {}): Promise<HookedTransformer> {
    const request = loadRequest("fromPretrained", options);
    const isPartial = options.firstNLayers !== undefined || options.nCtx !== undefined;
    const found = chooseSource(model, options, isPartial);
    const { tokenizer: given, maxTokenizerBytes, signal } = options;
    signal?.throwIfAborted();
    // What is wrong with these is found before the weights are on their way.
    const tokenizer = given === undefined ? await readTokenizer(found.source, maxTokenizerBytes) : given;
    const stopIds = await readStopIds(found.source);
    const loaded = await readModel(found, request, options);
    return new HookedTransformer(loaded, tokenizer, stopIds);
  }

  /**
   * A model with random weights.
   *
   * @param config the reference's configuration, such as `{ n_layers: 2, d_model: 32, n_ctx: 64, d_head: 8, … }`.
   * @throws `unsupported_config` naming the key that is missing, unknown or makes no sense.
   */
  static fromConfig(config: Partial<TransformerConfig>, options: ModelOptions = {}): HookedTransformer {
    if (typeof config !== "object" || config === null || Symbol.iterator in config) {
      throw hooklensError(
        "invalid_argument",
        `fromConfig: expected a configuration, got ${describe(config)}; to load a model use fromPretrained`,
      );
    }
    const made = engine().createModel(configJson(config), modelRequest("fromConfig", options));
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
    return this.#output(this.model.forward(this.#request(input, options)), options);
  }

  /**
   * Like {@link forward}, a block at a time: between blocks other work of the thread gets its turn, and the run can be
   * aborted. Hooks run synchronously; those attached when their block's turn comes are run, so keep them attached until
   * the promise settles, as `withHooks` does: other runs see them too. {@link runWithHooksAsync} has hooks of its own.
   */
  async forwardAsync<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & AsyncOptions = {},
  ): Promise<ForwardOutput<R, Stop>> {
    checkKeys("forwardAsync", options, [FORWARD_KEYS, ASYNC_KEYS]);
    return this.#inPieces(input, options, (piece) => piece());
  }

  /** A forward whose pieces `around` runs; between them other work of the thread gets its turn. */
  async #inPieces<R extends ReturnType, Stop extends number | null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & AsyncOptions,
    around: <Result>(piece: () => Result) => Result,
  ): Promise<ForwardOutput<R, Stop>> {
    const { signal, onProgress } = options;
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw hooklensError("invalid_argument", `signal: expected an AbortSignal, got ${describe(signal)}`);
    }
    if (onProgress !== undefined) requireFunction("onProgress", onProgress);
    signal?.throwIfAborted();
    // Whether operations are recorded is decided here: while this waits, others may have switched it.
    const mode = isGradEnabled() ? enableGrad : noGrad;
    const run = around(() => mode(() => this.model.start(this.#request(input, options))));
    const total = run.blocksLeft;
    try {
      for (let done = 1; done <= total; done++) {
        const more = around(() => mode(() => run.step()));
        onProgress?.({ done, total });
        if (!more) break;
        await platform().turn();
        signal?.throwIfAborted();
      }
      const result = around(() => mode(() => run.finish()));
      return this.#output(result, options);
    } finally {
      // Others may use its cache again, which would otherwise wait for the garbage collection of the run.
      run.end();
    }
  }

  #output<R extends ReturnType, Stop extends number | null>(
    { logits, loss, residual }: ForwardResult,
    { returnType }: ForwardOptions<R, Stop>,
  ): ForwardOutput<R, Stop> {
    this.#hooks.holdRecorded();
    const outputs = {
      logits: logits === null ? null : wrap(logits, ["batch", "pos", "d_vocab"]),
      loss: loss === null ? null : wrap(loss, loss.shape.length === 2 ? ["batch", "pos"] : []),
      residual: residual === null ? null : wrap(residual, ["batch", "pos", "d_model"]),
    };
    const given =
      outputs.residual ??
      (returnType === "both"
        ? { logits: outputs.logits, loss: outputs.loss }
        : (outputs.loss ?? outputs.logits));
    return given as ForwardOutput<R, Stop>;
  }

  /**
   * Like {@link forward}, with hooks that are gone afterwards.
   *
   * @param options those of {@link forward}, and which hooks to attach to which points.
   * @throws as {@link forward} does; `unknown_hook` for a name that is no point's, with the nearest names.
   *
   * @example
   * ```ts
   * const model = HookedTransformer.fromConfig({
   *   n_layers: 2, d_model: 16, n_ctx: 8, d_head: 4, d_vocab: 10, act_fn: "gelu",
   * });
   * const logits = model.runWithHooks([1, 2, 3], {
   *   fwdHooks: { "blocks.1.attn.hook_z": (z) => z.at({ head: 2 }).fill(0) },
   * });
   * logits.shape; // [1, 3, 10]
   * ```
   */
  override runWithHooks<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & ScopeOptions<TransformerPoints> = {},
  ): ForwardOutput<R, Stop> {
    const split = splitScope("runWithHooks", [input, options], [FORWARD_KEYS, SCOPE_KEYS]);
    return this.runScoped(split.inputs, split.options) as ForwardOutput<R, Stop>;
  }

  /**
   * {@link runWithHooks} as {@link forwardAsync}. The hooks are attached while this run computes and detached while it
   * waits, so that runs side by side do not see each other's. Only backward hooks, `clearContexts` and
   * `resetHooksEnd: false` keep them attached until the promise settles.
   */
  async runWithHooksAsync<R extends ReturnType = "logits", Stop extends number | null = null>(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & AsyncOptions & ScopeOptions<TransformerPoints> = {},
  ): Promise<ForwardOutput<R, Stop>> {
    const keys = [FORWARD_KEYS, ASYNC_KEYS, SCOPE_KEYS];
    const split = splitScope("runWithHooksAsync", [input, options], keys);
    const { bwdHooks, clearContexts = false, resetHooksEnd = true } = split.options;
    if (bwdHooks !== undefined || clearContexts || !resetHooksEnd) {
      return this.runScoped(split.inputs, split.options, this.forwardAsync) as Promise<
        ForwardOutput<R, Stop>
      >;
    }
    const around = <Result>(piece: () => Result) => this.runScoped([], split.options, piece) as Result;
    return this.#inPieces(input, (split.inputs[1] ?? {}) as typeof options, around);
  }

  /**
   * Like {@link forward}, and records what passes the hook points, as the hooks attached before left it.
   *
   * With `inclBwd` and `returnType: "loss"` (or `"both"`) it also runs backward and records gradients.
   *
   * @param options those of {@link forward}, and what to record in which form.
   * @returns the output of {@link forward}, and the cache.
   * @throws as {@link forward} does; `invalid_names_filter` and `unknown_hook` for a filter that selects nothing;
   *   `scalar_required` for `inclBwd` without a loss.
   *
   * @example
   * ```ts
   * const model = HookedTransformer.fromConfig({
   *   n_layers: 2, d_model: 16, n_ctx: 8, d_head: 4, d_vocab: 10, act_fn: "gelu",
   * });
   * const [loss, cache] = model.runWithCache([1, 2, 3], { returnType: "loss", inclBwd: true });
   * loss.item();
   * cache.get("blocks.0.attn.hook_pattern").shape;      // [1, 4, 3, 3]
   * cache.get("blocks.0.attn.hook_pattern_grad").shape; // the same
   * ```
   */
  override runWithCache<
    R extends ReturnType = "logits",
    Stop extends number | null = null,
    RemoveBatch extends boolean = false,
    AsObject extends boolean = true,
  >(
    input: ModelInput,
    options: ForwardOptions<R, Stop> & RunWithCacheOptions<TransformerPoints, RemoveBatch, AsObject> = {},
  ): [output: ForwardOutput<R, Stop>, cache: CacheOf<RemoveBatch, AsObject>] {
    checkKeys("runWithCache", options, [FORWARD_KEYS, CACHE_KEYS]);
    const recording: unknown = this.#record(input, options, this.forward);
    return recording as [ForwardOutput<R, Stop>, CacheOf<RemoveBatch, AsObject>];
  }

  /**
   * {@link runWithCache} as {@link forwardAsync}. The backward pass of `inclBwd` is one piece. What other runs of this
   * model compute meanwhile is not recorded, unless `inclBwd`, `clearContexts` or `resetHooksEnd: false` keeps the
   * recording on until the promise settles.
   */
  async runWithCacheAsync<
    R extends ReturnType = "logits",
    Stop extends number | null = null,
    RemoveBatch extends boolean = false,
    AsObject extends boolean = true,
  >(
    input: ModelInput,
    options: ForwardOptions<R, Stop> &
      AsyncOptions &
      RunWithCacheOptions<TransformerPoints, RemoveBatch, AsObject> = {},
  ): Promise<[output: ForwardOutput<R, Stop>, cache: CacheOf<RemoveBatch, AsObject>]> {
    checkKeys("runWithCacheAsync", options, [FORWARD_KEYS, ASYNC_KEYS, CACHE_KEYS]);
    const recording: unknown = await this.#record(input, options, this.forwardAsync, true);
    return recording as [ForwardOutput<R, Stop>, CacheOf<RemoveBatch, AsObject>];
  }

  #record(
    input: ModelInput,
    options: ForwardOptions & RunWithCacheOptions<TransformerPoints>,
    forward: HookedRoot["forward"],
    inPieces = false,
  ): Recording | Promise<Recording> {
    const split = splitOptions([input, options], CACHE_KEYS);
    const { namesFilter, ...others }: RunWithCacheOptions = split.options;
    const caching: RunWithCacheOptions = { ...others, namesFilter: settledFilter(namesFilter) ?? null };
    if (caching.inclBwd === true) checkScalar(options);
    const tokens = this.#tokensOf(input, options);
    // The ids as they were cached: text is encoded once.
    const inputs = [tokens?.tokens ?? input, { ...(split.inputs[1] ?? {}), ...maskOf(tokens, options) }];
    const cache = this.#cache(caching, options, tokens?.tokens ?? null);
    const { inclBwd = false, clearContexts = false, resetHooksEnd = true } = caching;
    if (!inPieces || inclBwd || clearContexts || !resetHooksEnd) {
      return this.runRecorded(inputs, caching, cache, forward);
    }
    const recorder = this.recorder(caching, cache);
    const [ids, rest] = inputs as [ModelInput, ForwardOptions & AsyncOptions];
    const run = this.#inPieces(ids, rest, (piece) => recorder.within(piece));
    return run.then((output): Recording => [output, recorder.result]);
  }

  protected override scalarOf(output: unknown): Tensor {
    const both = typeof output === "object" && output !== null && "loss" in output;
    return super.scalarOf(both ? output.loss : output);
  }

  protected override newCache(options: CachingOptions = {}): ActivationCache {
    return this.#cache(options, {}, null);
  }

  #cache(
    { namesFilter, posSlice = null, removeBatchDim = false, dtype = null, inclBwd = false }: CachingOptions,
    { startAtLayer = null, stopAtLayer = null, returnType = "logits" }: ForwardOptions,
    tokens: Tensor | null,
  ): ActivationCache {
    const meta: CacheMeta = {
      model: this.cfg.model_name,
      namesFilter: filterText(namesFilter),
      posSlice:
        typeof posSlice === "object" && posSlice !== null && "length" in posSlice ? [...posSlice] : posSlice,
      removeBatchDim,
      dtype,
      inclBwd,
      startAtLayer,
      stopAtLayer,
      returnType,
      tokens: tokens === null ? null : ownTokens(tokens, removeBatchDim),
    };
    const points = this.hookDict;
    const { registry } = this.#hooks;
    const source: CacheSource = {
      layers: this.cfg.n_layers,
      ...(this.tokenizer === null ? {} : { strTokens: (ids) => this.toStrTokens(ids) }),
      axes: (name, { shape }) =>
        points.get(pointOfKey(name))?.axesOf({ shape: removeBatchDim ? [1, ...shape] : shape }) ?? [],
      points: () => [...points].map(([name, { isDefault }]) => ({ name, default: isDefault })),
      isDefault: (name) => {
        const point = points.get(name);
        if (point === undefined) registry.select([name]);
        return point?.isDefault ?? true;
      },
    };
    return new ActivationCache(source, meta);
  }

  /** The ids of an input that is text or ids; null for a residual stream. */
  #tokensOf(input: ModelInput, options: ForwardOptions): Batch | null {
    if (typeof options.startAtLayer === "number") return null;
    const texts = isTensor(input) ? null : textsOf(input);
    if (texts !== null) return this.encode(texts, { ...options, truncate: false });
    const tokens = isTensor(input) ? (input as Tokens) : fromIds(input as Ids);
    return { tokens, attentionMask: this.#maskOfIds(tokens, options) };
  }

  /**
   * The mask of ids that were filled up: positions then begin with the text, and padding is no part of a loss. What a
   * cache already holds says nothing about where its next tokens were filled up, unless the caller does; and what comes
   * into an empty one will be looked at by later tokens, on the right too.
   */
  #maskOfIds(tokens: Tensor, { attentionMask, pastKvCache, ...options }: ForwardOptions): Tokens | null {
    if ((attentionMask !== undefined && attentionMask !== null) || !mayBeIds(tokens)) return null;
    if (pastKvCache === undefined || pastKvCache === null || options.paddingSide !== undefined) {
      return paddingOf(this, tokens, options);
    }
    if (cacheHandle(pastKvCache).length > 0) return null;
    const onRight = this.tokenizer?.paddingSide === "right" && filledOnRight(this, tokens, options) !== null;
    return paddingOf(this, tokens, onRight ? { ...options, paddingSide: "right" } : options);
  }

  /** The mask of a residual stream, of which only its token ids can tell. */
  #maskOfResidual(options: ForwardOptions): Tokens | null {
    const { tokens, paddingSide, attentionMask } = options;
    if (tokens !== undefined && tokens !== null) return this.#maskOfIds(asIds(tokens), options);
    if (paddingSide === undefined || (attentionMask !== undefined && attentionMask !== null)) return null;
    throw hooklensError(
      "invalid_argument",
      "paddingSide: with startAtLayer only token ids can tell where the padding is; give them as tokens, or attentionMask",
      { option: "paddingSide" },
    );
  }

  #request(input: ModelInput, options: ForwardOptions): ForwardRequest {
    const {
      returnType = "logits",
      lossPerToken = false,
      startAtLayer,
      stopAtLayer,
      tokens,
      pastKvCache,
    } = options;
    if (returnType !== null && !["logits", "loss", "both"].includes(returnType)) {
      throw hooklensError(
        "invalid_argument",
        `returnType: expected 'logits', 'loss', 'both' or null, got ${describe(returnType)}`,
      );
    }
    checkLayer("startAtLayer", startAtLayer);
    checkLayer("stopAtLayer", stopAtLayer);
    checkFlags({ lossPerToken });
    const batch = this.#tokensOf(input, options);
    if (batch === null && !isTensor(input)) {
      throw hooklensError(
        "invalid_argument",
        `with startAtLayer the input is a residual stream [batch, pos, d_model], got ${describe(input)}`,
      );
    }
    const main: EngineTensor = handleOf(batch?.tokens ?? (input as Tensor));
    const mask =
      options.attentionMask ?? (batch === null ? this.#maskOfResidual(options) : batch.attentionMask);
    return {
      input: main,
      returnType: returnType ?? "none",
      lossPerToken,
      ...(typeof startAtLayer === "number" ? { startAtLayer } : {}),
      ...(typeof stopAtLayer === "number" ? { stopAtLayer } : {}),
      ...(tokens === undefined || tokens === null ? {} : { tokens: handleOf(asIds(tokens)) }),
      ...(mask === undefined || mask === null ? {} : { attentionMask: handleOf(fromMask(mask)) }),
      ...(pastKvCache === undefined || pastKvCache === null ? {} : { kvCache: cacheHandle(pastKvCache) }),
    };
  }

  /**
   * Detaches all hooks, permanent ones too, and frees the weights now instead of at some later garbage collection.
   * What was computed stays, as do weights taken out with {@link parameter}. Running the model or asking for its weights
   * then throws `disposed`; a second call does nothing.
   */
  dispose(): void {
    this.resetHooks({ includingPermanent: true });
    this.model.dispose();
  }

  /** Lets `using model = await HookedTransformer.fromPretrained(…)` free the model at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Token ids as a cache keeps them: its own, as the caller may dispose theirs, and with names of axes. */
function ownTokens(tokens: Tensor, removeBatchDim: boolean): Tensor {
  if (tokens.rank !== 2) return tokens.share();
  return removeBatchDim && tokens.shape[0] === 1
    ? tokens.squeeze(0).named("pos")
    : tokens.named("batch", "pos");
}

/** Splits off what `runWithHooks` takes. */
function splitScope(
  what: string,
  args: readonly [input: ModelInput, options: object],
  keys: readonly ReadonlySet<string>[],
): SplitArguments {
  if (Object(args[1]) === args[1] && "namesFilter" in args[1]) {
    throw hooklensError("invalid_argument", `${what} records nothing: namesFilter is for runWithCache`);
  }
  checkKeys(what, args[1], keys);
  return splitOptions(args, SCOPE_KEYS);
}

/** Refuses `inclBwd` where the run gives nothing that gradients could start from. */
function checkScalar({ stopAtLayer, returnType }: ForwardOptions): void {
  const refusal =
    typeof stopAtLayer === "number"
      ? "with stopAtLayer the output is a residual stream; gradients need a run to the loss"
      : returnType !== "loss" && returnType !== "both"
        ? "needs a loss to start from; use returnType 'loss' or 'both'"
        : null;
  if (refusal !== null) throw hooklensError("scalar_required", `inclBwd: ${refusal}`, { got: [] });
}

function checkLayer(option: string, layer: unknown): void {
  if (layer === undefined || layer === null || Number.isInteger(layer)) return;
  throw hooklensError(
    "invalid_argument",
    `${option}: expected the number of a block, got ${describe(layer)}`,
    { option },
  );
}

function asIds(ids: Tensor | Ids): Tensor {
  return isTensor(ids) ? ids : fromIds(ids);
}

function maskOf(batch: Batch | null, options: ForwardOptions): { readonly attentionMask?: Tensor } {
  const mask = batch?.attentionMask;
  return mask === undefined || mask === null || options.attentionMask ? {} : { attentionMask: mask };
}

/** The weights of built-in transformers, by name and stacked over blocks. */

import type { EngineModel } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { checkFlags } from "../hooks/call-options.ts";
import { HookedRoot } from "../hooks/hooked-root.ts";
import { warn } from "../hooks/logger.ts";
import type { LoadStateOptions } from "../hooks/module.ts";
import type { pointNames } from "../hooks/names.ts";
import { requireObject } from "../tensor/arguments.ts";
import { describe, handleOf, wrap } from "../tensor/base.ts";
import { zeros } from "../tensor/create.ts";
import { cat, stack } from "../tensor/functions.ts";
import { tidy } from "../tensor/memory.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type ProcessingOptions, type ProcessingRecord, recordOf, stepsOf } from "./processing.ts";
import type { TransformerConfig } from "./transformer-config.ts";
import type { TransformerPoints } from "./transformer-points.ts";

/** Which biases {@link TransformerWeights.accumulatedBias} adds up. */
export interface AccumulatedBiasOptions {
  /**
   * Up to the input of the MLP of block `layer`: its attention's bias too.
   * @default false
   */
  readonly mlpInput?: boolean;
  /**
   * Those of MLPs too.
   * @default true
   */
  readonly includeMlpBiases?: boolean;
}

/**
 * A transformer's weights under the reference's names. `W_Q` and its like are copies of all blocks' weights in one
 * tensor, made at each access; biases that the model does not have are zeros.
 *
 * @category Weights
 */
export abstract class TransformerWeights extends HookedRoot {
  /** Exists in types only. @internal */
  declare readonly [pointNames]: TransformerPoints;
  /** @internal */
  protected readonly model: EngineModel;
  #cfg: TransformerConfig;
  #processed: ProcessingRecord;
  #trainable = false;

  /** @internal */
  constructor(model: EngineModel) {
    super();
    this.model = model;
    this.#cfg = readConfig(model);
    this.#processed = this.#noteProcessing();
  }

  /** The configuration, under the reference's names. {@link processWeights} replaces it. */
  get cfg(): TransformerConfig {
    return this.#cfg;
  }

  /** Which steps of {@link processWeights} were done to the weights, on loading or since. */
  get processed(): ProcessingRecord {
    return this.#processed;
  }

  /**
   * Rewrites the weights so that they are easier to read, in place, without changing what the model computes: see
   * {@link ProcessingSteps}. Log-probabilities stay the same up to rounding. Hooks stay attached.
   *
   * Norms that were folded have no weights any more: `cfg.normalization_type` becomes `LNPre` or `RMSPre`, and
   * `stateDict()` has no `ln1.w`. A step that would change what this model computes is left out with a warning. A
   * {@link KeyValueCache} that was filled before holds the activations of other weights and is refused: clear it.
   *
   * @param steps `true`, the default: the four steps that the reference does on loading. Or those that are true here.
   * @throws `not_supported_on_this_model` for `refactorFactoredAttnMatrices` where it is impossible; `invalid_argument`
   *   while the weights are trainable. Nothing has changed then.
   *
   * @example
   * ```ts
   * const model = HookedTransformer.fromConfig({
   *   n_layers: 2, d_model: 16, n_ctx: 8, d_head: 4, d_vocab: 10, act_fn: "gelu",
   * });
   * model.processWeights({ foldLn: true, centerUnembed: true });
   * model.cfg.normalization_type; // "LNPre"
   * model.processed.foldLn;       // true
   * ```
   */
  processWeights(steps: ProcessingOptions = true): this {
    this.model.process(stepsOf("processWeights", steps));
    this.#cfg = readConfig(this.model);
    this.#processed = this.#noteProcessing();
    return this;
  }

  /** Passes on what the engine wants known, such as steps that were left out. */
  #noteProcessing(): ProcessingRecord {
    const { done, notices } = this.model.processing();
    for (const notice of notices) warn(notice);
    return recordOf(done);
  }

  /** The weights under the reference's names, such as `blocks.0.attn.W_Q` `[n_heads, d_model, d_head]`. */
  override *namedParameters(): Generator<[name: string, parameter: Tensor]> {
    for (const name of this.model.parameterNames()) yield [name, this.parameter(name)];
  }

  /** One weight by the reference's name. Throws `weight_mismatch` with the nearest names. */
  parameter(name: string): Tensor {
    return wrap(this.model.parameter(name));
  }

  /** The names of all weights, such as `blocks.0.attn.W_Q`. */
  parameterNames(): readonly string[] {
    return this.model.parameterNames();
  }

  /** Whether there is a weight of that name. */
  hasParameter(name: string): boolean {
    return this.model.parameterNames().includes(name);
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
    this.model.setTrainable(on);
    this.#trainable = on;
    return this;
  }

  override loadStateDict(
    state: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
    options: LoadStateOptions = {},
  ): void {
    checkOptionKeys("loadStateDict", options, ["strict"]);
    const { strict = true } = options;
    requireObject("loadStateDict", "an object or a Map of names and tensors", state);
    const given = new Map(state instanceof Map ? state : Object.entries(state));
    if (!strict) {
      const own = new Map(this.namedParameters());
      for (const name of given.keys()) if (!own.has(name)) given.delete(name);
      for (const [name, parameter] of own) if (!given.has(name)) given.set(name, parameter);
    }
    this.model.loadParameters([...given].map(([name, tensor]) => ({ name, tensor: handleOf(tensor) })));
  }

  /** Token embeddings `[d_vocab, d_model]`. */
  get W_E(): Tensor {
    return this.parameter("embed.W_E");
  }

  /** Position embeddings `[n_ctx, d_model]`. Throws `not_supported_on_this_model` where positions are not learned. */
  get W_pos(): Tensor {
    const name = "pos_embed.W_pos";
    if (this.hasParameter(name)) return this.parameter(name);
    throw hooklensError(
      "not_supported_on_this_model",
      `W_pos: this model has no embeddings of positions, its positions are '${this.cfg.positional_embedding_type}'`,
    );
  }

  /** {@link W_E} above {@link W_pos}: `[d_vocab + n_ctx, d_model]`. */
  get W_E_pos(): Tensor {
    return cat([this.W_E, this.W_pos], 0);
  }

  /** Unembedding `[d_model, d_vocab_out]`. */
  get W_U(): Tensor {
    return this.parameter("unembed.W_U");
  }

  /** Bias of the logits `[d_vocab_out]`. */
  get b_U(): Tensor {
    const name = "unembed.b_U";
    return this.hasParameter(name) ? this.parameter(name) : this.#zeros([this.cfg.d_vocab_out]);
  }

  /** Query weights `[n_layers, n_heads, d_model, d_head]`. */
  get W_Q(): Tensor {
    return this.#stacked("attn.W_Q");
  }

  /** Key weights `[n_layers, n_heads, d_model, d_head]`, each head of a group with those of the group. */
  get W_K(): Tensor {
    return this.#perHead("W_K");
  }

  /** Value weights `[n_layers, n_heads, d_model, d_head]`, each head of a group with those of the group. */
  get W_V(): Tensor {
    return this.#perHead("W_V");
  }

  /** Output weights of the heads `[n_layers, n_heads, d_head, d_model]`. */
  get W_O(): Tensor {
    return this.#stacked("attn.W_O");
  }

  /** Query biases `[n_layers, n_heads, d_head]`. */
  get b_Q(): Tensor {
    return this.#stacked("attn.b_Q", [this.cfg.n_heads, this.cfg.d_head]);
  }

  /** Key biases `[n_layers, n_heads, d_head]`. */
  get b_K(): Tensor {
    return this.#perHead("b_K", [this.cfg.n_heads, this.cfg.d_head]);
  }

  /** Value biases `[n_layers, n_heads, d_head]`. */
  get b_V(): Tensor {
    return this.#perHead("b_V", [this.cfg.n_heads, this.cfg.d_head]);
  }

  /** Biases of attention's output `[n_layers, d_model]`. */
  get b_O(): Tensor {
    return this.#stacked("attn.b_O", [this.cfg.d_model]);
  }

  /** Input weights of the MLPs `[n_layers, d_model, d_mlp]`. Throws `not_supported_on_this_model` without MLPs. */
  get W_in(): Tensor {
    return this.#ofMlp("W_in");
  }

  /** Gate weights of the MLPs `[n_layers, d_model, d_mlp]`; null where they have none. */
  get W_gate(): Tensor | null {
    return this.cfg.gated_mlp ? this.#ofMlp("W_gate") : null;
  }

  /** Output weights of the MLPs `[n_layers, d_mlp, d_model]`. Throws `not_supported_on_this_model` without MLPs. */
  get W_out(): Tensor {
    return this.#ofMlp("W_out");
  }

  /** Input biases of the MLPs `[n_layers, d_mlp]`. Throws `not_supported_on_this_model` without MLPs. */
  get b_in(): Tensor {
    return this.#ofMlp("b_in", [this.cfg.d_mlp ?? 0]);
  }

  /** Output biases of the MLPs `[n_layers, d_model]`. Throws `not_supported_on_this_model` without MLPs. */
  get b_out(): Tensor {
    return this.#ofMlp("b_out", [this.cfg.d_model]);
  }

  /** One tensor of all blocks; a bias, which a model may lack, gives its shape. */
  #stacked(path: string, bias?: readonly number[]): Tensor {
    const layers = Array.from({ length: this.cfg.n_layers }, (_, layer) => `blocks.${layer}.${path}`);
    if (layers.length === 0) {
      throw hooklensError("not_supported_on_this_model", `${path}: this model has no blocks`);
    }
    const known = new Set(this.model.parameterNames());
    return stack(
      layers.map((name) =>
        bias === undefined || known.has(name) ? this.parameter(name) : this.#zeros([...bias]),
      ),
    );
  }

  /** Zeros as the weights are stored. */
  #zeros(shape: readonly number[]): Tensor {
    const { dtype, device } = this.W_U;
    return zeros(shape, { dtype, device });
  }

  /**
   * The sum of the biases that the blocks before `layer` write to the residual stream, `[d_model]`: what it holds there
   * beside the embeddings and what heads and neurons write.
   *
   * @param layer from 0 to the number of blocks; negative ones count from the last.
   * @throws `index_out_of_range`; with `mlpInput` also for the number of blocks.
   */
  accumulatedBias(layer: number, options: AccumulatedBiasOptions = {}): Tensor {
    checkOptionKeys("accumulatedBias", options, ["mlpInput", "includeMlpBiases"]);
    const { mlpInput = false, includeMlpBiases = true } = options;
    checkFlags({ mlpInput, includeMlpBiases });
    const { n_layers, attn_only, d_model } = this.cfg;
    const last = mlpInput ? n_layers - 1 : n_layers;
    const stop = !Number.isInteger(layer) ? Number.NaN : layer < 0 ? layer + n_layers : layer;
    if (Number.isNaN(stop) || stop < 0 || stop > last) {
      throw hooklensError(
        "index_out_of_range",
        `accumulatedBias: layer ${describe(layer)} is outside 0 to ${last}${mlpInput ? ": after the last block there is no MLP input" : ""}`,
        { index: layer, size: n_layers },
      );
    }
    const names = Array.from({ length: stop }, (_, block) => [
      `blocks.${block}.attn.b_O`,
      ...(includeMlpBiases && !attn_only ? [`blocks.${block}.mlp.b_out`] : []),
    ]).flat();
    if (mlpInput) names.push(`blocks.${stop}.attn.b_O`);
    const known = new Set(this.model.parameterNames());
    return tidy(() =>
      names
        .filter((name) => known.has(name))
        .reduce((sum, name) => sum.add(this.parameter(name)), this.#zeros([d_model])),
    );
  }

  /** The names of all heads, `L0H0`, `L0H1`, …, block by block. */
  allHeadLabels(): string[] {
    const { n_layers, n_heads } = this.cfg;
    return Array.from({ length: n_layers * n_heads }, (_, i) => `L${Math.floor(i / n_heads)}H${i % n_heads}`);
  }

  #perHead(name: string, bias?: readonly number[]): Tensor {
    const { n_heads, n_key_value_heads } = this.cfg;
    if (n_key_value_heads === null || n_key_value_heads === n_heads)
      return this.#stacked(`attn.${name}`, bias);
    // Weights that several heads share have their own name, and one head a group.
    const group = bias && [n_key_value_heads, ...bias.slice(1)];
    return this.#stacked(`attn._${name}`, group).repeatInterleave(n_heads / n_key_value_heads, 1);
  }

  #ofMlp(name: string, bias?: readonly number[]): Tensor {
    if (!this.cfg.attn_only) return this.#stacked(`mlp.${name}`, bias);
    throw hooklensError(
      "not_supported_on_this_model",
      `${name}: this model has no MLPs, it is made of attention only`,
      { weight: name },
    );
  }
}

function readConfig(model: EngineModel): TransformerConfig {
  return Object.freeze(JSON.parse(model.configJson()) as TransformerConfig);
}

/** The functions that networks are made of: norms, losses, rotary positions, attention. */

import type { DType } from "../engine/engine.ts";
import { ActivationOps } from "./activations.ts";
import { type Dim, dimNumber } from "./axes.ts";
import { run } from "./operation.ts";
import { checkOptionKeys } from "./option-keys.ts";
import type { Tensor } from "./tensor.ts";

/** How a loss combines its elements. */
export type LossReduction = "mean" | "sum" | "none";

/** Options of {@link Tensor.crossEntropy} and {@link Tensor.nllLoss}. */
export interface ClassLossOptions {
  /** @default "mean" */
  readonly reduction?: LossReduction;
  /**
   * Targets with this value count for nothing.
   * @default -100
   */
  readonly ignoreIndex?: number;
}

/** Options of {@link Tensor.crossEntropy}. */
export interface CrossEntropyOptions extends ClassLossOptions {
  /**
   * Share of the target that is spread evenly over all classes.
   * @default 0
   */
  readonly labelSmoothing?: number;
}

/** Options of {@link Tensor.layerNorm}. */
export interface LayerNormOptions {
  /** Shape `normalizedShape`; 1 if left out. */
  readonly weight?: Tensor | null;
  /** Shape `normalizedShape`; 0 if left out. */
  readonly bias?: Tensor | null;
  /** Added to the variance. @default 1e-5 */
  readonly eps?: number;
}

/** Options of {@link Tensor.rmsNorm}. */
export interface RmsNormOptions {
  /** Shape `normalizedShape`; 1 if left out. */
  readonly weight?: Tensor | null;
  /** Added to the mean square. @default 1e-6 */
  readonly eps?: number;
}

/** Options of {@link Tensor.klDiv}. */
export interface KlDivOptions {
  /** `"batchmean"` divides the sum by the size of the first axis. @default "mean" */
  readonly reduction?: LossReduction | "batchmean";
  /** Whether the target is given as logarithms too. @default false */
  readonly logTarget?: boolean;
}

/** Options of {@link Tensor.ropeRotateHalf} and {@link Tensor.ropeInterleaved}. */
export interface RopeOptions {
  /** The slowest pair turns by `1 / base` a position, nearly. @default 10000 */
  readonly base?: number;
  /** How many of the last axis' elements turn; all if left out. */
  readonly rotaryDim?: number;
}

/** Options of {@link Tensor.scaledDotProductAttention}. */
export interface AttentionOptions {
  /** `[..., query, key]`: bool (true may attend) or float (added to the scores). */
  readonly mask?: Tensor | null;
  /** Key j serves query i only when j <= i. @default false */
  readonly isCausal?: boolean;
  /** Factor on the scores. @default 1 / sqrt(d) */
  readonly scale?: number;
  /** Let `Hq` query heads share `Hk` key and value heads, in groups. @default false */
  readonly enableGqa?: boolean;
}

/**
 * Building blocks of networks; see each for its shapes. Integers throw `wrong_dtype`.
 *
 * @category Layers and losses
 */
export abstract class NeuralOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends ActivationOps<Axes, D> {
  /** `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axes, whose sizes are `normalizedShape`. */
  layerNorm(normalizedShape: readonly number[], options: LayerNormOptions = {}): Tensor<Axes> {
    checkOptionKeys("layerNorm", options, ["weight", "bias", "eps"]);
    const { weight, bias, eps = 1e-5 } = options;
    const inputs: Tensor[] = [this as unknown as Tensor];
    if (weight) inputs.push(weight);
    // Without a weight the engine would take a lone bias for one.
    else if (bias) inputs.push(run("ones", [], { size: normalizedShape, dtype: bias.dtype }).to(bias.device));
    if (bias) inputs.push(bias);
    return run("layer_norm", inputs, { normalized_shape: normalizedShape, eps }, this.axes);
  }

  /** `x / sqrt(mean(x^2) + eps) * weight` over the last axes, whose sizes are `normalizedShape`. */
  rmsNorm(normalizedShape: readonly number[], options: RmsNormOptions = {}): Tensor<Axes> {
    checkOptionKeys("rmsNorm", options, ["weight", "eps"]);
    const { weight, eps = 1e-6 } = options;
    const inputs = weight ? [this, weight] : [this];
    return run("rms_norm", inputs, { normalized_shape: normalizedShape, eps }, this.axes);
  }

  /** The vectors along an axis divided by their p-norm, or by `eps` where that is larger. */
  normalize(dim: Dim<Axes> = 1, p = 2, eps = 1e-12): Tensor<Axes> {
    return run("normalize", [this], { p, dim: dimNumber(this.axes, dim), eps }, this.axes);
  }

  /** The cosine of the angle between the vectors along an axis, which goes. */
  cosineSimilarity(other: Tensor, dim: Dim<Axes> = 1, eps = 1e-8): Tensor {
    return run("cosine_similarity", [this, other], { dim: dimNumber(this.axes, dim), eps });
  }

  /** The rows of this table `[n, d]` that `ids` `[...]` name: `[..., d]`. */
  embedding(ids: Tensor): Tensor {
    return run("embedding", [this, ids]);
  }

  /** Minus the log-probability of the target: logits `[n, classes]` (or `[n, classes, ...]`) and ids `[n]`. */
  crossEntropy(target: Tensor, options: CrossEntropyOptions = {}): Tensor {
    checkOptionKeys("crossEntropy", options, ["reduction", "ignoreIndex", "labelSmoothing"]);
    const { reduction, ignoreIndex, labelSmoothing } = options;
    const args = { reduction, ignore_index: ignoreIndex, label_smoothing: labelSmoothing };
    return run("cross_entropy", [this, target], args);
  }

  /** Like {@link crossEntropy} for log-probabilities. */
  nllLoss(target: Tensor, options: ClassLossOptions = {}): Tensor {
    checkOptionKeys("nllLoss", options, ["reduction", "ignoreIndex"]);
    const { reduction, ignoreIndex } = options;
    return run("nll_loss", [this, target], { reduction, ignore_index: ignoreIndex });
  }

  /** The divergence of this (log-probabilities) from `target` (probabilities): `target (log target - this)`. */
  klDiv(target: Tensor, options: KlDivOptions = {}): Tensor {
    checkOptionKeys("klDiv", options, ["reduction", "logTarget"]);
    return run("kl_div", [this, target], { reduction: options.reduction, log_target: options.logTarget });
  }

  /** The squared difference. */
  mseLoss(target: Tensor, reduction: LossReduction = "mean"): Tensor {
    return run("mse_loss", [this, target], { reduction });
  }

  /**
   * Rotary positions (Su et al., arXiv 2104.09864) as in Llama: `[..., seq, d]` and positions `[seq]`; element i turns
   * together with element i + n/2.
   */
  ropeRotateHalf(positions: Tensor, options: RopeOptions = {}): Tensor<Axes> {
    checkOptionKeys("ropeRotateHalf", options, ["base", "rotaryDim"]);
    const args = { base: options.base, rotary_dim: options.rotaryDim };
    return run("rope_rotate_half", [this, positions], args, this.axes);
  }

  /** {@link ropeRotateHalf} with neighbours (2i, 2i + 1) turning together, as in GPT-J. */
  ropeInterleaved(positions: Tensor, options: RopeOptions = {}): Tensor<Axes> {
    checkOptionKeys("ropeInterleaved", options, ["base", "rotaryDim"]);
    const args = { base: options.base, rotary_dim: options.rotaryDim };
    return run("rope_interleaved", [this, positions], args, this.axes);
  }

  /**
   * Attention of these queries `[..., heads, query, d]` over `key` `[..., heads, key, d]` and `value`
   * `[..., heads, key, d_v]`: `softmax(q k' scale + mask) v`, `[..., heads, query, d_v]`.
   */
  scaledDotProductAttention(key: Tensor, value: Tensor, options: AttentionOptions = {}): Tensor {
    checkOptionKeys("scaledDotProductAttention", options, ["mask", "isCausal", "scale", "enableGqa"]);
    const { mask, isCausal, scale, enableGqa } = options;
    const self = this as unknown as Tensor;
    const args = { is_causal: isCausal, scale, enable_gqa: enableGqa };
    return run("scaled_dot_product_attention", mask ? [self, key, value, mask] : [self, key, value], args);
  }
}

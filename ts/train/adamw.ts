/**
 * Adam (Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015) and AdamW, which decouples weight decay from
 * the gradient (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019), with torch's formulas and
 * defaults, so that the same gradients give the same steps.
 */

import { zerosLike } from "../tensor/create.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Optimizer, type ParameterUpdate, requireSetting, type Slots, type Trained } from "./optimizer.ts";

/** Settings of {@link AdamW} and {@link Adam}; each group of parameters may have its own. */
export interface AdamWOptions {
  /**
   * Learning rate.
   * @default 1e-3
   */
  readonly lr?: number;
  /**
   * How slowly the means of the gradient and of its square forget.
   * @default [0.9, 0.999]
   */
  readonly betas?: readonly [number, number];
  /**
   * Added to the denominator.
   * @default 1e-8
   */
  readonly eps?: number;
  /**
   * For {@link AdamW} the share of `lr` by which parameters shrink at each step; for {@link Adam} the share of a
   * parameter that is added to its gradient.
   * @default 1e-2 for AdamW, 0 for Adam
   */
  readonly weightDecay?: number;
}

const KEYS: readonly string[] = ["lr", "betas", "eps", "weightDecay"];

function checked(optimizer: string, weightDecayByDefault: number) {
  return (options: AdamWOptions): Required<AdamWOptions> => {
    checkOptionKeys(optimizer, options, KEYS);
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = weightDecayByDefault } = options;
    requireSetting(optimizer, lr >= 0, "lr must be 0 or more", lr);
    requireSetting(optimizer, eps >= 0, "eps must be 0 or more", eps);
    requireSetting(optimizer, weightDecay >= 0, "weightDecay must be 0 or more", weightDecay);
    const within = betas.every((beta) => beta >= 0 && beta < 1);
    requireSetting(optimizer, within, "betas must be at least 0 and below 1", betas);
    return { lr, betas, eps, weightDecay };
  };
}

/** The running means, and the step that they call for. */
function adaptive(
  grad: Tensor,
  settings: Required<AdamWOptions>,
  slots: Slots,
  steps: number,
): { step: Tensor; slots: Slots } {
  const {
    lr,
    betas: [beta1, beta2],
    eps,
  } = settings;
  const { exp_avg = zerosLike(grad), exp_avg_sq = zerosLike(grad) } = slots;
  const mean = exp_avg.mul(beta1).add(grad.mul(1 - beta1));
  const square = exp_avg_sq.mul(beta2).add(grad.square().mul(1 - beta2));
  const denominator = square
    .sqrt()
    .div(Math.sqrt(1 - beta2 ** steps))
    .add(eps);
  const step = mean.div(denominator).mul(lr / (1 - beta1 ** steps));
  return { step, slots: { exp_avg: mean, exp_avg_sq: square } };
}

/**
 * Updates parameters from running means of their gradients and of the gradients' squares, and lets the parameters
 * decay by themselves.
 *
 * @example
 * ```ts
 * const model = HookedTransformer.fromConfig({
 *   n_layers: 1, d_model: 16, n_ctx: 8, d_head: 8, n_heads: 2, d_mlp: 32, d_vocab: 10, act_fn: "gelu", seed: 0,
 * }).setTrainable(true);
 * const optimizer = new AdamW(model.namedParameters(), { lr: 1e-2, weightDecay: 0.01 });
 * for (let step = 0; step < 20; step++) {
 *   tidy(() => {
 *     const loss = model.forward([[1, 2, 3, 1, 2, 3]], { returnType: "loss" });
 *     loss.backward();
 *     clipGradients(model.parameters(), 1);
 *     optimizer.lr = warmupCosine(step, { peak: 1e-2, steps: 20, warmup: 4 });
 *     optimizer.step();
 *     optimizer.zeroGrad();
 *   });
 * }
 * model.setTrainable(false);
 * ```
 */
export class AdamW extends Optimizer<AdamWOptions, Required<AdamWOptions>> {
  /**
   * @param trained Parameters with or without names, or groups of them with settings of their own.
   * @throws `invalid_argument` for settings out of range, for no parameters, for a name that occurs twice, and for a
   * tensor that requires no gradient.
   */
  constructor(trained: Trained<AdamWOptions>, options: AdamWOptions = {}) {
    super("AdamW", trained, options, checked("AdamW", 1e-2));
  }

  protected update(
    parameter: Tensor,
    grad: Tensor,
    settings: Required<AdamWOptions>,
    before: Slots,
    steps: number,
  ): ParameterUpdate {
    const { step, slots } = adaptive(grad, settings, before, steps);
    return { value: parameter.mul(1 - settings.lr * settings.weightDecay).sub(step), slots };
  }

  protected slotNames(): readonly string[] {
    return ["exp_avg", "exp_avg_sq"];
  }
}

/** Like {@link AdamW}, but weight decay is part of the gradient, as in the original. */
export class Adam extends Optimizer<AdamWOptions, Required<AdamWOptions>> {
  /** See {@link AdamW}'s constructor. */
  constructor(trained: Trained<AdamWOptions>, options: AdamWOptions = {}) {
    super("Adam", trained, options, checked("Adam", 0));
  }

  protected update(
    parameter: Tensor,
    grad: Tensor,
    settings: Required<AdamWOptions>,
    before: Slots,
    steps: number,
  ): ParameterUpdate {
    const pulled = settings.weightDecay === 0 ? grad : grad.add(parameter.mul(settings.weightDecay));
    const { step, slots } = adaptive(pulled, settings, before, steps);
    return { value: parameter.sub(step), slots };
  }

  protected slotNames(): readonly string[] {
    return ["exp_avg", "exp_avg_sq"];
  }
}

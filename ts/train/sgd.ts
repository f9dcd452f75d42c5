/** Gradient descent with momentum, with torch's formulas and defaults. */

import { HooklensError } from "../engine/errors.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Optimizer, type ParameterUpdate, requireSetting, type Slots, type Trained } from "./optimizer.ts";

/** Settings of {@link SGD}; each group of parameters may have its own. */
export interface SGDOptions {
  /**
   * Learning rate.
   * @default 1e-3
   */
  readonly lr?: number;
  /**
   * How slowly the direction of descent forgets earlier gradients.
   * @default 0
   */
  readonly momentum?: number;
  /**
   * Share of a new gradient that does not enter the direction.
   * @default 0
   */
  readonly dampening?: number;
  /**
   * Share of a parameter that is added to its gradient.
   * @default 0
   */
  readonly weightDecay?: number;
  /**
   * Look ahead along the direction (Nesterov). Needs momentum and no dampening.
   * @default false
   */
  readonly nesterov?: boolean;
}

const KEYS: readonly string[] = ["lr", "momentum", "dampening", "weightDecay", "nesterov"];

function checked(options: SGDOptions): Required<SGDOptions> {
  checkOptionKeys("SGD", options, KEYS);
  const { lr = 1e-3, momentum = 0, dampening = 0, weightDecay = 0, nesterov = false } = options;
  requireSetting("SGD", lr >= 0, "lr must be 0 or more", lr);
  requireSetting("SGD", momentum >= 0, "momentum must be 0 or more", momentum);
  requireSetting("SGD", weightDecay >= 0, "weightDecay must be 0 or more", weightDecay);
  requireSetting("SGD", Number.isFinite(dampening), "dampening must be a finite number", dampening);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new HooklensError("invalid_argument", "SGD: nesterov needs momentum above 0 and no dampening");
  }
  return { lr, momentum, dampening, weightDecay, nesterov };
}

/**
 * Moves parameters against their gradients, or against a running sum of them.
 *
 * @example
 * ```ts
 * const w = parameter(randn([4]));
 * const optimizer = new SGD([w], { lr: 0.1, momentum: 0.9 });
 * w.square().sum().backward();
 * optimizer.step();
 * ```
 */
export class SGD extends Optimizer<SGDOptions, Required<SGDOptions>> {
  /** See the constructor of `AdamW`. */
  constructor(trained: Trained<SGDOptions>, options: SGDOptions = {}) {
    super("SGD", trained, options, checked);
  }

  protected update(
    parameter: Tensor,
    grad: Tensor,
    settings: Required<SGDOptions>,
    { momentum_buffer: before }: Slots,
  ): ParameterUpdate {
    const { lr, momentum, dampening, weightDecay, nesterov } = settings;
    const pulled = weightDecay === 0 ? grad : grad.add(parameter.mul(weightDecay));
    if (momentum === 0) return { value: parameter.sub(pulled.mul(lr)), slots: {} };
    // The first gradient starts the sum whole.
    const direction = before ? before.mul(momentum).add(pulled.mul(1 - dampening)) : pulled.clone();
    const step = nesterov ? pulled.add(direction.mul(momentum)) : direction;
    return { value: parameter.sub(step.mul(lr)), slots: { momentum_buffer: direction } };
  }

  protected slotNames(settings: Required<SGDOptions>): readonly string[] {
    return settings.momentum === 0 ? [] : ["momentum_buffer"];
  }
}

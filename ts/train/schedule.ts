/** Learning rates over a training run. */

import { HooklensError } from "../engine/errors.ts";
import { requireObject } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";

/** Settings of {@link warmupCosine}. */
export interface WarmupCosineOptions {
  /** The highest learning rate. */
  readonly peak: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /**
   * Steps of linear growth at the start.
   * @default 0
   */
  readonly warmup?: number;
  /**
   * Share of `peak` left at the end.
   * @default 0
   */
  readonly floor?: number;
}

/**
 * The learning rate at a step, counted from 0: linear growth, then half a cosine down to the floor (Loshchilov &
 * Hutter, "SGDR", 2017). Steps after the last keep the floor.
 */
export function warmupCosine(step: number, options: WarmupCosineOptions): number {
  requireObject("warmupCosine", "options with peak and steps", options);
  checkOptionKeys("warmupCosine", options, ["peak", "steps", "warmup", "floor"]);
  const { peak, steps, warmup = 0, floor = 0 } = options;
  for (const [name, value] of Object.entries({ step, peak, steps, warmup, floor })) {
    if (typeof value === "number") continue;
    throw new HooklensError(
      "invalid_argument",
      `warmupCosine: ${name}: expected a number, got ${describe(value)}`,
    );
  }
  if (!(step >= 0) || !(warmup >= 0) || !(steps > warmup)) {
    throw new HooklensError(
      "invalid_argument",
      `warmupCosine: expected 0 <= step and 0 <= warmup < steps, got step ${step}, warmup ${warmup}, steps ${steps}`,
    );
  }
  if (step < warmup) return (peak * (step + 1)) / warmup;
  const progress = Math.min(1, (step - warmup) / (steps - warmup));
  return peak * (floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2);
}

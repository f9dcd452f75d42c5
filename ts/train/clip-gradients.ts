import { HooklensError } from "../engine/errors.ts";
import { requireIterable, requireTensor } from "../tensor/arguments.ts";
import { describe } from "../tensor/base.ts";
import { noGrad } from "../tensor/gradients.ts";
import { tidy } from "../tensor/memory.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * Scales all gradients down so that their common 2-norm is at most `largest` (Pascanu et al., "On the difficulty of
 * training recurrent neural networks", 2013). Parameters without a gradient do not count.
 *
 * @returns The norm before scaling. If it is not finite, nothing is scaled: the caller decides what to do.
 */
export function clipGradients(parameters: Iterable<Tensor>, largest: number): number {
  requireIterable("clipGradients", "a list of parameters", parameters);
  if (typeof largest !== "number" || !(largest > 0)) {
    throw new HooklensError(
      "invalid_argument",
      `clipGradients: expected a norm above 0, got ${describe(largest)}`,
    );
  }
  const trained = [...parameters].map(requireTensor).filter((parameter) => parameter.requiresGrad);
  return noGrad(() =>
    tidy(() => {
      const grads = trained.map((parameter) => [parameter, parameter.grad] as const);
      let squares = 0;
      for (const [, grad] of grads) squares += grad?.square().sum().item() ?? 0;
      const norm = Math.sqrt(squares);
      if (Number.isFinite(norm) && norm > largest) {
        for (const [parameter, grad] of grads) if (grad !== null) parameter.grad = grad.mul(largest / norm);
      }
      return norm;
    }),
  );
}

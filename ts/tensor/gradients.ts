/** Switching the recording of operations, parameters, and gradients as values. */

import { engine } from "../engine/current.ts";
import { HooklensError } from "../engine/errors.ts";
import { requireFunction, requireIterable } from "./arguments.ts";
import { handleOf, wrap } from "./base.ts";
import { isThenable } from "./memory.ts";
import { checkOptionKeys } from "./option-keys.ts";
import type { Tensor } from "./tensor.ts";

function withGrad<T>(name: string, on: boolean, body: () => T): T {
  requireFunction(name, body);
  const before = engine().setGradEnabled(on);
  try {
    const result = body();
    if (isThenable(result)) {
      result.then(undefined, () => undefined);
      throw new HooklensError(
        "invalid_argument",
        `${name} takes a function that is not async: the switch holds for the whole thread, also for other code that runs while yours awaits`,
      );
    }
    return result;
  } finally {
    engine().setGradEnabled(before);
  }
}

/**
 * Runs `body` without recording operations: its results require no gradient and hold no history. The setting before
 * comes back afterwards, also after a throw. `body` must not be async (`invalid_argument`).
 *
 * @example
 * ```ts
 * const [x, w] = [randn([4, 16]), parameter(randn([16, 16]))];
 * const prediction = noGrad(() => x.matmul(w));
 * prediction.requiresGrad; // false
 * ```
 */
export function noGrad<T>(body: () => T): T {
  return withGrad("noGrad", false, body);
}

/** Runs `body` with recording on, inside a {@link noGrad}. */
export function enableGrad<T>(body: () => T): T {
  return withGrad("enableGrad", true, body);
}

/** Whether operations are being recorded on this thread. */
export function isGradEnabled(): boolean {
  const before = engine().setGradEnabled(true);
  engine().setGradEnabled(before);
  return before;
}

/**
 * A trainable copy of a float tensor: a leaf that requires a gradient and that optimizers overwrite in place.
 *
 * @example
 * ```ts
 * const w = parameter(randn([16, 16]));
 * ```
 */
export function parameter<Axes extends readonly string[]>(value: Tensor<Axes>): Tensor<Axes> {
  const made = wrap<Axes>(engine().parameter(handleOf(value)), value.axes);
  parameters.add(made);
  return made;
}

/** The tensors that {@link parameter} made: no other property of theirs sets them apart from leaves. */
const parameters = new WeakSet<Tensor>();

/** Whether {@link parameter} made this tensor. Internal. */
export function isParameter(tensor: Tensor): boolean {
  return parameters.has(tensor);
}

/** Settings of {@link grad}. */
export interface GradOptions {
  /** Weighs the elements of an output of more than one. */
  readonly gradient?: Tensor | null;
  /** Keep the recorded operations for another pass. @default false */
  readonly retainGraph?: boolean;
  /** Give null for inputs that the output does not depend on, instead of throwing `autograd`. @default false */
  readonly allowUnused?: boolean;
}

/**
 * The gradients of `output` with respect to `inputs`, as values: no tensor's `grad` changes. Inputs may be
 * intermediate results.
 *
 * @example
 * ```ts
 * const x = tensor([1, 2], { requiresGrad: true });
 * const [dx] = grad(x.square().sum(), [x]);
 * dx.toArray(1); // [2, 4]
 * ```
 */
export function grad<const Inputs extends readonly Tensor[]>(
  output: Tensor,
  inputs: Inputs,
  options?: GradOptions & { readonly allowUnused?: false },
): { [K in keyof Inputs]: Tensor };
export function grad<const Inputs extends readonly Tensor[]>(
  output: Tensor,
  inputs: Inputs,
  options: GradOptions,
): { [K in keyof Inputs]: Tensor | null };
export function grad(
  output: Tensor,
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  checkOptionKeys("grad", options, ["gradient", "retainGraph", "allowUnused"]);
  requireIterable("grad", "a list of inputs", inputs);
  const asked = [...inputs];
  const seed = options.gradient ? handleOf(options.gradient) : null;
  const found = engine().gradients(handleOf(output), seed, asked.map(handleOf), options.retainGraph ?? false);
  const grads = found.map((handle, i) => (handle === null ? null : wrap(handle, asked[i]?.axes)));
  const missing = grads.indexOf(null);
  if (missing >= 0 && !options.allowUnused) {
    for (const other of grads) other?.dispose();
    throw new HooklensError(
      "autograd",
      `grad: the output does not depend on input ${missing}; pass allowUnused to get null for it`,
      { input: missing },
    );
  }
  return grads;
}

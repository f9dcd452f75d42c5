/**
 * Random tensors: the same seed gives the same numbers on every machine and in every engine.
 *
 * Each function takes a `seed` of its own; without one it draws from a generator of the process, which starts the same
 * in every process and which {@link manualSeed} restarts.
 */

import type { DType } from "../engine/engine.ts";
import { requireTensor } from "./arguments.ts";
import { CREATE_KEYS, type CreateOptions, finish } from "./create.ts";
import { callEngine, run } from "./operation.ts";
import { checkOptionKeys } from "./option-keys.ts";
import type { Tensor } from "./tensor.ts";

/** Settings of functions that create random tensors. */
export interface RandomOptions<D extends DType = DType> extends CreateOptions<D> {
  /** A whole number; the same one gives the same numbers. @default the process' generator */
  readonly seed?: number | bigint;
}

/** Settings of draws from given chances. */
export interface DrawOptions {
  /** A whole number; the same one gives the same draws. @default the process' generator */
  readonly seed?: number | bigint;
}

const RANDOM_KEYS: readonly string[] = [...CREATE_KEYS, "seed"];

/** Restarts the generator that draws without a seed of their own come from. */
export function manualSeed(seed: number | bigint): void {
  callEngine("manual_seed", [], { seed });
}

/** Uniform numbers in `[0, 1)`. */
export function rand<D extends DType = "float32">(
  shape: readonly number[],
  options: RandomOptions<D> = {},
): Tensor<readonly string[], D> {
  checkOptionKeys("rand", options, RANDOM_KEYS);
  const { dtype, device, seed } = options;
  return finish(callEngine("rand", [], { size: shape, dtype, device, seed })[0], options);
}

/** Normally distributed numbers of mean 0 and standard deviation 1. */
export function randn<D extends DType = "float32">(
  shape: readonly number[],
  options: RandomOptions<D> = {},
): Tensor<readonly string[], D> {
  checkOptionKeys("randn", options, RANDOM_KEYS);
  const { dtype, device, seed } = options;
  return finish(callEngine("randn", [], { size: shape, dtype, device, seed })[0], options);
}

/** Uniform whole numbers from `low` to before `high`. */
export function randint<D extends DType = "int64">(
  low: number,
  high: number,
  shape: readonly number[],
  options: RandomOptions<D> = {},
): Tensor<readonly string[], D> {
  checkOptionKeys("randint", options, RANDOM_KEYS);
  const { dtype, device, seed } = options;
  return finish(callEngine("randint", [], { low, high, size: shape, dtype, device, seed })[0], options);
}

/** The whole numbers below `n` in random order, int64 `[n]`. */
export function randperm(
  n: number,
  options: Omit<RandomOptions, "dtype"> = {},
): Tensor<readonly string[], "int64"> {
  checkOptionKeys("randperm", options, ["device", "requiresGrad", "seed"]);
  const { device, seed } = options;
  return finish(callEngine("randperm", [], { n, device, seed })[0], options);
}

/** Ones with the chances that a tensor's elements give, else zeros, in its shape and dtype. No gradient flows. */
export function bernoulli<Axes extends readonly string[], D extends DType>(
  chances: Tensor<Axes, D>,
  options: DrawOptions = {},
): Tensor<Axes, D> {
  checkOptionKeys("bernoulli", options, ["seed"]);
  return run("bernoulli", [chances], { seed: options.seed }, requireTensor(chances).axes);
}

/**
 * `count` indices for each row of weights `[n]` or `[rows, n]`, drawn in proportion to the weights, which need not add
 * up to 1; without `replacement` no index comes twice in a row. int64 `[count]` or `[rows, count]`.
 */
export function multinomial(
  weights: Tensor,
  count: number,
  options: DrawOptions & { readonly replacement?: boolean } = {},
): Tensor<readonly string[], "int64"> {
  checkOptionKeys("multinomial", options, ["replacement", "seed"]);
  const { replacement, seed } = options;
  return run("multinomial", [weights], { num_samples: count, replacement, seed });
}

/** Types of calls that take the arguments of `forward`, then options. */

import type { Tensor } from "../tensor/tensor.ts";

type NotOptions =
  | Tensor
  | ((...args: never[]) => unknown)
  | readonly unknown[]
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBufferView;

/** Whether a parameter of `forward` is a plain record of options, which ours can be merged into. */
type IsOptions<T> = [NonNullable<T>] extends [NotOptions]
  ? false
  : [NonNullable<T>] extends [object]
    ? true
    : false;

/**
 * The arguments of `forward` followed by `Options`. If its last parameter is a record of options, both go into one.
 */
export type WithOptions<Args extends readonly unknown[], Options> = number extends Args["length"]
  ? [Args[number]] extends [never]
    ? never
    : Args | readonly [...Args, Options]
  : Args extends readonly []
    ? [options?: Options]
    : Args extends readonly [infer Only]
      ? IsOptions<Only> extends true
        ? [input: Only & Options]
        : [input: Only, options?: Options]
      : Args extends readonly [infer First, ...infer Rest]
        ? [input: First, ...WithOptions<Rest, Options>]
        : Args extends readonly [(infer First)?, ...infer Rest]
          ? Rest extends readonly []
            ? IsOptions<First> extends true
              ? [options?: (First & Options) | Options]
              : [input?: First, options?: Options]
            : [input?: First, ...WithOptions<Rest, Options>]
          : never;

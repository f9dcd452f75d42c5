/**
 * Hook names as types. The names of a module's hook points, and the axes of what passes through them, follow from its
 * class: every property that holds a hook point, a module, or an array or map of them contributes its path. Arrays give
 * `${number}`, maps `${string}`.
 *
 * ```ts
 * import { HookedRootModule, HookPoint, Module, type PointsOf, type Tensor } from "hooklens";
 *
 * class Block extends Module {
 *   hookOut = new HookPoint(["batch", "pos", "d_model"]);
 * }
 * class Net extends HookedRootModule {
 *   blocks = [new Block()];
 *   forward(x: Tensor): Tensor {
 *     return x;
 *   }
 * }
 * export type P = PointsOf<Net>; // { [x: `blocks.${number}.hookOut`]: readonly ["batch", "pos", "d_model"] }
 * ```
 */

import type { HookPoint } from "./hook-point.ts";
import type { HookedRoot } from "./hooked-root.ts";
import type { Module } from "./module.ts";

/** Names of a tensor's axes, first axis first; `readonly string[]` when unknown. */
export type Axes = readonly string[];

/** Hook-point names and the axes of their activations. */
export type Points = { readonly [name: string]: Axes };

/** Marks a class whose points are listed by hand rather than derived from its properties. @internal */
export declare const pointNames: unique symbol;

type Join<Prefix extends string, Key extends string> = Prefix extends "" ? Key : `${Prefix}.${Key}`;

/** Properties that every module has; their hook points, if any, are views and not children. */
type OwnKeys<M> = Exclude<Extract<keyof M, string>, keyof HookedRoot | keyof Module>;

/**
 * No points. Not `unknown`, which would swallow the others in a union.
 * @inline
 */
type None = Record<never, never>;

/** The intersection of a union's members. */
type Merge<Union> = [Union] extends [never]
  ? None
  : (Union extends unknown ? (part: Union) => void : never) extends (whole: infer Whole) => void
    ? Whole
    : never;

/** Paths deeper than this are not typed (they still work, through predicates and expressions). */
type Deeper = [never, 0, 1, 2, 3, 4, 5, 6, 7];

type Collect<M, Prefix extends string, Depth extends number> = [Depth] extends [never]
  ? None
  : M extends HookPoint<infer A>
    ? { readonly [Name in Prefix]: A }
    : M extends readonly (infer Element)[]
      ? Collect<Element, Join<Prefix, `${number}`>, Deeper[Depth]>
      : M extends ReadonlyMap<string, infer Element>
        ? Collect<Element, Join<Prefix, string>, Deeper[Depth]>
        : M extends Readonly<Record<typeof pointNames, unknown>>
          ? None
          : M extends Module
            ? Merge<
                {
                  [Key in OwnKeys<M>]: Collect<NonNullable<M[Key]>, Join<Prefix, Key>, Deeper[Depth]>;
                }[OwnKeys<M>]
              >
            : None;

/** The hook points of a root: derived from the class of a module of one's own, listed for built-in models. */
export type PointsOf<Root> =
  Root extends Readonly<Record<typeof pointNames, infer P>> ? P : Collect<Root, "", 7>;

/** The names in `P`; any string when no name is known (a root seen through its base class). */
export type NameOf<P> = [keyof P] extends [never] ? string : Extract<keyof P, string>;

/** The axes of the point called `Name`. */
export type AxesAt<P, Name extends string> = Name extends keyof P
  ? P[Name] extends Axes
    ? P[Name]
    : Axes
  : Axes;

/**
 * A pattern over names: `*` stands for any characters (also dots), `?` for one, `[0-3]` for one of these, `{q,k}` for
 * one of these words.
 */
export type Glob = `${string}${"*" | "?" | "[" | "{"}${string}`;

/** The key under which the gradient at the point is cached. */
export type GradName<Name extends string> = `${Name}_grad`;

/** The axes of what is cached under `Key`, an activation or a gradient. */
export type AxesOfKey<P, Key extends string> =
  Key extends GradName<infer Name> ? AxesAt<P, Name> : AxesAt<P, Key>;

/**
 * Points with the axes that a cache has: without the batch axis where it was recorded with `removeBatchDim`, of unknown
 * names where only the running program knows whether.
 */
export type Recorded<P, RemoveBatch extends boolean> = [RemoveBatch] extends [false]
  ? P
  : {
      readonly [Name in keyof P]: [RemoveBatch] extends [true]
        ? P[Name] extends readonly ["batch", ...infer Rest]
          ? readonly [...Rest]
          : P[Name]
        : Axes;
    };

/** A key that is known only when the program runs; never for literals, so that misspelt ones do not pass. */
export type DynamicKey<Key extends string> = string extends Key
  ? Key
  : Key extends GradName<infer Name>
    ? string extends Name
      ? Key
      : never
    : never;

/** What can be attached to a hook point, and how one says to which. */

import type { CaptureOptions, EngineCache } from "../engine/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { HookPoint } from "./hook-point.ts";
import type { Intervention } from "./interventions.ts";
import type { Axes, AxesAt, Glob, NameOf } from "./names.ts";

/** Which way through a point: `fwd` sees activations, `bwd` sees gradients of the scalar with respect to them. */
export type HookDir = "fwd" | "bwd";

/** A direction, or both. */
export type HookDirs = HookDir | "both";

/** What a hook function is told about where it runs. */
export interface HookPointLike {
  /** The point's full name, or the alias under which the function runs. */
  readonly name: string;
  /** Scratch space of the point, kept between runs until contexts are cleared. */
  readonly ctx: Record<string, unknown>;
  /** The block number in the name: 7 for `blocks.7.attn.hook_z`. Throws for names without one. */
  layer(): number;
}

/**
 * What a hook function may return: a tensor of the same shape and dtype replaces the value, nothing leaves it alone.
 * Backward hooks may also return the gradient in an array of one.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: functions declared to return void are hooks that only look
export type HookResult = Tensor | readonly [Tensor] | null | undefined | void;

/**
 * A hook function. It runs synchronously. A function that names the axes it expects may be attached wherever they may
 * occur (it is compared both ways, like a method).
 */
export type HookFn<A extends Axes = Axes> = {
  /**
   * Gets what passes the point, an activation or a gradient, and where that is. The value may be kept. In a page, where
   * garbage collection does not know how large tensors are, a program that keeps many keeps `value.share()`: of what hooks
   * were given, the oldest is freed before memory runs out.
   */
  call(value: Tensor<A>, hook: HookPointLike): HookResult;
}["call"];

/** Chooses points by name. */
export type NamePredicate<P = unknown> = {
  /** True for the points that are meant. */
  call(name: NameOf<P>): boolean;
}["call"];

/** A hook that stores what passes: made by `getCachingHooks`, accepted wherever a hook function is. */
export class Capture {
  /** Where it stores. @internal */
  readonly cache: EngineCache;
  /** What it stores, and in which form. @internal */
  readonly options: CaptureOptions;
  /** Told the key after each recording; for destinations that the engine cannot write to. @internal */
  readonly deliver: ((key: string) => void) | null;

  /** @internal */
  constructor(cache: EngineCache, options: CaptureOptions, deliver: ((key: string) => void) | null = null) {
    this.cache = cache;
    this.options = options;
    this.deliver = deliver;
  }
}

/** What can be attached to a point: a function, or data that the engine runs by itself. */
export type Hook<A extends Axes = Axes> = HookFn<A> | Intervention | Capture;

/** How to name hook points: exactly, by a glob, an expression, the point itself, or a predicate over names. */
export type HookTarget<P = unknown> = NameOf<P> | Glob | RegExp | HookPoint | NamePredicate<P>;

/** Name → what to attach. Names are checked and functions typed by the compiler. */
export type HookTable<P = unknown> = {
  readonly [Name in NameOf<P>]?: Hook<AxesAt<P, Name>> | readonly Hook<AxesAt<P, Name>>[];
} & { readonly [Name in Glob]?: Hook | readonly Hook[] };

/** How a hook of a {@link HookList} is attached. */
export interface ListedHookOptions {
  /**
   * Let a function return an activation of another shape: see `addHook`.
   * @default false
   */
  readonly allowShapeChange?: boolean;
}

/**
 * Pairs in the order in which they are attached; for several hooks on a point, expressions and predicates. Options may
 * follow the hook.
 */
export type HookList<P = unknown> = readonly (readonly [
  target: HookTarget<P>,
  hook: Hook | readonly Hook[],
  options?: ListedHookOptions,
])[];

/** Either form. */
export type Hooks<P = unknown> = HookTable<P> | HookList<P>;

/** What `hooks()` and `withHooks()` take. */
export interface ScopeOptions<P = unknown> {
  /** Attached to activations. */
  readonly fwdHooks?: Hooks<P>;
  /** Attached to gradients. */
  readonly bwdHooks?: Hooks<P>;
  /**
   * Whether the hooks go when the scope ends.
   * @default true
   */
  readonly resetHooksEnd?: boolean;
  /**
   * Whether the scratch space of every point is emptied when the scope ends.
   * @default false
   */
  readonly clearContexts?: boolean;
}

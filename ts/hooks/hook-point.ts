/** Hook points: where a model can be looked into and changed. */

import type { DType } from "../engine/engine.ts";
import { hooklensError } from "../engine/errors.ts";
import { requireIterable, requireText } from "../tensor/arguments.ts";
import { describe, handleOf, isTensor, wrap } from "../tensor/base.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkFlags } from "./call-options.ts";
import type { LensHandle } from "./handle.ts";
import type { Hook, HookDir, HookDirs } from "./hook-fn.ts";
import { HookStore, type Site } from "./hook-store.ts";
import { Module } from "./module.ts";
import type { Axes } from "./names.ts";

declare const axesOf: unique symbol;

/** How {@link HookPoint.addHook} attaches. */
export interface AddHookOptions {
  /**
   * Activations or gradients.
   * @default "fwd"
   */
  readonly dir?: HookDir;
  /**
   * Survive `resetHooks()` and every other removal that does not say `includingPermanent`.
   * @default false
   */
  readonly isPermanent?: boolean;
  /** A label by which `removeHooks({ level })` finds it. */
  readonly level?: number | null;
  /**
   * Run before the hooks that are there, instead of after.
   * @default false
   */
  readonly prepend?: boolean;
  /** Run once under each of these names, instead of once under the point's own. */
  readonly aliasNames?: readonly string[] | null;
  /**
   * Let a function return an activation of another shape, which is an error otherwise. The number of axes must stay at
   * points that declare theirs, and so must the dtype. Nothing downstream is adapted: what comes next sees the new shape,
   * broadcasts it, or fails with its own error. Gradients flow back through whatever the function did; a gradient
   * recorded at the point has the new shape. Not for hooks on gradients.
   * @default false
   */
  readonly allowShapeChange?: boolean;
}

/** Which hooks a removal or a question is about. */
export interface HookFilter {
  /** Activations, gradients or both. */
  readonly dir?: HookDirs;
  /** Permanent hooks too. */
  readonly includingPermanent?: boolean;
  /** Only hooks of this level. */
  readonly level?: number | null;
}

/** What hooks of a point see instead of its value, and how their answers come back. */
export interface HookConversion {
  /** Makes what hooks see. */
  convert(value: Tensor): Tensor;
  /** Makes, of what a hook returned, what flows on. */
  revert(value: Tensor): Tensor;
}

/** What {@link HookPoint} tells the registry. */
export interface PointOptions {
  /**
   * Whether an unfiltered cache records the point.
   * @default true
   */
  readonly default?: boolean;
  /**
   * Whether its activation has an axis `head` after `pos` while something looks at the heads' own inputs.
   * @internal
   */
  readonly splits?: boolean;
}

const ADD_KEYS: readonly string[] = [
  "dir",
  "isPermanent",
  "level",
  "prepend",
  "aliasNames",
  "allowShapeChange",
];
const FILTER_KEYS: readonly string[] = ["dir", "includingPermanent", "level"];

/** Throws unless the options are those of {@link HookPoint.addHook}. Internal. */
export function checkAddOptions(options: AddHookOptions): void {
  checkOptionKeys("addHook", options, ADD_KEYS);
  checkDir(options.dir ?? "fwd", false);
}

/** Throws unless `dir` is a direction. Internal. */
export function checkDir(dir: unknown, both: boolean): void {
  if (dir === "fwd" || dir === "bwd" || (both && dir === "both")) return;
  throw hooklensError(
    "invalid_argument",
    `Invalid direction ${describe(dir)}: expected 'fwd'${both ? ", 'bwd' or 'both'" : " or 'bwd'"}`,
    { dir: describe(dir) },
  );
}

/** The block number in a hook name. Internal. */
export function layerOf(name: string | null): number {
  if (name === null) {
    throw hooklensError("invalid_argument", "layer(): this hook point has no name yet: setup() gives it one");
  }
  const part = name.split(".")[1];
  if (part === undefined || !/^-?\d+$/.test(part)) {
    throw hooklensError(
      "invalid_argument",
      `layer(): hook '${name}' belongs to no layer: its second part is not a number`,
      { name },
    );
  }
  return Number(part);
}

/**
 * The identity, placed on an activation: hooks attached to it see and may replace what passes, and its gradient.
 *
 * @typeParam A names of the activation's axes, from the constructor's argument.
 * @category The hook point
 */
export class HookPoint<const A extends Axes = Axes> extends Module {
  /** Exists in types only. @internal */
  declare readonly [axesOf]: A;
  readonly #axes: readonly string[];
  readonly #default: boolean;
  readonly #splits: boolean;
  #ctx: Record<string, unknown> = {};
  #conversion: HookConversion | null = null;
  #site: Site | null = null;

  /**
   * @param axes names of the activation's axes, first axis first, such as `["batch", "pos", "d_model"]`. They become
   *   part of the type of what hooks and caches give, and say where the batch and the positions are.
   */
  constructor(axes?: A, options: PointOptions = {}) {
    super();
    checkOptionKeys("HookPoint", options, ["default", "splits"]);
    if (axes !== undefined && axes !== null) requireIterable("HookPoint", "names of axes", axes);
    this.#axes = Object.freeze([...(axes ?? [])]);
    for (const axis of this.#axes) requireText("HookPoint", "names of axes", axis);
    this.#default = options.default ?? true;
    this.#splits = options.splits ?? false;
  }

  /** Names of the activation's axes; empty if unknown. */
  get axes(): readonly string[] {
    return this.#axes;
  }

  /** Names of the axes of one activation: {@link axes}, unless the point is one that splits. @internal */
  axesOf(activation: { readonly shape: readonly number[] }): readonly string[] {
    if (!this.#splits || activation.shape.length === this.#axes.length) return this.#axes;
    const [batch = "batch", pos = "pos", ...rest] = this.#axes;
    return [batch, pos, "head", ...rest];
  }

  /** Whether an unfiltered cache records the point. */
  get isDefault(): boolean {
    return this.#default;
  }

  /** Scratch space for hook functions, kept between runs until contexts are cleared. */
  get ctx(): Record<string, unknown> {
    return this.#ctx;
  }

  /** What {@link enableReshape} set. */
  get hookConversion(): HookConversion | null {
    return this.#conversion;
  }

  /** Hooks on activations, in execution order. */
  get fwdHooks(): readonly LensHandle[] {
    return this.#handles("fwd");
  }

  /** Hooks on gradients, in execution order. */
  get bwdHooks(): readonly LensHandle[] {
    return this.#handles("bwd");
  }

  /**
   * Attaches a hook: a function, an intervention or a capture.
   *
   * @returns its handle, whose `remove()` detaches it.
   */
  addHook(hook: Hook<A>, options: AddHookOptions = {}): LensHandle {
    checkAddOptions(options);
    const { dir = "fwd", isPermanent = false, level = null, prepend = false } = options;
    const { aliasNames, allowShapeChange = false } = options;
    checkFlags({ isPermanent, prepend, allowShapeChange });
    const { store, id } = this.#attachedSite();
    const attached = { hook, dir, isPermanent, level, aliasNames: aliasNames ?? [], allowShapeChange };
    return store.add(id, attached, prepend);
  }

  /** {@link addHook} with `isPermanent`. */
  addPermaHook(hook: Hook<A>, options: { readonly dir?: HookDir } = {}): LensHandle {
    return this.addHook(hook, { ...options, isPermanent: true });
  }

  /** Detaches hooks; by default those on activations that are not permanent. */
  removeHooks(filter: HookFilter = {}): void {
    checkOptionKeys("removeHooks", filter, FILTER_KEYS);
    const { dir = "fwd", includingPermanent = false, level = null } = filter;
    checkDir(dir, true);
    this.#site?.store.removeWhere(this.#site.id, dir, includingPermanent, level);
  }

  /** Whether a hook is attached; by default in either direction and of any kind. */
  hasHooks(filter: HookFilter = {}): boolean {
    checkOptionKeys("hasHooks", filter, FILTER_KEYS);
    const { dir = "both", includingPermanent = true, level = null } = filter;
    checkDir(dir, true);
    return [...this.fwdHooks, ...this.bwdHooks].some(
      (handle) =>
        (dir === "both" || handle.dir === dir) &&
        (includingPermanent || !handle.isPermanent) &&
        (level === null || handle.contextLevel === level),
    );
  }

  /** Puts a new, empty object in place of {@link ctx}. */
  clearContext(): void {
    this.#ctx = {};
  }

  /** The block number in the name: 7 for `blocks.7.attn.hook_z`. Throws for names without one. */
  layer(): number {
    return layerOf(this.name);
  }

  /** Lets hooks see a converted value; null ends that. */
  enableReshape(conversion: HookConversion | null = null): void {
    const before = this.#conversion;
    this.#conversion = conversion;
    try {
      this.#site?.store.reattach(this.#site.id);
    } catch (thrown) {
      this.#conversion = before;
      throw thrown;
    }
  }

  /** Passes a value through the point: gives it back, as the attached hooks left it; itself if they left it alone. */
  forward<X extends Axes, D extends DType>(x: Tensor<X, D>): Tensor<X, D> {
    const site = this.#site;
    // Also without hooks: a model must not begin to fail when one is attached.
    if (this.#axes.length > 0 && isTensor(x) && this.#axes.length !== x.shape.length) {
      throw hooklensError(
        "rank_mismatch",
        `hook point '${this.name}' has the axes [${this.#axes.join(", ")}] and was given shape [${x.shape.join(", ")}]`,
        { name: this.name, axes: this.#axes, shape: x.shape },
      );
    }
    if (site === null || site.live === 0) return x;
    const handle = handleOf(x);
    const passed = site.store.registry.fire(site.id, handle);
    if (site.backward > 0) site.store.holdRecorded();
    if (passed === handle) return x;
    // A hook that may change the shape may change the number of axes.
    return wrap(passed, x.axes.length === 0 || passed.shape.length === x.axes.length ? x.axes : []);
  }

  /** `HookPoint(name='x', 2 fwd, 1 bwd)` */
  override toString(): string {
    const parts = this.name === null ? [] : [`name='${this.name}'`];
    for (const dir of ["fwd", "bwd"] as const) {
      const count = this.#handles(dir).length;
      if (count > 0) parts.push(`${count} ${dir}`);
    }
    return `HookPoint(${parts.join(", ")})`;
  }

  /** Shows {@link toString} when logged. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** Where it is attached. @internal */
  get site(): Site | null {
    return this.#site;
  }

  /** Attaches it to a registry. @internal */
  set site(site: Site | null) {
    this.#site = site;
  }

  /** A point that belongs to no root gets a registry of its own, so that it works alone. */
  #attachedSite(): Site {
    if (this.#site === null) HookStore.build([this], [this.name ?? "hook"]);
    if (this.#site === null) throw hooklensError("internal", "a hook point was not attached to its registry");
    return this.#site;
  }

  #handles(dir: HookDir): LensHandle[] {
    const site = this.#site;
    return site === null || site.live === 0
      ? []
      : site.store.list(site.id).filter((handle) => handle.dir === dir);
  }
}

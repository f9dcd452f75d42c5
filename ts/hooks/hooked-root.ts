/**
 * The hook API of a model, defined once: `HookedRootModule` gives it to modules of one's own, `HookedTransformer` to
 * built-in models.
 */

import { ActivationMap } from "../cache/activation-map.ts";
import { hooklensError } from "../engine/errors.ts";
import { requireFunction } from "../tensor/arguments.ts";
import { describe, isTensor } from "../tensor/base.ts";
import { isThenable } from "../tensor/memory.ts";
import { checkOptionKeys } from "../tensor/option-keys.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  type CacheFor,
  type CachingOptions,
  captureAt,
  captureInto,
  type IntoCacheOptions,
  into,
  type RunWithCacheOptions,
} from "./caching.ts";
import { checkFlags } from "./call-options.ts";
import { type HookHandles, type LensHandle, together } from "./handle.ts";
import {
  Capture,
  type Hook,
  type HookDir,
  type HookDirs,
  type Hooks,
  type HookTarget,
  type ListedHookOptions,
  type NamePredicate,
  type ScopeOptions,
} from "./hook-fn.ts";
import { type AddHookOptions, checkAddOptions, checkDir, HookPoint } from "./hook-point.ts";
import type { Entry, HookStore } from "./hook-store.ts";
import { warn } from "./logger.ts";
import { Module } from "./module.ts";
import type { Axes, AxesAt, PointsOf } from "./names.ts";
import { HookScope, within } from "./scope.ts";
import { type Chosen, type NamesFilter, PointTable, settledFilter } from "./selection.ts";

/** The axes of what passes the points that a target means, where one name says it. */
export type AxesOfTarget<P, Target> = Target extends string
  ? AxesAt<P, Target>
  : Target extends HookPoint<infer A>
    ? A
    : Axes;

/** Which hooks `removeAllHookFns` and `resetHooks` remove. */
export interface ResetOptions {
  /** @default "both" */
  readonly direction?: HookDirs;
  /**
   * Permanent hooks too.
   * @default false
   */
  readonly includingPermanent?: boolean;
  /** Only hooks of this level. */
  readonly level?: number | null;
}

/** Which hooks `listHooks` shows. */
export interface ListHooksOptions<P = unknown> {
  /** Only at these points. */
  readonly nameFilter?: NamesFilter<P>;
  /** @default "both" */
  readonly dir?: HookDirs;
  /** @default true */
  readonly includingPermanent?: boolean;
}

/** How a hook is about to be attached, for {@link HookedRoot.checkHooksToAdd}. */
export type CheckedHookOptions = Required<Pick<AddHookOptions, "dir" | "isPermanent" | "level" | "prepend">>;

/** What `getCachingHooks` gives. */
export type CachingHooks<Cache> = [
  cache: Cache,
  fwdHooks: readonly (readonly [HookPoint, Capture])[],
  bwdHooks: readonly (readonly [HookPoint, Capture])[],
];

/** What a recorded run gives, before it has its type. @internal */
export type Recording = [output: unknown, cache: ActivationMap | Map<string, Tensor>];

/** Where a recording goes, and what runs something with the recording on. @internal */
export interface Recorder {
  readonly result: ActivationMap | Map<string, Tensor>;
  within<Result>(body: () => Result): Result;
}

/** What `runWithCache` records. */
interface RecordedPoints {
  readonly chosen: readonly Chosen[];
  readonly capture: Capture;
  readonly inclBwd: boolean;
}

/** The keys of {@link ScopeOptions}. */
export const SCOPE_KEYS: ReadonlySet<string> = new Set([
  "fwdHooks",
  "bwdHooks",
  "resetHooksEnd",
  "clearContexts",
]);

const RESET_KEYS: readonly string[] = ["direction", "includingPermanent", "level"];
const CACHING_KEYS: readonly string[] = [
  "namesFilter",
  "inclBwd",
  "device",
  "dtype",
  "removeBatchDim",
  "posSlice",
  "cache",
];

/** Targets, hooks and options, in order, from either form of {@link Hooks}. */
function listed(hooks: Hooks | undefined): [unknown, Hook, ListedHookOptions][] {
  if (hooks === undefined || hooks === null) return [];
  if (typeof hooks !== "object" || Symbol.iterator in hooks !== Array.isArray(hooks)) {
    throw hooklensError(
      "invalid_argument",
      `hooks: expected an object of names and hooks, or a list of [name, hook], got ${describe(hooks)}`,
    );
  }
  const list: readonly (readonly unknown[])[] = Array.isArray(hooks) ? hooks : Object.entries(hooks);
  return list.flatMap((entry) => {
    if (!Array.isArray(entry) || entry.length < 2 || entry.length > 3) {
      throw hooklensError("invalid_argument", "hooks: each entry of a list must be [name, hook]");
    }
    const [target, attached, options = {}] = entry as [unknown, Hook | readonly Hook[], ListedHookOptions?];
    checkOptionKeys("hooks", options, ["allowShapeChange"]);
    const several: readonly Hook[] = Array.isArray(attached) ? attached : [attached as Hook];
    return several.map((hook): [unknown, Hook, ListedHookOptions] => [target, hook, options]);
  });
}

/**
 * A model with hook points.
 *
 * @category Hooks and caches
 */
export abstract class HookedRoot extends Module {
  #table: PointTable | null = null;
  #modules: ReadonlyMap<string, Module> = new Map();
  #level = 0;

  /** Runs the model. */
  abstract forward(...args: never[]): unknown;

  /** Takes the points of a store as this root's, under their names; `modules` are all parts by name. @internal */
  protected attach(store: HookStore, modules: ReadonlyMap<string, Module>): void {
    const points = new Map<string, HookPoint>();
    for (const point of store.points) points.set(point.name ?? "", point);
    this.#modules = modules;
    this.#table = new PointTable(store, points, (name) => modules.has(name));
    store.veto = (point, { hook, dir, isPermanent, level }, prepend) => {
      this.checkHooksToAdd(point, point.name ?? "", hook, { dir, isPermanent, level, prepend });
    };
  }

  #points(): PointTable {
    if (this.#table !== null) return this.#table;
    throw hooklensError(
      "not_set_up",
      `${this.constructor.name} is not set up: call this.setup() at the end of its constructor`,
    );
  }

  /** The hook points by name, in the order of definition. */
  get hookDict(): ReadonlyMap<string, HookPoint> {
    return this.#points().points;
  }

  /** All modules below the root by name, hook points among them. */
  get modDict(): ReadonlyMap<string, Module> {
    this.#points();
    return this.#modules;
  }

  /**
   * The hook point of a name that is known only when the program runs, such as one from a list: points are accepted
   * wherever the compiler asks for a known name. Throws `unknown_hook` with the nearest names.
   */
  hookPoint(name: string): HookPoint {
    const [chosen, ...more] = this.#points().choose(name);
    if (chosen !== undefined && more.length === 0) return chosen.point;
    throw hooklensError("invalid_names_filter", `'${name}' means ${more.length + 1} hook points, not one`, {
      name,
    });
  }

  /** The hook points, in the order of definition. */
  hookPoints(): IterableIterator<HookPoint> {
    return this.hookDict.values();
  }

  /** Whether anything attached now records into a cache. */
  get isCaching(): boolean {
    if (this.#table === null) return false;
    return [...this.hookPoints()].some((point) =>
      [...point.fwdHooks, ...point.bwdHooks].some((handle) => handle.userHook instanceof Capture),
    );
  }

  /** How many scopes of hooks are open. */
  get contextLevel(): number {
    return this.#level;
  }

  /**
   * Called before each hook is attached, from whatever entry point; override it to refuse, by throwing.
   */
  checkHooksToAdd(_point: HookPoint, _name: string, _hook: Hook, _options: CheckedHookOptions): void {}

  /** {@link checkHooksToAdd}, then attaches the hook to the point. */
  checkAndAddHook(point: HookPoint, _name: string, hook: Hook, options: AddHookOptions = {}): LensHandle {
    if (!(point instanceof HookPoint)) {
      throw hooklensError(
        "invalid_argument",
        `checkAndAddHook: expected a HookPoint, got ${describe(point)}`,
      );
    }
    return point.addHook(hook, options);
  }

  /**
   * Attaches a hook to one point by name, or to all that a pattern or predicate matches, in the order of the points.
   *
   * @returns the handles, one for each point, whose `remove()` detaches all of them. Whatever attaches hooks gives
   *   something with `remove()` that `using` ends: {@link HookPoint.addHook} one handle, this a list of them.
   * @example
   * ```ts
   * const handles = model.addHook("blocks.*.attn.hook_z", (z) => z.mul(0.5));
   * handles.remove();
   * ```
   * @throws `unknown_hook` with the nearest names; `invalid_names_filter` for a pattern that matches nothing.
   */
  addHook<const Target extends HookTarget<PointsOf<this>>>(
    target: Target,
    hook: Hook<AxesOfTarget<PointsOf<this>, Target>>,
    options: AddHookOptions = {},
  ): HookHandles {
    checkAddOptions(options);
    return together(this.#add(this.#points().choose(target), hook as Hook, options));
  }

  /** {@link addHook} with `isPermanent`: the hook survives `resetHooks()`. */
  addPermaHook<const Target extends HookTarget<PointsOf<this>>>(
    target: Target,
    hook: Hook<AxesOfTarget<PointsOf<this>, Target>>,
    options: { readonly dir?: HookDir } = {},
  ): HookHandles {
    return this.addHook(target, hook, { ...options, isPermanent: true });
  }

  /** Attaches to all or, if one refuses, to none. */
  #add(chosen: readonly Chosen[], hook: Hook, options: AddHookOptions): LensHandle[] {
    return allOrNone(chosen, ({ name, point }) => this.checkAndAddHook(point, name, hook, options));
  }

  /** Removes hooks from all points; by default all but the permanent ones. */
  removeAllHookFns(options: ResetOptions = {}): void {
    checkOptionKeys("removeAllHookFns", options, RESET_KEYS);
    const { direction = "both", includingPermanent = false, level = null } = options;
    checkDir(direction, true);
    for (const point of this.hookPoints()) point.removeHooks({ dir: direction, includingPermanent, level });
  }

  /** Empties the scratch space of all points. */
  clearContexts(): void {
    for (const point of this.hookPoints()) point.clearContext();
  }

  /** {@link removeAllHookFns} and, unless told otherwise, {@link clearContexts}. */
  resetHooks(options: ResetOptions & { readonly clearContexts?: boolean } = {}): void {
    checkOptionKeys("resetHooks", options, [...RESET_KEYS, "clearContexts"]);
    const { clearContexts = true, ...which } = options;
    this.removeAllHookFns(which);
    if (clearContexts) this.clearContexts();
  }

  /** The hooks by point, forward before backward, in execution order; points without any are left out. */
  listHooks(options: ListHooksOptions<PointsOf<this>> = {}): Map<string, LensHandle[]> {
    checkOptionKeys("listHooks", options, ["nameFilter", "dir", "includingPermanent"]);
    const { nameFilter, dir = "both", includingPermanent = true } = options;
    checkDir(dir, true);
    const table = this.#points();
    const chosen =
      nameFilter === undefined || nameFilter === null
        ? [...table.points].map(([name, point]) => ({ name, point }))
        : table.filter(nameFilter);
    const listed = new Map<string, LensHandle[]>();
    for (const { name, point } of chosen) {
      const handles = [
        ...(dir === "bwd" ? [] : point.fwdHooks),
        ...(dir === "fwd" ? [] : point.bwdHooks),
      ].filter((handle) => includingPermanent || !handle.isPermanent);
      if (handles.length > 0) listed.set(name, handles);
    }
    return listed;
  }

  /**
   * Attaches hooks until the end of a block:
   *
   * ```ts
   * {
   *   using scope = model.hooks({ fwdHooks: { "blocks.1.attn.hook_z": (z) => z.mul(0) } });
   *   model.forward(prompt);
   * } // gone, also after a throw
   * ```
   *
   * Scopes nest; each removes the hooks that it attached and no others. If one hook cannot be attached, none is.
   */
  hooks(options: ScopeOptions<PointsOf<this>> = {}): HookScope<this> {
    checkOptionKeys("hooks", options, [...SCOPE_KEYS]);
    return this.#scope(options as ScopeOptions);
  }

  /** `recorded` are captured after the hooks, gradients too with `inclBwd`. */
  #scope(
    { fwdHooks, bwdHooks, resetHooksEnd = true, clearContexts = false }: ScopeOptions,
    recorded: RecordedPoints | null = null,
  ): HookScope<this> {
    checkFlags({ resetHooksEnd, clearContexts });
    const table = this.#points();
    const level = ++this.#level;
    const handles: LensHandle[] = [];
    const captured: Entry[] = [];
    const scope = (reset: boolean) =>
      new HookScope(this, level, handles, captured, {
        resetHooksEnd: reset,
        clearContexts: () => {
          if (clearContexts) this.clearContexts();
        },
        leave: () => {
          this.#level--;
        },
      });
    try {
      for (const [dir, hooks] of [["fwd", fwdHooks] as const, ["bwd", bwdHooks] as const]) {
        for (const [target, hook, options] of listed(hooks)) {
          handles.push(...this.#add(table.choose(target), hook, { ...options, dir, level }));
        }
        if (recorded === null || (dir === "bwd" && !recorded.inclBwd)) continue;
        const { capture, chosen } = recorded;
        // At once where all is the engine's, one by one where functions or names of our own are needed.
        const together = ({ name, point }: Chosen) =>
          capture.deliver === null &&
          point.hookConversion === null &&
          point.site?.store === table.store &&
          point.name === name;
        const ids = chosen.filter(together).flatMap(({ point }) => point.site?.id ?? []);
        captured.push(...table.store.capture(ids, dir, capture, level));
        for (const each of chosen.filter((one) => !together(one))) {
          handles.push(...this.#add([each], captureAt(each, capture, dir), { dir, level }));
        }
      }
    } catch (thrown) {
      scope(true).dispose();
      throw thrown;
    }
    return scope(resetHooksEnd);
  }

  /** The callback form of {@link hooks}: the hooks are there while `body` runs, or until its promise settles. */
  async withHooks<Result>(
    options: ScopeOptions<PointsOf<this>>,
    body: (model: this) => Result | Promise<Result>,
  ): Promise<Result> {
    requireFunction("withHooks", body);
    const scope = this.hooks(options);
    try {
      return await body(this);
    } finally {
      scope.dispose();
    }
  }

  /** Runs the model with hooks that are gone afterwards; typed by the kinds of models. */
  abstract runWithHooks(...args: never): unknown;

  /** {@link runWithHooks} with the arguments taken apart. @internal */
  protected runScoped(
    inputs: readonly unknown[],
    options: ScopeOptions,
    forward: HookedRoot["forward"] = this.forward,
  ): unknown {
    if (listed(options.bwdHooks).length > 0 && (options.resetHooksEnd ?? true)) {
      warn(
        "runWithHooks removes its hooks when it returns, before a backward pass can run: use `hooks()` around both, or `resetHooksEnd: false`",
      );
    }
    return within(this.#scope(options), () => Reflect.apply(forward, this, inputs));
  }

  /** Runs the model and records what passes its hook points; typed by the kinds of models. */
  abstract runWithCache(...args: never): unknown;

  /** {@link runWithCache} with the arguments taken apart. @internal */
  protected runRecorded(
    inputs: readonly unknown[],
    options: RunWithCacheOptions,
    cache: ActivationMap,
    forward: HookedRoot["forward"] = this.forward,
  ): Recording | Promise<Recording> {
    const { result, within: inScope } = this.recorder(options, cache);
    const finish = (output: unknown): Recording => {
      if (options.inclBwd === true) this.scalarOf(output).backward();
      return [output, result];
    };
    return inScope(() => {
      const output: unknown = Reflect.apply(forward, this, inputs);
      return isThenable(output) ? Promise.resolve(output).then(finish) : finish(output);
    });
  }

  /** Where a recording goes, and how to run something whose passing of hook points is recorded. @internal */
  protected recorder(options: RunWithCacheOptions, cache: ActivationMap): Recorder {
    const { resetHooksEnd = true, clearContexts = false, returnCacheObject = true } = options;
    checkFlags({ inclBwd: options.inclBwd, returnCacheObject });
    const result = returnCacheObject ? cache : new Map<string, Tensor>();
    const destination = result instanceof Map ? into(result, cache) : cache;
    const recorded: RecordedPoints = {
      chosen: this.#points().filter(options.namesFilter),
      capture: captureInto(destination, options),
      inclBwd: options.inclBwd === true,
    };
    return {
      result,
      within: (body) => within(this.#scope({ resetHooksEnd, clearContexts }, recorded), body),
    };
  }

  /** The one-element tensor in the model's output that `inclBwd` starts from. @internal */
  protected scalarOf(output: unknown): Tensor {
    if (!isTensor(output) || output.size !== 1) {
      const got = isTensor(output) ? [...output.shape] : [];
      const what = isTensor(output) ? `a tensor of shape [${got.join(", ")}]` : `${typeof output}`;
      throw hooklensError(
        "scalar_required",
        `inclBwd: the output must be a tensor with one element, got ${what}; use returnType 'loss' or reduce it first`,
        { got },
      );
    }
    if (!output.requiresGrad) {
      throw hooklensError(
        "autograd",
        "inclBwd: the output depends on no recorded point through recorded operations (is this inside noGrad?)",
      );
    }
    return output;
  }

  /** An empty cache for this root's points, to be filled as the options say. @internal */
  protected newCache(_options: CachingOptions = {}): ActivationMap {
    const points = this.hookDict;
    return new ActivationMap((name) => points.get(name)?.axes ?? []);
  }

  /**
   * The hooks that would record, without attaching them: `[cache, fwdHooks, bwdHooks]`, to be given to `hooks()` or
   * `runWithHooks`. `cache` is the one of the options, or a new one.
   */
  getCachingHooks<
    RemoveBatch extends boolean = false,
    Cache extends ActivationMap | Map<string, Tensor> = CacheFor<this, RemoveBatch>,
  >(options: IntoCacheOptions<PointsOf<this>, RemoveBatch, Cache> = {}): CachingHooks<Cache> {
    return this.#cachingHooks(options as IntoCacheOptions) as CachingHooks<Cache>;
  }

  #cachingHooks(given: IntoCacheOptions): CachingHooks<ActivationMap | Map<string, Tensor>> {
    checkOptionKeys("getCachingHooks", given, CACHING_KEYS);
    const options = { ...given, namesFilter: settledFilter(given.namesFilter) ?? null };
    const cache: unknown = options.cache ?? this.newCache(options);
    if (!(cache instanceof ActivationMap || cache instanceof Map)) {
      throw hooklensError(
        "invalid_argument",
        `cache: expected a Map or a cache of this library, got ${describe(cache)}`,
      );
    }
    const destination = cache instanceof Map ? into(cache, this.newCache(options)) : cache;
    const chosen = this.#points().filter(options.namesFilter);
    const capture = captureInto(destination, options);
    const hooks = (dir: HookDir) =>
      chosen.map((each): [HookPoint, Capture] => [each.point, captureAt(each, capture, dir)]);
    return [cache, hooks("fwd"), options.inclBwd === true ? hooks("bwd") : []];
  }

  /**
   * Records every run from now on, until `resetHooks()`. Gives the cache, the one of the options or a new one, which each
   * run overwrites.
   */
  addCachingHooks<
    RemoveBatch extends boolean = false,
    Cache extends ActivationMap | Map<string, Tensor> = CacheFor<this, RemoveBatch>,
  >(options: IntoCacheOptions<PointsOf<this>, RemoveBatch, Cache> = {}): Cache {
    return this.#addCachingHooks(options as IntoCacheOptions) as Cache;
  }

  #addCachingHooks(options: IntoCacheOptions): ActivationMap | Map<string, Tensor> {
    const [cache, fwd, bwd] = this.#cachingHooks(options);
    const captures = [
      ...fwd.map(([point, capture]) => ({ point, capture, dir: "fwd" as const })),
      ...bwd.map(([point, capture]) => ({ point, capture, dir: "bwd" as const })),
    ];
    allOrNone(captures, ({ point, capture, dir }) =>
      this.checkAndAddHook(point, point.name ?? "", capture, { dir }),
    );
    return cache;
  }

  /** @deprecated Use {@link addCachingHooks} or {@link runWithCache}. */
  cacheAll(
    cache: ActivationMap<PointsOf<this>> | Map<string, Tensor>,
    options: Omit<CachingOptions, "namesFilter"> = {},
  ): void {
    warn("cacheAll is deprecated: use addCachingHooks or runWithCache");
    this.#addCachingHooks({ ...options, cache: cache as Map<string, Tensor> });
  }

  /** @deprecated Use {@link addCachingHooks} or {@link runWithCache}. */
  cacheSome(
    cache: ActivationMap<PointsOf<this>> | Map<string, Tensor>,
    names: NamePredicate<PointsOf<this>>,
    options: Omit<CachingOptions, "namesFilter"> = {},
  ): void {
    warn("cacheSome is deprecated: use addCachingHooks or runWithCache");
    const namesFilter = names as NamePredicate;
    this.#addCachingHooks({ ...options, namesFilter, cache: cache as Map<string, Tensor> });
  }
}

/** Attaches a hook for each item; if one is refused, those before it are removed again. */
function allOrNone<Item>(items: readonly Item[], attach: (item: Item) => LensHandle): LensHandle[] {
  const handles: LensHandle[] = [];
  try {
    for (const item of items) handles.push(attach(item));
  } catch (thrown) {
    for (const handle of handles.toReversed()) handle.remove();
    throw thrown;
  }
  return handles;
}

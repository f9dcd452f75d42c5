/** Hooks for modules of one's own. */

import type { ActivationMap } from "../cache/activation-map.ts";
import { CACHE_KEYS, type CacheOrMap, type RunWithCacheOptions } from "./caching.ts";
import type { WithOptions } from "./call-arguments.ts";
import { splitOptions } from "./call-options.ts";
import type { ScopeOptions } from "./hook-fn.ts";
import { HookPoint } from "./hook-point.ts";
import { HookStore } from "./hook-store.ts";
import { HookedRoot, SCOPE_KEYS } from "./hooked-root.ts";
import type { Module } from "./module.ts";
import type { PointsOf, Recorded } from "./names.ts";
import { refuseNearMisses } from "./near-miss.ts";

/** What `runWithCache` gives: the output and the cache, after the wait where `forward` is asynchronous. */
export type WithCache<Output, Cache> = unknown extends Output
  ? [Output, Cache] | Promise<[Output, Cache]>
  : Output extends Promise<infer Value>
    ? Promise<[Value, Cache]>
    : [Output, Cache];

/**
 * The root of a model of one's own. Place hook points in its properties or in those of the modules below, pass values
 * through them in `forward`, and call `setup()` at the end of the constructor:
 *
 * ```ts
 * class Toy extends HookedRootModule {
 *   w = parameter(randn([16, 16]));
 *   hookMid = new HookPoint(["batch", "d_model"]);
 *   constructor() {
 *     super();
 *     this.setup();
 *   }
 *   forward(x: Tensor) {
 *     return this.hookMid.forward(x.matmul(this.w)).relu();
 *   }
 * }
 * ```
 *
 * @category Running the model
 */
export abstract class HookedRootModule extends HookedRoot {
  /**
   * Names all modules by their paths and gives the hook points to a registry. Call it again after a change of the tree:
   * names and points follow, hooks stay attached. A module found in two places has the first one's name.
   */
  setup(): void {
    const modules = new Map<string, Module>(this.namedModules());
    const points: HookPoint[] = [];
    const names: string[] = [];
    for (const [name, module] of modules) {
      if (module instanceof HookPoint) {
        points.push(module);
        names.push(name);
      }
    }
    // First what may throw.
    const store = HookStore.build(points, names);
    for (const [name, module] of modules) if (!(module instanceof HookPoint)) module.name = name;
    this.attach(store, modules);
  }

  /**
   * Runs `forward` with hooks that are gone afterwards. The hooks are given after the inputs; where `forward` takes an
   * options object itself, both share it.
   *
   * @param args the arguments of `forward`, then {@link ScopeOptions}: `runWithHooks(x, { fwdHooks: { hookMid: hook } })`.
   * @returns what `forward` gives.
   */
  override runWithHooks(
    ...args: WithOptions<Parameters<this["forward"]>, ScopeOptions<PointsOf<this>>>
  ): ReturnType<this["forward"]> {
    const { inputs, options, others } = splitOptions(args, SCOPE_KEYS);
    refuseNearMisses("runWithHooks", others, SCOPE_KEYS, CACHE_KEYS);
    return this.runScoped(inputs, options) as ReturnType<this["forward"]>;
  }

  /**
   * Runs `forward` and records what passes the hook points, as the hooks attached before left it. Options are given after
   * the inputs; where `forward` takes an options object itself, both share it.
   *
   * With `inclBwd`, also runs backward from the output, which must have one element, and records gradients.
   *
   * @param args the arguments of `forward`, then {@link RunWithCacheOptions}: `runWithCache(x, { inclBwd: true })`.
   * @returns `[output, cache]`, as a promise where `forward` is asynchronous.
   */
  override runWithCache<RemoveBatch extends boolean = false, AsObject extends boolean = true>(
    ...args: WithOptions<
      Parameters<this["forward"]>,
      RunWithCacheOptions<PointsOf<this>, RemoveBatch, AsObject>
    >
  ): WithCache<
    ReturnType<this["forward"]>,
    CacheOrMap<ActivationMap<Recorded<PointsOf<this>, RemoveBatch>>, AsObject>
  > {
    const { inputs, options, others } = splitOptions(args, CACHE_KEYS);
    refuseNearMisses("runWithCache", others, CACHE_KEYS, SCOPE_KEYS);
    return this.runRecorded(inputs, options, this.newCache()) as WithCache<
      ReturnType<this["forward"]>,
      CacheOrMap<ActivationMap<Recorded<PointsOf<this>, RemoveBatch>>, AsObject>
    >;
  }
}

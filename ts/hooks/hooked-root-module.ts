/** Hooks for modules of one's own. */

import { HookPoint } from "./hook-point.ts";
import { HookStore } from "./hook-store.ts";
import { HookedRoot } from "./hooked-root.ts";
import type { Module } from "./module.ts";

/**
 * The root of a model of one's own. Place hook points in its properties or in those of the modules below, pass values
 * through them in `forward`, and call `setup()` at the end of the constructor:
 *
 * ```ts
 * class Toy extends HookedRootModule {
 *   w = parameter(randn([16, 16]));
 *   hookMid = new HookPoint(["batch", "d_model"]);
 *   constructor() { super(); this.setup(); }
 *   forward(x: Tensor) { return this.hookMid.forward(x.matmul(this.w)).relu(); }
 * }
 * ```
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
      } else {
        module.name = name;
      }
    }
    this.attach(HookStore.build(points, names), modules);
  }
}

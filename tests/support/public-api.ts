/** Everything public, to be called with what nobody should pass. */

import * as library from "../../ts/index.ts";

export type Callable = (...args: unknown[]) => unknown;

/** A module of a user's own. */
export class Toy extends library.HookedRootModule {
  point = new library.HookPoint(["batch", "pos"]);
  weight = library.parameter(library.randn([2, 2], { seed: 0 }));
  constructor() {
    super();
    this.setup();
  }
  forward(x: library.Tensor): library.Tensor {
    return this.point.forward(x);
  }
}

/** The methods of an object and of all its classes, by name. */
export function methods(object: object): string[] {
  const names = new Set<string>();
  for (let at = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === "function" && name !== "constructor") names.add(name);
    }
  }
  return [...names].sort();
}

/** All classes, by name. */
export const classes = Object.entries(library).filter(
  ([name, value]) => typeof value === "function" && /^[A-Z]/.test(name),
) as [string, new (...args: unknown[]) => unknown][];

// The two-point module that the fixture of hook semantics was recorded with, and what its tests look at.

import { expect } from "vitest";
import type { HookedRoot } from "../../ts/hooks/hooked-root.ts";
import {
  HookedRootModule,
  HooklensError,
  HookPoint,
  Module,
  setLogger,
  type Tensor,
  tensor,
} from "../../ts/index.ts";

/** A module that passes its input on: a name in the tree that is no hook point. */
export class Pass extends Module {
  forward(x: Tensor): Tensor {
    return x;
  }
}

/** `hook_a` on 2x, `hook_b` on hook_a + 1; gives hook_b, or with `total` its sum. */
export class Toy extends HookedRootModule {
  hook_a = new HookPoint();
  lin = new Pass();
  hook_b = new HookPoint();
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor, { total = false }: { readonly total?: boolean } = {}): Tensor {
    const a = this.hook_a.forward(x.mul(2));
    const b = this.hook_b.forward(this.lin.forward(a).add(1));
    return total ? b.sum() : b;
  }
}

/** Passes `[batch, pos, d]` on. */
export class Line extends HookedRootModule {
  hook = new HookPoint(["batch", "pos", "d"]);
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return this.hook.forward(x);
  }
}

/** 1, 2, 3, … in that shape. */
export function X(...shape: number[]): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  return tensor(Float32Array.from({ length: size }, (_, i) => i + 1)).reshape(shape);
}

/** {@link X} as a leaf that requires a gradient. */
export function leaf(...shape: number[]): Tensor {
  return X(...shape).requiresGrad_();
}

/** Elements as nested arrays. */
export function values(x: Tensor): unknown {
  return x.toArray();
}

/** How many hooks each point has, in the form of the fixture. */
export function counts(root: HookedRoot): Record<string, { fwd: number; bwd: number }> {
  return Object.fromEntries(
    [...root.hookDict].map(([name, point]) => [
      name,
      { fwd: point.fwdHooks.length, bwd: point.bwdHooks.length },
    ]),
  );
}

/** Runs `body` and gives the warnings of that time. */
export function warnings(body: () => void): string[] {
  const seen: string[] = [];
  const before = setLogger({ warn: (message) => seen.push(message) });
  try {
    body();
  } finally {
    setLogger(before);
  }
  return seen;
}

/** Runs `body`, which must throw; gives what it threw. */
export function thrown(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return expect.fail("nothing was thrown");
}

/** The code of the library error that `body` throws. */
export function code(body: () => unknown): string {
  const error = thrown(body);
  expect(error).toBeInstanceOf(HooklensError);
  return error instanceof HooklensError ? error.code : "";
}

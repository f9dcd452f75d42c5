// What stays whole when something throws, and where parts of a model are found.

import { describe, expect, test } from "vitest";
import {
  add,
  HookedRootModule,
  HookPoint,
  memory,
  ones,
  parameter,
  setMemoryLimit,
  type Tensor,
  tensor,
} from "../../ts/index.ts";
import { code, counts, Toy, thrown, values, X } from "./toy.ts";

const noop = () => {};

describe("hooks that cannot be attached again", () => {
  /** A hook at each point, the one at `hook_b` with a tensor that is disposed: nothing can be made of it any more. */
  function broken(): { toy: Toy; seen: string[] } {
    const toy = new Toy();
    const seen: string[] = [];
    toy.addHook("hook_a", (_, hook) => void seen.push(hook.name));
    const shift = tensor([1]);
    toy.addHook("hook_b", noop);
    toy.addHook("hook_b", add(shift));
    shift.dispose();
    return { toy, seen };
  }

  test("setup() leaves names, hooks and points as they were", () => {
    const { toy, seen } = broken();
    expect(code(() => toy.setup())).toBe("disposed");
    expect(counts(toy)).toEqual({ hook_a: { fwd: 1, bwd: 0 }, hook_b: { fwd: 2, bwd: 0 } });
    toy.forward(X(1, 1));
    expect(seen).toEqual(["hook_a"]);
    for (const handles of toy.listHooks().values()) for (const handle of handles) handle.remove();
    expect(toy.listHooks().size).toBe(0);
    toy.setup();
  });

  test("enableReshape() leaves the conversion and the hooks as they were", () => {
    const { toy } = broken();
    const before = values(toy.forward(X(1, 2)));
    const conversion = { convert: (x: Tensor) => x.mul(100), revert: (x: Tensor) => x };
    expect(code(() => toy.hook_b.enableReshape(conversion))).toBe("disposed");
    expect(toy.hook_b.hookConversion).toBeNull();
    expect(counts(toy)["hook_b"]?.fwd).toBe(2);
    expect(values(toy.forward(X(1, 2)))).toEqual(before);
    toy.hook_b.removeHooks();
    expect(counts(toy)["hook_b"]?.fwd).toBe(0);
  });
});

test("the end of a scope detaches every hook, then throws the first error", () => {
  const toy = new Toy();
  const scope = toy.hooks({ fwdHooks: { hook_a: [noop, noop, noop] } });
  const [first, second, third] = scope.handles;
  const failing = (message: string) => () => {
    throw new Error(message);
  };
  Object.assign(second ?? {}, { remove: failing("second") });
  Object.assign(third ?? {}, { remove: failing("third") });
  expect(String(thrown(() => scope.dispose()))).toBe("Error: third");
  expect(toy.hook_a.fwdHooks).not.toContain(first);
  expect(toy.contextLevel).toBe(0);
});

test("hooks stay until a thenable settles that is no Promise", async () => {
  class Lazy extends HookedRootModule {
    hook = new HookPoint();
    constructor() {
      super();
      this.setup();
    }
    forward(x: Tensor): PromiseLike<Tensor> {
      const later = Promise.resolve().then(() => this.hook.forward(x));
      return new Proxy(
        {},
        { get: (_, key) => (key === "then" ? later.then.bind(later) : undefined), has: () => true },
      ) as PromiseLike<Tensor>;
    }
  }
  const lazy = new Lazy();
  const output = await lazy.runWithHooks(X(1), { fwdHooks: { hook: (x) => x.mul(7) } });
  expect(values(output)).toEqual([7]);
  expect(lazy.hook.fwdHooks).toHaveLength(0);
});

describe("the rank of a point's axes", () => {
  const point = new HookPoint(["batch", "pos", "d"]);
  test("is checked alike with and without hooks", () => {
    expect(code(() => point.forward(X(2, 2)))).toBe("rank_mismatch");
    point.addHook(noop);
    expect(code(() => point.forward(X(2, 2)))).toBe("rank_mismatch");
    expect(point.forward(X(1, 2, 2)).shape).toEqual([1, 2, 2]);
  });
});

describe("parts in maps, sets and plain objects", () => {
  class Box extends HookedRootModule {
    byName = new Map<unknown, unknown>([["w", parameter(ones([1]))]]);
    record = { in: new HookPoint(), deep: { w: parameter(ones([2])) }, list: [{ hook: new HookPoint() }] };
    several = new Set([new HookPoint()]);
    settings: Record<string, unknown> = { "a.b": { c: 1 } };
    constructor() {
      super();
      this.settings["itself"] = this.settings;
      this.setup();
    }
    forward(x: Tensor): Tensor {
      return this.record.in.forward(x);
    }
  }

  test("are found under their paths", () => {
    const box = new Box();
    expect([...box.hookDict.keys()]).toEqual(["record.in", "record.list.0.hook", "several.0"]);
    expect([...box.stateDict().keys()]).toEqual(["byName.w", "record.deep.w"]);
  });

  test("refuse keys that make no path", () => {
    const box = new Box();
    box.byName.set(1n, parameter(ones([1])));
    expect(code(() => box.stateDict())).toBe("invalid_argument");
    box.byName.clear();
    box.settings["c.d"] = new HookPoint();
    expect(code(() => box.setup())).toBe("invalid_argument");
  });
});

test("over the memory limit hooks come and go as always", () => {
  const toy = new Toy();
  const held = ones([1 << 20]);
  setMemoryLimit(memory().bytes - held.size);
  try {
    expect(code(() => ones([1 << 20]))).toBe("memory_limit");
    const [handle] = toy.addHook("hook_a", noop);
    expect(counts(toy)).toMatchObject({ hook_a: { fwd: 1, bwd: 0 } });
    handle?.remove();
    toy.addHook("hook_b", noop, { dir: "bwd" });
    toy.resetHooks();
    expect(toy.listHooks().size).toBe(0);
  } finally {
    setMemoryLimit(0);
    held.dispose();
  }
});

// What the set-up of a root promises: names from the tree of modules, hooks that stay; and its veto on every hook.

import { describe, expect, test } from "vitest";
import { type Hook, HookedRootModule, HookPoint, Module, type Tensor, zero } from "../../ts/index.ts";
import { code, Toy, thrown, values, X } from "./toy.ts";

const noop = () => {};

describe("set-up", () => {
  class Part extends Module {
    hook = new HookPoint(["batch", "d"]);
    forward(x: Tensor): Tensor {
      return this.hook.forward(x);
    }
  }

  class Tree extends HookedRootModule {
    parts: Part[] = [new Part(), new Part()];
    named = new Map([["left", new Part()]]);
    again = this.parts[0];
    nothing: Part | null = null;
    constructor() {
      super();
      this.setup();
    }
    forward(x: Tensor): Tensor {
      return this.parts.reduce((value, part) => part.forward(value), x);
    }
  }

  test("names modules by their paths, in the order of definition, shared ones once", () => {
    const tree = new Tree();
    expect([...tree.hookDict.keys()]).toEqual(["parts.0.hook", "parts.1.hook", "named.left.hook"]);
    expect([...tree.modDict.keys()]).toEqual([
      "parts.0",
      "parts.0.hook",
      "parts.1",
      "parts.1.hook",
      "named.left",
      "named.left.hook",
    ]);
    expect(tree.parts[1]?.name).toBe("parts.1");
    expect(tree.again?.hook.name).toBe("parts.0.hook");
    expect([...tree.hookPoints()]).toHaveLength(3);
  });

  test("again keeps hooks, follows the tree and keeps names stable", () => {
    const tree = new Tree();
    const fired: string[] = [];
    const note = (_t: Tensor, hook: { readonly name: string }) => void fired.push(hook.name);
    const [kept] = tree.addPermaHook("parts.1.hook", note);
    const scope = tree.hooks({ fwdHooks: { "parts.0.hook": [note, (t) => t.mul(2)] } });
    const cache = tree.addCachingHooks({ namesFilter: "parts.1.hook" });
    tree.setup();
    expect(values(tree.forward(X(1, 1)))).toEqual([[2]]);
    expect(fired).toEqual(["parts.0.hook", "parts.1.hook"]);
    tree.parts.push(new Part());
    tree.setup();
    tree.addHook("parts.2.hook", note);
    fired.length = 0;
    tree.forward(X(1, 1));
    expect(fired).toEqual(["parts.0.hook", "parts.1.hook", "parts.2.hook"]);
    expect(values(cache.get("parts.1.hook"))).toEqual([[2]]);
    kept?.remove();
    scope.dispose();
    tree.resetHooks();
    expect(tree.listHooks().size).toBe(0);
  });

  test("of a root inside another root prefixes its names and keeps its hooks", () => {
    class Outer extends HookedRootModule {
      inner = new Toy();
      constructor() {
        super();
        this.inner.addHook("hook_a", (t) => t.mul(10));
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return this.inner.forward(x);
      }
    }
    const outer = new Outer();
    expect([...outer.hookDict.keys()]).toEqual(["inner.hook_a", "inner.hook_b"]);
    expect(values(outer.forward(X(1, 1)))).toEqual([[21]]);
    const [, cache] = outer.inner.runWithCache(X(1, 1));
    expect([...cache.keys()]).toEqual(["hook_a", "hook_b"]);
    outer.inner.resetHooks();
    expect(outer.listHooks().size).toBe(0);
  });

  test("is missed with a clear error", () => {
    class Forgetful extends HookedRootModule {
      hook = new HookPoint();
      forward(x: Tensor): Tensor {
        return this.hook.forward(x);
      }
    }
    const forgetful = new Forgetful();
    for (const call of [
      () => forgetful.addHook("hook", noop),
      () => forgetful.hooks(),
      () => forgetful.runWithCache(X(1, 1)),
      () => forgetful.runWithHooks(X(1, 1)),
      () => forgetful.resetHooks(),
      () => forgetful.hookDict,
    ]) {
      expect(code(call)).toBe("not_set_up");
    }
    expect(values(forgetful.forward(X(1, 1)))).toEqual([[1]]);
  });

  test("is not needed for a point by itself", () => {
    const point = new HookPoint();
    point.addHook((t) => t.mul(2));
    expect(values(point.forward(X(1, 1)))).toEqual([[2]]);
  });

  test("refuses names with dots", () => {
    class Dotted extends HookedRootModule {
      parts = new Map([["a.b", new Part()]]);
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    expect(code(() => new Dotted().setup())).toBe("invalid_argument");
  });

  test("axes are checked against what passes, where a hook looks", () => {
    const tree = new Tree();
    tree.addHook("parts.0.hook", noop);
    expect(code(() => tree.forward(X(1, 2, 3)))).toBe("rank_mismatch");
    expect(tree.forward(X(2, 3)).shape).toEqual([2, 3]);
  });
});

test("checkHooksToAdd sees every hook and can refuse it", () => {
  const asked: string[] = [];
  class Strict extends Toy {
    override checkHooksToAdd(
      _point: HookPoint,
      name: string,
      _hook: Hook,
      { dir }: { readonly dir: string },
    ): void {
      asked.push(`${name} ${dir}`);
      if (name === "hook_b") throw new RangeError("not here");
    }
  }
  const strict = new Strict();
  const attached = () =>
    [...strict.hookPoints()].map((point) => [point.fwdHooks.length, point.bwdHooks.length]);
  strict.addHook("hook_a", noop);
  for (const call of [
    () => strict.addHook("hook_b", noop),
    () => strict.addHook(/hook/, noop),
    () => strict.hook_b.addHook(noop),
    () => strict.addPermaHook("hook_b", noop, { dir: "bwd" }),
    () => strict.hooks({ fwdHooks: { hook_a: noop, hook_b: noop } }),
    () => strict.runWithHooks(X(1, 1), { fwdHooks: { hook_b: zero() } }),
    () => strict.runWithCache(X(1, 1)),
    () => strict.addCachingHooks(),
  ]) {
    const before = attached();
    expect(thrown(call)).toBeInstanceOf(RangeError);
    expect(attached()).toEqual(before);
    strict.resetHooks({ clearContexts: false });
  }
  expect(asked).toContain("hook_b bwd");
  expect(strict.contextLevel).toBe(0);
});

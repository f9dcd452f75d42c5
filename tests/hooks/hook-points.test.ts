// What hook points and the root promise: handles, order, permanence, scopes, contexts, introspection.

import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  type Hook,
  HookedRootModule,
  HookPoint,
  Module,
  ones,
  scale,
  type Tensor,
  tensor,
  zero,
  zeros,
} from "../../ts/index.ts";
import { code, counts, leaf, Toy, thrown, values, warnings, X } from "./toy.ts";

const noop = () => {};
const NONE = { hook_a: { fwd: 0, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } };

describe("hook functions", () => {
  test("see the activation and the hook's own name", () => {
    const seen: unknown[] = [];
    new Toy().runWithHooks(X(1, 2), {
      fwdHooks: { hook_a: (t, hook) => void seen.push(hook.name, values(t)) },
    });
    expect(seen).toEqual(["hook_a", [[2, 4]]]);
  });

  test("change what follows by returning a tensor, and nothing by returning nothing", () => {
    const toy = new Toy();
    const plain = values(toy.forward(X(1, 3)));
    for (const nothing of [() => {}, () => null, () => undefined]) {
      expect(values(toy.runWithHooks(X(1, 3), { fwdHooks: { hook_a: nothing } }))).toEqual(plain);
    }
    expect(values(toy.runWithHooks(X(1, 3), { fwdHooks: { hook_a: (t) => t.mul(0) } }))).toEqual([[1, 1, 1]]);
  });

  test("run in the order of insertion, prepended ones first", () => {
    const toy = new Toy();
    const last = (hooks: Hook[], prepend: boolean) => {
      toy.resetHooks();
      for (const hook of hooks) toy.addHook("hook_b", hook, { prepend });
      return values(toy.forward(X(1, 1)));
    };
    expect(last([(t) => t.mul(0), (t) => t.add(1)], false)).toEqual([[1]]);
    expect(last([(t) => t.mul(0), (t) => t.add(1)], true)).toEqual([[0]]);
  });

  test("may remove their own handle, and add hooks, while running", () => {
    const toy = new Toy();
    const fired: string[] = [];
    const handles = toy.addHook("hook_a", () => {
      fired.push("once");
      for (const handle of handles) handle.remove();
      toy.addHook("hook_a", () => void fired.push("added"));
    });
    toy.addHook("hook_a", () => void fired.push("other"));
    toy.forward(X(1, 1));
    expect(fired).toEqual(["once", "other"]);
    toy.forward(X(1, 1));
    expect(fired).toEqual(["once", "other", "other", "added"]);
  });

  test("may run the model again", () => {
    const toy = new Toy();
    let inner: unknown;
    toy.addHook("hook_b", () => {
      toy.resetHooks();
      inner = values(toy.forward(X(1, 1)));
    });
    expect(values(toy.forward(X(1, 2)))).toEqual([[3, 5]]);
    expect(inner).toEqual([[3]]);
  });

  test("that run the model without end are stopped by an error", () => {
    const toy = new Toy();
    toy.addHook("hook_a", () => void toy.forward(X(1, 1)));
    expect(code(() => toy.forward(X(1, 1)))).toBe("hooks_nested_too_deep");
    toy.resetHooks();
    expect(values(toy.forward(X(1, 1)))).toEqual([[3]]);
  });

  test("must return a tensor of the same shape and dtype, or nothing", () => {
    const toy = new Toy();
    const run = (hook: () => unknown) => {
      // Untyped callers exist.
      const untyped = hook as Hook;
      return thrown(() => toy.runWithHooks(X(1, 3), { fwdHooks: { hook_a: untyped } }));
    };
    expect(run(() => zeros([1, 2]))).toMatchObject({
      code: "hook_shape",
      hook: "hook_a",
      expected: [1, 3],
      got: [1, 2],
    });
    expect(run(() => zeros([1, 3], { dtype: "float64" }))).toMatchObject({ code: "hook_dtype" });
    for (const nonsense of [3, "x", true, {}, [], [zeros([1, 3])], Promise.resolve(null)]) {
      expect(run(() => nonsense)).toMatchObject({ code: "hook_result" });
    }
    const gone = zeros([1, 3]);
    gone.dispose();
    expect(run(() => gone)).toMatchObject({ code: "disposed" });
    expect(counts(toy)).toEqual(NONE);
  });

  test("that are none are refused when they are attached", () => {
    const toy = new Toy();
    for (const none of [null, undefined, 3, "zero", {}]) {
      const untyped = none as unknown as Hook;
      expect(code(() => toy.addHook("hook_a", untyped))).toBe("invalid_argument");
    }
    expect(counts(toy)).toEqual(NONE);
  });
});

describe("backward hooks", () => {
  test("see the gradient, and replace it by a tensor or an array of one", () => {
    for (const [hook, expected] of [
      [() => {}, [[2, 2, 2]]],
      [(g: Tensor) => g.mul(10), [[20, 20, 20]]],
      [(g: Tensor) => [g.mul(5)] as const, [[10, 10, 10]]],
    ] as const) {
      const toy = new Toy();
      const x = leaf(1, 3);
      using _scope = toy.hooks({ bwdHooks: { hook_a: hook } });
      toy.forward(x, { total: true }).backward();
      expect(x.grad?.toArray()).toEqual(expected);
    }
  });

  test("run in order, each on what the one before made", () => {
    const toy = new Toy();
    const x = leaf(1, 1);
    using _scope = toy.hooks({
      bwdHooks: [
        ["hook_a", (g) => g.add(1)],
        ["hook_a", (g) => g.mul(3)],
      ],
    });
    toy.forward(x, { total: true }).backward();
    expect(x.grad?.toArray()).toEqual([[12]]);
  });

  test("warn in runWithHooks only, and only if they go before backward can run", () => {
    const toy = new Toy();
    const bwdHooks = { hook_a: noop };
    expect(warnings(() => void toy.runWithHooks(X(1, 1), { bwdHooks }))).toHaveLength(1);
    expect(warnings(() => void toy.runWithHooks(X(1, 1), { bwdHooks, resetHooksEnd: false }))).toEqual([]);
    expect(warnings(() => void toy.runWithHooks(X(1, 1), { fwdHooks: bwdHooks }))).toEqual([]);
    expect(warnings(() => toy.hooks({ bwdHooks }).dispose())).toEqual([]);
  });
});

describe("choosing points", () => {
  test("a name attaches to that point alone, a predicate to all that match, in their order", () => {
    const toy = new Toy();
    expect(toy.addHook("hook_b", noop).map((handle) => handle.name)).toEqual(["hook_b"]);
    expect(counts(toy)).toEqual({ ...NONE, hook_b: { fwd: 1, bwd: 0 } });
    const handles = toy.addHook((name) => name.startsWith("hook"), noop);
    expect(handles.map((handle) => handle.name)).toEqual(["hook_a", "hook_b"]);
  });

  test("globs, expressions and points work; nothing matched is an error", () => {
    const toy = new Toy();
    expect(toy.addHook("hook_*", noop)).toHaveLength(2);
    expect(toy.addHook(/_b$/g, noop)).toHaveLength(1);
    expect(toy.addHook(/_b$/g, noop)).toHaveLength(1);
    expect(toy.addHook(toy.hook_a, noop)).toHaveLength(1);
    expect(code(() => toy.addHook("other_*", noop))).toBe("invalid_names_filter");
    expect(code(() => toy.addHook(/other/, noop))).toBe("invalid_names_filter");
    expect(code(() => toy.addHook(new HookPoint(), noop))).toBe("unknown_hook");
    expect(code(() => toy.addHook(7 as unknown as string as "hook_a", noop))).toBe("invalid_names_filter");
  });

  test("unknown names come with the nearest ones", () => {
    const toy = new Toy();
    // @ts-expect-error the compiler knows too
    const error = thrown(() => toy.addHook("hook_aa", noop));
    expect(error).toMatchObject({ code: "unknown_hook", hook: "hook_aa" });
    expect(error).toHaveProperty("suggestions.0", "hook_a");
  });

  test("invalid directions throw everywhere", () => {
    const toy = new Toy();
    const dir = "sideways" as "fwd";
    for (const call of [
      () => toy.addHook("hook_a", noop, { dir }),
      () => toy.hook_a.addHook(noop, { dir }),
      () => toy.hook_a.removeHooks({ dir }),
      () => toy.hook_a.hasHooks({ dir }),
      () => toy.resetHooks({ direction: dir }),
      () => toy.listHooks({ dir }),
    ]) {
      expect(code(call)).toBe("invalid_argument");
    }
  });
});

describe("permanent hooks", () => {
  test("survive resets and scopes, until asked for", () => {
    const toy = new Toy();
    toy.addPermaHook("hook_a", noop);
    toy.hook_a.addPermaHook(noop, { dir: "bwd" });
    toy.resetHooks();
    toy.hooks({ fwdHooks: { hook_a: noop } }).dispose();
    toy.hook_a.removeHooks({ dir: "both" });
    expect(counts(toy)).toEqual({ ...NONE, hook_a: { fwd: 1, bwd: 1 } });
    toy.resetHooks({ includingPermanent: true });
    expect(counts(toy)).toEqual(NONE);
  });

  test("of another level stay, also when permanent ones are removed", () => {
    const toy = new Toy();
    toy.hook_a.addHook(noop, { isPermanent: true, level: 1 });
    toy.hook_a.addHook(noop, { isPermanent: true, level: 2 });
    toy.removeAllHookFns({ includingPermanent: true, level: 1 });
    expect(toy.hook_a.fwdHooks.map((handle) => handle.contextLevel)).toEqual([2]);
  });
});

describe("scopes", () => {
  test("fire inside and are gone after", () => {
    const toy = new Toy();
    let fired = 0;
    {
      using scope = toy.hooks({ fwdHooks: { hook_a: () => void fired++ } });
      expect(scope.handles).toHaveLength(1);
      expect(scope.model).toBe(toy);
      toy.forward(X(1, 1));
    }
    toy.forward(X(1, 1));
    expect(fired).toBe(1);
  });

  test("nest: the inner end keeps the outer's hooks, the level returns to 0", () => {
    const toy = new Toy();
    const outer = toy.hooks({ fwdHooks: { hook_a: noop } });
    const inner = toy.hooks({ fwdHooks: { hook_a: noop } });
    inner.dispose();
    expect(counts(toy)["hook_a"]?.fwd).toBe(1);
    outer.dispose();
    outer.dispose();
    expect(counts(toy)).toEqual(NONE);
    expect(toy.contextLevel).toBe(0);
  });

  test("end in any order", () => {
    const toy = new Toy();
    const outer = toy.hooks({ fwdHooks: { hook_a: noop } });
    const inner = toy.hooks({ fwdHooks: { hook_b: noop } });
    outer.dispose();
    expect(counts(toy)).toEqual({ ...NONE, hook_b: { fwd: 1, bwd: 0 } });
    inner.dispose();
    expect(counts(toy)).toEqual(NONE);
    expect(toy.contextLevel).toBe(0);
  });

  test("end on exceptions; a failing inner scope keeps the outer", () => {
    const toy = new Toy();
    const boom = new Error("boom");
    using _outer = toy.hooks({ fwdHooks: { hook_a: noop } });
    const error = thrown(() => {
      using _inner = toy.hooks({ fwdHooks: { hook_a: noop } });
      throw boom;
    });
    expect(error).toBe(boom);
    expect(counts(toy)["hook_a"]?.fwd).toBe(1);
    expect(toy.contextLevel).toBe(1);
  });

  test("allow resetHooks inside", () => {
    const toy = new Toy();
    const scope = toy.hooks({ fwdHooks: { hook_a: noop } });
    toy.resetHooks();
    expect(counts(toy)).toEqual(NONE);
    expect(() => scope.dispose()).not.toThrow();
    expect(toy.contextLevel).toBe(0);
  });

  test("leave hooks that addHook attached inside", () => {
    const toy = new Toy();
    const scope = toy.hooks();
    toy.addHook("hook_a", noop);
    scope.dispose();
    expect(counts(toy)["hook_a"]?.fwd).toBe(1);
  });

  test("kept with resetHooksEnd false outlive later scopes", () => {
    const toy = new Toy();
    toy.runWithHooks(X(1, 1), { fwdHooks: { hook_a: noop }, resetHooksEnd: false });
    toy.runWithHooks(X(1, 1), { fwdHooks: { hook_b: noop } });
    toy.runWithCache(X(1, 1));
    expect(counts(toy)).toEqual({ ...NONE, hook_a: { fwd: 1, bwd: 0 } });
  });

  test("attach all of their hooks or none", () => {
    const toy = new Toy();
    const bad = () =>
      toy.hooks({
        fwdHooks: [
          ["hook_a", noop],
          // @ts-expect-error the compiler knows too
          ["hook_zzz", noop],
          ["hook_b", noop],
        ],
      });
    expect(code(bad)).toBe("unknown_hook");
    expect(counts(toy)).toEqual(NONE);
    expect(toy.contextLevel).toBe(0);
    expect(code(() => toy.hooks({ fwdHooks: [["hook_a"] as never] }))).toBe("invalid_argument");
    expect(toy.contextLevel).toBe(0);
  });

  test("wait for promises in withHooks", async () => {
    const toy = new Toy();
    const result = await toy.withHooks({ fwdHooks: { hook_a: (t) => t.mul(0) } }, async (model) => {
      await Promise.resolve();
      expect(counts(model)["hook_a"]?.fwd).toBe(1);
      return values(model.forward(X(1, 1)));
    });
    expect(result).toEqual([[1]]);
    const boom = { not: "an error" };
    await expect(
      toy.withHooks({ fwdHooks: { hook_a: noop } }, async () => {
        await Promise.resolve();
        throw boom;
      }),
    ).rejects.toBe(boom);
    expect(counts(toy)).toEqual(NONE);
    expect(toy.contextLevel).toBe(0);
  });

  test("wait for an asynchronous forward", async () => {
    class Slow extends HookedRootModule {
      hook = new HookPoint();
      constructor() {
        super();
        this.setup();
      }
      async forward(x: Tensor): Promise<Tensor> {
        await Promise.resolve();
        return this.hook.forward(x);
      }
    }
    const slow = new Slow();
    expect(values(await slow.runWithHooks(X(1, 1), { fwdHooks: { hook: (t) => t.add(1) } }))).toEqual([[2]]);
    const [out, cache] = await slow.runWithCache(X(1, 1), { inclBwd: true });
    expect(values(out)).toEqual([[1]]);
    expect([...cache.keys()]).toEqual(["hook", "hook_grad"]);
    expect(slow.hook.hasHooks()).toBe(false);
  });

  test("take several hooks on a point, in tables and lists", () => {
    const toy = new Toy();
    const plus = (t: Tensor) => t.add(1);
    expect(values(toy.runWithHooks(X(1, 1), { fwdHooks: { hook_a: [plus, (t) => t.mul(3)] } }))).toEqual([
      [10],
    ]);
    expect(values(toy.runWithHooks(X(1, 1), { fwdHooks: [[/hook/, [plus, plus]]] }))).toEqual([[7]]);
  });
});

describe("contexts", () => {
  test("last from one forward to the next, until cleared", () => {
    const toy = new Toy();
    const seen: unknown[] = [];
    toy.addHook("hook_a", (t, hook) => {
      seen.push(hook.ctx["last"]);
      hook.ctx["last"] = t.shape[0];
    });
    toy.forward(X(1, 2));
    toy.forward(X(2, 2));
    expect(seen).toEqual([undefined, 1]);
    const before = toy.hook_a.ctx;
    toy.clearContexts();
    expect(toy.hook_a.ctx).toEqual({});
    expect(toy.hook_a.ctx).not.toBe(before);
  });

  test("are cleared by resetHooks, by scopes only when asked, never when their hooks stay", () => {
    const toy = new Toy();
    const run = (options: { clearContexts?: boolean; resetHooksEnd?: boolean }) => {
      toy.hook_a.ctx["k"] = 1;
      toy.runWithHooks(X(1, 1), options);
      return "k" in toy.hook_a.ctx;
    };
    expect(run({})).toBe(true);
    expect(run({ clearContexts: true })).toBe(false);
    expect(run({ clearContexts: true, resetHooksEnd: false })).toBe(true);
    toy.resetHooks();
    expect(toy.hook_a.ctx).toEqual({});
  });
});

describe("introspection", () => {
  test("hasHooks across direction, permanence and level; false after removal", () => {
    const { hook_a } = new Toy();
    expect(hook_a.hasHooks()).toBe(false);
    const handle = hook_a.addHook(noop, { level: 3 });
    expect(hook_a.hasHooks({ level: 3 })).toBe(true);
    expect(hook_a.hasHooks({ level: 4 })).toBe(false);
    expect(hook_a.hasHooks({ dir: "bwd" })).toBe(false);
    handle.remove();
    handle.remove();
    expect(hook_a.hasHooks()).toBe(false);
    hook_a.addPermaHook(noop);
    expect(hook_a.hasHooks()).toBe(true);
    expect(hook_a.hasHooks({ includingPermanent: false })).toBe(false);
  });

  test("listHooks by filter, direction and permanence, with the very functions", () => {
    const toy = new Toy();
    expect(toy.listHooks()).toEqual(new Map());
    const fwd = () => {};
    const silence = zero();
    toy.addHook("hook_b", silence, { dir: "bwd" });
    toy.addHook("hook_b", fwd);
    toy.addPermaHook("hook_a", noop);
    const names = (listed: Map<string, unknown[]>) =>
      Object.fromEntries([...listed].map(([k, v]) => [k, v.length]));
    expect(names(toy.listHooks())).toEqual({ hook_a: 1, hook_b: 2 });
    expect(
      toy
        .listHooks()
        .get("hook_b")
        ?.map((handle) => handle.userHook),
    ).toEqual([fwd, silence]);
    expect(toy.listHooks().get("hook_b")?.[0]?.userHook).toBe(fwd);
    expect(names(toy.listHooks({ nameFilter: "hook_b", dir: "bwd" }))).toEqual({ hook_b: 1 });
    expect(names(toy.listHooks({ nameFilter: ["hook_a", "hook_b"], includingPermanent: false }))).toEqual({
      hook_b: 2,
    });
    expect(names(toy.listHooks({ nameFilter: (name) => name.endsWith("a") }))).toEqual({ hook_a: 1 });
  });

  test("a point shows its name and its counts", () => {
    const { hook_a } = new Toy();
    expect(String(new HookPoint())).toBe("HookPoint()");
    expect(String(hook_a)).toBe("HookPoint(name='hook_a')");
    hook_a.addHook(noop);
    hook_a.addHook(noop);
    hook_a.addHook(noop, { dir: "bwd" });
    expect(inspect(hook_a)).toBe("HookPoint(name='hook_a', 2 fwd, 1 bwd)");
  });

  test("handles say what they are", () => {
    const toy = new Toy();
    using _scope = toy.hooks();
    const [handle] = toy.addHook("hook_a", noop, { dir: "bwd", isPermanent: true, level: 5 });
    expect(handle).toMatchObject({
      name: "hook_a",
      dir: "bwd",
      isPermanent: true,
      contextLevel: 5,
      userHook: noop,
    });
  });
});

describe("aliases and conversions", () => {
  test("an aliased hook runs once per alias, and a later null keeps an earlier change", () => {
    const toy = new Toy();
    const seen: unknown[] = [];
    toy.hook_a.addHook(
      (t, hook) => {
        seen.push(hook.name, hook.layer(), hook.ctx === toy.hook_a.ctx, values(t));
        return hook.name === "blocks.3.first" ? t.mul(10) : null;
      },
      { aliasNames: ["blocks.3.first", "blocks.4.second"] },
    );
    expect(values(toy.forward(X(1, 1)))).toEqual([[21]]);
    expect(seen).toEqual(["blocks.3.first", 3, true, [[2]], "blocks.4.second", 4, true, [[20]]]);
  });

  test("a conversion changes what hooks see and reverts what they return", () => {
    const toy = new Toy();
    const seen: (readonly number[])[] = [];
    let reverted = 0;
    toy.hook_a.enableReshape({
      convert: (t) => t.reshape([2, 2]),
      revert: (t) => {
        reverted++;
        return t.reshape([1, 4]);
      },
    });
    toy.hook_a.addHook((t) => void seen.push(t.shape));
    expect(values(toy.forward(X(1, 4)))).toEqual([[3, 5, 7, 9]]);
    expect(reverted).toBe(0);
    toy.hook_a.addHook((t) => t.mul(10));
    expect(values(toy.forward(X(1, 4)))).toEqual([[21, 41, 61, 81]]);
    expect([seen, reverted]).toEqual([
      [
        [2, 2],
        [2, 2],
      ],
      1,
    ]);
    toy.hook_a.enableReshape(null);
    expect(toy.hook_a.hookConversion).toBeNull();
    toy.forward(X(1, 4));
    expect(seen.at(-1)).toEqual([1, 4]);
  });

  test("a conversion also holds for caches and interventions, whenever it was set", () => {
    const toy = new Toy();
    const cache = toy.addCachingHooks({ namesFilter: "hook_a" });
    toy.addHook("hook_a", scale(10));
    toy.hook_a.enableReshape({ convert: (t) => t.reshape([2, 2]), revert: (t) => t.reshape([1, 4]) });
    expect(values(toy.forward(X(1, 4)))).toEqual([[21, 41, 61, 81]]);
    expect(cache.get("hook_a").shape).toEqual([2, 2]);
    expect(toy.isCaching).toBe(true);
  });
});

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
    expect(thrown(call)).toBeInstanceOf(RangeError);
    strict.resetHooks({ clearContexts: false });
  }
  expect(asked).toContain("hook_b bwd");
  expect(strict.contextLevel).toBe(0);
});

test("hooks in graphs outlive their handles", () => {
  const toy = new Toy();
  const x = tensor([[1, 2]], { requiresGrad: true });
  const scope = toy.hooks({ bwdHooks: { hook_a: (g) => g.mul(7) } });
  const out = toy.forward(x, { total: true });
  scope.dispose();
  for (let i = 0; i < 3; i++) toy.runWithHooks(ones([1, 2]), { fwdHooks: { hook_a: noop } });
  out.backward();
  expect(x.grad?.toArray()).toEqual([[14, 14]]);
});

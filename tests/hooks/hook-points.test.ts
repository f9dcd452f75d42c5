// What hook points and the root promise: what hook functions see and may do, order, choice, permanence, introspection.

import { describe, expect, test } from "vitest";
import { type Hook, HookPoint, scale, type Tensor, zero, zeros } from "../../ts/index.ts";
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

  test("what was attached together is detached together, or by `using`", () => {
    const toy = new Toy();
    const handles = toy.addHook("hook_*", noop);
    handles.remove();
    handles.remove();
    expect(counts(toy)).toEqual(NONE);
    {
      using attached = toy.addHook("hook_*", noop, { dir: "bwd" });
      using _point = toy.hook_a.addHook(noop);
      using _permanent = toy.addPermaHook("hook_b", noop);
      expect(attached).toHaveLength(2);
      expect(attached.filter((handle) => handle.dir === "bwd").constructor).toBe(Array);
      expect(counts(toy)["hook_b"]).toEqual({ fwd: 1, bwd: 1 });
    }
    expect(counts(toy)).toEqual(NONE);
    const scope = toy.hooks({ fwdHooks: { hook_a: noop } });
    scope.remove();
    expect(counts(toy)).toEqual(NONE);
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

describe("introspection", () => {
  test("hasHooks across direction, permanence and level; false after removal", () => {
    const { hook_a } = new Toy();
    expect(hook_a.hasHooks()).toBe(false);
    const handle = hook_a.addHook(noop, { level: 3 });
    expect(hook_a.hasHooks({ level: 3 })).toBe(true);
    expect(hook_a.hasHooks({ level: 4 })).toBe(false);
    expect(code(() => hook_a.addHook(noop, { level: 2 ** 32 }))).toBe("invalid_argument");
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
    expect(String(hook_a)).toBe("HookPoint(name='hook_a', 2 fwd, 1 bwd)");
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

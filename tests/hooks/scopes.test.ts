// What scopes of hooks promise: they end with their block, in any order, with nothing left behind; and scratch spaces.

import { describe, expect, test } from "vitest";
import { HookedRootModule, HookPoint, ones, type Tensor, tensor } from "../../ts/index.ts";
import { code, counts, Toy, thrown, values, X } from "./toy.ts";

const noop = () => {};
const NONE = { hook_a: { fwd: 0, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } };

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

// Every case of the fixture of hook semantics: what the reference was seen to do on a toy module. Where hooklens means
// to differ, the case says so and asserts its own behaviour; `DEVIATIONS` lists these with the reason.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HookedRootModule, HookPoint, type Tensor } from "../../ts/index.ts";
import { GOLDEN } from "../support/golden.ts";
import { code, counts, leaf, Toy, thrown, values, warnings, X } from "./toy.ts";

interface Case {
  readonly id: string;
  readonly description: string;
  readonly applies_to: string;
  readonly outcome: unknown;
}

const fixture: { readonly cases: readonly Case[] } = JSON.parse(
  readFileSync(join(GOLDEN, "hooks_semantics.json"), "utf8"),
);

/** Cases in which hooklens does otherwise, on purpose. */
const DEVIATIONS: Readonly<Record<string, string>> = {
  in_place_edit: "tensors are immutable values: returning one is the only way to change an activation",
  wrong_param_name: "the hook is the second positional argument, whatever its name",
  predicate_none: "a predicate that matches nothing is a warning",
  ctx_no_reset: "a scope removes its own hooks and no others",
  filter_exact: "unknown names in a filter are errors",
  rbd2: "refused before anything is lost, with our error code",
  cache_alias: "cached values cannot change after they were stored",
  get_caching: "isCaching tells whether a caching hook is attached",
  bwd_warning: "the wording of the warning",
};

class Twice extends HookedRootModule {
  hook_a = new HookPoint();
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    this.hook_a.forward(x);
    return this.hook_a.forward(x.mul(3));
  }
}

const noop = () => {};

/** What each case gives, in the form of its `outcome` (or, for deviations, checks itself and gives undefined). */
const RUNS: Readonly<Record<string, () => unknown>> = {
  order_added() {
    const toy = new Toy();
    const fired: string[] = [];
    toy.addHook("hook_a", () => void fired.push("p"));
    toy.addHook("hook_a", () => void fired.push("q"));
    toy.forward(X(1, 3));
    return fired;
  },
  prepend_twice() {
    const toy = new Toy();
    const fired: string[] = [];
    toy.addHook("hook_a", () => void fired.push("p"), { prepend: true });
    toy.addHook("hook_a", () => void fired.push("q"), { prepend: true });
    toy.addHook("hook_a", () => void fired.push("r"));
    toy.forward(X(1, 3));
    return fired;
  },
  value_replaces: () => values(new Toy().runWithHooks(X(1, 3), { fwdHooks: [["hook_a", (t) => t.mul(10)]] })),
  in_place_edit() {
    const edit = (t: Tensor) => void t.at(0).fill(0);
    expect(values(new Toy().runWithHooks(X(1, 3), { fwdHooks: { hook_a: edit } }))).toEqual([[3, 5, 7]]);
    const returned = (t: Tensor) => t.at(0).fill(0);
    expect(values(new Toy().runWithHooks(X(1, 3), { fwdHooks: { hook_a: returned } }))).toEqual([[1, 1, 1]]);
  },
  wrong_param_name() {
    const names: string[] = [];
    new Toy().runWithHooks(X(1, 3), { fwdHooks: { hook_a: (_t, h) => void names.push(h.name) } });
    expect(names).toEqual(["hook_a"]);
  },
  unknown_name_add() {
    const toy = new Toy();
    // @ts-expect-error the compiler knows too
    expect(code(() => toy.addHook("hook_zzz", noop))).toBe("unknown_hook");
    return { error: "KeyError", message: "'hook_zzz'" };
  },
  predicate_none() {
    const toy = new Toy();
    const warned = warnings(() => expect(toy.addHook(() => false, noop)).toEqual([]));
    expect(warned).toHaveLength(1);
    expect(counts(toy)).toEqual({ hook_a: { fwd: 0, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } });
    expect(values(toy.forward(X(1, 3)))).toEqual([[3, 5, 7]]);
  },
  not_a_hook_point() {
    const toy = new Toy();
    // @ts-expect-error the compiler knows too
    expect(code(() => toy.addHook("lin", noop))).toBe("not_a_hook_point");
    // @ts-expect-error the compiler knows too
    expect(code(() => toy.runWithHooks(X(1, 3), { fwdHooks: [["lin", noop]] }))).toBe("not_a_hook_point");
    return fixtureOutcome("not_a_hook_point");
  },
  shared_point() {
    class Shared extends HookedRootModule {
      hook_a = new HookPoint();
      hook_alias = this.hook_a;
      constructor() {
        super();
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return this.hook_alias.forward(x);
      }
    }
    const shared = new Shared();
    expect(code(() => shared.addHook("hook_alias", noop))).toBe("unknown_hook");
    return {
      hook_dict: [...shared.hookDict.keys()],
      name: shared.hook_a.name,
      add_by_second_name: { error: "KeyError", message: "'hook_alias'" },
    };
  },
  fired_twice() {
    const calls: unknown[] = [];
    const twice = new Twice();
    twice.addHook("hook_a", (t) => void calls.push(values(t)));
    const [, cache] = twice.runWithCache(X(1, 2));
    return { cache: { hook_a: values(cache.get("hook_a")) }, calls };
  },
  dir_both_add() {
    const toy = new Toy();
    // @ts-expect-error the compiler knows too
    const error = thrown(() => toy.addHook("hook_a", noop, { dir: "both" }));
    expect(error).toMatchObject({ code: "invalid_argument" });
    return {
      error: "ValueError",
      message: error instanceof Error ? error.message.replace(/'both'.*/, "both") : "",
      counts: counts(toy),
    };
  },
  point_remove_default() {
    const toy = new Toy();
    toy.addHook("hook_a", noop);
    toy.addHook("hook_a", noop, { dir: "bwd" });
    toy.hook_a.removeHooks();
    return counts(toy);
  },
  reset_fwd_only() {
    const toy = new Toy();
    toy.addHook("hook_a", noop);
    toy.addHook("hook_a", noop, { dir: "bwd" });
    toy.resetHooks({ direction: "fwd" });
    return counts(toy);
  },
  bwd_none() {
    const toy = new Toy();
    const seen: unknown[] = [];
    const x = leaf(1, 3);
    toy.addHook("hook_a", (g) => void seen.push(values(g)), { dir: "bwd" });
    toy.forward(x, { total: true }).backward();
    return { seen, x_grad: x.grad?.toArray() };
  },
  perma_survives() {
    const toy = new Toy();
    const fired: string[] = [];
    toy.addPermaHook("hook_a", () => void fired.push("perma"));
    toy.addHook("hook_a", () => void fired.push("plain"));
    toy.resetHooks();
    toy.forward(X(1, 3));
    return { fired, counts: counts(toy) };
  },
  perma_run() {
    const toy = new Toy();
    toy.addPermaHook("hook_a", (t) => t.mul(10));
    const run = values(toy.runWithHooks(X(1, 2)));
    const [, cache] = toy.runWithCache(X(1, 2));
    return {
      run,
      cache: { hook_a: values(cache.get("hook_a")), hook_b: values(cache.get("hook_b")) },
      counts: counts(toy),
    };
  },
  has_hooks() {
    const { hook_a, hook_b } = new Toy();
    hook_a.addPermaHook(noop);
    hook_a.addHook(noop, { dir: "bwd", level: 2 });
    return {
      any: hook_a.hasHooks(),
      fwd: hook_a.hasHooks({ dir: "fwd" }),
      fwd_no_perma: hook_a.hasHooks({ dir: "fwd", includingPermanent: false }),
      bwd_level2: hook_a.hasHooks({ dir: "bwd", level: 2 }),
      bwd_level1: hook_a.hasHooks({ dir: "bwd", level: 1 }),
      other_point: hook_b.hasHooks(),
    };
  },
  levels() {
    const toy = new Toy();
    const levels = () => toy.hook_a.fwdHooks.map((handle) => handle.contextLevel);
    toy.addHook("hook_a", noop);
    const outer = toy.hooks({ fwdHooks: { hook_a: noop } });
    const context_level_outer = toy.contextLevel;
    const inner = toy.hooks({ fwdHooks: { hook_a: noop } });
    const context_level_inner = toy.contextLevel;
    const handle_levels = levels();
    inner.dispose();
    const after_inner = levels();
    outer.dispose();
    return {
      context_level_outer,
      context_level_inner,
      handle_levels,
      after_inner,
      after_outer: levels(),
      context_level_after: toy.contextLevel,
    };
  },
  ctx_plain_inside() {
    const toy = new Toy();
    {
      using _scope = toy.hooks();
      toy.addHook("hook_a", noop);
    }
    return counts(toy);
  },
  ctx_exception() {
    const toy = new Toy();
    const boom = new Error("boom");
    const error = thrown(() => {
      using _scope = toy.hooks({ fwdHooks: { hook_a: noop } });
      throw boom;
    });
    expect(error).toBe(boom);
    return {
      error: "RuntimeError",
      message: boom.message,
      counts: counts(toy),
      context_level: toy.contextLevel,
    };
  },
  ctx_no_reset() {
    const toy = new Toy();
    toy.hooks({ fwdHooks: { hook_a: noop }, resetHooksEnd: false }).dispose();
    const kept = { hook_a: { fwd: 1, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } };
    expect(counts(toy)).toEqual(kept);
    expect(toy.hook_a.fwdHooks.map((handle) => handle.contextLevel)).toEqual([1]);
    toy.hooks({ fwdHooks: { hook_b: noop } }).dispose();
    expect(counts(toy)).toEqual(kept);
  },
  ctx_dict_kept() {
    const toy = new Toy();
    const count = (_t: Tensor, hook: { readonly ctx: Record<string, unknown> }) => {
      hook.ctx["n"] = Number(hook.ctx["n"] ?? 0) + 1;
    };
    toy.runWithHooks(X(1, 3), { fwdHooks: { hook_a: count } });
    toy.runWithHooks(X(1, 3), { fwdHooks: { hook_a: count } });
    return { ...toy.hook_a.ctx };
  },
  ctx_dict_reset() {
    const toy = new Toy();
    toy.hook_a.ctx["k"] = 1;
    toy.resetHooks({ clearContexts: false });
    const after_false = { ...toy.hook_a.ctx };
    toy.resetHooks();
    return { after_false, after_default: { ...toy.hook_a.ctx } };
  },
  filter_exact() {
    const toy = new Toy();
    // @ts-expect-error the compiler knows too
    expect(code(() => toy.runWithCache(X(1, 3), { namesFilter: "hook" }))).toBe("unknown_hook");
    // @ts-expect-error the compiler knows too
    const error = thrown(() => toy.runWithCache(X(1, 3), { namesFilter: ["hook_a", "nope"] }));
    expect(error).toMatchObject({ code: "unknown_hook", hook: "nope" });
    expect([...toy.runWithCache(X(1, 3), { namesFilter: "hook_a" })[1].keys()]).toEqual(["hook_a"]);
  },
  incl_bwd() {
    const [out, cache] = new Toy().runWithCache(leaf(1, 3), { total: true, inclBwd: true });
    return {
      keys: [...cache.keys()],
      values: Object.fromEntries([...cache].map(([key, value]) => [key, values(value)])),
      out: out.item(),
    };
  },
  incl_bwd_filter() {
    const options = { total: true, namesFilter: "hook_a", inclBwd: true } as const;
    return [...new Toy().runWithCache(leaf(1, 3), options)[1].keys()];
  },
  rbd2() {
    const toy = new Toy();
    expect(code(() => toy.runWithCache(X(2, 3), { removeBatchDim: true }))).toBe("invalid_argument");
    expect(counts(toy)).toEqual({ hook_a: { fwd: 0, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } });
  },
  rbd1_2d() {
    const [, cache] = new Toy().runWithCache(X(1, 3), { removeBatchDim: true });
    return {
      error: null,
      returned: { hook_a: values(cache.get("hook_a")), hook_b: values(cache.get("hook_b")) },
    };
  },
  cache_no_reset() {
    const toy = new Toy();
    const [, cache] = toy.runWithCache(X(1, 2), { resetHooksEnd: false });
    const show = () => Object.fromEntries([...cache].map(([key, value]) => [key, values(value)]));
    const first = show();
    toy.forward(X(1, 2).mul(10));
    return { first, after_second_forward: show(), counts: counts(toy), is_caching: toy.isCaching };
  },
  cache_alias() {
    class Adds extends HookedRootModule {
      hook_a = new HookPoint();
      constructor() {
        super();
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return this.hook_a.forward(x.mul(2)).add(1);
      }
    }
    const [out, cache] = new Adds().runWithCache(leaf(1, 2));
    expect(values(cache.get("hook_a"))).toEqual([[2, 4]]);
    expect(values(out)).toEqual([[3, 5]]);
    expect(cache.get("hook_a").requiresGrad).toBe(false);
  },
  get_caching() {
    const toy = new Toy();
    const [cache, fwd, bwd] = toy.getCachingHooks({ inclBwd: true });
    expect(cache.size).toBe(0);
    expect(fwd.map(([point]) => point.name)).toEqual(["hook_a", "hook_b"]);
    expect(bwd.map(([point]) => point.name)).toEqual(["hook_a", "hook_b"]);
    expect(counts(toy)).toEqual({ hook_a: { fwd: 0, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } });
    expect(toy.isCaching).toBe(false);
    toy.runWithHooks(leaf(1, 2), { fwdHooks: fwd });
    expect([...cache.keys()]).toEqual(["hook_a", "hook_b"]);
  },
  pos_slice_out() {
    const [out, cache] = new Toy().runWithCache(X(1, 4, 2), { posSlice: -1 });
    return {
      out_shape: [...out.shape],
      shapes: Object.fromEntries([...cache].map(([key, value]) => [key, [...value.shape]])),
    };
  },
  bwd_warning() {
    const toy = new Toy();
    const x = leaf(1, 3);
    const fired: unknown[] = [];
    let out = x;
    const warned = warnings(() => {
      out = toy.runWithHooks(x, { total: true, bwdHooks: { hook_a: (g) => void fired.push(values(g)) } });
    });
    expect(warned).toHaveLength(1);
    out.backward();
    const expected = fixtureOutcome("bwd_warning");
    expect({ fired, x_grad: x.grad?.toArray(), counts: counts(toy) }).toEqual({
      ...expected,
      log: undefined,
    });
  },
  run_keeps_plain() {
    const toy = new Toy();
    toy.addHook("hook_a", (t) => t.add(1));
    const out = values(toy.runWithHooks(X(1, 2), { fwdHooks: { hook_b: (t) => t.mul(0) } }));
    return { out, counts: counts(toy) };
  },
  layer() {
    const point = new HookPoint();
    const layerOf = (name: string | null) => {
      point.name = name;
      return point.layer();
    };
    for (const [name, message] of [
      ["hook_a", "hook_a"],
      ["x.y", "x.y"],
      [null, "no name"],
    ] as const) {
      expect(thrown(() => layerOf(name))).toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining(message),
      });
    }
    return {
      ...fixtureOutcome("layer"),
      "blocks.7.attn.hook_q": { error: null, returned: layerOf("blocks.7.attn.hook_q") },
    };
  },
};

function fixtureOutcome(id: string): Record<string, unknown> {
  const found = fixture.cases.find((one) => one.id === id)?.outcome;
  return typeof found === "object" && found !== null ? { ...found } : {};
}

describe("hooks on a module of one's own", () => {
  const cases = fixture.cases.filter(({ applies_to }) => !applies_to.startsWith("HookedTransformer"));

  test("every case is run", () => {
    expect(cases.map(({ id }) => id).filter((id) => !(id in RUNS))).toEqual([]);
  });

  for (const { id, description, outcome } of cases) {
    const deviation = DEVIATIONS[id];
    test(`${id}: ${description}${deviation === undefined ? "" : ` [differs: ${deviation}]`}`, () => {
      const got = RUNS[id]?.();
      if (deviation === undefined) expect(got).toEqual(outcome);
      else expect(got).toBeUndefined();
    });
  }
});

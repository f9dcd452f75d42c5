// What runWithCache and the caching hooks promise, on a module of one's own.

import { describe, expect, test } from "vitest";
import {
  ActivationMap,
  HookedRootModule,
  HookPoint,
  Module,
  noGrad,
  type PosSlice,
  parameter,
  type Tensor,
  tensor,
  tidy,
} from "../../ts/index.ts";
import { code, counts, leaf, Toy, thrown, values, warnings, X } from "./toy.ts";

/** Points of every form that positions come in: with and without axes, attention maps, heads, none. */
class Shapes extends HookedRootModule {
  resid = new HookPoint(["batch", "pos", "d_model"]);
  hook_z = new HookPoint(["batch", "pos", "head", "d_head"]);
  hook_pattern = new HookPoint(["batch", "head", "query", "key"]);
  unnamed = new HookPoint();
  vector = new HookPoint(["d_model"]);
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    const [batch = 0, pos = 0] = x.shape;
    const resid = this.resid.forward(x);
    const z = this.hook_z.forward(resid.reshape([batch, pos, 2, 2]));
    const rows = z.transpose(1, 2);
    this.hook_pattern.forward(rows.matmul(rows.transpose(-1, -2)));
    this.vector.forward(resid.mean([0, 1]));
    return this.unnamed.forward(z.reshape([batch, pos, 4]));
  }
}

class Layer extends Module {
  hook_mid = new HookPoint(["batch", "d"]);
  hook_out = new HookPoint(["batch", "d"]);
  w = parameter(
    tensor([
      [0.5, -1],
      [2, 0.25],
    ]),
  );
  forward(x: Tensor): Tensor {
    return this.hook_out.forward(this.hook_mid.forward(x.matmul(this.w)).tanh());
  }
}

class Deep extends HookedRootModule {
  blocks = [new Layer(), new Layer(), new Layer()];
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return this.blocks
      .reduce((value, block) => block.forward(value), x)
      .square()
      .sum();
  }
}

/** Fires its point twice. */
class Twice extends HookedRootModule {
  hook = new HookPoint();
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor): Tensor {
    return this.hook
      .forward(x)
      .mul(2)
      .add(this.hook.forward(x.mul(10)).mul(3))
      .sum();
  }
}

describe("names filters", () => {
  test("null records every point, in the order of firing", () => {
    const [, cache] = new Shapes().runWithCache(X(1, 3, 4));
    expect([...cache.keys()]).toEqual(["resid", "hook_z", "hook_pattern", "vector", "unnamed"]);
    expect(cache.size).toBe(5);
  });

  test("null leaves out points that say so, naming them records them", () => {
    class Costly extends HookedRootModule {
      cheap = new HookPoint();
      costly = new HookPoint(["batch"], { default: false });
      constructor() {
        super();
        this.setup();
      }
      forward(x: Tensor): Tensor {
        return this.costly.forward(this.cheap.forward(x));
      }
    }
    const model = new Costly();
    expect([...model.runWithCache(X(2))[1].keys()]).toEqual(["cheap"]);
    expect([...model.runWithCache(X(2), { namesFilter: "costly" })[1].keys()]).toEqual(["costly"]);
    expect([...model.runWithCache(X(2), { namesFilter: () => true })[1].keys()]).toEqual(["cheap", "costly"]);
  });

  test("every form gives exactly what it says", () => {
    const deep = new Deep();
    const keys = (namesFilter: Parameters<typeof deep.addCachingHooks>[0]) => [
      ...deep.runWithCache(X(1, 2), namesFilter ?? {})[1].keys(),
    ];
    const outs = ["blocks.0.hook_out", "blocks.1.hook_out", "blocks.2.hook_out"];
    expect(keys({ namesFilter: "blocks.1.hook_mid" })).toEqual(["blocks.1.hook_mid"]);
    expect(keys({ namesFilter: ["blocks.2.hook_out", "blocks.0.hook_mid"] })).toEqual([
      "blocks.0.hook_mid",
      "blocks.2.hook_out",
    ]);
    expect(keys({ namesFilter: new Set(["blocks.0.hook_mid"] as const) })).toEqual(["blocks.0.hook_mid"]);
    expect(keys({ namesFilter: /hook_out$/g })).toEqual(outs);
    expect(keys({ namesFilter: "blocks.*.hook_out" })).toEqual(outs);
    expect(keys({ namesFilter: "blocks.[0-2].hook_{out,none}" })).toEqual(outs);
    expect(keys({ namesFilter: [/0.hook_out/, "blocks.1.*"] })).toEqual([
      "blocks.0.hook_out",
      "blocks.1.hook_mid",
      "blocks.1.hook_out",
    ]);
    expect(keys({ namesFilter: (name) => name.endsWith("out") })).toEqual(outs);
    expect(keys({ namesFilter: deep.blocks[1]?.hook_mid ?? null })).toEqual(["blocks.1.hook_mid"]);
  });

  test("unknown names, empty matches and other things are errors; an empty predicate is a warning", () => {
    const deep = new Deep();
    const fails = (namesFilter: unknown) =>
      code(() => deep.runWithCache(X(1, 2), { namesFilter: namesFilter as never }));
    expect(fails("blocks.7.hook_mid")).toBe("unknown_hook");
    expect(fails(["blocks.0.hook_mid", "hook_typo"])).toBe("unknown_hook");
    expect(fails("blocks.0")).toBe("not_a_hook_point");
    for (const nothing of [/typo/, "typo*", [], [/typo/], 7, true, {}, [7]]) {
      expect(fails(nothing)).toBe("invalid_names_filter");
    }
    const seen = warnings(() =>
      expect(deep.runWithCache(X(1, 2), { namesFilter: () => false })[1].size).toBe(0),
    );
    expect(seen).toHaveLength(1);
    expect(deep.listHooks().size).toBe(0);
  });
});

describe("cached values", () => {
  test("equal what hooks of another run see, and are the same every time", () => {
    const shapes = new Shapes();
    const seen: Record<string, unknown> = {};
    const note = (name: string, t: Tensor) => {
      seen[name] = values(t);
    };
    shapes.runWithHooks(X(2, 3, 4), { fwdHooks: [[/./, (t, hook) => note(hook.name, t)]] });
    for (let run = 0; run < 2; run++) {
      const [, cache] = shapes.runWithCache(X(2, 3, 4));
      expect(Object.fromEntries([...cache].map(([key, t]) => [key, values(t)]))).toEqual(seen);
    }
  });

  test("include the edits of hooks that were there before, at the same point", () => {
    const toy = new Toy();
    using _scope = toy.hooks({ fwdHooks: { hook_a: (t) => t.mul(0) } });
    const [out, cache] = toy.runWithCache(X(1, 2));
    expect(values(cache.get("hook_a"))).toEqual([[0, 0]]);
    expect(values(out)).toEqual([[1, 1]]);
  });

  test("require no gradient", () => {
    const [, cache] = new Toy().runWithCache(leaf(1, 2), { total: true, inclBwd: true });
    for (const value of cache.values()) expect(value.requiresGrad).toBe(false);
  });

  test("are converted, while the output stays", () => {
    const [out, cache] = new Toy().runWithCache(X(1, 2), { dtype: "float64", device: "cpu" });
    expect(cache.get("hook_a").dtype).toBe("float64");
    expect(out.dtype).toBe("float32");
    expect(code(() => new Toy().runWithCache(X(1, 2), { dtype: "int64" }))).toBe("wrong_dtype");
    expect(code(() => new Toy().runWithCache(X(1, 2), { device: "tpu" }))).toBe("device_unavailable");
  });

  test("have the names of their axes", () => {
    const shapes = new Shapes();
    expect(shapes.runWithCache(X(1, 3, 4))[1].get("hook_pattern").axes).toEqual([
      "batch",
      "head",
      "query",
      "key",
    ]);
    const [, cache] = shapes.runWithCache(X(1, 3, 4), { removeBatchDim: true });
    expect(cache.get("hook_z").axes).toEqual(["pos", "head", "d_head"]);
  });
});

describe("removeBatchDim", () => {
  test("squeezes every tensor with a batch axis and refuses several rows", () => {
    const shapes = new Shapes();
    const [, cache] = shapes.runWithCache(X(1, 3, 4), { removeBatchDim: true });
    expect([...cache].map(([key, value]) => [key, [...value.shape]])).toEqual([
      ["resid", [3, 4]],
      ["hook_z", [3, 2, 2]],
      ["hook_pattern", [2, 3, 3]],
      ["vector", [4]],
      ["unnamed", [3, 4]],
    ]);
    expect(code(() => shapes.runWithCache(X(2, 3, 4), { removeBatchDim: true }))).toBe("invalid_argument");
    expect(shapes.listHooks().size).toBe(0);
  });
});

describe("posSlice", () => {
  const AXIS: Readonly<Record<string, number | null>> = {
    resid: 1,
    hook_z: 1,
    hook_pattern: 2,
    unnamed: 1,
    vector: null,
  };
  const slices: readonly (readonly [PosSlice, readonly number[]])[] = [
    [-1, [4]],
    [0, [0]],
    [
      [3, 1],
      [3, 1],
    ],
    [[-2], [3]],
    [{ start: 1 }, [1, 2, 3, 4]],
    [{ stop: -2 }, [0, 1, 2]],
    [{ start: 0, stop: 5, step: 2 }, [0, 2, 4]],
  ];

  for (const removeBatchDim of [false, true]) {
    test(`keeps the axis and equals slicing afterwards, for every point${removeBatchDim ? ", also without batch" : ""}`, () => {
      const shapes = new Shapes();
      const [, full] = shapes.runWithCache(X(1, 5, 4), { removeBatchDim });
      for (const [posSlice, positions] of slices) {
        const [, cut] = shapes.runWithCache(X(1, 5, 4), { removeBatchDim, posSlice });
        for (const [key, value] of cut) {
          const axis = AXIS[key] ?? null;
          const whole = full.get(key);
          const expected =
            axis === null
              ? whole
              : whole.indexSelect(axis - Number(removeBatchDim), tensor([...positions], { dtype: "int64" }));
          expect(values(value)).toEqual(values(expected));
        }
      }
    });
  }

  test("refuses what is no position", () => {
    const shapes = new Shapes();
    const fails = (posSlice: unknown) =>
      code(() => shapes.runWithCache(X(1, 5, 4), { posSlice: posSlice as number }));
    expect(fails(5)).toBe("index_out_of_range");
    for (const nonsense of [1.5, "last", { begin: 1 }, { start: "a" }, ["x"]]) {
      expect(fails(nonsense)).toBe("invalid_argument");
    }
  });
});

describe("inclBwd", () => {
  test("stores a gradient of the same shape for every point, equal to finite differences", () => {
    const deep = new Deep();
    const x = tensor([[0.3, -0.2]]);
    const [, cache] = deep.runWithCache(x, { inclBwd: true });
    const names = [...deep.hookDict.keys()] as "blocks.0.hook_out"[];
    expect([...cache.keys()]).toEqual([...names, ...names.toReversed().map((name) => `${name}_grad`)]);
    const step = 1e-2;
    for (const name of names) {
      const grad = cache.get(`${name}_grad`);
      expect(grad.shape).toEqual(cache.get(name).shape);
      for (const at of [0, 1]) {
        const loss = (by: number) =>
          deep.runWithHooks(x, { fwdHooks: { [name]: (t: Tensor) => t.at(0, at).add(by) } }).item();
        const difference = (loss(step) - loss(-step)) / (2 * step);
        expect(grad.get(0, at).item()).toBeCloseTo(difference, 2);
      }
    }
  });

  test("adds up the gradients of a point that fires several times, and keeps its last value", () => {
    const [, cache] = new Twice().runWithCache(leaf(1, 2), { inclBwd: true });
    expect(values(cache.get("hook"))).toEqual([[10, 20]]);
    expect(values(cache.get("hook_grad"))).toEqual([[5, 5]]);
  });

  test("needs no input that requires a gradient", () => {
    const [, cache] = new Toy().runWithCache(X(1, 2), { total: true, inclBwd: true });
    expect(values(cache.get("hook_a_grad"))).toEqual([[1, 1]]);
  });

  test("sees what backward hooks before it made", () => {
    const toy = new Toy();
    using _scope = toy.hooks({ bwdHooks: { hook_b: (g) => g.mul(7) } });
    const [, cache] = toy.runWithCache(leaf(1, 1), { total: true, inclBwd: true });
    expect(values(cache.get("hook_b_grad"))).toEqual([[7]]);
    expect(values(cache.get("hook_a_grad"))).toEqual([[7]]);
  });

  test("refuses outputs of several elements, and runs without gradients", () => {
    const toy = new Toy();
    expect(code(() => toy.runWithCache(leaf(1, 2), { inclBwd: true }))).toBe("scalar_required");
    expect(code(() => noGrad(() => toy.runWithCache(leaf(1, 2), { total: true, inclBwd: true })))).toBe(
      "autograd",
    );
    expect(toy.listHooks().size).toBe(0);
    expect(toy.contextLevel).toBe(0);
  });

  test("leaves out points that the output does not depend on", () => {
    const [, cache] = new (class extends Toy {
      override forward(x: Tensor): Tensor {
        super.forward(x);
        return this.hook_a.forward(x).sum();
      }
    })().runWithCache(leaf(1, 2), { inclBwd: true });
    expect(cache.has("hook_b")).toBe(true);
    expect(cache.has("hook_b_grad")).toBe(false);
    expect(values(cache.get("hook_a_grad"))).toEqual([[1, 1]]);
  });
});

describe("caching hooks that stay", () => {
  test("fill a given cache at each forward until reset", () => {
    const toy = new Toy();
    const cache: ReturnType<typeof toy.addCachingHooks> = new ActivationMap();
    expect(toy.addCachingHooks({ cache })).toBe(cache);
    expect(toy.isCaching).toBe(true);
    toy.forward(X(1, 1));
    expect(values(cache.get("hook_a"))).toEqual([[2]]);
    toy.hooks({ fwdHooks: { hook_a: () => {} } }).dispose();
    toy.forward(X(1, 1).mul(5));
    expect(values(cache.get("hook_a"))).toEqual([[10]]);
    toy.resetHooks();
    expect(toy.isCaching).toBe(false);
    toy.forward(X(1, 1));
    expect(values(cache.get("hook_a"))).toEqual([[10]]);
  });

  test("cacheAll and cacheSome work and warn", () => {
    const toy = new Toy();
    const cache = toy.getCachingHooks()[0];
    expect(warnings(() => toy.cacheSome(cache, (name) => name === "hook_b"))).toHaveLength(1);
    toy.forward(X(1, 1));
    expect([...cache.keys()]).toEqual(["hook_b"]);
    expect(warnings(() => toy.cacheAll(cache, { inclBwd: true }))).toHaveLength(1);
    toy.forward(leaf(1, 1), { total: true }).backward();
    expect([...cache.keys()].sort()).toEqual(["hook_a", "hook_a_grad", "hook_b", "hook_b_grad"]);
  });

  test("refuse a cache of another kind", () => {
    for (const other of [{}, new Set(), new WeakMap(), "cache"]) {
      expect(code(() => new Toy().addCachingHooks({ cache: other as never }))).toBe("invalid_argument");
    }
  });
});

describe("plain maps", () => {
  const shown = (map: Map<string, Tensor>) => Object.fromEntries([...map].map(([k, v]) => [k, values(v)]));

  test("are what runWithCache gives if asked, with the same content", () => {
    const deep = new Deep();
    const options = { inclBwd: true, posSlice: -1, dtype: "float64" } as const;
    const [loss, map] = deep.runWithCache(X(1, 2), { ...options, returnCacheObject: false });
    const [, cache] = deep.runWithCache(X(1, 2), options);
    expect(map).toBeInstanceOf(Map);
    expect(map).not.toBeInstanceOf(ActivationMap);
    expect([...map.keys()]).toEqual([...cache.keys()]);
    for (const [key, value] of cache) {
      expect(values(map.get(key) ?? X())).toEqual(values(value));
      expect(map.get(key)).toMatchObject({ axes: value.axes, dtype: "float64", requiresGrad: false });
    }
    expect(loss.size).toBe(1);
    expect(deep.listHooks().size).toBe(0);
    expect(deep.runWithCache(X(1, 2), { returnCacheObject: true })[1]).toBeInstanceOf(ActivationMap);
  });

  test("obey removeBatchDim and posSlice at every point", () => {
    const shapes = new Shapes();
    const options = { removeBatchDim: true, posSlice: { start: 1 } } as const;
    const [, map] = shapes.runWithCache(X(1, 5, 4), { ...options, returnCacheObject: false });
    const [, cache] = shapes.runWithCache(X(1, 5, 4), options);
    expect(shown(map)).toEqual(Object.fromEntries([...cache].map(([k, v]) => [k, values(v)])));
    expect(map.get("hook_z")?.axes).toEqual(["pos", "head", "d_head"]);
  });

  test("of the caller's own are filled at each forward until reset", () => {
    const toy = new Toy();
    const map = new Map<string, Tensor>();
    expect(toy.addCachingHooks({ cache: map })).toBe(map);
    expect([map.size, toy.isCaching]).toEqual([0, true]);
    toy.forward(X(1, 1));
    expect(shown(map)).toEqual({ hook_a: [[2]], hook_b: [[3]] });
    map.clear();
    // The caller's own, also where everything else is freed.
    tidy(() => void toy.forward(X(1, 1).mul(5)));
    expect(shown(map)).toEqual({ hook_a: [[10]], hook_b: [[11]] });
    toy.resetHooks();
    expect(toy.isCaching).toBe(false);
    toy.forward(X(1, 1));
    expect(shown(map)).toEqual({ hook_a: [[10]], hook_b: [[11]] });
  });

  test("go on being filled after a run whose hooks stay", () => {
    const toy = new Toy();
    const [, map] = toy.runWithCache(X(1, 1), { returnCacheObject: false, resetHooksEnd: false });
    const [, cache] = toy.runWithCache(X(1, 1), { resetHooksEnd: false });
    toy.forward(X(1, 1).mul(5));
    expect(shown(map)).toEqual({ hook_a: [[10]], hook_b: [[11]] });
    expect(values(cache.get("hook_a"))).toEqual([[10]]);
    toy.resetHooks();
  });

  test("are filled by hooks that are attached by hand, and hold the sum of gradients", () => {
    const twice = new Twice();
    const map = new Map<string, Tensor>();
    const [same, fwdHooks, bwdHooks] = twice.getCachingHooks({ cache: map, inclBwd: true });
    expect(same).toBe(map);
    using _scope = twice.hooks({ fwdHooks, bwdHooks });
    for (let pass = 0; pass < 2; pass++) {
      twice.forward(leaf(1, 2)).backward();
      expect(shown(map)).toEqual({ hook: [[10, 20]], hook_grad: [[5, 5]] });
    }
  });
});

describe("points with a conversion", () => {
  test("record what hooks see, and add up the gradients of several firings", () => {
    for (const returnCacheObject of [true, false]) {
      const twice = new Twice();
      twice.hook.enableReshape({ convert: (t) => t.reshape([-1]), revert: (t) => t.reshape([1, -1]) });
      for (let pass = 0; pass < 2; pass++) {
        const [, cache] = twice.runWithCache(leaf(1, 2), { inclBwd: true, returnCacheObject });
        expect(Object.fromEntries([...cache].map(([k, v]) => [k, values(v)]))).toEqual({
          hook: [10, 20],
          hook_grad: [5, 5],
        });
      }
    }
  });

  test("start anew with the next backward pass over the same graph", () => {
    const twice = new Twice();
    twice.hook.enableReshape({ convert: (t) => t.reshape([-1]), revert: (t) => t.reshape([1, -1]) });
    const cache = twice.addCachingHooks({ inclBwd: true });
    const loss = twice.forward(leaf(1, 2));
    for (let pass = 0; pass < 2; pass++) {
      loss.backward(null, { retainGraph: true });
      expect(values(cache.get("hook_grad"))).toEqual([5, 5]);
    }
  });
});

describe("misspelt options of a module of one's own", () => {
  const run = (options: object) => () => new Toy().runWithCache(X(1, 2), options);
  const hook = (options: object) => () => new Toy().runWithHooks(X(1, 2), options);

  test.each([
    ["nameFilter", "namesFilter"],
    ["names_filter", "namesFilter"],
    ["incl_bwd", "inclBwd"],
    ["includeBwd", null],
    ["inclBackward", null],
    ["posSlices", "posSlice"],
    ["removeBatchDims", "removeBatchDim"],
    ["returnCacheObjects", "returnCacheObject"],
    ["resetHookEnd", "resetHooksEnd"],
    ["Device", "device"],
  ])("%s", (option, suggestion) => {
    // Too far from any name to tell it from an option of the model's own.
    if (suggestion === null) expect(run({ [option]: null })).not.toThrow();
    else {
      expect(thrown(run({ [option]: null }))).toMatchObject({
        code: "invalid_argument",
        details: { option, suggestion },
      });
    }
  });

  test("or given to the wrong call", () => {
    expect(code(hook({ fwdHook: {} }))).toBe("invalid_argument");
    expect(code(hook({ namesFilter: "hook_a" }))).toBe("invalid_argument");
    expect(code(run({ fwdHooks: {} }))).toBe("invalid_argument");
  });

  test("but the model's own options go through", () => {
    expect(new Toy().runWithCache(X(1, 2), { total: true, device: "cpu" })[0].size).toBe(1);
    for (const own of ["total", "names", "type", "devices", "hooks", "mask"]) {
      expect(run({ [own]: null })).not.toThrow();
    }
  });
});

describe("the cache", () => {
  test("is a map in the order of firing", () => {
    const [, cache] = new Toy().runWithCache(X(1, 2));
    expect([...cache.keys()]).toEqual(["hook_a", "hook_b"]);
    expect([...cache.values()].map(values)).toEqual([[[2, 4]], [[3, 5]]]);
    expect([...cache.entries()].map(([key]) => key)).toEqual(["hook_a", "hook_b"]);
    expect(cache.byteSize).toBe(16);
    expect(String(cache)).toBe("ActivationMap(2 tensors, 0.0 MB)");
    cache.set("hook_b", X(1, 1));
    expect(values(cache.get("hook_b"))).toEqual([[1]]);
    expect([cache.delete("hook_a"), cache.delete("hook_a"), cache.has("hook_a")]).toEqual([
      true,
      false,
      false,
    ]);
    cache.clear();
    expect(cache.size).toBe(0);
  });

  test("says what it has when asked for something else", () => {
    const [, cache] = new Toy().runWithCache(X(1, 2), { namesFilter: "hook_a" });
    expect(() => cache.get("hook_b")).toThrow(/recorded are hook_a/);
    expect(code(() => cache.get("hook_a_grad"))).toBe("not_cached");
  });

  test("gives tensors that outlive it", () => {
    const [, cache] = new Toy().runWithCache(X(1, 2));
    const kept = cache.get("hook_a");
    cache.clear();
    expect(values(kept)).toEqual([[2, 4]]);
  });
});

test("a cache that is being filled when a hook throws keeps what came before, and nothing stays attached", () => {
  const toy = new Toy();
  const [cache, fwd] = toy.getCachingHooks();
  const boom = new Error("boom");
  const throwing = () => {
    throw boom;
  };
  expect(() => toy.runWithHooks(X(1, 1), { fwdHooks: [...fwd, ["hook_b", throwing]] })).toThrow(boom);
  expect([...cache.keys()]).toEqual(["hook_a", "hook_b"]);
  expect(counts(toy)).toEqual({ hook_a: { fwd: 0, bwd: 0 }, hook_b: { fwd: 0, bwd: 0 } });
});

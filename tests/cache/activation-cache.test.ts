// What a cache of a transformer promises beyond the map that it is.

import { describe, expect, test } from "vitest";
import {
  ActivationCache,
  allclose,
  HookedTransformer,
  HooklensError,
  memory,
  randn,
  type Tensor,
  tensor,
  tidy,
} from "../../ts/index.ts";
import { code, thrown, values, warnings } from "../hooks/toy.ts";
import { CONFIG, TOKENS } from "../models/small.ts";

const model = HookedTransformer.fromConfig(CONFIG);
const BATCH = [
  [3, 1, 4, 1],
  [5, 9, 2, 6],
  [7, 7, 7, 7],
];

/** Every element of every tensor, by key. */
function content(cache: Iterable<readonly [string, Tensor]>): Record<string, unknown> {
  return Object.fromEntries([...cache].map(([key, value]) => [key, values(value)]));
}

test("a names filter that can be gone through once selects and is remembered", () => {
  const model = HookedTransformer.fromConfig(CONFIG);
  function* names(): Generator<"hook_embed"> {
    yield "hook_embed";
  }
  const [, cache] = model.runWithCache(TOKENS, { namesFilter: names() });
  expect([...cache.keys()]).toEqual(["hook_embed"]);
  expect(() => cache.get("blocks.0.hook_resid_pre")).toThrow("namesFilter (hook_embed)");
  const later = model.addCachingHooks({ namesFilter: new Set(["hook_embed"] as const).values() });
  model.forward(TOKENS);
  expect([...later.keys()]).toEqual(["hook_embed"]);
});

describe("keys", () => {
  const [, cache] = model.runWithCache(TOKENS, { returnType: "loss", inclBwd: true });
  const same = (a: Tensor, b: Tensor) => {
    expect(values(a)).toEqual(values(b));
    expect(a.axes).toEqual(b.axes);
  };

  test("are full names, short names and tuples, of activations and of gradients", () => {
    const pattern = cache.get("blocks.1.attn.hook_pattern");
    for (const key of ["pattern1", "attn1", "pattern1attn"] as const) same(cache.get(key), pattern);
    for (const key of [
      ["pattern", 1],
      ["attn", -1],
    ] as const)
      same(cache.get(key), pattern);
    for (const key of ["pattern1", ["pattern", -1], "pattern1_grad"] as const)
      expect(cache.has(key)).toBe(true);
    same(cache.get("pattern1_grad"), cache.get("blocks.1.attn.hook_pattern_grad"));
    same(cache.get("scale0ln2"), cache.get("blocks.0.ln2.hook_scale"));
    same(cache.get(["normalized", -2, "ln1"]), cache.get("blocks.0.ln1.hook_normalized"));
    same(cache.get("embed"), cache.get("hook_embed"));
    same(cache.get(["normalized"]), cache.get("ln_final.hook_normalized"));
    expect(cache.fullName(["resid_post", -1])).toBe("blocks.1.hook_resid_post");
  });

  test("that mean no point are told from those of points that were not recorded", () => {
    expect(code(() => cache.get("patern1" as never))).toBe("unknown_hook");
    expect(code(() => cache.get(["scale", 1, "m"] as never))).toBe("unknown_hook");
    expect(code(() => cache.get("blocks.2.attn.hook_z"))).toBe("unknown_hook");
    expect(code(() => cache.get(["z", 2]))).toBe("index_out_of_range");
    expect(code(() => cache.get(["z", 0.5]))).toBe("index_out_of_range");
    expect(code(() => cache.get(["z", "1"] as never))).toBe("index_out_of_range");
    for (const nonsense of [7, null, {}, [], ["z", 1, "a", 2]]) {
      expect(code(() => cache.get(nonsense as never))).toBe("invalid_argument");
      expect(code(() => cache.has(nonsense as never))).toBe("invalid_argument");
    }
    for (const pattern of ["blocks.*.attn.hook_z", "blocks.1.attn.hook_[z]"]) {
      expect(() => cache.get(pattern as never)).toThrow(/one name at a time/);
    }
  });

  test("name what can be set and deleted, under any spelling", () => {
    const [, own] = model.runWithCache(TOKENS, { namesFilter: "blocks.0.attn.hook_z" });
    own.set(["z", 0], own.get("z0").mul(2)).set("z1", own.get("z0").detach());
    expect([...own.keys()]).toEqual(["blocks.0.attn.hook_z", "blocks.1.attn.hook_z"]);
    expect(own.get("z1").axes).toEqual(["batch", "pos", "head", "d_head"]);
    expect([own.delete("z0"), own.delete("z0"), own.delete("typo")]).toEqual([true, false, false]);
    expect(own.size).toBe(1);
    expect(code(() => own.set("typo" as never, randn([2])))).toBe("unknown_hook");
    expect(code(() => own.set("z0", 3 as never))).toBe("invalid_argument");
  });
});

describe("what is not there is explained", () => {
  const tokens = TOKENS;
  const reason = (cache: ActivationCache, key: string): string => {
    const error = thrown(() => cache.get(key));
    expect(error).toMatchObject({ code: "not_cached", details: { key } });
    return error instanceof HooklensError ? error.message : "";
  };

  test("by the names filter, and by the cost of a point", () => {
    const [, some] = model.runWithCache(tokens, { namesFilter: ["blocks.0.attn.hook_z", /mlp_out$/] });
    expect(reason(some, "blocks.1.attn.hook_z")).toMatch(
      /namesFilter \(blocks\.0\.attn\.hook_z, \/mlp_out\$\/\) may have excluded it; recorded are blocks\.0/,
    );
    const [, all] = model.runWithCache(tokens);
    const message = reason(all, "blocks.1.attn.hook_result");
    expect(message).toMatch(/only when namesFilter names it/);
    expect(message).toMatch(/nearest blocks\.1\.attn\.hook_/);
  });

  test("by where the run began and stopped", () => {
    const [residual, before] = model.runWithCache(tokens, { stopAtLayer: -1 });
    expect(reason(before, "blocks.1.hook_resid_pre")).toMatch(/stopped before block 1 \(stopAtLayer: -1\)/);
    expect(reason(before, "ln_final.hook_scale")).toMatch(/stopAtLayer/);
    const [, after] = model.runWithCache(residual, { startAtLayer: 1 });
    expect(reason(after, "blocks.0.hook_mlp_out")).toMatch(/started at block 1/);
    expect(reason(after, "hook_embed")).toMatch(/startAtLayer: 1/);
    const [, silent] = model.runWithCache(tokens, { returnType: null });
    expect(reason(silent, "unembed.hook_out")).toMatch(/returnType null/);
  });

  test("by gradients that nobody asked for, or that did not flow", () => {
    const [, plain] = model.runWithCache(tokens);
    expect(reason(plain, "hook_embed_grad")).toMatch(/with inclBwd/);
    const filter = ["hook_tokens", "hook_embed"] as const;
    const [, grads] = model.runWithCache(tokens, {
      returnType: "loss",
      inclBwd: true,
      namesFilter: filter,
    });
    expect([...grads.keys()]).toEqual(["hook_tokens", "hook_embed", "hook_embed_grad"]);
    expect(reason(grads, "hook_tokens_grad")).toMatch(/no gradient reached it/);
  });

  test("by nothing having run", () => {
    const empty = model.addCachingHooks({ namesFilter: "hook_embed" });
    expect(reason(empty, "hook_embed")).toMatch(/nothing was recorded/);
    model.resetHooks();
  });
});

describe("slice", () => {
  const [, cache] = model.runWithCache(BATCH);

  test("picks a row: the run of that row alone", () => {
    const row = cache.slice({ batch: 1 });
    const [, alone] = model.runWithCache([BATCH[1] ?? []], { removeBatchDim: true });
    expect([...row.keys()]).toEqual([...alone.keys()]);
    expect([row.hasBatchDim, cache.hasBatchDim]).toEqual([false, true]);
    for (const [key, value] of row) {
      expect(value.axes).toEqual(alone.get(key).axes);
      expect(allclose(value, alone.get(key), { atol: 1e-5 })).toBe(true);
    }
    expect(row.meta.tokens?.toArray()).toEqual(BATCH[1]);
    expect(values(cache.applySliceToBatchDim(-2).get("z1"))).toEqual(values(row.get("z1")));
  });

  test("picks several rows, by list and by range", () => {
    const some = cache.slice({ batch: [2, -3] });
    expect(some.hasBatchDim).toBe(true);
    expect(values(some.get("resid_pre1"))).toEqual(values(cache.get("resid_pre1").get([2, 0])));
    expect(some.meta.tokens?.toArray()).toEqual([BATCH[2], BATCH[0]]);
    const range = cache.slice({ batch: { start: 1 } });
    expect(values(range.get("pattern0"))).toEqual(values(cache.get("pattern0").get({ start: 1 })));
    expect(cache.slice({ batch: {} }).get("z0").shape).toEqual(cache.get("z0").shape);
    expect(cache.slice({ batch: [] }).get("z0").shape).toEqual([0, 4, 2, 4]);
  });

  test("by position equals posSlice at capture, with the query axis of attention maps", () => {
    const positions = [-1, 0];
    const [, captured] = model.runWithCache(BATCH, { posSlice: positions });
    expect(content(cache.slice({ pos: positions, query: positions }))).toEqual(content(captured));
  });

  test("leaves tensors without the axis whole, and drops the axis for a number", () => {
    const part = cache.slice({ head: 1, pos: -1 });
    expect(part.get("pattern0").axes).toEqual(["batch", "query", "key"]);
    expect(part.get("z0").axes).toEqual(["batch", "d_head"]);
    expect(part.get("resid_pre0").axes).toEqual(["batch", "d_model"]);
    expect(values(part.get("pattern0"))).toEqual(values(cache.get("pattern0").at({ head: 1 }).get()));
    const whole = cache.slice({ d_mlp: 3 }).get("resid_pre0");
    expect(values(whole)).toEqual(values(cache.get("resid_pre0")));
    expect(cache.slice({ head: 0 }).slice({ batch: 0 }).get("z1").axes).toEqual(["pos", "d_head"]);
  });

  test("lives on without the cache that it is of", () => {
    const [, whole] = model.runWithCache(BATCH);
    const row = whole.slice({ batch: 0 });
    const expected = content(row);
    whole[Symbol.dispose]();
    expect(content(row)).toEqual(expected);
    expect(row.meta.tokens?.toArray()).toEqual(BATCH[0]);
  });

  test("refuses what is no slice, and axes that nothing has", () => {
    expect(code(() => cache.slice({ batch: 3 }))).toBe("index_out_of_range");
    expect(code(() => cache.slice({ batch: [0, -4] }))).toBe("index_out_of_range");
    expect(code(() => cache.slice({ row: 0 } as never))).toBe("unknown_axis");
    expect(code(() => cache.slice({ batch: 0 }).applySliceToBatchDim(0))).toBe("unknown_axis");
    for (const nonsense of [0.5, "0", [0.5], { at: 0 }, { start: "0" }, Number.NaN, null]) {
      expect(code(() => cache.slice({ batch: nonsense } as never))).toBe("invalid_argument");
    }
    for (const nonsense of [0, null, [0], "batch"]) {
      expect(code(() => cache.slice(nonsense as never))).toBe("invalid_argument");
    }
  });
});

describe("removeBatchDim", () => {
  test("gives the cache itself, as if recorded so; a second call warns", () => {
    const [, cache] = model.runWithCache(TOKENS);
    const [, recorded] = model.runWithCache(TOKENS, { removeBatchDim: true });
    expect(warnings(() => expect(cache.removeBatchDim()).toBe(cache))).toEqual([]);
    expect(content(cache)).toEqual(content(recorded));
    expect(cache.get("z0").axes).toEqual(["pos", "head", "d_head"]);
    expect(cache.meta.tokens?.toArray()).toEqual(TOKENS[0]);
    expect(warnings(() => cache.removeBatchDim())).toHaveLength(1);
    expect(content(cache)).toEqual(content(recorded));
  });

  test("refuses several rows, and changes nothing then", () => {
    const [, cache] = model.runWithCache(BATCH);
    const before = content(cache);
    expect(code(() => cache.removeBatchDim())).toBe("invalid_argument");
    expect([content(cache), cache.hasBatchDim]).toEqual([before, true]);
  });

  test("is known to caches that hooks fill", () => {
    const cache = model.addCachingHooks({ removeBatchDim: true, namesFilter: "blocks.0.attn.hook_z" });
    model.forward(TOKENS);
    model.resetHooks();
    expect([cache.hasBatchDim, cache.meta.namesFilter]).toEqual([false, "blocks.0.attn.hook_z"]);
    expect(cache.get("z0").axes).toEqual(["pos", "head", "d_head"]);
  });
});

describe("to", () => {
  test("converts floats in place, and leaves whole numbers", () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: ["hook_tokens", "hook_embed"] });
    const bytes = cache.byteSize;
    expect(cache.to("float16")).toBe(cache);
    expect(cache.get("embed").dtype).toBe("float16");
    expect(cache.get("tokens").dtype).toBe("int64");
    expect(cache.get("embed").axes).toEqual(["batch", "pos", "d_model"]);
    expect([bytes, cache.byteSize]).toEqual([4 * 8 + 4 * 8 * 4, 4 * 8 + 4 * 8 * 2]);
    expect(cache.toDevice("cpu").get("embed").device).toBe("cpu");
  });

  test("refuses other things, and changes nothing then", () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: "hook_embed" });
    expect(code(() => cache.to("int64"))).toBe("wrong_dtype");
    expect(code(() => cache.to("tpu" as never))).toBe("invalid_argument");
    expect(code(() => cache.toDevice("float16" as never))).toBe("invalid_argument");
    expect(cache.get("embed").dtype).toBe("float32");
  });
});

describe("memory", () => {
  test("is counted, and freed by `using`", () => {
    model.forward(TOKENS);
    const before = memory().bytes;
    {
      using cache = tidy(() => model.runWithCache(BATCH)[1]);
      expect(cache.byteSize).toBeGreaterThan(10_000);
      expect(memory().bytes - before).toBeGreaterThan(cache.byteSize / 2);
    }
    expect(memory().bytes - before).toBeLessThan(1000);
  });

  test("of reading everything is a cache's own", () => {
    const [, cache] = model.runWithCache(TOKENS);
    const before = memory().tensors;
    tidy(() => {
      cache.forEach((value, key, whole) => {
        expect(whole.get(key).shape).toEqual(value.shape);
      });
    });
    cache.slice({ pos: 0 })[Symbol.dispose]();
    cache.to("float64").removeBatchDim();
    expect(memory().tensors - before).toBeLessThanOrEqual(1);
  });

  test("of the tokens does not depend on the caller's", () => {
    const own = tensor(TOKENS, { dtype: "int64" });
    const [, cache] = model.runWithCache(own);
    own.dispose();
    expect(cache.meta.tokens?.toArray()).toEqual(TOKENS);
    cache[Symbol.dispose]();
    expect([cache.isDisposed, cache.meta.tokens]).toEqual([true, null]);
  });
});

test("a disposed cache is not an empty one", async () => {
  const [, cache] = model.runWithCache(TOKENS);
  cache[Symbol.dispose]();
  cache[Symbol.dispose]();
  expect(String(cache)).toBe("ActivationCache(disposed)");
  const uses: (() => unknown)[] = [
    () => cache.get("z0"),
    () => cache.has("z0"),
    () => cache.size,
    () => cache.byteSize,
    () => [...cache],
    () => cache.keys(),
    () => cache.slice({ batch: 0 }),
    () => cache.set("z0", randn([1])),
    () => cache.delete("z0"),
    () => cache.clear(),
    () => cache.to("float64"),
    () => cache.removeBatchDim(),
  ];
  for (const use of uses) expect(code(use), String(use)).toBe("disposed");
  await expect(cache.save("never-written.safetensors")).rejects.toMatchObject({ code: "disposed" });
});

test("a device that is none, and a path that is none, are named", async () => {
  const [, cache] = model.runWithCache(TOKENS);
  const refused = thrown(() => cache.toDevice("gpu" as never));
  expect(refused).toMatchObject({ code: "device_unavailable" });
  expect(String(refused)).toMatch(/toDevice: expected 'cpu', 'cuda'.*got 'gpu'/);
  expect(code(() => cache.toDevice(3 as never))).toBe("invalid_argument");
  await expect(cache.save(3 as never)).rejects.toThrow(/^ActivationCache.save: expected the path of a file/);
});

test("what was taken out is not said never to have been there", () => {
  const [, cache] = model.runWithCache(TOKENS);
  const message = (key: "z0" | "z1") => (thrown(() => cache.get(key)) as Error).message;
  cache.delete("z0");
  expect(message("z0")).toMatch(/taken out by delete/);
  cache.clear();
  expect(message("z1")).toMatch(/taken out by delete or clear$/);
});

test("a short name that is none is answered with short names", () => {
  const [, cache] = model.runWithCache(TOKENS);
  const nearest = (key: unknown) => {
    const error = thrown(() => cache.get(key as never)) as { message: string; suggestions: string[] };
    expect(error.message).toContain(`'${typeof key === "string" ? key : "patern1"}'`);
    return error.suggestions;
  };
  for (const key of ["patern1", "pattern-1", ["patern", 1]]) expect(nearest(key)).toContain("pattern1");
  expect(nearest("resid_post").toSorted()).toEqual(expect.arrayContaining(["resid_post0", "resid_post1"]));
  expect(nearest("scaleln1")[0]).toMatch(/^scale\dln1$/);
  expect(nearest("hok_embed")).toContain("hook_embed");
});

test("a cache knows what is in it", () => {
  const [, cache] = model.runWithCache(TOKENS, { namesFilter: ["hook_embed"] });
  expect([cache.hasEmbed, cache.hasPosEmbed]).toEqual([true, false]);
  expect(cache).toBeInstanceOf(ActivationCache);
  expect(cache.meta).toMatchObject({
    model: "custom",
    inclBwd: false,
    stopAtLayer: null,
    returnType: "logits",
  });
});

test("nothing that is done with a tensor changes what is cached", () => {
  const [, cache] = model.runWithCache(TOKENS);
  const before = values(cache.get("z0"));
  const z = cache.get("z0");
  z.at({ head: 0 }).fill(0);
  z.requiresGrad_().square().sum().backward();
  z.dispose();
  expect(values(cache.get("z0"))).toEqual(before);
  expect(cache.get("z0").requiresGrad).toBe(false);
});

// Caches that are written to a file and read again, and files that are no caches.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engine } from "../../ts/engine/current.ts";
import { ActivationCache, HookedTransformer, HooklensError, type Tensor } from "../../ts/index.ts";
import type { handleOf } from "../../ts/tensor/base.ts";
import { code, values } from "../hooks/toy.ts";
import { CONFIG, TOKENS } from "../models/small.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-cache-"));
const path = join(folder, "cache.safetensors");
const model = HookedTransformer.fromConfig({ ...CONFIG, model_name: "small", n_layers: 12 });

afterAll(() => rmSync(folder, { recursive: true }));

async function failure(reading: Promise<unknown>): Promise<HooklensError> {
  const error: unknown = await reading.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof HooklensError) return error;
  return expect.fail(`expected a HooklensError, got ${String(error)}`);
}

async function get(cache: { get(key: string): Tensor }, key: string): Promise<Tensor> {
  return cache.get(key);
}

function content(cache: Iterable<readonly [string, Tensor]>): unknown[] {
  return [...cache].map(([key, value]) => [key, value.axes, value.dtype, value.shape, values(value)]);
}

describe("a saved cache", () => {
  test("comes back with its order, axes, dtypes, elements and how it was recorded", async () => {
    const [, cache] = model.runWithCache([...TOKENS, ...TOKENS], {
      returnType: "loss",
      inclBwd: true,
      posSlice: { start: -2 },
      dtype: "bfloat16",
      namesFilter: ["hook_tokens", /hook_pattern|ln1\.hook_scale|resid_post/],
    });
    await cache.save(path);
    const again = await ActivationCache.load(path);
    expect(content(again)).toEqual(content(cache));
    expect(again.size).toBeGreaterThan(60);
    const { tokens, ...meta } = again.meta;
    const { tokens: before, ...recorded } = cache.meta;
    expect(meta).toEqual(recorded);
    expect(meta).toMatchObject({ model: "small", inclBwd: true, dtype: "bfloat16", posSlice: { start: -2 } });
    expect([tokens?.axes, tokens && values(tokens)]).toEqual([before?.axes, before && values(before)]);
    expect(again.get(["pattern", -1]).axes).toEqual(["batch", "head", "query", "key"]);
    expect(values(again.get("pattern11"))).toEqual(values(cache.get(["attn", -1])));
    expect(values(again.get("scale3ln1_grad"))).toEqual(values(cache.get("blocks.3.ln1.hook_scale_grad")));
  });

  test("without a batch axis, sliced, or with scores of −∞, comes back as it was", async () => {
    const [, cache] = model.runWithCache(TOKENS, { removeBatchDim: true });
    const part = cache.slice({ pos: -1, head: [1, 0] });
    await part.save(path);
    const again = await ActivationCache.load(path);
    expect(content(again)).toEqual(content(part));
    expect([again.hasBatchDim, again.get("z0").axes]).toEqual([false, ["head", "d_head"]]);
    expect(again.meta.tokens?.shape).toEqual([]);
    expect(again.get("attn_scores0").toFloat32Array()).toContain(Number.NEGATIVE_INFINITY);
    expect(content(again.slice({ head: 1 }))).toEqual(content(part.slice({ head: 1 })));
  });

  test("of a run from a residual stream, or of nothing, comes back too", async () => {
    const residual = model.forward(TOKENS, { stopAtLayer: 11 });
    const [, cache] = model.runWithCache(residual, { startAtLayer: 11 });
    await cache.save(path);
    const again = await ActivationCache.load(path, { removeBatchDim: false });
    expect([again.meta.tokens, again.meta.startAtLayer]).toEqual([null, 11]);
    expect((await failure(get(again, "z0"))).message).toMatch(/startAtLayer: 11/);
    const empty = model.addCachingHooks();
    model.resetHooks();
    await empty.save(path);
    expect((await ActivationCache.load(path)).size).toBe(0);
  });

  test("knows the names of the model: one that was not recorded is not cached, another is unknown", async () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: "blocks.0.attn.hook_z" });
    await cache.save(path);
    const again = await ActivationCache.load(path);
    expect(again.has("z5")).toBe(false);
    const error = await failure(get(again, "z5"));
    expect(error).toMatchObject({ code: "not_cached", details: { nearest: ["blocks.0.attn.hook_z"] } });
    expect(error.message).toMatch(/namesFilter \(blocks\.0\.attn\.hook_z\)/);
    const beyond = await failure(get(again, "z12"));
    expect(beyond).toMatchObject({ code: "unknown_hook", details: { name: "blocks.12.attn.hook_z" } });
    const misspelt = await failure(get(again, "blocks.0.attn.hook_zz"));
    expect(misspelt).toMatchObject({ code: "unknown_hook" });
    expect(misspelt.details["suggestions"]).toContain("blocks.0.attn.hook_z");
    expect(code(() => again.get("blocks.0.attn.hook_result"))).toBe("not_cached");
    for (const absent of ["z12", "blocks.0.attn.hook_zz", "blocks.*.attn.hook_z"])
      expect(again.has(absent)).toBe(false);
    expect(again.has(["z", 12])).toBe(false);
    for (const cacheOf of [cache, again])
      expect(code(() => cacheOf.has(3 as never))).toBe("invalid_argument");
    expect(code(() => again.get(["z", 12]))).toBe("index_out_of_range");
  });

  test("is a file of tensors under their names for any reader", async () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: "blocks.*.attn.hook_z" });
    await cache.save(path);
    const { tensors, metadata } = engine().readTensors(path);
    expect(tensors.map(({ name }) => name).sort()).toEqual([...cache.keys(), "tokens"].sort());
    expect(Object.fromEntries(metadata.map(({ name, text }) => [name, text]))).toMatchObject({
      format: "hooklens.activation-cache",
      version: "1",
    });
  });

  test("must have the batch axis that is expected", async () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: "hook_embed", removeBatchDim: true });
    await cache.save(path);
    const loaded = await ActivationCache.load(path, { removeBatchDim: true });
    expect(loaded.get("hook_embed").axes).toEqual(["pos", "d_model"]);
    const error = await failure(ActivationCache.load(path, { removeBatchDim: false }));
    expect(error).toMatchObject({ code: "invalid_file" });
    expect(error.message).toMatch(/without their batch axis/);
  });
});

describe("a file that is no cache", () => {
  let good: { name: string; tensor: ReturnType<typeof handleOf> }[];
  let metadata: Record<string, string>;
  let about: Record<string, unknown>;

  beforeAll(async () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: ["hook_embed", "blocks.0.attn.hook_z"] });
    await cache.save(path);
    const read = engine().readTensors(path);
    good = read.tensors;
    metadata = Object.fromEntries(read.metadata.map(({ name, text }) => [name, text]));
    about = JSON.parse(metadata["cache"] ?? "");
  });

  /** What loading says of a file with other metadata. */
  async function refusal(changes: Record<string, string>, tensors = good): Promise<string> {
    engine().writeTensors(path, tensors, { ...metadata, ...changes });
    const error = await failure(ActivationCache.load(path));
    expect(error).toMatchObject({ code: "invalid_file" });
    return error.message;
  }

  test("is refused by what it is", async () => {
    expect((await failure(ActivationCache.load(join(folder, "none")))).code).toBe("missing_file");
    expect((await failure(ActivationCache.load(folder))).code).toBe("invalid_file");
    await model.save(path);
    expect((await failure(ActivationCache.load(path))).message).toMatch(
      /no saved activation cache.*not told/,
    );
    expect(await refusal({ format: "pt" })).toMatch(/the format is pt/);
    expect(await refusal({ version: "2" })).toMatch(/is version 2 .* reads version 1/);
    expect(await refusal({ cache: "{" })).toMatch(/no JSON/);
    expect(await refusal({ cache: "[]" })).toMatch(/no object/);
    const options = await failure(ActivationCache.load(path, { device: "cpu" } as never));
    expect(options.code).toBe("invalid_argument");
  });

  test("is refused for each field that is missing or of another kind", async () => {
    for (const field of Object.keys(about)) {
      for (const value of [undefined, { x: 1 }, Number.MAX_VALUE]) {
        // Positions are whatever they were given as.
        if (field === "posSlice" && value !== undefined) continue;
        const message = await refusal({ cache: JSON.stringify({ ...about, [field]: value }) });
        expect(message).toContain(`'${field}'`);
      }
    }
    expect(await refusal({ cache: JSON.stringify({ ...about, layers: -1 }) })).toContain("'layers'");
  });

  test("is refused where metadata and tensors disagree", async () => {
    const entries = about["entries"] as { key: string; axes: string[] }[];
    const other = (changed: unknown) => refusal({ cache: JSON.stringify({ ...about, entries: changed }) });
    expect(await other([])).toMatch(/is not listed/);
    expect(await other([...entries, { key: "x", axes: [] }])).toMatch(/'x', which is not among its tensors/);
    expect(await other([...entries, ...entries])).toMatch(/not among its tensors/);
    expect(await other([...entries, { key: "tokens", axes: [] }])).toMatch(/'tokens', which is not among/);
    expect(await other(entries.map(({ key }) => ({ key, axes: ["pos"] })))).toMatch(/the axes \[pos\]/);
    for (const odd of [null, 3, { key: 3, axes: [] }, { key: "hook_embed", axes: ["a", "a", "b"] }, {}]) {
      expect(await other([odd])).toMatch(/no key with the names of its axes/);
    }
    expect(await refusal({}, good.slice(1))).toMatch(/not among its tensors/);
  });

  test("is refused however it is cut off or damaged, never with a crash", async () => {
    engine().writeTensors(path, good, metadata);
    const bytes = readFileSync(path);
    for (let length = 0; length < bytes.length; length += 37) {
      writeFileSync(path, bytes.subarray(0, length));
      expect((await failure(ActivationCache.load(path))).code).toBe("invalid_file");
    }
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    for (let round = 0; round < 500; round++) {
      const damaged = Buffer.from(bytes);
      for (let i = 0; i < 3; i++) damaged[random(1200)] = random(256);
      writeFileSync(path, damaged);
      const outcome = await ActivationCache.load(path).catch((error: unknown) => error);
      if (outcome instanceof ActivationCache) expect(outcome.size).toBe(2);
      else expect(outcome).toBeInstanceOf(HooklensError);
    }
  });

  test("with keys of JavaScript's own is read like any other", async () => {
    const entries = [{ key: "__proto__", axes: [] }];
    const tensors = good.filter(({ name }) => name === "hook_embed" || name === "tokens");
    const renamed = tensors.map(({ name, tensor }) => ({
      name: name === "hook_embed" ? "__proto__" : name,
      tensor,
    }));
    engine().writeTensors(path, renamed, { ...metadata, cache: JSON.stringify({ ...about, entries }) });
    expect([...(await ActivationCache.load(path)).keys()]).toEqual(["__proto__"]);
  });
});

// Keys of caches, short names and slices are types.

import { describe, expectTypeOf, test } from "vitest";
import {
  ActivationCache,
  type ActName,
  getActName,
  type HookedTransformer,
  type Tensor,
} from "../../ts/index.ts";

declare const model: HookedTransformer;
declare const cache: ActivationCache;
declare const layer: number;
declare const name: string;

describe("getActName", () => {
  test("computes full names", () => {
    expectTypeOf(getActName("pattern", 3)).toEqualTypeOf<"blocks.3.attn.hook_pattern">();
    expectTypeOf(getActName("k6a")).toEqualTypeOf<"blocks.6.attn.hook_k">();
    expectTypeOf(getActName("k", 12, "mlp")).toEqualTypeOf<"blocks.12.attn.hook_k">();
    expectTypeOf(getActName("scale14ln1")).toEqualTypeOf<"blocks.14.ln1.hook_scale">();
    expectTypeOf(getActName("scale", 4, "ln1")).toEqualTypeOf<"blocks.4.ln1.hook_scale">();
    expectTypeOf(getActName("normalized")).toEqualTypeOf<"ln_final.hook_normalized">();
    expectTypeOf(getActName("embed")).toEqualTypeOf<"hook_embed">();
    expectTypeOf(getActName("attn_logits0")).toEqualTypeOf<"blocks.0.attn.hook_attn_scores">();
    expectTypeOf(getActName("resid_pre", 2, "block")).toEqualTypeOf<"blocks.2.hook_resid_pre">();
    expectTypeOf(getActName("hook_anything")).toEqualTypeOf<"hook_anything">();
    expectTypeOf(getActName("mlp_post", layer)).toEqualTypeOf<`blocks.${number}.mlp.hook_post`>();
    expectTypeOf(getActName(`resid_post${layer}`)).toEqualTypeOf<`blocks.${number}.hook_resid_post`>();
    expectTypeOf(getActName(name)).toEqualTypeOf<string>();
    expectTypeOf<ActName<"patern3">>().toEqualTypeOf<never>();
  });

  test("refuses what no transformer has", () => {
    // @ts-expect-error misspelt
    getActName("patern", 3);
    // @ts-expect-error misspelt
    getActName("patern3");
    // @ts-expect-error a norm's part must be said
    getActName("scale", 4);
    // @ts-expect-error no such part has a norm
    getActName("scale", 4, "mlp");
    // @ts-expect-error a layer must be said
    getActName("pattern");
  });

  test("gives names that hooks, filters and caches take", () => {
    model.addHook(getActName("pattern", layer), (pattern) => {
      expectTypeOf(pattern.axes[3]).toEqualTypeOf<"key">();
    });
    model.runWithCache("text", { namesFilter: [getActName("z3"), getActName("resid_pre", layer)] });
    expectTypeOf(cache.get(getActName("z", 1)).axes[2]).toEqualTypeOf<"head">();
  });
});

test("gradients and parts of short keys are understood", () => {
  expectTypeOf(cache.get("pattern3_grad").axes[3]).toEqualTypeOf<"key">();
  expectTypeOf(cache.get("k6a").axes[3]).toEqualTypeOf<"d_head">();
  expectTypeOf(cache.get(["scale", -1, "mlp.ln"]).axes[2]).toEqualTypeOf<"one">();
  expectTypeOf(cache.get("embed").axes[2]).toEqualTypeOf<"d_model">();
  expectTypeOf(cache.get("scale").axes[2]).toEqualTypeOf<"one">();
  expectTypeOf(cache.get(["z", layer]).axes[3]).toEqualTypeOf<"d_head">();
  cache.set("z1", cache.get("z0")).set(["z", -1], cache.get("z0"));
  // @ts-expect-error misspelt
  cache.get("patern3_grad");
  // @ts-expect-error no such part has a norm
  cache.get(["scale", 3, "ln3"]);
  // @ts-expect-error the residual stream is in no part
  cache.get("resid_pre3attn");
});

test("slices drop the axes that numbers are given for", () => {
  const row = cache.slice({ batch: 0 });
  expectTypeOf(row.get("z1").axes).toEqualTypeOf<readonly ["pos", "head", "d_head"]>();
  expectTypeOf(row.get("blocks.0.attn.hook_pattern_grad").axes[0]).toEqualTypeOf<"head">();
  const last = cache.slice({ batch: [0, 2], pos: layer, query: { start: -1 } });
  expectTypeOf(last.get("z1").axes).toEqualTypeOf<readonly ["batch", "head", "d_head"]>();
  expectTypeOf(last.get("pattern1").axes).toEqualTypeOf<readonly ["batch", "head", "query", "key"]>();
  expectTypeOf(cache.applySliceToBatchDim(1).get("pattern1").axes[0]).toEqualTypeOf<"head">();
  expectTypeOf(cache.applySliceToBatchDim([1]).get("pattern1").axes[0]).toEqualTypeOf<"batch">();
  const either = layer > 1 ? 1 : [1];
  expectTypeOf(cache.slice({ pos: either }).get("z1").axes).toEqualTypeOf<readonly string[]>();
  expectTypeOf(cache.slice({ pos: either }).get("pattern1").axes[0]).toEqualTypeOf<"batch">();
  expectTypeOf(row.slice({ head: 1 }).get("z1").axes).toEqualTypeOf<readonly ["pos", "d_head"]>();
  // @ts-expect-error no such axis
  cache.slice({ row: 0 });
  // @ts-expect-error no such axis
  cache.slice({ batch: 0, position: 1 });
  // @ts-expect-error no positions
  cache.slice({ batch: "0" });
});

test("loaded caches have the axes that are said to be there", async () => {
  const either = await ActivationCache.load("file");
  expectTypeOf(either.get("z1").axes).toEqualTypeOf<readonly string[]>();
  const bare = await ActivationCache.load("file", { removeBatchDim: true });
  expectTypeOf(bare.get("z1").axes).toEqualTypeOf<readonly ["pos", "head", "d_head"]>();
  expectTypeOf(
    ActivationCache.load("file", { removeBatchDim: false }),
  ).resolves.toEqualTypeOf<ActivationCache>();
  // @ts-expect-error no such option
  ActivationCache.load("file", { device: "cpu" });
});

test("hooks that cache record into caches with short names", () => {
  expectTypeOf(model.addCachingHooks()).toEqualTypeOf<ActivationCache>();
  const bare = model.getCachingHooks({ removeBatchDim: true })[0];
  expectTypeOf(bare.get("z1").axes).toEqualTypeOf<readonly ["pos", "head", "d_head"]>();
  const [, some] = model.runWithCache("text", { namesFilter: "z1" as "blocks.1.attn.hook_z" });
  expectTypeOf([...some.values()]).toEqualTypeOf<Tensor[]>();
});

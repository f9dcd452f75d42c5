// The names, axes and outputs of built-in models are types.

import { describe, expectTypeOf, test } from "vitest";
import {
  type ActivationCache,
  type HookedRoot,
  HookedTransformer,
  type Logits,
  patchFrom,
  type Tensor,
  zero,
} from "../../ts/index.ts";

declare const model: HookedTransformer;
declare const cache: ActivationCache;
declare const layer: number;
declare const name: string;

type Pattern = readonly ["batch", "head", "query", "key"];
type Residual = readonly ["batch", "pos", "d_model"];

test("outputs follow returnType and stopAtLayer", () => {
  expectTypeOf(model.forward("text")).toEqualTypeOf<Logits>();
  expectTypeOf(model.forward([1, 2], { returnType: "loss" })).toEqualTypeOf<Tensor>();
  expectTypeOf(model.forward("text", { returnType: "both" }).loss).toEqualTypeOf<Tensor>();
  expectTypeOf(model.forward("text", { returnType: null })).toEqualTypeOf<null>();
  expectTypeOf(model.forward("text", { stopAtLayer: 2 }).axes).toEqualTypeOf<Residual>();
  expectTypeOf(model.runWithHooks("text", { returnType: "loss" })).toEqualTypeOf<Tensor>();
  expectTypeOf(model.runWithCache("text", { returnType: "both" })[0].logits).toEqualTypeOf<Logits>();
  expectTypeOf(HookedTransformer.fromPretrained("builtin:tiny")).toEqualTypeOf<Promise<HookedTransformer>>();
  // @ts-expect-error no such return type
  model.forward("text", { returnType: "logit" });
});

describe("hooks", () => {
  test("are typed by their names", () => {
    model.runWithHooks("text", {
      returnType: "loss",
      fwdHooks: {
        "blocks.1.attn.hook_z": (z, hook) => (hook.layer() > 0 ? z.at({ head: 3 }).fill(0) : null),
        "blocks.0.attn.hook_pattern": (pattern) => {
          expectTypeOf(pattern.axes).toEqualTypeOf<Pattern>();
        },
        "blocks.2.hook_resid_pre": [patchFrom(cache).at({ pos: -1 }), zero()],
      },
    });
    model.addHook(`blocks.${layer}.mlp.hook_post`, (post) => {
      expectTypeOf(post.axes[2]).toEqualTypeOf<"d_mlp">();
    });
    model.addHook(model.hookPoint(name), (value) => value);
  });

  test("under misspelt names do not compile", () => {
    // @ts-expect-error no such point
    model.runWithHooks("text", { fwdHooks: { "blocks.0.attn.hook_patern": () => {} } });
    // @ts-expect-error no such point
    model.hooks({ bwdHooks: [["blocks.0.hook_resid_prе", () => {}]] });
    // @ts-expect-error a pattern has no axis pos
    model.hooks({ fwdHooks: { "blocks.0.attn.hook_pattern": (p) => p.at({ pos: 0 }).fill(0) } });
    // @ts-expect-error no such point
    model.runWithCache("text", { namesFilter: ["hook_embed", "hook_embedding"] });
    // @ts-expect-error a key of caches, no point
    model.hooks({ fwdHooks: { "blocks.0.ln1.hook_scale_q": () => {} } });
    // @ts-expect-error no such option
    model.runWithCache("text", { nameFilter: "hook_embed" });
  });
});

test("caches know the axes under full names, short names and tuples", () => {
  expectTypeOf(cache.get("blocks.0.attn.hook_pattern").axes[3]).toEqualTypeOf<"key">();
  expectTypeOf(cache.get(`blocks.${layer}.hook_mlp_out_grad`).axes).toEqualTypeOf<Residual>();
  expectTypeOf(cache.get("pattern3").axes).toEqualTypeOf<Pattern>();
  expectTypeOf(cache.get(["attn", -1]).axes).toEqualTypeOf<Pattern>();
  expectTypeOf(cache.get("scale4ln1").axes[2]).toEqualTypeOf<"one">();
  expectTypeOf(cache.get("blocks.0.ln1.hook_scale_q_grad").axes[2]).toEqualTypeOf<"head">();
  expectTypeOf(cache.get(["embed"]).axes).toEqualTypeOf<Residual>();
  expectTypeOf(cache.get(name)).toEqualTypeOf<Tensor>();
  expectTypeOf(cache.get(`${name}_grad`)).toEqualTypeOf<Tensor>();
  // @ts-expect-error no such point
  cache.get("blocks.0.attn.hook_patern");
  // @ts-expect-error no such short name
  cache.get("patern3");
  // @ts-expect-error a norm's part must be said
  cache.get(["scale", 4]);
});

test("caches have the axes that were recorded", () => {
  const [, bare] = model.runWithCache("text", { removeBatchDim: true });
  expectTypeOf(bare.get("blocks.0.attn.hook_pattern").axes).toEqualTypeOf<
    readonly ["head", "query", "key"]
  >();
  expectTypeOf(bare.get("resid_pre3").axes).toEqualTypeOf<readonly ["pos", "d_model"]>();
  expectTypeOf(bare.get("hook_embed_grad").axes).toEqualTypeOf<readonly ["pos", "d_model"]>();
  const [, kept] = model.runWithCache("text", { removeBatchDim: false });
  expectTypeOf(kept).toEqualTypeOf<ActivationCache>();
  expectTypeOf(kept.removeBatchDim().get("z1").axes).toEqualTypeOf<readonly ["pos", "head", "d_head"]>();
  const [, either] = model.runWithCache("text", { removeBatchDim: layer > 1 });
  expectTypeOf(either.get("blocks.0.attn.hook_pattern").axes).toEqualTypeOf<readonly string[]>();
});

test("plain maps come where they are asked for", () => {
  const [, map] = model.runWithCache("text", { returnCacheObject: false });
  expectTypeOf(map).toEqualTypeOf<Map<string, Tensor>>();
  expectTypeOf(model.addCachingHooks({ cache: map })).toEqualTypeOf<Map<string, Tensor>>();
  expectTypeOf(model.getCachingHooks({ cache: map })[0]).toEqualTypeOf<Map<string, Tensor>>();
});

test("asynchronous calls give promises of the same", () => {
  expectTypeOf(model.forwardAsync("text")).toEqualTypeOf<Promise<Logits>>();
  expectTypeOf(model.runWithHooksAsync("text", { returnType: "loss" })).toEqualTypeOf<Promise<Tensor>>();
  expectTypeOf(model.runWithCacheAsync("text")).toEqualTypeOf<Promise<[Logits, ActivationCache]>>();
});

test("a transformer is a hooked root", () => {
  expectTypeOf(model).toExtend<HookedRoot>();
});

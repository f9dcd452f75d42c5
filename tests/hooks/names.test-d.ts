// The names and axes of hook points are types: a misspelt literal does not compile, callbacks need no annotations.

import { describe, expectTypeOf, test } from "vitest";
import type { HookPointLike } from "../../ts/hooks/hook-fn.ts";
import { HookPoint } from "../../ts/hooks/hook-point.ts";
import type { HookedRoot } from "../../ts/hooks/hooked-root.ts";
import { HookedRootModule } from "../../ts/hooks/hooked-root-module.ts";
import { zero } from "../../ts/hooks/interventions.ts";
import { Module } from "../../ts/hooks/module.ts";
import type { NameOf, PointsOf } from "../../ts/hooks/names.ts";
import type { Tensor } from "../../ts/tensor/tensor.ts";

class Attn extends Module {
  hook_q = new HookPoint(["batch", "pos", "head", "d_head"]);
  hook_pattern = new HookPoint(["batch", "head", "query", "key"]);
}

class Block extends Module {
  attn = new Attn();
  hook_resid_pre = new HookPoint(["batch", "pos", "d_model"]);
  plain = new HookPoint();
}

class Net extends HookedRootModule {
  hook_embed = new HookPoint(["batch", "pos", "d_model"]);
  blocks = [new Block(), new Block()];
  experts = new Map([["a", new Attn()]]);
  optional: Attn | null = null;
  width = 4;
  describe = (): string => "net";
  constructor() {
    super();
    this.setup();
  }
  forward(x: Tensor, _options: { readonly scale?: number } = {}): Tensor {
    return x;
  }
}

class Inner extends HookedRootModule {
  mid = new HookPoint(["batch", "d"]);
  forward(x: Tensor): Tensor {
    return x;
  }
}

class Outer extends HookedRootModule {
  inner = new Inner();
  async forward(x: Tensor): Promise<Tensor> {
    return x;
  }
}

declare const net: Net;
declare const outer: Outer;
declare const x: Tensor;
declare const layer: number;

test("names follow from the class, through modules, arrays, maps, nested roots and optional parts", () => {
  expectTypeOf<NameOf<PointsOf<Net>>>().toEqualTypeOf<
    | "hook_embed"
    | `blocks.${number}.hook_resid_pre`
    | `blocks.${number}.plain`
    | `blocks.${number}.attn.hook_q`
    | `blocks.${number}.attn.hook_pattern`
    | `experts.${string}.hook_q`
    | `experts.${string}.hook_pattern`
    | "optional.hook_q"
    | "optional.hook_pattern"
  >();
  expectTypeOf<NameOf<PointsOf<Outer>>>().toEqualTypeOf<"inner.mid">();
});

describe("tables", () => {
  test("type their functions", () => {
    net.hooks({
      fwdHooks: {
        "blocks.3.attn.hook_q": (q, hook) => {
          expectTypeOf(q.axes).toEqualTypeOf<readonly ["batch", "pos", "head", "d_head"]>();
          expectTypeOf(hook).toEqualTypeOf<HookPointLike>();
          return q.at({ head: 3 }).fill(0);
        },
        hook_embed(embed) {
          expectTypeOf(embed.axes[2]).toEqualTypeOf<"d_model">();
        },
        "experts.a.hook_pattern": (pattern) => {
          expectTypeOf(pattern.axes[3]).toEqualTypeOf<"key">();
        },
        "blocks.0.plain": (value) => {
          expectTypeOf(value.axes).toEqualTypeOf<readonly string[]>();
        },
        "blocks.*.hook_resid_pre": (_, hook) => {
          hook.layer();
        },
      },
      bwdHooks: { "blocks.0.attn.hook_pattern": [(gradient) => [gradient], zero().at({ head: 1 })] },
    });
    net.hooks({ fwdHooks: { [`blocks.${layer}.hook_resid_pre`]: (value: Tensor) => value } });
  });

  test("refuse misspelt names, unknown axes and wrong results", () => {
    // @ts-expect-error no such point
    net.hooks({ fwdHooks: { "blocks.3.attn.hook_qq": (q: Tensor) => q } });
    // @ts-expect-error no such point
    net.hooks({ bwdHooks: { hook_embde: (q: Tensor) => q } });
    // @ts-expect-error not a layer
    net.hooks({ fwdHooks: { "blocks.x.attn.hook_q": (q: Tensor) => q } });
    // @ts-expect-error the pattern has no axis pos
    net.hooks({ fwdHooks: { "blocks.0.attn.hook_pattern": (p) => p.at({ pos: 1 }).fill(0) } });
    // @ts-expect-error a number is no replacement
    net.hooks({ fwdHooks: { hook_embed: () => 3 } });
  });
});

describe("lists", () => {
  test("take names, globs, expressions, points and predicates", () => {
    net.hooks({
      fwdHooks: [
        ["blocks.2.hook_resid_pre", (value) => value.mul(2)],
        [`blocks.${layer}.attn.hook_q`, (value) => value],
        ["blocks.*.attn.hook_{q,pattern}", zero()],
        [/hook_q$/, (value, hook) => (hook.layer() > 2 ? value : null)],
        [net.hook_embed, [(value) => value, zero()]],
        [(name) => name.endsWith("pattern"), (value) => value],
      ],
    });
  });

  test("refuse misspelt names", () => {
    // @ts-expect-error no such point
    net.hooks({ fwdHooks: [["blocks.3.attn.hook_qq", (value: Tensor) => value]] });
    // @ts-expect-error no such point
    net.runWithHooks(x, { fwdHooks: [["hook_embd", (value: Tensor) => value]] });
  });

  test("accept a function that names its axes", () => {
    const silence = (z: Tensor<readonly ["batch", "pos", "head", "d_head"]>) => z.at({ head: 0 }).fill(0);
    net.hooks({ fwdHooks: [[/hook_q$/, silence]] });
    net.hooks({ fwdHooks: { "blocks.0.attn.hook_q": silence } });
    // @ts-expect-error other axes
    net.hooks({ fwdHooks: { "blocks.0.attn.hook_pattern": silence } });
  });
});

describe("addHook", () => {
  test("types its function by the target", () => {
    net.addHook("blocks.0.attn.hook_pattern", (pattern) => {
      expectTypeOf(pattern.axes[3]).toEqualTypeOf<"key">();
    });
    net.addHook(`blocks.${layer}.attn.hook_pattern`, (pattern) => {
      expectTypeOf(pattern.axes[3]).toEqualTypeOf<"key">();
    });
    net.addHook(net.hook_embed, (embed) => {
      expectTypeOf(embed.axes[2]).toEqualTypeOf<"d_model">();
    });
    net.hook_embed.addHook((embed) => {
      expectTypeOf(embed.axes[2]).toEqualTypeOf<"d_model">();
    });
    net.addHook(
      (name) => name.startsWith("blocks"),
      (value) => {
        expectTypeOf(value.axes).toEqualTypeOf<readonly string[]>();
      },
      { dir: "bwd" },
    );
    // @ts-expect-error no such point
    net.addHook("blocks.0.attn.hook_patern", () => {});
    // @ts-expect-error no such direction
    net.addHook("hook_embed", () => {}, { dir: "both" });
  });
});

describe("runWithCache", () => {
  test("types names, axes, gradients and the output", () => {
    const [out, cache] = net.runWithCache(x, { scale: 2, namesFilter: "blocks.1.attn.hook_q" });
    expectTypeOf(out).toEqualTypeOf<Tensor>();
    expectTypeOf(cache.get("blocks.0.attn.hook_pattern").axes[3]).toEqualTypeOf<"key">();
    expectTypeOf(cache.get("blocks.0.attn.hook_pattern_grad").axes[3]).toEqualTypeOf<"key">();
    expectTypeOf(cache.get(`blocks.${layer}.hook_resid_pre`).axes[2]).toEqualTypeOf<"d_model">();
    // @ts-expect-error misspelt
    cache.get("hook_embd");
    // @ts-expect-error misspelt
    cache.get("blocks.0.attn.hook_patern_grad");
  });

  test("checks names filters", () => {
    net.runWithCache(x, { namesFilter: ["hook_embed", /q$/, "blocks.*.plain", net.hook_embed] });
    net.runWithCache(x, { namesFilter: new Set(["hook_embed", "blocks.0.plain"] as const) });
    net.runWithCache(x, { namesFilter: (name) => name.endsWith("hook_q") });
    net.runWithCache(x, { namesFilter: null, posSlice: { start: -2 }, dtype: "float16" });
    net.runWithCache(x);
    // @ts-expect-error misspelt
    net.runWithCache(x, { namesFilter: "hook_embd" });
    // @ts-expect-error misspelt
    net.runWithCache(x, { namesFilter: ["hook_embed", "hook_embd"] });
    // @ts-expect-error a misspelt option
    net.runWithCache(x, { nameFilter: "hook_embed" });
    // @ts-expect-error the input is missing
    net.runWithCache({ namesFilter: "hook_embed" });
  });

  test("waits where forward is asynchronous", () => {
    expectTypeOf(outer.runWithHooks(x)).toEqualTypeOf<Promise<Tensor>>();
    expectTypeOf(outer.runWithCache(x)).resolves.toHaveProperty(0).toEqualTypeOf<Tensor>();
  });
});

test("a root seen through its base class takes any name", () => {
  function silenceAll(root: HookedRoot, name: string): void {
    root.addHook(name, (value) => value.mul(0));
    root.hooks({ fwdHooks: { [name]: (value) => value.mul(0) } });
  }
  silenceAll(net, "hook_embed");
  silenceAll(outer, "inner.mid");
});

test("withHooks gives what its body gives", () => {
  expectTypeOf(net.withHooks({}, async (model) => model.width)).toEqualTypeOf<Promise<number>>();
});

test("caches have the axes that were recorded, or are plain maps", () => {
  const [, bare] = net.runWithCache(x, { removeBatchDim: true });
  expectTypeOf(bare.get("hook_embed").axes).toEqualTypeOf<readonly ["pos", "d_model"]>();
  const [, kept] = net.runWithCache(x, { scale: 2, removeBatchDim: false });
  expectTypeOf(kept.get("hook_embed").axes).toEqualTypeOf<readonly ["batch", "pos", "d_model"]>();
  const [, either] = net.runWithCache(x, { removeBatchDim: layer > 1 });
  expectTypeOf(either.get("hook_embed").axes).toEqualTypeOf<readonly string[]>();
  const [, map] = net.runWithCache(x, { returnCacheObject: false });
  expectTypeOf(map).toEqualTypeOf<Map<string, Tensor>>();
  const cache = net.addCachingHooks({ removeBatchDim: true });
  expectTypeOf(cache.get("hook_embed").axes).toEqualTypeOf<readonly ["pos", "d_model"]>();
});

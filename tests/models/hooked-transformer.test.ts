// The hook API on built-in transformers: the fixture's cases for them, names, caches, text, options, refusals.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type HookDir, HookedTransformer, HookPoint, type Tensor, zero } from "../../ts/index.ts";
import { code, thrown, values, warnings } from "../hooks/toy.ts";
import { GOLDEN } from "../support/golden.ts";
import { tinyTokenizer } from "../text/tokenizers.ts";
import { CONFIG, TOKENS } from "./small.ts";

const model = HookedTransformer.fromConfig(CONFIG);

/** Outcomes of the fixture's cases for transformers. */
const OUTCOMES: Readonly<Record<string, unknown>> = Object.fromEntries(
  JSON.parse(readFileSync(join(GOLDEN, "hooks_semantics.json"), "utf8")).cases.map(
    ({ id, outcome }: { id: string; outcome: unknown }) => [id, outcome],
  ),
);

function difference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

function record(value: unknown): Record<string, Record<string, unknown>> {
  return Object.assign({}, value);
}

describe("the fixture of hook semantics", () => {
  test("stop_at: a stop gives the residual stream and the cache ends there", () => {
    for (const [stop, expected] of Object.entries(record(OUTCOMES["stop_at"]))) {
      if (!/^-?\d+$/.test(stop)) continue;
      const [out, cache] = model.runWithCache(TOKENS, { stopAtLayer: Number(stop) });
      expect([...out.shape]).toEqual(expected["out_shape"]);
      expect([...cache.keys()]).toEqual(expected["keys"]);
      if (stop !== "0") expect(difference(out, cache.get("blocks.0.hook_resid_post"))).toBe(0);
    }
    const [, full] = model.runWithCache(TOKENS);
    const stopped = model.forward(TOKENS, { stopAtLayer: 1 });
    // Attention that nobody looks at is computed in another order.
    expect(difference(stopped, full.get("blocks.1.hook_resid_pre"))).toBeLessThan(1e-6);
  });

  test("start_at: starting from a residual gives the same logits", () => {
    const [logits, cache] = model.runWithCache(TOKENS);
    const resumed = model.forward(cache.get("blocks.1.hook_resid_pre"), { startAtLayer: 1 });
    expect(difference(logits, resumed)).toBeLessThan(1e-6);
    expect(OUTCOMES["start_at"]).toEqual({ max_diff: 0 });
  });

  test("flag_hooks_run: [differs: naming a point switches it on, so the hook fires]", () => {
    let fired = 0;
    const plain = model.forward(TOKENS);
    const logits = model.runWithHooks(TOKENS, {
      fwdHooks: { "blocks.0.attn.hook_result": () => void fired++ },
    });
    expect(fired).toBe(1);
    expect(difference(plain, logits)).toBeLessThan(1e-5);
  });

  test("pos_slice_tf: slices the position of every point", () => {
    // The case was recorded on a model of one layer.
    const one = HookedTransformer.fromConfig({ ...CONFIG, n_layers: 1 });
    const [, full] = one.runWithCache(TOKENS);
    const [, cut] = one.runWithCache(TOKENS, { posSlice: -1 });
    const shapes = Object.fromEntries(
      [...full].map(([key, value]) => [key, [[...value.shape], [...cut.get(key).shape]]]),
    );
    expect(shapes).toEqual(OUTCOMES["pos_slice_tf"]);
    for (const [key, value] of cut) {
      const axes: readonly string[] = full.get(key).axes;
      const axis = axes.indexOf(axes.includes("query") ? "query" : "pos");
      expect(values(value)).toEqual(values(full.get(key).narrow(axis, 3, 1)));
    }
  });

  test("one_d: a single row of ids is a batch of one", () => {
    expect([...model.forward([3, 1, 4, 1]).shape]).toEqual(OUTCOMES["one_d"]);
  });
});

describe("names", () => {
  test("all points have the axes that their type says, and sizes fit", () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: () => true });
    for (const [name, value] of cache) {
      const axes = model.hookDict.get(name.replace(/(\.ln1\.hook_[a-z]+)_[qkv]$/, "$1"))?.axes ?? [];
      // With the heads' own inputs looked at, each head's is normalised by itself.
      const split = /\.ln1\./.test(name) ? [...axes.slice(0, 2), "head", ...axes.slice(2)] : axes;
      expect(value.axes, name).toEqual(split);
      expect(value.axes.length, name).toBe(value.rank);
    }
    const seen: (readonly string[])[] = [];
    const hooks = {
      "blocks.0.ln1.hook_scale": (s: Tensor) => void seen.push(s.axes),
      "blocks.0.hook_q_input": () => {},
    };
    model.runWithHooks(TOKENS, { fwdHooks: hooks });
    expect(seen[0]).toEqual(["batch", "pos", "head", "one"]);
    expect(cache.get("blocks.0.attn.hook_pattern").axes[3]).toBe("key");
  });

  test("short names and tuples mean the full ones", () => {
    const [, cache] = model.runWithCache(TOKENS);
    const same = (a: Tensor, b: Tensor) => expect(values(a)).toEqual(values(b));
    same(cache.get("pattern1"), cache.get("blocks.1.attn.hook_pattern"));
    same(cache.get("resid_pre0"), cache.get("blocks.0.hook_resid_pre"));
    same(cache.get("scale1ln2"), cache.get("blocks.1.ln2.hook_scale"));
    same(cache.get(["k", -1]), cache.get("blocks.1.attn.hook_k"));
    same(cache.get(["attn", 0]), cache.get("blocks.0.attn.hook_pattern"));
    same(cache.get(["scale", 0, "ln1"]), cache.get("blocks.0.ln1.hook_scale"));
    same(cache.get(["normalized"]), cache.get("ln_final.hook_normalized"));
    same(cache.get(["embed"]), cache.get("hook_embed"));
    expect(cache.has("pattern1")).toBe(true);
    expect(cache.has("pattern7")).toBe(false);
    expect(code(() => cache.get(["k", 2]))).toBe("index_out_of_range");
    expect(code(() => cache.get("result0"))).toBe("not_cached");
    // @ts-expect-error the compiler knows too
    expect(code(() => cache.get("blocks.0.attn.hook_patern"))).toBe("unknown_hook");
  });

  test("of modules are no points, misspelt ones come with suggestions", () => {
    const untyped: string = "blocks.0.attn";
    expect(code(() => model.hookPoint(untyped))).toBe("not_a_hook_point");
    expect(thrown(() => model.hookPoint("blocks.0.attn.hook_patern"))).toHaveProperty(
      "suggestions.0",
      "blocks.0.attn.hook_pattern",
    );
    expect(model.modDict.has("blocks.1.ln2")).toBe(true);
    expect(model.hookPoint("blocks.1.attn.hook_z")).toBeInstanceOf(HookPoint);
  });

  test("layers are known to hooks", () => {
    const layers: number[] = [];
    model.runWithHooks(TOKENS, { fwdHooks: [[/hook_z$/, (_, hook) => void layers.push(hook.layer())]] });
    expect(layers).toEqual([0, 1]);
  });
});

describe("hooks", () => {
  test("change the logits, at every point", () => {
    const plain = model.forward(TOKENS);
    for (const [name, point] of model.hookDict) {
      if (name === "hook_tokens") continue;
      const logits = model.runWithHooks(TOKENS, { fwdHooks: [[point, (x) => x.mul(0.5).add(0.25)]] });
      // Softmax does not see a shift of all scores: halving changes them.
      expect(difference(plain, logits), name).toBeGreaterThan(1e-7);
    }
    expect(difference(plain, model.forward(TOKENS))).toBe(0);
  });

  test("by name and by intervention do the same", () => {
    const byName = model.runWithHooks(TOKENS, {
      fwdHooks: { "blocks.1.attn.hook_z": (z) => z.at({ head: 1 }).fill(0) },
    });
    const byData = model.runWithHooks(TOKENS, {
      fwdHooks: { "blocks.1.attn.hook_z": zero().at({ head: 1 }) },
    });
    expect(difference(byName, byData)).toBe(0);
  });

  test("see gradients, and inclBwd stores them", () => {
    const seen = new Map<string, Tensor>();
    const note = (dir: HookDir) => (value: Tensor, hook: { readonly name: string }) =>
      void seen.set(`${hook.name} ${dir}`, value);
    using _scope = model.hooks({ bwdHooks: [["blocks.*.hook_resid_post", note("bwd")]] });
    const [loss, cache] = model.runWithCache(TOKENS, { returnType: "loss", inclBwd: true });
    expect(loss.shape).toEqual([]);
    for (const layer of [0, 1]) {
      const stored = cache.get(`blocks.${layer}.hook_resid_post_grad`);
      const observed = seen.get(`blocks.${layer}.hook_resid_post bwd`);
      expect(observed && difference(stored, observed)).toBe(0);
    }
    const [both] = model.runWithCache(TOKENS, { returnType: "both", inclBwd: true });
    expect(difference(both.loss, loss)).toBe(0);
    expect(code(() => model.runWithCache(TOKENS, { inclBwd: true }))).toBe("scalar_required");
    expect(
      code(() => model.runWithCache(TOKENS, { inclBwd: true, returnType: "loss", stopAtLayer: 1 })),
    ).toBe("scalar_required");
  });

  test("that throw leave the model as it was", () => {
    const boom = { thrown: true };
    const bad = () => {
      throw boom;
    };
    expect(thrown(() => model.runWithHooks(TOKENS, { fwdHooks: { "blocks.0.mlp.hook_post": bad } }))).toBe(
      boom,
    );
    expect(model.listHooks().size).toBe(0);
    expect(model.runWithCache(TOKENS)[1].size).toBeGreaterThan(20);
  });

  test("warn where backward cannot run", () => {
    const run = () => void model.runWithHooks(TOKENS, { bwdHooks: { hook_embed: () => {} } });
    expect(warnings(run)).toHaveLength(1);
  });
});

describe("the cache", () => {
  test("remembers how it was recorded, and drops its batch axis", () => {
    const [, cache] = model.runWithCache(TOKENS, { namesFilter: /hook_z$/, posSlice: -1 });
    expect(cache.meta).toMatchObject({
      namesFilter: "/hook_z$/",
      posSlice: -1,
      removeBatchDim: false,
      dtype: null,
    });
    expect(cache.meta.tokens?.toArray()).toEqual(TOKENS);
    expect(cache.hasBatchDim).toBe(true);
    expect([...cache.removeBatchDim().get("z0").shape]).toEqual([1, 2, 4]);
    expect(cache.removeBatchDim().hasBatchDim).toBe(false);
    expect(code(() => model.runWithCache([...TOKENS, ...TOKENS])[1].removeBatchDim())).toBe(
      "invalid_argument",
    );
    const [, bare] = model.runWithCache(TOKENS, { removeBatchDim: true });
    expect([bare.hasBatchDim, [...bare.get("pattern0").shape]]).toEqual([false, [2, 4, 4]]);
  });
});

describe("what comes out", () => {
  test("follows returnType", () => {
    expect([...model.forward(TOKENS).shape]).toEqual([1, 4, 20]);
    expect(model.forward(TOKENS).axes).toEqual(["batch", "pos", "d_vocab"]);
    expect(model.forward(TOKENS, { returnType: "loss" }).shape).toEqual([]);
    const each = model.forward(TOKENS, { returnType: "loss", lossPerToken: true });
    expect(each.shape).toEqual([1, 3]);
    expect(each.axes).toEqual(["batch", "pos"]);
    const both = model.forward(TOKENS, { returnType: "both" });
    expect(difference(both.logits, model.forward(TOKENS))).toBe(0);
    expect(model.forward(TOKENS, { returnType: null })).toBeNull();
  });

  test("is trained where that is asked for", () => {
    const own = HookedTransformer.fromConfig(CONFIG);
    expect([...own.parameters()].some((p) => p.requiresGrad)).toBe(false);
    own.setTrainable(true);
    own.forward(TOKENS, { returnType: "loss" }).backward();
    expect(own.parameter("blocks.0.attn.W_Q").grad?.shape).toEqual([2, 8, 4]);
    expect(code(() => own.parameter("blocks.0.attn.W_X"))).toBe("weight_mismatch");
    const other = HookedTransformer.fromConfig({ ...CONFIG, seed: 2 });
    expect(difference(own.forward(TOKENS), other.forward(TOKENS))).toBeGreaterThan(1e-4);
    other.loadStateDict(own.stateDict());
    expect(difference(own.forward(TOKENS), other.forward(TOKENS))).toBeLessThan(1e-6);
  });
});

describe("text", () => {
  const tokenizer = tinyTokenizer();
  const withText = () =>
    HookedTransformer.fromConfig({ ...CONFIG, n_ctx: 32, d_vocab: tokenizer.size }, { tokenizer });

  test("becomes tokens, with and without the beginning of sequence", () => {
    const text = withText();
    const bos = text.tokenizer?.bosId ?? -1;
    const withBos = text.toTokens("In the beginning");
    const without = text.toTokens("In the beginning", { prependBos: false });
    expect(withBos.toArray()).toEqual([[bos, ...(without.toArray()[0] ?? [])]]);
    expect(text.toString(without)).toEqual(["In the beginning"]);
    expect(text.toString(without.toArray()[0] ?? [])).toBe("In the beginning");
    expect(text.toStrTokens("In the beginning").join("")).toBe("<|endoftext|>In the beginning");
    expect(text.toSingleStrToken(text.toSingleToken(" the"))).toBe(" the");
    expect(code(() => text.toSingleToken("In the beginning God"))).toBe("not_single_token");
    expect(code(() => text.toSingleToken(""))).toBe("not_single_token");
    expect(code(() => text.toSingleStrToken(1e6))).toBe("token_out_of_range");
    expect(text.toString([])).toBe("");
  });

  test("of any kind comes back", () => {
    const text = withText();
    for (const one of ["naïve – 漢字 🙂", " two  spaces\n", "<|endoftext|>inside"]) {
      expect(text.toString(text.toTokens(one, { prependBos: false, truncate: false }))).toEqual([one]);
    }
  });

  test("is filled up on either side without changing what the model says", () => {
    const text = withText();
    const texts = ["In the beginning God created", "And"];
    const [, alone] = text.runWithCache("And");
    for (const paddingSide of ["left", "right"] as const) {
      const [out, cache] = text.runWithCache(texts, { paddingSide, returnType: "loss" });
      const width = cache.get("hook_embed").shape[1] ?? 0;
      const at = paddingSide === "left" ? width - 1 : (alone.get("hook_embed").shape[1] ?? 0) - 1;
      const last = cache.get("blocks.1.hook_resid_post").get(1, at);
      expect(difference(last, alone.get("blocks.1.hook_resid_post").get(0, -1))).toBeLessThan(1e-5);
      expect(Number.isFinite(out.item())).toBe(true);
    }
  });

  test("longer than the context is cut by toTokens and refused by forward", () => {
    const text = withText();
    const long = "the ".repeat(60);
    expect(text.toTokens(long).shape).toEqual([1, 32]);
    expect(code(() => text.forward(long))).toBe("context_length");
  });
});

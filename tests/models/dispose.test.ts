// The end of a model: its weights are freed at once, and whatever still holds the model is told so.

import { describe, expect, test } from "vitest";
import { HookedTransformer, memory } from "../../ts/index.ts";
import { code } from "../hooks/toy.ts";

const CONFIG = {
  n_layers: 2,
  d_model: 64,
  n_ctx: 16,
  d_head: 16,
  n_heads: 4,
  d_mlp: 256,
  d_vocab: 20_000,
  act_fn: "gelu",
  normalization_type: "LN",
  seed: 1,
} as const;

/** Bytes of the embedding and unembedding, of which there are two. */
const WEIGHTS = 2 * CONFIG.d_vocab * CONFIG.d_model * 4;
const TOKENS = [[3, 1, 4, 1]];

describe("a disposed model", () => {
  test("has freed its weights", () => {
    const model = HookedTransformer.fromConfig(CONFIG);
    const before = memory().bytes;
    model.dispose();
    expect(before - memory().bytes).toBeGreaterThanOrEqual(WEIGHTS);
    model.dispose();
  });

  test("refuses to run, to give weights and to take them", () => {
    const model = HookedTransformer.fromConfig(CONFIG);
    const logits = model.forward(TOKENS);
    const weight = model.parameter("blocks.0.attn.W_Q");
    model.addHook("blocks.0.hook_resid_pre", () => null, { isPermanent: true });
    model.dispose();
    expect(code(() => model.forward(TOKENS))).toBe("disposed");
    expect(code(() => model.runWithCache(TOKENS))).toBe("disposed");
    expect(code(() => model.parameter("blocks.0.attn.W_Q"))).toBe("disposed");
    expect(code(() => model.stateDict())).toBe("disposed");
    expect(code(() => model.loadStateDict({}))).toBe("disposed");
    expect(code(() => model.setTrainable(true))).toBe("disposed");
    expect(model.listHooks().size).toBe(0);
    expect(logits.sum().item()).not.toBeNaN();
    expect(weight.shape).toEqual([4, 64, 16]);
  });

  test("carries on the forward from whose hook it was disposed", () => {
    const model = HookedTransformer.fromConfig(CONFIG);
    const expected = model.forward(TOKENS);
    model.addHook("blocks.0.hook_resid_pre", () => model.dispose());
    expect(model.forward(TOKENS).sub(expected).abs().max().item()).toBe(0);
    expect(code(() => model.forward(TOKENS))).toBe("disposed");
  });

  test("is what `using` leaves behind", async () => {
    let outside: HookedTransformer;
    {
      using model = HookedTransformer.fromConfig(CONFIG);
      outside = model;
      model.forward(TOKENS);
    }
    expect(code(() => outside.forward(TOKENS))).toBe("disposed");
  });
});

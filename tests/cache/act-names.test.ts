// The table of short names in full, and what is none.

import { describe, expect, test } from "vitest";
import { getActName, HookedTransformer } from "../../ts/index.ts";
import { OUTER_POINTS } from "../../ts/models/transformer-points.ts";
import { code, thrown } from "../hooks/toy.ts";
import { CONFIG } from "../models/small.ts";

const name = getActName as (name: unknown, layer?: unknown, part?: unknown) => string;

test.each([
  [["embed"], "hook_embed"],
  [["pos_embed"], "hook_pos_embed"],
  [["tokens"], "hook_tokens"],
  [["k", 6, "a"], "blocks.6.attn.hook_k"],
  [["k", 6], "blocks.6.attn.hook_k"],
  [["k6"], "blocks.6.attn.hook_k"],
  [["k6a"], "blocks.6.attn.hook_k"],
  [["k12attn"], "blocks.12.attn.hook_k"],
  [["k", 2, "mlp"], "blocks.2.attn.hook_k"],
  [["resid_pre", 2], "blocks.2.hook_resid_pre"],
  [["resid_pre1"], "blocks.1.hook_resid_pre"],
  [["resid_mid", 2], "blocks.2.hook_resid_mid"],
  [["resid_post", 2, "b"], "blocks.2.hook_resid_post"],
  [["attn_out", 2], "blocks.2.hook_attn_out"],
  [["mlp_out", 0], "blocks.0.hook_mlp_out"],
  [["pre", 2], "blocks.2.mlp.hook_pre"],
  [["pre5"], "blocks.5.mlp.hook_pre"],
  [["mlp_post", 2], "blocks.2.mlp.hook_post"],
  [["mlp_mid", 2], "blocks.2.mlp.hook_mid"],
  [["pre_linear", 2], "blocks.2.mlp.hook_pre_linear"],
  [["pattern", 0], "blocks.0.attn.hook_pattern"],
  [["attn", 3], "blocks.3.attn.hook_pattern"],
  [["attn_scores", 0], "blocks.0.attn.hook_attn_scores"],
  [["attn_logits", 3], "blocks.3.attn.hook_attn_scores"],
  [["attn_logits0"], "blocks.0.attn.hook_attn_scores"],
  [["scale", 4, "ln1"], "blocks.4.ln1.hook_scale"],
  [["scale4ln1"], "blocks.4.ln1.hook_scale"],
  [["scale4ln1", 7, "ln2"], "blocks.4.ln1.hook_scale"],
  [["normalized", 27, "ln2"], "blocks.27.ln2.hook_normalized"],
  [["normalized", 0, "ln1"], "blocks.0.ln1.hook_normalized"],
  [["scale", 3, "mlp.ln"], "blocks.3.mlp.ln.hook_scale"],
  [["scale"], "ln_final.hook_scale"],
  [["normalized"], "ln_final.hook_normalized"],
  [["attn_in", 1], "blocks.1.hook_attn_in"],
  [["q_input", 1], "blocks.1.hook_q_input"],
  [["mlp_in", 1], "blocks.1.hook_mlp_in"],
  [["query", 1], "blocks.1.attn.hook_q"],
  [["key", 1], "blocks.1.attn.hook_k"],
  [["value", 1], "blocks.1.attn.hook_v"],
  [["rot_k", 1], "blocks.1.attn.hook_rot_k"],
  [["result1"], "blocks.1.attn.hook_result"],
  [["blocks.3.attn.hook_q"], "blocks.3.attn.hook_q"],
  [["hook_anything7"], "hook_anything7"],
])("%j is %s", (given, full) => {
  const [short, layer = null, part = null] = given;
  expect(name(short, layer, part)).toBe(full);
});

describe("what no transformer has", () => {
  test.each([
    [["scale", 2, "m"]],
    [["scale", 2]],
    [["patern", 2]],
    [["patern2"]],
    [["embed", 2]],
    [["pattern"]],
    [["resid_pre", 2, "attn"]],
    [["unembed"]],
    [[""]],
  ])("%j is refused", ([short, layer, part]) => {
    const refused = thrown(() => name(short, layer ?? null, part ?? null));
    expect(refused).toMatchObject({ code: "unknown_hook" });
    expect((refused as { suggestions: string[] }).suggestions).toHaveLength(3);
  });

  test("the nearest names are given", () => {
    expect(() => name("patern2")).toThrow(/nearest: blocks\.2\.attn\.hook_pattern/);
  });
});

test("layers are whole numbers from 0: those from the end need a model", () => {
  for (const layer of [-1, 0.5, Number.NaN, "1", 2 ** 60]) {
    expect(code(() => name("z", layer))).toBe("invalid_argument");
  }
  expect(() => name("z", -1)).toThrow(/cache\.get/);
  for (const nonsense of [undefined, null, 3, {}])
    expect(code(() => name(nonsense))).toBe("invalid_argument");
});

test("every point of every kind of model has its place in the table", () => {
  const kinds = [
    { act_fn: "solu_ln" },
    { act_fn: "silu", gated_mlp: true, positional_embedding_type: "rotary", normalization_type: "RMS" },
    { attn_only: true, positional_embedding_type: "shortformer" },
    { parallel_attn_mlp: true, n_key_value_heads: 1 },
  ] as const;
  for (const kind of kinds) {
    const model = HookedTransformer.fromConfig({ ...CONFIG, ...kind } as object);
    for (const full of model.hookDict.keys()) {
      const [, layer, part = null, hook] = /^blocks\.(\d+)\.(?:(.+)\.)?hook_(.+)$/.exec(full) ?? [];
      if (layer !== undefined) expect(name(hook, Number(layer), part)).toBe(full);
      else expect(OUTER_POINTS).toHaveProperty([full]);
    }
  }
});

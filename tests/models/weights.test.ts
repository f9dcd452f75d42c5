// Weights by name, and stacked over blocks.

import { describe, expect, test } from "vitest";
import { HookedTransformer, type Tensor } from "../../ts/index.ts";
import { code, values } from "../hooks/toy.ts";

const CONFIG = {
  n_layers: 2,
  d_model: 8,
  n_ctx: 16,
  d_head: 4,
  n_heads: 2,
  d_mlp: 12,
  d_vocab: 20,
  act_fn: "gelu",
  normalization_type: "LN",
  seed: 1,
} as const;

const model = HookedTransformer.fromConfig(CONFIG);

const PLACES = {
  W_Q: ["attn.W_Q", [2, 2, 8, 4]],
  W_K: ["attn.W_K", [2, 2, 8, 4]],
  W_V: ["attn.W_V", [2, 2, 8, 4]],
  W_O: ["attn.W_O", [2, 2, 4, 8]],
  b_Q: ["attn.b_Q", [2, 2, 4]],
  b_K: ["attn.b_K", [2, 2, 4]],
  b_V: ["attn.b_V", [2, 2, 4]],
  b_O: ["attn.b_O", [2, 8]],
  W_in: ["mlp.W_in", [2, 8, 12]],
  W_out: ["mlp.W_out", [2, 12, 8]],
  b_in: ["mlp.b_in", [2, 12]],
  b_out: ["mlp.b_out", [2, 8]],
} as const;

describe("stacked weights", () => {
  for (const name of Object.keys(PLACES) as (keyof typeof PLACES)[]) {
    test(`${name} are those of the blocks, in order`, () => {
      const [path, shape] = PLACES[name];
      const stacked = model[name];
      expect(stacked.shape).toEqual(shape);
      for (const layer of [0, 1]) {
        expect(values(stacked.get(layer))).toEqual(values(model.parameter(`blocks.${layer}.${path}`)));
      }
    });
  }

  test("embeddings and unembedding", () => {
    expect([model.W_E.shape, model.W_pos.shape, model.W_E_pos.shape]).toEqual([
      [20, 8],
      [16, 8],
      [36, 8],
    ]);
    expect([model.W_U.shape, model.b_U.shape, model.W_gate]).toEqual([[8, 20], [20], null]);
    expect(values(model.W_E_pos.get(20))).toEqual(values(model.W_pos.get(0)));
  });

  test("carry gradients while the model is trained", () => {
    const own = HookedTransformer.fromConfig(CONFIG).setTrainable(true);
    own.W_Q.square().sum().backward();
    const weight = own.parameter("blocks.1.attn.W_Q");
    expect(values(weight.grad as Tensor)).toEqual(values(weight.mul(2)));
  });

  test("of heads that share keys and values are repeated for each head", () => {
    const own = HookedTransformer.fromConfig({ ...CONFIG, n_heads: 4, d_head: 2, n_key_value_heads: 2 });
    const names = [...own.namedParameters()].map(([name]) => name);
    const shared = names.find((name) => /blocks\.1\.attn\._?W_K$/.test(name)) ?? "";
    expect(own.parameter(shared).shape).toEqual([2, 8, 2]);
    expect(own.W_K.shape).toEqual([2, 4, 8, 2]);
    for (const head of [0, 1, 2, 3]) {
      const group = own.parameter(shared).get(Math.floor(head / 2));
      expect(values(own.W_K.get(1, head))).toEqual(values(group));
    }
    expect(own.b_V.shape).toEqual([2, 4, 2]);
  });

  test("that a model has not are refused", () => {
    const { d_mlp: _, act_fn: __, ...rest } = CONFIG;
    const attention = HookedTransformer.fromConfig({ ...rest, attn_only: true });
    for (const name of ["W_in", "W_out", "b_in", "b_out"] as const) {
      expect(code(() => attention[name])).toBe("not_supported_on_this_model");
    }
    expect(attention.W_Q.shape).toEqual([2, 2, 8, 4]);
    const rotary = HookedTransformer.fromConfig({
      ...CONFIG,
      positional_embedding_type: "rotary",
      rotary_dim: 4,
    } as object);
    expect(code(() => rotary.W_pos)).toBe("not_supported_on_this_model");
  });
});

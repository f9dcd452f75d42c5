/** The sizes of the models that benches run. What weights they have makes no difference to the time. */

const GPT2 = { act_fn: "gelu_new", normalization_type: "LN", seed: 1 } as const;

/** GPT-2 small's. */
export const GPT2_SMALL = {
  ...GPT2,
  n_layers: 12,
  d_model: 768,
  n_ctx: 1024,
  d_head: 64,
  n_heads: 12,
  d_mlp: 3072,
  d_vocab: 50257,
} as const;

/** Those of the model that comes with the package. */
export const DEMO = {
  ...GPT2,
  n_layers: 4,
  d_model: 128,
  n_ctx: 128,
  d_head: 32,
  n_heads: 4,
  d_mlp: 512,
  d_vocab: 1024,
} as const;

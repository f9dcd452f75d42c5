/** A model of two blocks with all usual parts, small enough to make in every test. */
export const CONFIG = {
  n_layers: 2,
  d_model: 8,
  n_ctx: 16,
  d_head: 4,
  n_heads: 2,
  d_mlp: 16,
  d_vocab: 20,
  act_fn: "gelu",
  normalization_type: "LN",
  seed: 1,
} as const;

/** One row of ids that it knows. */
export const TOKENS = [[3, 1, 4, 1]];

/** A model of six blocks, so that a forward can be stopped between them. */
export const CONFIG = {
  n_layers: 6,
  d_model: 32,
  n_ctx: 64,
  d_head: 8,
  d_vocab: 50,
  act_fn: "gelu",
  seed: 1,
} as const;

/** Ids that it knows. */
export const TOKENS = Array.from({ length: 32 }, (_, i) => i);

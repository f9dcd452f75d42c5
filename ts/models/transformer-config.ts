/** Configurations, under the reference's names. */

/** What a transformer is made of. Which keys a configuration must have, and their defaults, the engine checks. */
export interface TransformerConfig {
  readonly model_name: string;
  readonly original_architecture: string | null;
  /** Number of blocks. */
  readonly n_layers: number;
  /** Width of the residual stream. */
  readonly d_model: number;
  /** Longest sequence. */
  readonly n_ctx: number;
  /** Width of a head. */
  readonly d_head: number;
  readonly n_heads: number;
  /** Number of key and value heads where it differs from `n_heads`. */
  readonly n_key_value_heads: number | null;
  /** Number of neurons of an MLP; null without MLPs. */
  readonly d_mlp: number | null;
  readonly d_vocab: number;
  readonly d_vocab_out: number;
  readonly act_fn: string;
  readonly attn_only: boolean;
  readonly gated_mlp: boolean;
  readonly parallel_attn_mlp: boolean;
  readonly normalization_type: "LN" | "LNPre" | "RMS" | "RMSPre" | null;
  readonly final_rms: boolean;
  readonly eps: number;
  readonly positional_embedding_type: string;
  /** Divisor of attention scores. */
  readonly attn_scale: number;
  readonly use_attn_scale: boolean;
  readonly scale_attn_by_inverse_layer_idx: boolean;
  /** Greater than 0: `c · tanh(score / c)`. */
  readonly attn_scores_soft_cap: number;
  /** Greater than 0: `c · tanh(logit / c)`. */
  readonly output_logits_soft_cap: number;
  readonly attention_dir: "causal" | "bidirectional";
  readonly use_local_attn: boolean;
  readonly window_size: number | null;
  readonly attn_types: readonly ("global" | "local")[] | null;
  readonly tie_word_embeddings: boolean;
  /** Whether texts get a beginning-of-sequence token unless a call says otherwise. */
  readonly default_prepend_bos: boolean;
  readonly tokenizer_name: string | null;
  readonly init_mode: string;
  readonly initializer_range: number;
  readonly seed: number | null;
  readonly dtype: string;
  /** Number of weights in attention and MLPs, without embeddings, biases and norms. */
  readonly n_params: number;
}

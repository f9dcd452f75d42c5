/** Configurations, under the reference's names. */

import type { DType } from "../engine/engine.ts";

/**
 * What a transformer is made of. {@link HookedTransformer.cfg} has every key filled in; {@link HookedTransformer.fromConfig}
 * needs `n_layers`, `d_model`, `n_ctx`, `d_vocab` and one of `d_head` and `n_heads`, and fills in the others with the
 * defaults given here.
 *
 * A key that is unknown, out of range or asks for something that is not implemented throws `unsupported_config`, which
 * names it.
 */
export interface TransformerConfig {
  /**
   * A name for people.
   * @default "custom"
   */
  readonly model_name: string;
  /**
   * The architecture's class name where the checkpoint comes from, such as `GPT2LMHeadModel`; null if unknown.
   * @default null
   */
  readonly original_architecture: string | null;
  /** Number of blocks, at least 1. */
  readonly n_layers: number;
  /** Width of the residual stream. */
  readonly d_model: number;
  /** Longest sequence in tokens, the start token included. */
  readonly n_ctx: number;
  /**
   * Width of a head: the size of each head's queries, keys and values.
   * @default d_model / n_heads
   */
  readonly d_head: number;
  /**
   * Number of query heads of a block. Given with `d_head`, their product may differ from `d_model`.
   * @default d_model / d_head
   */
  readonly n_heads: number;
  /**
   * Number of key and value heads of a block, where groups of query heads share them; divides `n_heads`. Null: every
   * query head has its own.
   * @default null
   */
  readonly n_key_value_heads: number | null;
  /**
   * Number of neurons of an MLP; null in models without MLPs.
   * @default 4 * d_model
   */
  readonly d_mlp: number | null;
  /** Number of tokens that can come in: ids are below it. */
  readonly d_vocab: number;
  /**
   * Number of tokens that can come out: the size of the logits' last axis.
   * @default d_vocab
   */
  readonly d_vocab_out: number;
  /**
   * The activation function of the MLPs: `relu`, `relu2` (squared), `gelu` (exact), `gelu_new`, `gelu_fast` or
   * `gelu_pytorch_tanh` (the tanh form), `silu`, `solu`, or `solu_ln` (with a norm behind it). Models from Hugging Face
   * may also have `quick_gelu`, `tanh`, `sigmoid`, `leaky_relu`, `relu6`, `hardswish`, `mish`, `gelu_10`, `laplace`,
   * `sqrtsoftplus` or `linear`.
   * @default "relu"
   */
  readonly act_fn: string;
  /**
   * Blocks have attention only: no MLP and no second norm.
   * @default false
   */
  readonly attn_only: boolean;
  /**
   * MLPs multiply the activation by a second projection of their input (Shazeer, arXiv 2002.05202).
   * @default false
   */
  readonly gated_mlp: boolean;
  /**
   * Attention and MLP both read the residual stream before the block, instead of one after the other.
   * @default false
   */
  readonly parallel_attn_mlp: boolean;
  /**
   * The norms of the blocks and before the unembedding: LayerNorm (`LN`), or division by the root mean square (`RMS`);
   * with `Pre` without learned weight and bias. Null: no norms at all.
   * @default "LN"
   */
  readonly normalization_type: "LN" | "LNPre" | "RMS" | "RMSPre" | null;
  /**
   * The last norm only divides by the root mean square, whatever the blocks' norms do.
   * @default false
   */
  readonly final_rms: boolean;
  /**
   * Added to the variance in norms.
   * @default 1e-5
   */
  readonly eps: number;
  /**
   * How the model knows positions: `standard` (a learned table, added to the residual stream), `shortformer` (the same
   * table, added only to what queries and keys read), `rotary` (queries and keys turn with their position) or `none`.
   * @default "standard"
   */
  readonly positional_embedding_type: string;
  /**
   * Divisor of attention scores; −1 stands for the square root of `d_head`.
   * @default -1
   */
  readonly attn_scale: number;
  /**
   * Whether scores are divided by `attn_scale`; false makes the divisor 1.
   * @default true
   */
  readonly use_attn_scale: boolean;
  /**
   * Divide scores by the number of the block too, counted from 1.
   * @default false
   */
  readonly scale_attn_by_inverse_layer_idx: boolean;
  /**
   * Above 0: attention scores `s` become `c · tanh(s / c)`.
   * @default -1
   */
  readonly attn_scores_soft_cap: number;
  /**
   * Above 0: logits `l` become `c · tanh(l / c)`.
   * @default -1
   */
  readonly output_logits_soft_cap: number;
  /**
   * Whether a query sees only keys up to its own position, or all of them.
   * @default "causal"
   */
  readonly attention_dir: "causal" | "bidirectional";
  /**
   * Some blocks see only the last `window_size` positions: those that `attn_types` calls `local`.
   * @default false
   */
  readonly use_local_attn: boolean;
  /**
   * Number of keys that a query of a local block sees, its own position included. Required with `use_local_attn`.
   * @default null
   */
  readonly window_size: number | null;
  /**
   * For each block whether its attention is local. Required with `use_local_attn`.
   * @default null
   */
  readonly attn_types: readonly ("global" | "local")[] | null;
  /**
   * Whether the unembedding shares the embedding's memory. Set by checkpoints that do; without effect in a
   * configuration of one's own, which always has two weights.
   * @default false
   */
  readonly tie_word_embeddings: boolean;
  /**
   * Whether texts get a beginning-of-sequence token unless a call says otherwise.
   * @default true
   */
  readonly default_prepend_bos: boolean;
  /**
   * Where the tokenizer comes from; for people.
   * @default null
   */
  readonly tokenizer_name: string | null;
  /**
   * How random weights are drawn: `gpt2`, `xavier_uniform`, `xavier_normal`, `kaiming_uniform`, `kaiming_normal`,
   * `muP_uniform` or `muP_normal`.
   * @default "gpt2"
   */
  readonly init_mode: string;
  /**
   * Standard deviation of random weights for `init_mode` `gpt2`, by default `0.8 / sqrt(d_model)`; for the others a
   * factor, by default 1. −1 stands for the default.
   * @default -1
   */
  readonly initializer_range: number;
  /**
   * Where random weights start: the same seed gives the same weights. Null: different ones each time.
   * @default null
   */
  readonly seed: number | null;
  /**
   * Cached without being named: what each head adds to the residual stream, `attn.hook_result`. Naming a point always
   * records it; this and the next four only widen what is recorded when nothing is named.
   * @default false
   */
  readonly use_attn_result: boolean;
  /**
   * Cached without being named: the heads' own inputs, `hook_q_input`, `hook_k_input` and `hook_v_input`.
   * @default false
   */
  readonly use_split_qkv_input: boolean;
  /**
   * Cached without being named: the MLPs' own input, `hook_mlp_in`.
   * @default false
   */
  readonly use_hook_mlp_in: boolean;
  /**
   * Cached without being named: the input of each head's queries, keys and values together, `hook_attn_in`.
   * @default false
   */
  readonly use_attn_in: boolean;
  /**
   * Cached without being named: the token ids, `hook_tokens`.
   * @default false
   */
  readonly use_hook_tokens: boolean;
  /**
   * Rotary positions: how many of a head's elements turn; even. There only in rotary models, as are the other rotary
   * keys.
   * @default d_head
   */
  readonly rotary_dim?: number;
  /**
   * Rotary positions: pair m of r/2 turns by `base^(-2m/r)` radians a position.
   * @default 10000
   */
  readonly rotary_base?: number;
  /**
   * Rotary positions: neighbouring elements (2m, 2m + 1) turn together, instead of m and m + r/2.
   * @default false
   */
  readonly rotary_adjacent_pairs?: boolean;
  /**
   * Rotary positions: divide positions by this, so that longer sequences fit.
   * @default 1
   */
  readonly rotary_scaling_factor?: number;
  /**
   * Rotary positions: slow down slow pairs only, as in Llama 3.1.
   * @default false
   */
  readonly use_NTK_by_parts_rope?: boolean;
  /**
   * By parts: how many times slower the slow pairs turn.
   * @default 8
   */
  readonly NTK_by_parts_factor?: number;
  /**
   * By parts: pairs that turn fewer times than this over `NTK_original_ctx_len` positions are slow.
   * @default 1
   */
  readonly NTK_by_parts_low_freq_factor?: number;
  /**
   * By parts: pairs that turn more often than this over `NTK_original_ctx_len` positions keep their speed; those
   * between are slowed in proportion.
   * @default 4
   */
  readonly NTK_by_parts_high_freq_factor?: number;
  /**
   * By parts: the context, in positions, that the model was trained with first.
   * @default 8192
   */
  readonly NTK_original_ctx_len?: number;
  /**
   * Rotary positions: YaRN (Peng et al., arXiv 2309.00071), which slows down slow pairs and turns attention up or down.
   * One scaling at most may be asked for.
   * @default false
   */
  readonly use_yarn_rope?: boolean;
  /**
   * YaRN: how many times slower the slow pairs turn.
   * @default 1
   */
  readonly yarn_factor?: number;
  /**
   * YaRN: what rotated queries and keys are multiplied by.
   * @default 1
   */
  readonly yarn_attention_factor?: number;
  /**
   * YaRN: pairs that turn more often than this over the original context keep their speed.
   * @default 32
   */
  readonly yarn_beta_fast?: number;
  /**
   * YaRN: pairs that turn fewer times than this over the original context are slow.
   * @default 1
   */
  readonly yarn_beta_slow?: number;
  /**
   * YaRN: the context, in positions, that the model was trained with first.
   * @default 4096
   */
  readonly yarn_original_max_position_embeddings?: number;
  /**
   * YaRN: the slow pairs begin, and the fast ones end, at a whole pair.
   * @default true
   */
  readonly yarn_truncate?: boolean;
  /**
   * Rotary positions: a scaling that the reference has no keys for (`dynamic`, `longrope`, `proportional`), as in
   * Hugging Face's configurations.
   */
  readonly rope_parameters?: Readonly<Record<string, string | number | readonly number[]>>;
  /**
   * Rotary positions: the r in `base^(-2m/r)` where it differs from `rotary_dim`. It is one less where a share of the
   * head's elements came out odd.
   * @default rotary_dim
   */
  readonly rotary_period?: number;
  /**
   * Gated MLPs: `b_in` is added to the second projection (Llama's way), instead of to the product (the reference's).
   * @default false
   */
  readonly bias_before_gate?: boolean;
  /**
   * The dtype of the weights. {@link LoadOptions.dtype} has the last word.
   * @default "float32"
   */
  readonly dtype: DType;
  /** Number of weights in attention and MLPs, without embeddings, biases and norms. Computed; ignored when given. */
  readonly n_params: number;
}

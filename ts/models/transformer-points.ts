/**
 * The hook points of decoder-only transformers as types: names and axes, in the order in which they fire. Which of them
 * a model has depends on its architecture; `model.hookDict` knows.
 */

/**
 * The points of each block, by what follows `blocks.N.`, and the axes of their activations. Axis `one` has size 1.
 * Unless something else is said, a model has the point and a cache records it unasked.
 */
export interface BlockPoints {
  /** The residual stream before the block. */
  readonly hook_resid_pre: readonly ["batch", "pos", "d_model"];
  /**
   * The residual stream, once for each head, before the norm: what the head's query, key and value read. Recorded only
   * when named. Not in models where query heads share keys and values.
   */
  readonly hook_attn_in: readonly ["batch", "pos", "head", "d_model"];
  /** The residual stream, once for each head, before the norm: what the head's query reads. Recorded only when named. */
  readonly hook_q_input: readonly ["batch", "pos", "head", "d_model"];
  /**
   * The residual stream, once for each key head, before the norm: what the head's key reads. Recorded only when named.
   */
  readonly hook_k_input: readonly ["batch", "pos", "head", "d_model"];
  /**
   * The residual stream, once for each value head, before the norm: what the head's value reads. Recorded only when
   * named.
   */
  readonly hook_v_input: readonly ["batch", "pos", "head", "d_model"];
  /**
   * What the norm before attention divides by. In models with norms. While something looks at the heads' own inputs it
   * has an axis `head` after `pos`, and fires for queries, keys and values in turn: see {@link SplitNormKeys}.
   */
  readonly "ln1.hook_scale": readonly ["batch", "pos", "one"];
  /**
   * The normalised residual stream before attention, without the norm's weight and bias. In models with norms. While
   * something looks at the heads' own inputs it has an axis `head` after `pos`, and fires for queries, keys and values
   * in turn: see {@link SplitNormKeys}.
   */
  readonly "ln1.hook_normalized": readonly ["batch", "pos", "d_model"];
  /** What queries and keys read: the normalised residual stream plus positions. In shortformer models only. */
  readonly "attn.hook_attn_input": readonly ["batch", "pos", "d_model"];
  /** Queries, with their bias, before any rotation. */
  readonly "attn.hook_q": readonly ["batch", "pos", "head", "d_head"];
  /** Keys, with their bias, before any rotation. `head` counts key heads, where query heads share them. */
  readonly "attn.hook_k": readonly ["batch", "pos", "head", "d_head"];
  /** Values, with their bias. `head` counts value heads, where query heads share them. */
  readonly "attn.hook_v": readonly ["batch", "pos", "head", "d_head"];
  /** Queries after rotation. In rotary models only. */
  readonly "attn.hook_rot_q": readonly ["batch", "pos", "head", "d_head"];
  /** Keys after rotation. In rotary models only. `head` counts key heads, where query heads share them. */
  readonly "attn.hook_rot_k": readonly ["batch", "pos", "head", "d_head"];
  /** Attention scores after scaling and masking: −∞ where a query may not see a key. */
  readonly "attn.hook_attn_scores": readonly ["batch", "head", "query", "key"];
  /** Attention: the softmax of the scores over `key`. A query that may see no key has a row of zeros. */
  readonly "attn.hook_pattern": readonly ["batch", "head", "query", "key"];
  /** Values weighted by attention: what each head has gathered, before the output projection. */
  readonly "attn.hook_z": readonly ["batch", "pos", "head", "d_head"];
  /**
   * What each head adds to the residual stream, without the bias; the sum over heads plus `b_O` is `hook_attn_out`. Costs
   * memory: recorded only when named.
   */
  readonly "attn.hook_result": readonly ["batch", "pos", "head", "d_model"];
  /** What attention adds to the residual stream. */
  readonly hook_attn_out: readonly ["batch", "pos", "d_model"];
  /** The residual stream between attention and MLP. Not where both read it at once, nor in attention-only models. */
  readonly hook_resid_mid: readonly ["batch", "pos", "d_model"];
  /** The residual stream that only the MLP reads, before its norm. Recorded only when named. In models with MLPs. */
  readonly hook_mlp_in: readonly ["batch", "pos", "d_model"];
  /** What the norm before the MLP divides by. In models with MLPs and norms. */
  readonly "ln2.hook_scale": readonly ["batch", "pos", "one"];
  /**
   * The normalised residual stream before the MLP, without the norm's weight and bias. In models with MLPs and norms.
   */
  readonly "ln2.hook_normalized": readonly ["batch", "pos", "d_model"];
  /** Neurons before the activation function; in a gated MLP the gate. In models with MLPs. */
  readonly "mlp.hook_pre": readonly ["batch", "pos", "d_mlp"];
  /** What the gate multiplies. In models with gated MLPs. */
  readonly "mlp.hook_pre_linear": readonly ["batch", "pos", "d_mlp"];
  /** Neurons after the activation function and before the inner norm. With `act_fn` `solu_ln` only. */
  readonly "mlp.hook_mid": readonly ["batch", "pos", "d_mlp"];
  /** What the MLP's inner norm divides by. With `act_fn` `solu_ln` only. */
  readonly "mlp.ln.hook_scale": readonly ["batch", "pos", "one"];
  /** The normalised neurons, without the inner norm's weight and bias. With `act_fn` `solu_ln` only. */
  readonly "mlp.ln.hook_normalized": readonly ["batch", "pos", "d_mlp"];
  /** Neurons as the output projection reads them. In models with MLPs. */
  readonly "mlp.hook_post": readonly ["batch", "pos", "d_mlp"];
  /** What the MLP adds to the residual stream. In models with MLPs. */
  readonly hook_mlp_out: readonly ["batch", "pos", "d_model"];
  /** The residual stream after the block: the next block's `hook_resid_pre`. */
  readonly hook_resid_post: readonly ["batch", "pos", "d_model"];
}

/** The points outside the blocks and the axes of their activations. Axis `one` has size 1. */
export interface OuterPoints {
  /** The token ids, int64; no gradients. Recorded only when named, in runs from tokens. */
  readonly hook_tokens: readonly ["batch", "pos"];
  /** Token embeddings. */
  readonly hook_embed: readonly ["batch", "pos", "d_model"];
  /** Position embeddings. In models with a learned table of positions. */
  readonly hook_pos_embed: readonly ["batch", "pos", "d_model"];
  /** What the last norm divides by. In models with norms. */
  readonly "ln_final.hook_scale": readonly ["batch", "pos", "one"];
  /** The normalised residual stream at the end, without the norm's weight and bias. In models with norms. */
  readonly "ln_final.hook_normalized": readonly ["batch", "pos", "d_model"];
  /** What the unembedding reads. Not in runs that stop before it. */
  readonly "unembed.hook_in": readonly ["batch", "pos", "d_model"];
  /** What the unembedding gives: the logits, before a soft cap if the model has one. Not in runs that stop before it. */
  readonly "unembed.hook_out": readonly ["batch", "pos", "d_vocab"];
}

/**
 * The hook points of a decoder-only transformer, by name: those of {@link OuterPoints}, and those of
 * {@link BlockPoints} behind `blocks.N.`, such as `blocks.3.attn.hook_pattern`.
 */
export type TransformerPoints = OuterPoints & {
  readonly [Name in keyof BlockPoints as `blocks.${number}.${Name}`]: BlockPoints[Name];
};

/**
 * What a cache holds besides its points, behind `blocks.N.`, of a run in which queries, keys and values had inputs of
 * their own: `hook_q_input`, `hook_k_input` or `hook_v_input` was looked at. The points of the norm before attention then
 * fire once for each; hooks are told these names, and captures of the points store under them too.
 *
 * Under the points' own names are the activation of the value input, and the total gradient. Where queries outnumber
 * keys and values there is no total: their gradients have different shapes.
 */
export interface SplitNormKeys {
  /** What the norm of the query input divides by. */
  readonly "ln1.hook_scale_q": readonly ["batch", "pos", "head", "one"];
  /** What the norm of the key input divides by. */
  readonly "ln1.hook_scale_k": readonly ["batch", "pos", "head", "one"];
  /** What the norm of the value input divides by. */
  readonly "ln1.hook_scale_v": readonly ["batch", "pos", "head", "one"];
  /** The normalised query input, without the norm's weight and bias. */
  readonly "ln1.hook_normalized_q": readonly ["batch", "pos", "head", "d_model"];
  /** The normalised key input, without the norm's weight and bias. */
  readonly "ln1.hook_normalized_k": readonly ["batch", "pos", "head", "d_model"];
  /** The normalised value input, without the norm's weight and bias. */
  readonly "ln1.hook_normalized_v": readonly ["batch", "pos", "head", "d_model"];
}

/** The keys of a transformer's cache: its points, and {@link SplitNormKeys} behind `blocks.N.`. */
export type TransformerKeys = TransformerPoints & {
  readonly [Name in keyof SplitNormKeys as `blocks.${number}.${Name}`]: SplitNormKeys[Name];
};

/** The point that a key of {@link SplitNormKeys} belongs to; other keys stand for themselves. Internal. */
export function pointOfKey(key: string): string {
  return key.replace(/(\.ln1\.hook_(?:scale|normalized))_[qkv]$/, "$1");
}

/** The keys of {@link BlockPoints}, for where the program runs. */
export const BLOCK_POINTS: Readonly<Record<keyof BlockPoints, true>> = {
  hook_resid_pre: true,
  hook_attn_in: true,
  hook_q_input: true,
  hook_k_input: true,
  hook_v_input: true,
  "ln1.hook_scale": true,
  "ln1.hook_normalized": true,
  "attn.hook_attn_input": true,
  "attn.hook_q": true,
  "attn.hook_k": true,
  "attn.hook_v": true,
  "attn.hook_rot_q": true,
  "attn.hook_rot_k": true,
  "attn.hook_attn_scores": true,
  "attn.hook_pattern": true,
  "attn.hook_z": true,
  "attn.hook_result": true,
  hook_attn_out: true,
  hook_resid_mid: true,
  hook_mlp_in: true,
  "ln2.hook_scale": true,
  "ln2.hook_normalized": true,
  "mlp.hook_pre": true,
  "mlp.hook_pre_linear": true,
  "mlp.hook_mid": true,
  "mlp.ln.hook_scale": true,
  "mlp.ln.hook_normalized": true,
  "mlp.hook_post": true,
  hook_mlp_out: true,
  hook_resid_post: true,
};

/** The keys of {@link OuterPoints}, for where the program runs. */
export const OUTER_POINTS: Readonly<Record<keyof OuterPoints, true>> = {
  hook_tokens: true,
  hook_embed: true,
  hook_pos_embed: true,
  "ln_final.hook_scale": true,
  "ln_final.hook_normalized": true,
  "unembed.hook_in": true,
  "unembed.hook_out": true,
};

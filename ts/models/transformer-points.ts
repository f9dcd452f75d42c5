/**
 * The hook points of decoder-only transformers as types: names and axes, in the order in which they fire. Which of them
 * a model has depends on its architecture; `model.hookDict` knows.
 */

import type { AxesAt } from "../hooks/names.ts";

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

/** Short names of points of a block, and what they stand for: `pattern3` is `blocks.3.attn.hook_pattern`. */
export interface ShortNames {
  /** `blocks.N.hook_resid_pre` */
  readonly resid_pre: "hook_resid_pre";
  /** `blocks.N.hook_resid_mid` */
  readonly resid_mid: "hook_resid_mid";
  /** `blocks.N.hook_resid_post` */
  readonly resid_post: "hook_resid_post";
  /** `blocks.N.hook_attn_in` */
  readonly attn_in: "hook_attn_in";
  /** `blocks.N.hook_q_input` */
  readonly q_input: "hook_q_input";
  /** `blocks.N.hook_k_input` */
  readonly k_input: "hook_k_input";
  /** `blocks.N.hook_v_input` */
  readonly v_input: "hook_v_input";
  /** `blocks.N.hook_attn_out` */
  readonly attn_out: "hook_attn_out";
  /** `blocks.N.hook_mlp_in` */
  readonly mlp_in: "hook_mlp_in";
  /** `blocks.N.hook_mlp_out` */
  readonly mlp_out: "hook_mlp_out";
  /** `blocks.N.attn.hook_q` */
  readonly q: "attn.hook_q";
  /** `blocks.N.attn.hook_q` */
  readonly query: "attn.hook_q";
  /** `blocks.N.attn.hook_k` */
  readonly k: "attn.hook_k";
  /** `blocks.N.attn.hook_k` */
  readonly key: "attn.hook_k";
  /** `blocks.N.attn.hook_v` */
  readonly v: "attn.hook_v";
  /** `blocks.N.attn.hook_v` */
  readonly value: "attn.hook_v";
  /** `blocks.N.attn.hook_rot_q` */
  readonly rot_q: "attn.hook_rot_q";
  /** `blocks.N.attn.hook_rot_k` */
  readonly rot_k: "attn.hook_rot_k";
  /** `blocks.N.attn.hook_attn_scores` */
  readonly attn_scores: "attn.hook_attn_scores";
  /** `blocks.N.attn.hook_attn_scores` */
  readonly attn_logits: "attn.hook_attn_scores";
  /** `blocks.N.attn.hook_pattern` */
  readonly pattern: "attn.hook_pattern";
  /** `blocks.N.attn.hook_pattern` */
  readonly attn: "attn.hook_pattern";
  /** `blocks.N.attn.hook_z` */
  readonly z: "attn.hook_z";
  /** `blocks.N.attn.hook_result` */
  readonly result: "attn.hook_result";
  /** `blocks.N.mlp.hook_pre` */
  readonly pre: "mlp.hook_pre";
  /** `blocks.N.mlp.hook_pre` */
  readonly mlp_pre: "mlp.hook_pre";
  /** `blocks.N.mlp.hook_pre_linear` */
  readonly pre_linear: "mlp.hook_pre_linear";
  /** `blocks.N.mlp.hook_mid` */
  readonly mid: "mlp.hook_mid";
  /** `blocks.N.mlp.hook_mid` */
  readonly mlp_mid: "mlp.hook_mid";
  /** `blocks.N.mlp.hook_post` */
  readonly post: "mlp.hook_post";
  /** `blocks.N.mlp.hook_post` */
  readonly mlp_post: "mlp.hook_post";
}

/**
 * Short names whose part of the block must be said: `scale4ln1` is `blocks.4.ln1.hook_scale`.
 * @inline
 */
type NormName = "scale" | "normalized";
/** @inline */
type NormPart = "ln1" | "ln2";

/** A short name with its layer, such as `z5`. */
export type ShortKey = `${keyof ShortNames}${number}` | `${NormName}${number}${NormPart}`;

/** A short name, its layer (negative: from the last) and, for norms, the part: `["pattern", -1]`, `["scale", 4, "ln1"]`. */
export type TupleKey =
  | readonly [name: keyof ShortNames, layer: number, part?: string]
  | readonly [name: NormName, layer: number, part: NormPart]
  | readonly [name: "embed" | "pos_embed" | NormName];

/** The short name in a key such as `z5`. */
type ShortNameIn<Key> = {
  [Name in keyof ShortNames]: Key extends `${Name}${number}` ? Name : never;
}[keyof ShortNames];

type NormIn<Key> = {
  [Name in NormName]: {
    [Part in NormPart]: Key extends `${Name}${number}${Part}`
      ? `blocks.${number}.${Part}.hook_${Name}`
      : never;
  }[NormPart];
}[NormName];

type InBlock<Name> = Name extends keyof ShortNames ? `blocks.${number}.${ShortNames[Name]}` : never;

/** The full name that a short or tuple key stands for. */
type FullName<Key> = Key extends readonly [infer Name, ...infer Place]
  ? Name extends keyof ShortNames
    ? InBlock<Name>
    : Name extends "embed" | "pos_embed"
      ? `hook_${Name}`
      : Name extends NormName
        ? Place extends readonly [number, infer Part extends NormPart]
          ? `blocks.${number}.${Part}.hook_${Name}`
          : `ln_final.hook_${Name}`
        : never
  : NormIn<Key> | InBlock<ShortNameIn<Key>>;

/** The axes of what a short or tuple key stands for. */
export type AxesOfShort<Key, P = TransformerKeys> = AxesAt<P, FullName<Key>>;

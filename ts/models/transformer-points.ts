/**
 * The hook points of decoder-only transformers as types: names and axes, in the order in which they fire. Which of them
 * a model has depends on its architecture; `model.hookDict` knows.
 */

import type { AxesAt } from "../hooks/names.ts";

type Residual = readonly ["batch", "pos", "d_model"];
type PerHead = readonly ["batch", "pos", "head", "d_head"];
type HeadResidual = readonly ["batch", "pos", "head", "d_model"];
type Attention = readonly ["batch", "head", "query", "key"];
type Neurons = readonly ["batch", "pos", "d_mlp"];
type Scale = readonly ["batch", "pos", "one"];

/** The points of each block, by what follows `blocks.N.`, and their axes. */
export interface BlockPoints {
  readonly hook_resid_pre: Residual;
  readonly hook_attn_in: HeadResidual;
  readonly hook_q_input: HeadResidual;
  readonly hook_k_input: HeadResidual;
  readonly hook_v_input: HeadResidual;
  readonly "ln1.hook_scale": Scale;
  readonly "ln1.hook_normalized": Residual;
  readonly "attn.hook_attn_input": Residual;
  readonly "attn.hook_q": PerHead;
  readonly "attn.hook_k": PerHead;
  readonly "attn.hook_v": PerHead;
  readonly "attn.hook_rot_q": PerHead;
  readonly "attn.hook_rot_k": PerHead;
  /** After scaling and masking: −∞ where a query may not see a key. */
  readonly "attn.hook_attn_scores": Attention;
  readonly "attn.hook_pattern": Attention;
  readonly "attn.hook_z": PerHead;
  /** What each head adds to the residual stream, without the bias. Costs memory; recorded only when named. */
  readonly "attn.hook_result": HeadResidual;
  readonly hook_attn_out: Residual;
  readonly hook_resid_mid: Residual;
  readonly hook_mlp_in: Residual;
  readonly "ln2.hook_scale": Scale;
  readonly "ln2.hook_normalized": Residual;
  readonly "mlp.hook_pre": Neurons;
  readonly "mlp.hook_pre_linear": Neurons;
  readonly "mlp.hook_mid": Neurons;
  readonly "mlp.ln.hook_scale": Scale;
  readonly "mlp.ln.hook_normalized": Neurons;
  readonly "mlp.hook_post": Neurons;
  readonly hook_mlp_out: Residual;
  readonly hook_resid_post: Residual;
}

/** The hook points of a decoder-only transformer, by name. */
export type TransformerPoints = {
  readonly hook_tokens: readonly ["batch", "pos"];
  readonly hook_embed: Residual;
  readonly hook_pos_embed: Residual;
  readonly "ln_final.hook_scale": Scale;
  readonly "ln_final.hook_normalized": Residual;
  readonly "unembed.hook_in": Residual;
  readonly "unembed.hook_out": readonly ["batch", "pos", "d_vocab"];
} & { readonly [Name in keyof BlockPoints as `blocks.${number}.${Name}`]: BlockPoints[Name] };

/** Short names of points of a block, and what they stand for: `pattern3` is `blocks.3.attn.hook_pattern`. */
interface ShortNames {
  readonly resid_pre: "hook_resid_pre";
  readonly resid_mid: "hook_resid_mid";
  readonly resid_post: "hook_resid_post";
  readonly attn_in: "hook_attn_in";
  readonly q_input: "hook_q_input";
  readonly k_input: "hook_k_input";
  readonly v_input: "hook_v_input";
  readonly attn_out: "hook_attn_out";
  readonly mlp_in: "hook_mlp_in";
  readonly mlp_out: "hook_mlp_out";
  readonly q: "attn.hook_q";
  readonly query: "attn.hook_q";
  readonly k: "attn.hook_k";
  readonly key: "attn.hook_k";
  readonly v: "attn.hook_v";
  readonly value: "attn.hook_v";
  readonly rot_q: "attn.hook_rot_q";
  readonly rot_k: "attn.hook_rot_k";
  readonly attn_scores: "attn.hook_attn_scores";
  readonly attn_logits: "attn.hook_attn_scores";
  readonly pattern: "attn.hook_pattern";
  readonly attn: "attn.hook_pattern";
  readonly z: "attn.hook_z";
  readonly result: "attn.hook_result";
  readonly pre: "mlp.hook_pre";
  readonly mlp_pre: "mlp.hook_pre";
  readonly pre_linear: "mlp.hook_pre_linear";
  readonly mid: "mlp.hook_mid";
  readonly mlp_mid: "mlp.hook_mid";
  readonly post: "mlp.hook_post";
  readonly mlp_post: "mlp.hook_post";
}

/** Short names whose part of the block must be said: `scale4ln1` is `blocks.4.ln1.hook_scale`. */
type NormName = "scale" | "normalized";
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
export type AxesOfShort<Key, P = TransformerPoints> = AxesAt<P, FullName<Key>>;

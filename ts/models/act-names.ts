/**
 * Short names of hook points, as interpretability researchers write them: `pattern3`, `resid_pre2`, `["z", -1]`. What they
 * stand for is decided by the engine; here are their types.
 */

import { engine } from "../engine/current.ts";
import { hooklensError } from "../engine/errors.ts";
import type { AxesAt, GradName } from "../hooks/names.ts";
import { nearestNames } from "../hooks/near-miss.ts";
import { describe } from "../tensor/base.ts";
import {
  BLOCK_POINTS,
  type BlockPoints,
  OUTER_POINTS,
  type TransformerKeys,
  type TransformerPoints,
} from "./transformer-points.ts";

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

/**
 * The parts of a block that have such points.
 * @inline
 */
type NormPart = keyof BlockPoints extends infer Key
  ? Key extends `${infer Part}.hook_scale`
    ? Part
    : never
  : never;

/** Short names of points outside the blocks; those of norms mean the last one. */
export type OuterShort = "embed" | "pos_embed" | "tokens" | NormName;

/**
 * Names of the block itself as a part.
 * @inline
 */
type OfBlock = "b" | "block" | "blocks";

/**
 * Short names of points inside attention or an MLP, which say their part by themselves.
 * @inline
 */
type Inside = {
  [Name in keyof ShortNames]: ShortNames[Name] extends `${string}.${string}` ? Name : never;
}[keyof ShortNames];

/** A short name, its layer (negative: from the last) and, for norms, the part: `["pattern", -1]`, `["scale", 4, "ln1"]`. */
export type TupleKey =
  | readonly [name: Inside, layer: number, part?: string]
  | readonly [name: Exclude<keyof ShortNames, Inside>, layer: number, part?: OfBlock]
  | readonly [name: NormName, layer: number, part: NormPart]
  | readonly [name: OuterShort];

/** @inline */
type Letter =
  | "a"
  | "b"
  | "c"
  | "d"
  | "e"
  | "f"
  | "g"
  | "h"
  | "i"
  | "j"
  | "k"
  | "l"
  | "m"
  | "n"
  | "o"
  | "p"
  | "q"
  | "r"
  | "s"
  | "t"
  | "u"
  | "v"
  | "w"
  | "x"
  | "y"
  | "z"
  | "_";
/** @inline */
type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

/** Splits off the characters at the start of a text that are of one kind. */
type Run<
  Text extends string,
  Kind extends string,
  Done extends string = "",
> = Text extends `${infer Head}${infer Rest}`
  ? Head extends Kind
    ? Run<Rest, Kind, `${Done}${Head}`>
    : [Done, Text]
  : [Done, Text];

/** `scale4ln1` taken apart into name, layer and part; what is no such text stays whole, with the layer and part given. */
type Apart<Text extends string, Layer, Part> =
  Run<Text, Letter> extends [infer Name extends string, infer Rest extends string]
    ? Name extends ""
      ? [Text, Layer, Part]
      : Rest extends `${number}`
        ? [Name, Rest, ""]
        : Run<Rest, Digit> extends [infer Digits extends string, infer Said extends string]
          ? Digits extends ""
            ? [Text, Layer, Part]
            : [Name, Digits, Said]
          : never
    : never;

/** @inline */
type PartNamed<Part> = Part extends "a" | "attention"
  ? "attn."
  : Part extends "m"
    ? "mlp."
    : Part extends OfBlock | "" | null | undefined
      ? ""
      : Part extends string
        ? `${Part}.`
        : "";

/** @inline */
type Within<Name extends string, Part> = Name extends keyof ShortNames
  ? ShortNames[Name] extends `hook_${string}`
    ? `${PartNamed<Part>}${ShortNames[Name]}`
    : ShortNames[Name]
  : `${PartNamed<Part>}hook_${Name}`;

/** @inline */
type Joined<Parts> = Parts extends [infer Name extends string, infer Layer, infer Part]
  ? Layer extends number | string
    ? `blocks.${Layer}.${Within<Name, Part>}`
    : `${Name extends NormName ? "ln_final." : ""}${Within<Name, Part>}`
  : never;

/** @inline */
type Spelled<Name extends string, Layer, Part> = Name extends `${string}.${string}` | `hook_${string}`
  ? [Layer, Part] extends [null | undefined, null | undefined]
    ? Name
    : Joined<Apart<Name, Layer, Part>>
  : Joined<Apart<Name, Layer, Part>>;

/**
 * The full name that a short one stands for, as a type: `ActName<"pattern3">` is `"blocks.3.attn.hook_pattern"`; never for
 * what is no short name; any string where only the running program knows.
 */
export type ActName<Name extends string, Layer = null, Part = null> = string extends Name
  ? string
  : Spelled<Name, Layer, Part> extends infer Full extends string
    ? Name extends `${string}.${string}` | `hook_${string}`
      ? Full
      : string extends Part
        ? string
        : Full extends keyof TransformerPoints
          ? Full
          : never
    : never;

/**
 * A short name with its layer, and behind it the part of the block where it must be said: `z5`, `scale4ln1`, `embed`. With
 * `_grad` behind it, its gradient. Never for a text that is none.
 */
export type Short<Key extends string> = Key extends `${string}.${string}` | `hook_${string}`
  ? never
  : string extends Key
    ? never
    : [ActName<Key extends GradName<infer Name> ? Name : Key>] extends [never]
      ? never
      : Key;

/** The full name that a key of a cache stands for. */
type FullName<Key> = Key extends readonly [
  infer Name extends string,
  (infer Layer extends number)?,
  (infer Part extends string)?,
]
  ? ActName<Name, Key["length"] extends 1 ? null : Layer, Key["length"] extends 3 ? Part : null>
  : Key extends string
    ? ActName<Key>
    : never;

/** The axes of what a short or tuple key stands for, an activation or a gradient. */
export type AxesOfShort<Key, P = TransformerKeys> =
  Key extends GradName<infer Short> ? AxesAt<P, FullName<Short>> : AxesAt<P, FullName<Key>>;

/**
 * The full name of an activation under the reference's short names: a name and a layer, and the part of the block where
 * it must be said. A text may say all three, and then counts instead of the arguments. A full name, one that has a dot or
 * starts with `hook_`, stands for itself if nothing else is given.
 *
 * Which of these points a model has is known to the model: `cache.get` and names filters take short names too, and check.
 *
 * The layer is the number of the block; one that counts from the end needs a model: see {@link ActivationCache.get}. The
 * part is `ln1`, `ln2`, `attn` (or `a`), `mlp` (or `m`); it is not needed for what exists in attention or in the MLP only.
 *
 * @throws `unknown_hook` with the nearest names for what no transformer has; `invalid_argument` for a layer that is no
 *   whole number from 0.
 *
 * @example
 * ```ts
 * getActName("pattern", 3);      // "blocks.3.attn.hook_pattern"
 * getActName("k6a");             // "blocks.6.attn.hook_k"
 * getActName("scale", 4, "ln1"); // "blocks.4.ln1.hook_scale"
 * getActName("normalized");      // "ln_final.hook_normalized"
 * ```
 *
 * @category Types of names and axes
 */
export function getActName<const Name extends string>(
  name: [ActName<Name>] extends [never] ? never : Name,
): ActName<Name>;
export function getActName<const Name extends string, const Layer extends number | null>(
  name: [ActName<Name, Layer>] extends [never] ? never : Name,
  layer: Layer,
): ActName<Name, Layer>;
export function getActName<
  const Name extends string,
  const Layer extends number | null,
  const Part extends string | null,
>(
  name: [ActName<Name, Layer, Part>] extends [never] ? never : Name,
  layer: Layer,
  part: Part,
): ActName<Name, Layer, Part>;
export function getActName(name: string, layer: number | null = null, part: string | null = null): string {
  const full = shortName("getActName", name, layer, part);
  const plain = layer === null && part === null && (name.includes(".") || name.startsWith("hook_"));
  if (plain || isCatalogued(full)) return full;
  const block = /^blocks\.(\d+)\./.exec(full)?.[1] ?? 0;
  const asked = [name, layer, part].filter((given) => given !== null).join(", ");
  const suggestions = nearestNames(full, [
    ...Object.keys(OUTER_POINTS),
    ...Object.keys(BLOCK_POINTS).map((point) => `blocks.${block}.${point}`),
  ]);
  throw hooklensError(
    "unknown_hook",
    `getActName(${asked}) would be '${full}', which no transformer has; nearest: ${suggestions.join(", ")}`,
    { name: full, suggestions },
  );
}

/** What the engine makes of a short name, checked only for its form. */
export function shortName(what: string, name: string, layer: number | null, part: string | null): string {
  if (typeof name !== "string" || (part !== null && typeof part !== "string")) {
    throw hooklensError(
      "invalid_argument",
      `${what}: expected a name, a layer and a part, got ${describe(name)} and ${describe(part)}`,
    );
  }
  if (layer !== null && !(Number.isSafeInteger(layer) && layer >= 0)) {
    const hint = typeof layer === "number" && layer < 0 ? "; to count from the last use cache.get([…])" : "";
    throw hooklensError(
      "invalid_argument",
      `${what}: a layer is a whole number from 0, got ${describe(layer)}${hint}`,
      { layer },
    );
  }
  return engine().actName({
    name,
    ...(layer === null ? {} : { layer }),
    ...(part === null ? {} : { part }),
  });
}

function isCatalogued(full: string): boolean {
  const inBlock = /^blocks\.\d+\.(.+)$/.exec(full)?.[1];
  return inBlock === undefined ? Object.hasOwn(OUTER_POINTS, full) : Object.hasOwn(BLOCK_POINTS, inBlock);
}

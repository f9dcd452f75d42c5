/**
 * The parts of a transformer as a tree of modules, under the reference's names: `model.blocks[2].attn.hook_z` is a hook
 * point, `model.blocks[2].attn.W_Q` a weight. Weights are taken from the engine when asked for, so the tree costs nothing;
 * while the model is trained they are the very leaves that gradients reach.
 *
 * A part, point or weight that other transformers have and this one lacks throws `not_supported_on_this_model`, which says
 * why. What there is, `model.cfg`, `model.modDict` and `model.hookDict` know.
 */

import { hooklensError } from "../engine/errors.ts";
import type { HookPoint } from "../hooks/hook-point.ts";
import { Module } from "../hooks/module.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TransformerConfig } from "./transformer-config.ts";
import { BLOCK_POINTS, type BlockPoints, OUTER_POINTS, type OuterPoints } from "./transformer-points.ts";

/** What parts read their weights from. */
export interface WeightReader {
  readonly cfg: TransformerConfig;
  /** The names of all weights. */
  parameterNames(): readonly string[];
  /** Whether there is a weight of that name. */
  hasParameter(name: string): boolean;
  /** The weight of that name. */
  parameter(name: string): Tensor;
}

/** The points of a part by their own names: those of `Points` that begin with the part's name and a dot. */
export type PointsIn<Points, Part extends string> = {
  readonly [Name in keyof Points as Name extends `${Part}.${infer Own}`
    ? Own extends `${string}.${string}`
      ? never
      : Own
    : never]: Points[Name] extends readonly string[] ? HookPoint<Points[Name]> : never;
};

/** The points that are in no part: those of `Points` without a dot. */
export type PointsAtTop<Points> = {
  readonly [Name in keyof Points as Name extends `${string}.${string}`
    ? never
    : Name]: Points[Name] extends readonly string[] ? HookPoint<Points[Name]> : never;
};

/** A part that reads weights. */
abstract class Part extends Module {
  readonly #weights: WeightReader;

  /** @internal */
  constructor(name: string, weights: WeightReader) {
    super();
    this.name = name;
    this.#weights = weights;
  }

  /** The configuration of the model that this is a part of. @internal */
  protected get cfg(): TransformerConfig {
    return this.#weights.cfg;
  }

  /** Whether this part has a weight. @internal */
  protected hasWeight(own: string): boolean {
    return this.#weights.hasParameter(`${this.name}.${own}`);
  }

  /** A weight by its own name. Throws `not_supported_on_this_model` where the part has none. @internal */
  protected weight(own: string, lack = "this model has none"): Tensor {
    const weight = `${this.name}.${own}`;
    try {
      return this.#weights.parameter(weight);
    } catch (error) {
      if (this.hasWeight(own)) throw error;
      throw hooklensError("not_supported_on_this_model", `${weight}: ${lack}`, { weight });
    }
  }

  /** The weights of this part and those below it, by the names that the whole model gives them. */
  override *namedParameters(): Generator<[name: string, parameter: Tensor]> {
    for (const own of this.ownWeights()) {
      if (this.hasWeight(own)) yield [own, this.weight(own)];
    }
    for (const [path, module] of this.namedModules()) {
      if (!(module instanceof Part)) continue;
      for (const own of module.ownWeights()) {
        if (module.hasWeight(own)) yield [`${path}.${own}`, module.weight(own)];
      }
    }
  }

  /** The names that weights of such a part can have. @internal */
  protected ownWeights(): readonly string[] {
    return [];
  }
}

/** The embedding of tokens. */
export class Embed extends Part {
  /** Token embeddings `[d_vocab, d_model]`. */
  get W_E(): Tensor {
    return this.weight("W_E");
  }

  protected override ownWeights(): readonly string[] {
    return ["W_E"];
  }
}

/** The embedding of positions, in models that have a learned table of them. */
export class PosEmbed extends Part {
  /** Position embeddings `[n_ctx, d_model]`. */
  get W_pos(): Tensor {
    return this.weight("W_pos");
  }

  protected override ownWeights(): readonly string[] {
    return ["W_pos"];
  }
}

/** The weights of the unembedding. */
export class UnembedPart extends Part {
  /** Unembedding `[d_model, d_vocab_out]`. */
  get W_U(): Tensor {
    return this.weight("W_U");
  }

  /** Bias of the logits `[d_vocab_out]`; zeros in models without. */
  get b_U(): Tensor {
    return this.weight("b_U");
  }

  protected override ownWeights(): readonly string[] {
    return ["W_U", "b_U"];
  }
}

/** The weights of a norm. */
export class NormPart extends Part {
  /** What the normalised residual stream is multiplied by `[d_model]`. Not in norms without learned weights. */
  get w(): Tensor {
    return this.weight("w", this.#lack());
  }

  /** What is added then `[d_model]`. Not in norms without learned weights, nor where the norm only divides. */
  get b(): Tensor {
    return this.weight("b", this.#lack());
  }

  #lack(): string {
    const kind = this.cfg.normalization_type;
    return `the norms of this model are '${kind}'${kind?.endsWith("Pre") ? ", without learned weight and bias" : ", without a bias"}`;
  }

  protected override ownWeights(): readonly string[] {
    return ["w", "b"];
  }
}

/** The weights of a block's attention. */
export class AttentionPart extends Part {
  /** Query weights `[n_heads, d_model, d_head]`. */
  get W_Q(): Tensor {
    return this.weight("W_Q");
  }

  /**
   * Key weights `[n_heads, d_model, d_head]`. Where query heads share them, a copy in which each head has those of its
   * group; gradients go to {@link _W_K}.
   */
  get W_K(): Tensor {
    return this.#perHead("W_K");
  }

  /** Value weights `[n_heads, d_model, d_head]`, repeated as in {@link W_K}. */
  get W_V(): Tensor {
    return this.#perHead("W_V");
  }

  /** Key weights as they are stored, `[n_key_value_heads, d_model, d_head]`: the same as {@link W_K} without groups. */
  get _W_K(): Tensor {
    return this.#stored("W_K");
  }

  /** Value weights as they are stored, `[n_key_value_heads, d_model, d_head]`. */
  get _W_V(): Tensor {
    return this.#stored("W_V");
  }

  /** Output weights `[n_heads, d_head, d_model]`. */
  get W_O(): Tensor {
    return this.weight("W_O");
  }

  /** Query biases `[n_heads, d_head]`; zeros in models without. */
  get b_Q(): Tensor {
    return this.weight("b_Q");
  }

  /** Key biases `[n_heads, d_head]`, repeated as in {@link W_K}; zeros in models without. */
  get b_K(): Tensor {
    return this.#perHead("b_K");
  }

  /** Value biases `[n_heads, d_head]`, repeated as in {@link W_K}; zeros in models without. */
  get b_V(): Tensor {
    return this.#perHead("b_V");
  }

  /** Key biases as they are stored, `[n_key_value_heads, d_head]`. */
  get _b_K(): Tensor {
    return this.#stored("b_K");
  }

  /** Value biases as they are stored, `[n_key_value_heads, d_head]`. */
  get _b_V(): Tensor {
    return this.#stored("b_V");
  }

  /** Bias of the output `[d_model]`; zeros in models without. */
  get b_O(): Tensor {
    return this.weight("b_O");
  }

  /** Weights that several heads share have an underscore before their name. */
  #stored(own: string): Tensor {
    const { n_heads, n_key_value_heads } = this.cfg;
    return this.weight(n_key_value_heads === null || n_key_value_heads === n_heads ? own : `_${own}`);
  }

  #perHead(own: string): Tensor {
    const stored = this.#stored(own);
    const groups = this.cfg.n_heads / (stored.shape[0] ?? 1);
    return groups === 1 ? stored : stored.repeatInterleave(groups, 0);
  }

  protected override ownWeights(): readonly string[] {
    return ["W_Q", "W_K", "_W_K", "W_V", "_W_V", "W_O", "b_Q", "b_K", "_b_K", "b_V", "_b_V", "b_O"];
  }
}

/** The weights of a block's MLP. */
export class MlpPart extends Part {
  /** Input weights `[d_model, d_mlp]`. */
  get W_in(): Tensor {
    return this.weight("W_in");
  }

  /** Gate weights `[d_model, d_mlp]`; null in MLPs without a gate. */
  get W_gate(): Tensor | null {
    return this.cfg.gated_mlp ? this.weight("W_gate") : null;
  }

  /** Output weights `[d_mlp, d_model]`. */
  get W_out(): Tensor {
    return this.weight("W_out");
  }

  /** Input biases `[d_mlp]`; zeros in models without. */
  get b_in(): Tensor {
    return this.weight("b_in");
  }

  /** Gate biases `[d_mlp]`; null in MLPs without a gate. */
  get b_gate(): Tensor | null {
    return this.cfg.gated_mlp ? this.weight("b_gate") : null;
  }

  /**
   * Biases of what the gate multiplies, before it does, `[d_mlp]`: where folding a norm put its bias. Null in MLPs without
   * a gate.
   */
  get b_pre_linear(): Tensor | null {
    return this.hasWeight("b_pre_linear") ? this.weight("b_pre_linear") : null;
  }

  /** Bias of the output `[d_model]`; zeros in models without. */
  get b_out(): Tensor {
    return this.weight("b_out");
  }

  protected override ownWeights(): readonly string[] {
    return ["W_in", "W_gate", "W_out", "b_in", "b_gate", "b_pre_linear", "b_out"];
  }
}

/** A block; what it holds is in {@link TransformerBlock}. */
class BlockPart extends Part {}

/** A norm before attention (`ln1`), before the MLP (`ln2`) or inside it (`mlp.ln`): its weights and hook points. */
export type BlockNorm<Name extends "ln1" | "ln2" | "mlp.ln"> = NormPart & PointsIn<BlockPoints, Name>;

/** A block's attention: its weights and hook points. */
export type Attention = AttentionPart & PointsIn<BlockPoints, "attn">;

/** A block's MLP: its weights, its hook points, and with `act_fn` `solu_ln` its inner norm. */
export type Mlp = MlpPart &
  PointsIn<BlockPoints, "mlp"> & {
    /** The norm over the neurons. With `act_fn` `solu_ln` only. */
    readonly ln: BlockNorm<"mlp.ln">;
  };

/** The norm before the unembedding: its weights and hook points. */
export type FinalNorm = NormPart & PointsIn<OuterPoints, "ln_final">;

/** The unembedding: its weights and hook points. */
export type Unembed = UnembedPart & PointsIn<OuterPoints, "unembed">;

/** The parts of a block. */
export interface BlockParts {
  /** The norm before attention. In models with norms. */
  readonly ln1: BlockNorm<"ln1">;
  /** Attention. */
  readonly attn: Attention;
  /** The norm before the MLP. In models with MLPs and norms. */
  readonly ln2: BlockNorm<"ln2">;
  /** The MLP. In models with MLPs. */
  readonly mlp: Mlp;
}

/** A block: its parts, and the hook points that are in none of them. */
export type TransformerBlock = Module & BlockParts & PointsAtTop<BlockPoints>;

/** @inline */
type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

/**
 * The blocks by number. A number that the program writes out is there for the compiler, also under
 * `noUncheckedIndexedAccess`; one beyond the last throws `index_out_of_range`.
 */
export type Blocks = readonly TransformerBlock[] & {
  readonly [Layer in Digit | `${Exclude<Digit, "0">}${Digit}` | `1${Digit}${Digit}`]: TransformerBlock;
};

/** The parts of a transformer, outside its blocks. */
export interface TransformerParts {
  /** The embedding of tokens. */
  readonly embed: Embed;
  /** The embedding of positions. In models with a learned table of positions. */
  readonly pos_embed: PosEmbed;
  /** The blocks, first to last. */
  readonly blocks: Blocks;
  /** The norm before the unembedding. In models with norms. */
  readonly ln_final: FinalNorm;
  /** The unembedding. */
  readonly unembed: Unembed;
}

/** What every transformer of the tree is made with. */
interface Materials {
  readonly weights: WeightReader;
  readonly points: ReadonlyMap<string, HookPoint>;
  /** The names of parts that have weights. */
  readonly weighted: ReadonlySet<string>;
  /** Parts and points by name, as they are made. */
  readonly modules: Map<string, Module>;
}

/** Throws, when it is asked for, that this model lacks something that others have. */
function lacking(whole: object, key: string, full: string, why: string): void {
  Object.defineProperty(whole, key, {
    configurable: true,
    get(): never {
      throw hooklensError("not_supported_on_this_model", `${full}: ${why}`, { name: full });
    },
  });
}

function isThere(whole: object, key: string, value: object): void {
  // A module of one's own that holds a whole model must not take the model's points for its own.
  Object.defineProperty(whole, key, {
    value,
    enumerable: whole instanceof Part || Array.isArray(whole),
    configurable: true,
  });
}

/** Gives a part its hook points: of `names`, those in the part itself. */
function addPoints(
  part: object,
  prefix: string,
  names: readonly string[],
  { points, modules }: Materials,
): void {
  for (const own of names) {
    if (own.includes(".")) continue;
    const full = `${prefix}${own}`;
    const point = points.get(full);
    if (point === undefined) lacking(part, own, full, "this model has no such hook point");
    else {
      isThere(part, own, point);
      modules.set(full, point);
    }
  }
}

/** The names among `all` that are in the part called `name`, without it. */
function within(all: readonly string[], name: string): string[] {
  return all.flatMap((full) => (full.startsWith(`${name}.`) ? [full.slice(name.length + 1)] : []));
}

const IN_BLOCK: readonly string[] = Object.keys(BLOCK_POINTS);
const OUTSIDE: readonly string[] = Object.keys(OUTER_POINTS);

/** Hangs a part with its points below another, if the model has anything of it. */
function hang(
  whole: object,
  prefix: string,
  key: string,
  PartClass: new (name: string, weights: WeightReader) => Part,
  names: readonly string[],
  materials: Materials,
): Part | null {
  const full = `${prefix}${key}`;
  const { weights, points, modules } = materials;
  const part = new PartClass(full, weights);
  const hasPoints = names.some((own) => points.has(`${full}.${own}`));
  if (!hasPoints && !materials.weighted.has(full)) {
    lacking(whole, key, full, "this model has no such part");
    return null;
  }
  isThere(whole, key, part);
  modules.set(full, part);
  addPoints(part, `${full}.`, names, materials);
  return part;
}

function block(layer: number, materials: Materials): TransformerBlock {
  const prefix = `blocks.${layer}.`;
  const made = new BlockPart(`blocks.${layer}`, materials.weights);
  materials.modules.set(`blocks.${layer}`, made);
  const part = (key: string, PartClass: typeof NormPart | typeof AttentionPart | typeof MlpPart) =>
    hang(made, prefix, key, PartClass, within(IN_BLOCK, key), materials);
  part("ln1", NormPart);
  part("attn", AttentionPart);
  part("ln2", NormPart);
  const mlp = part("mlp", MlpPart);
  if (mlp !== null) hang(mlp, `${prefix}mlp.`, "ln", NormPart, within(IN_BLOCK, "mlp.ln"), materials);
  addPoints(made, prefix, IN_BLOCK, materials);
  return made as Module as TransformerBlock;
}

/** An array of blocks that throws for numbers beyond its end, where an array would give undefined. */
function strict(blocks: readonly TransformerBlock[]): Blocks {
  const guarded = new Proxy(blocks, {
    get(target, key, receiver): unknown {
      if (typeof key === "string" && /^-?\d+$/.test(key) && !(key in target)) {
        throw hooklensError(
          "index_out_of_range",
          `blocks[${key}]: this model has ${target.length} blocks, 0 to ${target.length - 1}; to count from the last use model.block(-1)`,
          { index: Number(key), size: target.length },
        );
      }
      return Reflect.get(target, key, receiver);
    },
  });
  return guarded as Blocks;
}

/** A point that is in no part of the tree: the parts in its name then are bare modules. */
function addFlat(name: string, point: HookPoint, modules: Map<string, Module>): void {
  const path = name.split(".");
  for (let end = 1; end < path.length; end++) {
    const prefix = path.slice(0, end).join(".");
    // `blocks` is a list and no part.
    if (prefix === "blocks" || modules.has(prefix)) continue;
    const part = new Module();
    part.name = prefix;
    modules.set(prefix, part);
  }
  modules.set(name, point);
}

/** Gives a transformer its parts and the points outside them; gives all of them by name. */
export function growTree(
  root: object,
  weights: WeightReader,
  points: ReadonlyMap<string, HookPoint>,
): ReadonlyMap<string, Module> {
  const weighted = new Set(weights.parameterNames().map((name) => name.slice(0, name.lastIndexOf("."))));
  const materials: Materials = { weights, points, weighted, modules: new Map() };
  const part = (
    key: string,
    PartClass: typeof Embed | typeof PosEmbed | typeof NormPart | typeof UnembedPart,
  ) => hang(root, "", key, PartClass, within(OUTSIDE, key), materials);
  part("embed", Embed);
  part("pos_embed", PosEmbed);
  addPoints(root, "", OUTSIDE, materials);
  const blocks = Array.from({ length: weights.cfg.n_layers }, (_, layer) => block(layer, materials));
  isThere(root, "blocks", strict(Object.freeze(blocks)));
  part("ln_final", NormPart);
  part("unembed", UnembedPart);
  for (const [name, point] of points)
    if (!materials.modules.has(name)) addFlat(name, point, materials.modules);
  return materials.modules;
}

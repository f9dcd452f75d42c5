/** The parts of built-in transformers: `model.blocks[2].attn.hook_z`, `model.blocks[2].attn.W_Q`. */

import { hooklensError } from "../engine/errors.ts";
import type { HookPoint } from "../hooks/hook-point.ts";
import type { Module } from "../hooks/module.ts";
import { describe } from "../tensor/base.ts";
import type { OuterPoints } from "./transformer-points.ts";
import type {
  Blocks,
  Embed,
  FinalNorm,
  PosEmbed,
  TransformerBlock,
  TransformerParts,
  Unembed,
} from "./transformer-tree.ts";
import { TransformerWeights } from "./transformer-weights.ts";

/**
 * A transformer as a tree of parts, which hold its hook points and weights under the reference's names. What other
 * transformers have and this one lacks throws `not_supported_on_this_model` when it is asked for.
 *
 * @example
 * ```ts
 * const { attn, mlp } = model.blocks[2];
 * attn.W_Q.shape;      // [n_heads, d_model, d_head]
 * mlp.W_out.shape;     // [d_mlp, d_model]
 * const handle = attn.hook_z.addHook((z) => z.at({ head: 0 }).fill(0));
 * model.forward(prompt); // without head 0 of block 2
 * handle.remove();
 * ```
 *
 * @category Parts
 */
export abstract class TransformerModules extends TransformerWeights implements TransformerParts {
  /** The embedding of tokens. */
  declare readonly embed: Embed;
  /** The embedding of positions. In models with a learned table of positions. */
  declare readonly pos_embed: PosEmbed;
  /** The token ids, int64. */
  declare readonly hook_tokens: HookPoint<OuterPoints["hook_tokens"]>;
  /** Token embeddings. */
  declare readonly hook_embed: HookPoint<OuterPoints["hook_embed"]>;
  /** Position embeddings. In models with a learned table of positions. */
  declare readonly hook_pos_embed: HookPoint<OuterPoints["hook_pos_embed"]>;
  /** The blocks, first to last. A number beyond the last throws `index_out_of_range`. */
  declare readonly blocks: Blocks;
  /** The norm before the unembedding. In models with norms. */
  declare readonly ln_final: FinalNorm;
  /** The unembedding. */
  declare readonly unembed: Unembed;

  /**
   * The block of a number that is known only when the program runs; negative ones count from the last. Throws
   * `index_out_of_range`.
   */
  block(layer: number): TransformerBlock {
    const { blocks } = this;
    const found = Number.isInteger(layer) ? blocks.at(layer) : undefined;
    if (found !== undefined) return found;
    throw hooklensError(
      "index_out_of_range",
      `block(${describe(layer)}): this model has ${blocks.length} blocks, 0 to ${blocks.length - 1}, or -1 to -${blocks.length} from the last`,
      { index: layer, size: blocks.length },
    );
  }

  /** All parts and hook points with their names. */
  override *namedModules(): Generator<[name: string, module: Module]> {
    yield* this.modDict;
  }
}

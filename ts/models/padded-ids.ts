/** What token ids tell of how they were filled up, for a model that was given ids instead of texts. */

import { hooklensError } from "../engine/errors.ts";
import { checkFlags } from "../hooks/call-options.ts";
import { describe } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { attentionMaskOf, type PaddingRules, rowFilledOnRight } from "../text/attention-mask.ts";
import { fromIds, idsOf, type Tokens } from "../text/batch.ts";
import type { PaddingSide, Tokenizer } from "../text/tokenizer.ts";

/** What a reader of ids must know of the model. */
interface Reader {
  readonly tokenizer: Tokenizer | null;
  readonly cfg: { readonly default_prepend_bos: boolean };
}

/** How the ids were made, as far as the caller says. */
interface Made {
  readonly prependBos?: boolean;
  readonly paddingSide?: PaddingSide;
}

/** Throws `invalid_argument` for anything but a side. */
export function checkSide(paddingSide: unknown): void {
  if (paddingSide === "left" || paddingSide === "right") return;
  throw hooklensError(
    "invalid_argument",
    `paddingSide: expected 'left' or 'right', got ${describe(paddingSide)}`,
  );
}

/** Whether a tensor can hold token ids, one row or several; others are refused by whoever needs ids. */
export function mayBeIds(tokens: Tensor): boolean {
  return (tokens.rank === 1 || tokens.rank === 2) && ["int64", "uint32", "uint8"].includes(tokens.dtype);
}

/** How rows were filled up that `toTokens` made with these options; null where the tokenizer has nothing to fill up with. */
export function paddingRules(
  { padId, bosId, paddingSide: own }: Tokenizer,
  { default_prepend_bos }: Reader["cfg"],
  { prependBos = default_prepend_bos, paddingSide = own }: Made,
): PaddingRules | null {
  checkFlags({ prependBos });
  checkSide(paddingSide);
  return padId === null ? null : { padId, bosId, prependBos, paddingSide };
}

/**
 * The mask of ids that were filled up; null where none were. Without `paddingSide` only a tokenizer that pads on the left
 * says that ids may have been: on the right padding changes no other token's numbers, and may be meant as text.
 *
 * @throws `tokenizer_required` for a side without a tokenizer, which alone knows the padding token.
 */
export function paddingOf({ tokenizer, cfg }: Reader, tokens: Tensor, made: Made): Tokens | null {
  const isSaid = made.paddingSide !== undefined;
  if (tokenizer === null && isSaid) {
    throw hooklensError(
      "tokenizer_required",
      "paddingSide: without a tokenizer nobody knows which ids are padding; give attentionMask instead",
    );
  }
  const rules = tokenizer && paddingRules(tokenizer, cfg, made);
  if (rules === null || (!isSaid && rules.paddingSide === "right")) return null;
  const masks = idsOf(tokens).rows.map((row) => attentionMaskOf(row, rules));
  return masks.some((row) => row.includes(0)) ? fromIds(masks) : null;
}

/** The first row of ids that seems to have been filled up on the right, see {@link rowFilledOnRight}. */
export function filledOnRight({ tokenizer, cfg }: Reader, tokens: Tensor, made: Made): number | null {
  const rules = tokenizer && paddingRules(tokenizer, cfg, made);
  return rules && rowFilledOnRight(idsOf(tokens).rows, rules);
}

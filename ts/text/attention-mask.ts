/** Which tokens of a batch of ids are padding. */

import type { PaddingSide } from "./tokenizer.ts";

/** What {@link attentionMaskOf} must know about the batch. */
export interface PaddingRules {
  /** What short rows were filled up with. */
  readonly padId: number;
  /** The beginning-of-sequence token, if there is one. */
  readonly bosId: number | null;
  /** Whether the rows begin with it. */
  readonly prependBos: boolean;
  /** Where the rows were filled up. */
  readonly paddingSide: PaddingSide;
}

/**
 * For each id of a row 1, or 0 for the run of padding at its end or start; a padding id inside the text counts as text.
 * Where padding and the beginning of sequence are the same token and rows begin with it, the one nearest to the text is
 * the beginning: a row of nothing else has that one token.
 */
export function attentionMaskOf(
  row: readonly number[],
  { padId, bosId, prependBos, paddingSide }: PaddingRules,
): number[] {
  const hasBos = prependBos && bosId === padId;
  if (paddingSide === "right") {
    const last = row.findLastIndex((id) => id !== padId);
    const stop = last < 0 && hasBos ? 1 : last + 1;
    return row.map((_, at) => Number(at < stop));
  }
  const first = row.findIndex((id) => id !== padId);
  const text = first < 0 ? row.length : first;
  const start = hasBos && text > 0 ? text - 1 : text;
  return row.map((_, at) => Number(at >= start));
}

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

/**
 * The first row that was filled up on the right, as far as ids can tell: it ends in padding, and another row, which must
 * be the longest, does not. Null if there is none; where every row ends so, or one stands alone, that is what was meant.
 */
export function rowFilledOnRight(rows: readonly (readonly number[])[], rules: PaddingRules): number | null {
  const { padId, bosId, prependBos, paddingSide } = rules;
  const endsSo = (row: readonly number[]) => row.at(-1) === padId;
  const width = rows[0]?.length ?? 0;
  if (width < 2 || rows.every(endsSo)) return null;
  // Of an empty text, filled up on the left, the last is its beginning.
  const isEmptyText = (row: readonly number[]) =>
    paddingSide === "left" && prependBos && bosId === padId && row.every((id) => id === padId);
  const found = rows.findIndex((row) => endsSo(row) && !isEmptyText(row));
  return found < 0 ? null : found;
}

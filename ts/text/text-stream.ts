/** Text that grows a token at a time. */

import type { Tokenizer } from "./tokenizer.ts";

/** Tokens before the new ones that are decoded along, because a token's text may depend on its neighbours. */
const CONTEXT = 6;
/** What incomplete characters are decoded as: one for the whole or one for each of its bytes. */
const REPLACEMENT = "\uFFFD";
/** How many bytes a character has at most, so that it is spread over no more tokens. */
const LONGEST = 4;

/**
 * The text of tokens as they come. A character may be spread over several tokens: its text is held back until the last
 * of them, so that no piece ever ends in half a character. Special tokens have no text.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  /** The newest tokens: those held back, and some before them. */
  #ids: readonly number[];
  /** As much of their text as has been given. */
  #known: string;
  /** How many tokens came since a piece ended in a whole character. */
  #held = 0;

  /** @param before the tokens that come before, which are not given as text. */
  constructor(tokenizer: Tokenizer, before: readonly number[]) {
    this.#tokenizer = tokenizer;
    this.#ids = this.#newest(before.filter((id) => id < tokenizer.size));
    this.#known = this.#decode(this.#ids);
  }

  /** The text that this token completes, `""` if it completes none. */
  push(id: number): string {
    // It would only push out of sight what it comes after.
    if (id >= this.#tokenizer.size) return "";
    this.#ids = [...this.#ids, id];
    this.#held++;
    const text = this.#decode(this.#ids);
    const open = unfinished(text);
    // After so many tokens it is not one character that is still to come but bytes that make none.
    if (open > 0 && this.#held <= LONGEST) return "";
    if (open === 0) this.#held = 0;
    return this.#give(text, open);
  }

  /** What was held back, with a replacement character for each character that was never completed. */
  flush(): string {
    this.#held = 0;
    return this.#give(this.#decode(this.#ids), 0);
  }

  /** What of this text is new, but for so many characters at its end. */
  #give(text: string, open: number): string {
    const piece = text.slice(commonLength(this.#known, text), text.length - open);
    this.#ids = this.#newest(this.#ids);
    const kept = this.#decode(this.#ids);
    this.#known = kept.slice(0, kept.length - open);
    return piece;
  }

  /** The last tokens, from the start of a character: half of one can spoil the text of all bytes after it. */
  #newest(ids: readonly number[]): readonly number[] {
    for (let count = CONTEXT; count < CONTEXT + LONGEST; count++) {
      const newest = ids.slice(-count);
      if (!this.#decode(newest).startsWith(REPLACEMENT)) return newest;
    }
    return ids.slice(-CONTEXT);
  }

  #decode(ids: readonly number[]): string {
    return this.#tokenizer.decode(ids, { skipSpecialTokens: true });
  }
}

/** How many characters at the end may yet become another one. */
function unfinished(text: string): number {
  let count = 0;
  while (count < LONGEST - 1 && text[text.length - 1 - count] === REPLACEMENT) count++;
  return count;
}

/** How long the start is that two texts share: all of the shorter one, unless it ends in half a character. */
function commonLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  let at = 0;
  while (at < limit && a[at] === b[at]) at++;
  return at;
}

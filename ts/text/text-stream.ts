/** Text that grows a token at a time. */

import type { Tokenizer } from "./tokenizer.ts";

/** Tokens before the new ones that are decoded along, because a token's text may depend on its neighbours. */
const CONTEXT = 6;
/** What incomplete characters are decoded as. */
const REPLACEMENT = "\uFFFD";

/**
 * The text of tokens as they come. A character may be spread over several tokens: its text is held back until the last
 * of them, so that no piece ever ends in half a character. Special tokens have no text.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #ids: number[];
  /** Where decoding starts. */
  #from: number;
  /** The tokens up to here have been given as text. */
  #given: number;

  /** @param before the tokens that come before, which are not given as text. */
  constructor(tokenizer: Tokenizer, before: readonly number[]) {
    this.#tokenizer = tokenizer;
    this.#ids = before.slice(-CONTEXT);
    this.#from = 0;
    this.#given = this.#ids.length;
  }

  /** The text that this token completes, `""` if it completes none. */
  push(id: number): string {
    this.#ids.push(id);
    return this.#take(false);
  }

  /** What was held back, with a replacement character for each character that was never completed. */
  flush(): string {
    return this.#take(true);
  }

  #take(all: boolean): string {
    const known = this.#decode(this.#given);
    const text = this.#decode(this.#ids.length);
    if (!all && text.endsWith(REPLACEMENT)) return "";
    this.#from = Math.max(this.#from, this.#given - CONTEXT);
    this.#given = this.#ids.length;
    return text.slice(commonLength(known, text));
  }

  #decode(end: number): string {
    return this.#tokenizer.decode(this.#ids.slice(this.#from, end), { skipSpecialTokens: true });
  }
}

/** How long the start is that two texts share: all of the shorter one, unless it ends in half a character. */
function commonLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  let at = 0;
  while (at < limit && a[at] === b[at]) at++;
  return at;
}

/** The rows of a generation as text. */

import { TextStream } from "../text/text-stream.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A row's text as it grows, and whether it holds a stop string. */
export class TextRow {
  readonly #stream: TextStream;
  readonly #stopStrings: readonly string[];
  /** As much of the end of what was written as a stop string may begin in. */
  #tail = "";
  readonly #reach: number;

  constructor(tokenizer: Tokenizer, prompt: readonly number[], stopStrings: readonly string[]) {
    this.#stream = new TextStream(tokenizer, prompt);
    this.#stopStrings = stopStrings;
    this.#reach = Math.max(0, ...stopStrings.map((text) => text.length - 1));
  }

  /** Adds a token: the text that it completes, and whether a stop string is complete now. */
  push(id: number): { readonly text: string; readonly stopped: boolean } {
    return this.#grow(this.#stream.push(id));
  }

  /** What was held back. */
  flush(): string {
    return this.#stream.flush();
  }

  #grow(text: string): { readonly text: string; readonly stopped: boolean } {
    const written = this.#tail + text;
    this.#tail = this.#reach > 0 ? written.slice(-this.#reach) : "";
    return { text, stopped: text !== "" && this.#stopStrings.some((stop) => written.includes(stop)) };
  }
}

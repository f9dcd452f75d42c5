/** The corpus as token ids, and how windows of it are drawn for training and walked for validation. */
import type { Tokenizer } from "@huggingface/tokenizers";
import type { Chapter } from "./corpus.ts";
import type { Random } from "./random.ts";

/** Begins every window and every chapter: `<|endoftext|>`. */
export const startToken = 0;

export interface TokenStream {
  /** Chapter after chapter, each after a {@link startToken}. */
  readonly ids: Uint16Array;
  /** Where verses begin in `ids`. */
  readonly verses: Uint32Array;
  /** Characters of text behind `ids`. */
  readonly characters: number;
}

/** Token ids, `[batch, window]` row by row. */
export interface Windows {
  readonly ids: BigInt64Array;
  readonly batch: number;
  /** How much each prediction of a next token counts, `[batch, window − 1]`; without it all count 1. */
  readonly weights?: Float32Array;
}

/** Encodes verse by verse, which gives the ids of the whole: byte-level BPE never merges over a line break. */
export function encodeChapters(chapters: readonly Chapter[], tokenizer: Tokenizer): TokenStream {
  const ids: number[] = [];
  const verses: number[] = [];
  let characters = 0;
  for (const chapter of chapters) {
    ids.push(startToken);
    for (const verse of chapter) {
      verses.push(ids.length);
      for (const id of tokenizer.encode(`${verse}\n`).ids as number[]) ids.push(id);
      characters += verse.length + 1;
    }
  }
  return { ids: Uint16Array.from(ids), verses: Uint32Array.from(verses), characters };
}

/**
 * Windows for one training step. Each is the start token and then the text from a random verse on, so that the model
 * always sees the start token where a prompt has it, and prompts that begin like verses.
 */
export function drawWindows(stream: TokenStream, random: Random, batch: number, window: number): Windows {
  const text = window - 1;
  const ids = new BigInt64Array(batch * window);
  const last = stream.verses.findLastIndex((start) => start + text <= stream.ids.length);
  for (let row = 0; row < batch; row++) {
    const start = stream.verses[random.integer(last + 1)] ?? 0;
    ids[row * window] = BigInt(startToken);
    for (let i = 0; i < text; i++) ids[row * window + 1 + i] = BigInt(stream.ids[start + i] ?? startToken);
  }
  return { ids, batch };
}

/** The rows of both, which are equally long. */
export function joinWindows(first: Windows, second: Windows): Windows {
  const ids = new BigInt64Array(first.ids.length + second.ids.length);
  ids.set(first.ids);
  ids.set(second.ids, first.ids.length);
  const batch = first.batch + second.batch;
  if (first.weights === undefined && second.weights === undefined) return { ids, batch };
  const weights = new Float32Array(ids.length - batch).fill(1);
  if (first.weights !== undefined) weights.set(first.weights);
  if (second.weights !== undefined) weights.set(second.weights, first.ids.length - first.batch);
  return { ids, batch, weights };
}

/**
 * The whole stream, cut into windows that predict every token exactly once; the rest that does not fill a window is
 * left out. Yields at most `batch` windows at a time.
 */
export function* walkWindows(stream: TokenStream, batch: number, window: number): Generator<Windows> {
  const text = window - 1;
  const count = Math.floor(stream.ids.length / text);
  for (let first = 0; first < count; first += batch) {
    const rows = Math.min(batch, count - first);
    const ids = new BigInt64Array(rows * window);
    for (let row = 0; row < rows; row++) {
      ids[row * window] = BigInt(startToken);
      for (let i = 0; i < text; i++) {
        ids[row * window + 1 + i] = BigInt(stream.ids[(first + row) * text + i] ?? startToken);
      }
    }
    yield { ids, batch: rows };
  }
}

/**
 * What counting alone achieves, so that the model's loss means something: n-gram models of the training tokens with
 * Witten–Bell smoothing (Witten & Bell, "The zero-frequency problem", 1991), which has nothing to tune.
 *
 * usage: npx tsx scripts/tiny/baselines.ts
 */
import { fileURLToPath } from "node:url";
import { loadCorpus } from "./corpus.ts";
import { loadTokenizer } from "./tokenizer.ts";
import { encodeChapters, type TokenStream } from "./tokens.ts";

interface Context {
  total: number;
  readonly counts: Map<number, number>;
}

/** Probability of a token after the `order − 1` before it, backing off to ever shorter contexts. */
class Ngrams {
  readonly #contexts = new Map<number, Context>();

  constructor(
    ids: Uint16Array,
    readonly order: number,
    readonly vocabulary: number,
  ) {
    for (let at = 0; at < ids.length; at++) {
      for (let length = 0; length < order && length <= at; length++) {
        const key = this.#key(ids, at, length);
        const context = this.#contexts.get(key) ?? { total: 0, counts: new Map<number, number>() };
        const token = ids[at] ?? 0;
        context.total++;
        context.counts.set(token, (context.counts.get(token) ?? 0) + 1);
        this.#contexts.set(key, context);
      }
    }
  }

  #key(ids: Uint16Array, at: number, length: number): number {
    let key = 0;
    for (let i = at - length; i < at; i++) key = key * (this.vocabulary + 1) + (ids[i] ?? 0) + 1;
    return key;
  }

  probability(ids: Uint16Array, at: number): number {
    const token = ids[at] ?? 0;
    let p = 1 / this.vocabulary;
    for (let length = 0; length < this.order && length <= at; length++) {
      const context = this.#contexts.get(this.#key(ids, at, length));
      if (context === undefined) break;
      const kinds = context.counts.size;
      p = ((context.counts.get(token) ?? 0) + kinds * p) / (context.total + kinds);
    }
    return p;
  }
}

export interface Baseline {
  readonly name: string;
  /** Nats a token on the validation chapters. */
  readonly loss: number;
}

/** Validation losses of unigrams, bigrams and trigrams. */
export function baselines(train: TokenStream, validation: TokenStream, vocabulary: number): Baseline[] {
  return ["unigram", "bigram", "trigram"].map((name, i) => {
    const model = new Ngrams(train.ids, i + 1, vocabulary);
    let nats = 0;
    for (let at = 0; at < validation.ids.length; at++)
      nats -= Math.log(model.probability(validation.ids, at));
    return { name, loss: nats / validation.ids.length };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const corpus = loadCorpus();
  const tokenizer = loadTokenizer();
  const train = encodeChapters(corpus.train, tokenizer);
  const validation = encodeChapters(corpus.validation, tokenizer);
  for (const [name, stream] of Object.entries({ train, validation })) {
    console.log(
      `${name}: ${stream.ids.length} tokens, ${stream.characters} characters, ${stream.verses.length} verses`,
    );
  }
  for (const { name, loss } of baselines(train, validation, 1024))
    console.log(`${name}: ${loss.toFixed(4)} nats a token`);
}

import { join } from "node:path";
import { expect, test } from "vitest";
import { TextStream } from "../../ts/text/text-stream.ts";
import { Tokenizer } from "../../ts/text/tokenizer.ts";

async function tiny(): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.fromDirectory(join(import.meta.dirname, "../../models/tiny"));
  if (tokenizer === null) throw new Error("the model has no tokenizer");
  return tokenizer;
}

const tokenizer = await tiny();

/** A tokenizer whose tokens begin with a mark for a space, which decoding takes from the first of a text. */
const pieces = new Tokenizer({
  version: "1.0",
  added_tokens: [{ id: 0, content: "<s>", special: true }],
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: false },
  post_processor: null,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    byte_fallback: true,
    vocab: { "<s>": 0, "▁Hello": 1, "▁you": 2, "<0xE6>": 3, "<0x97>": 4, "<0xA5>": 5, "!": 6 },
    merges: [],
  },
});

function streamed(by: Tokenizer, before: readonly number[], ids: readonly number[]): string[] {
  const stream = new TextStream(by, before);
  return [...ids.map((id) => stream.push(id)), stream.flush()];
}

test.each(["plain words, and more", "naïve – 日本語 🙂🙃", "\n\n  a\tb ", "👩‍👩‍👧 ü"])(
  "the pieces of %j are whole",
  (text) => {
    const ids = tokenizer.encode(text, false);
    for (const cut of [1, 2, 5, 9]) {
      const before = ids.slice(0, cut);
      // A start within a character cannot be given as text of its own.
      if (tokenizer.decode(before).includes("\uFFFD")) continue;
      const given = streamed(tokenizer, before, ids.slice(cut));
      expect(tokenizer.decode(before) + given.join("")).toBe(text);
      expect(given.join("|")).not.toContain("\uFFFD");
    }
  },
);

test("spaces between words stay, and bytes wait for their character", () => {
  expect(streamed(pieces, [0, 1], [2, 3, 4, 5, 6])).toEqual([" you", "", "", "日", "!", ""]);
  expect(streamed(pieces, [0], [1, 2])).toEqual(["Hello", " you", ""]);
});

test("what is never completed comes at the end", () => {
  const given = streamed(pieces, [0, 1], [2, 3, 4]);
  expect(given.slice(0, 3)).toEqual([" you", "", ""]);
  expect(given[3]).toMatch(/^\uFFFD+$/);
});

test("special tokens have no text", () => {
  const eos = tokenizer.eosId ?? -1;
  const ids = tokenizer.encode(" end", false);
  expect(streamed(tokenizer, [eos], [...ids, eos]).join("")).toBe(" end");
});

import { expect, test } from "vitest";
import { TextStream } from "../../ts/text/text-stream.ts";
import { Tokenizer } from "../../ts/text/tokenizer.ts";
import { tinyTokenizer } from "./tokenizers.ts";

const tokenizer = tinyTokenizer();

/** Tokens that begin with a mark for a space, which decoding takes from the first of a text, and bytes. */
function pieceTokenizer(tokens: readonly string[]): Record<string, unknown> {
  return {
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
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

const HELLO = ["<s>", "▁Hello", "▁you", "<0xE6>", "<0x97>", "<0xA5>", "!"];
const pieces = new Tokenizer(pieceTokenizer(HELLO));

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

test("bytes that make no character are given while more come, at the same price each", () => {
  const [byte, count] = [5, 2000];
  const stream = new TextStream(pieces, [0, 1]);
  let longest = 0;
  let text = "";
  for (let i = 0; i < count; i++) {
    const piece = stream.push(byte);
    text += piece;
    longest = Math.max(longest, piece.length);
    expect(text.length).toBeGreaterThanOrEqual(i - 3);
  }
  expect(longest).toBeLessThanOrEqual(2);
  expect(text + stream.flush()).toBe("\uFFFD".repeat(count));
  expect(streamed(pieces, [0, 1], [...Array(9).fill(byte), 6]).join("")).toBe(`${"\uFFFD".repeat(9)}!`);
});

test("decodes a bounded number of tokens at a time", () => {
  let most = 0;
  class Counting extends Tokenizer {
    override decode(...args: Parameters<Tokenizer["decode"]>): string {
      most = Math.max(most, args[0].length);
      return super.decode(...args);
    }
  }
  const counting = new Counting(pieceTokenizer(HELLO));
  const stream = new TextStream(counting, Array(500).fill(1));
  for (const id of [...Array(500).fill(5), ...Array(500).fill(1)]) stream.push(id);
  expect(most).toBeLessThan(20);
});

test("characters in a row, each of several bytes, come whole", () => {
  const day = [3, 4, 5];
  const row = [...day, ...day, ...day, ...day];
  for (const before of [
    [0, 1],
    [0, 1, ...row],
    [0, 1, 6, ...day, 6, ...row],
  ]) {
    expect(streamed(pieces, before, [...row, 6]).join("")).toBe("日日日日!");
  }
  const four = new Tokenizer(pieceTokenizer(["<s>", "a", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>"]));
  const smile = [2, 3, 4, 5];
  const given = streamed(four, [0, 1, ...smile, ...smile], [...smile, ...smile, ...smile, 1]);
  expect(given.filter((piece) => piece !== "")).toEqual(["🙂", "🙂", "🙂", "a"]);
});

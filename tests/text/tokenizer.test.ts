import { describe, expect, test } from "vitest";
import { HookedTransformer, Tokenizer } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

/** Words to ids, split at spaces. */
function wordLevel(vocab: Readonly<Record<string, number>>): Tokenizer {
  return new Tokenizer({
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab, unk_token: "?" },
  });
}

const SMALL = { n_layers: 1, d_model: 8, n_ctx: 8, d_head: 4, d_vocab: 8, act_fn: "gelu" } as const;

describe("a tokenizer without a token for the beginning", () => {
  const tokenizer = wordLevel({ "?": 0, light: 1, dark: 2 });
  const model = HookedTransformer.fromConfig({ ...SMALL, default_prepend_bos: true }, { tokenizer });

  test("adds nothing to texts", () => {
    expect(tokenizer.bosId).toBeNull();
    expect(model.toTokens("light dark").toArray()).toEqual([[1, 2]]);
    expect(model.forward("light dark").shape).toEqual([1, 2, 8]);
  });

  test("refuses an explicit prependBos", () => {
    expect(codeOf(() => model.toTokens("light", { prependBos: true }))).toBe("invalid_argument");
    expect(() => tokenizer.encode("light", true)).toThrow(/no beginning-of-sequence token/);
  });
});

test("a tokenizer with one puts it first", async () => {
  const model = await HookedTransformer.fromPretrained("builtin:tiny");
  const bos = model.tokenizer?.bosId ?? Number.NaN;
  expect(model.toTokens("And", { prependBos: true }).get(0, 0).item()).toBe(bos);
});

describe("a tokenizer of whole words", () => {
  test("gives unknown ones the id of the token that it names for them", () => {
    const tokenizer = wordLevel({ "?": 0, light: 1, dark: 2 });
    expect(tokenizer.encode("light twilight dark", false)).toEqual([1, 0, 2]);
    expect(tokenizer.encode("", false)).toEqual([]);
    expect(tokenizer.decode([1, 0, 2])).toBe("light ? dark");
  });

  test("without such a token says which text has no id", () => {
    // Loading asks what comes first in texts, so there is a beginning.
    const tokenizer = wordLevel({ light: 1, "<|endoftext|>": 2 });
    expect(tokenizer.encode("light", false)).toEqual([1]);
    expect(() => tokenizer.encode("light twilight", false)).toThrow(/no id for 'twilight'/);
  });
});

test("a tokenizer of an unknown kind is refused by its name", () => {
  const model = { type: "Foo", vocab: { a: 0 }, unk_token: "a" };
  const json = { version: "1.0", added_tokens: [], normalizer: null, pre_tokenizer: null, model };
  const make = () => new Tokenizer({ ...json, post_processor: null, decoder: null });
  expect(codeOf(make)).toBe("invalid_file");
  expect(make).toThrow(/'Foo'; known are BPE, Unigram, WordPiece and WordLevel/);
});

test("vocabularies of more tokens than a call can have arguments", () => {
  const vocab = Object.fromEntries(Array.from({ length: 200_000 }, (_, id) => [`w${id}`, id]));
  const tokenizer = wordLevel({ ...vocab, "?": 200_000 });
  expect(tokenizer.size).toBe(200_001);
  expect(tokenizer.encode("w7 w199999", false)).toEqual([7, 199_999]);
});

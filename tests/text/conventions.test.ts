// What becomes of the beginning of sequence and of padding, for tokenizers of every usual kind.

import { describe, expect, test } from "vitest";
import { HookedTransformer, slice, type Tensor, tensor } from "../../ts/index.ts";
import { code, values } from "../hooks/toy.ts";
import { byteLevel, type Kind } from "./tokenizers.ts";

const [END, BOS, EOS, PAD] = [0, 1, 2, 3];
/** " the", "cat", "the", " cat". */
const [THE, CAT, THE_, CAT_] = [262, 267, 261, 265] as const;

/** GPT-2's kind: one token for everything, nothing is added. */
const GPT2: Kind = { bos: "<|end|>", eos: "<|end|>" };
/** Llama's kind: adds its beginning by itself; padding is the end of sequence. */
const LLAMA: Kind = { addsBos: true, bos: "<s>", eos: "</s>" };
/** With a token for each role. */
const ROLES: Kind = { bos: "<s>", eos: "</s>", pad: "<pad>" };
/** Adds its beginning by itself and pads with the same token. */
const SAME: Kind = { addsBos: true, bos: "<s>", eos: "</s>", pad: "<s>" };

function modelWith(kind: Kind, config: { readonly default_prepend_bos?: boolean } = {}): HookedTransformer {
  return HookedTransformer.fromConfig(
    {
      n_layers: 1,
      d_model: 8,
      n_ctx: 8,
      d_head: 4,
      d_vocab: 268,
      act_fn: "gelu",
      seed: 3,
      ...config,
    },
    { tokenizer: byteLevel(kind) },
  );
}

const ids = (tokens: Tensor) => values(tokens);

describe("the test tokenizers", () => {
  test("have the tokens that the tests name", () => {
    const tokenizer = byteLevel();
    expect(tokenizer.encode("the cat", false)).toEqual([THE_, CAT_]);
    expect(tokenizer.encode("cat the", false)).toEqual([CAT, THE]);
    expect(tokenizer.size).toBe(268);
  });
});

describe.each([
  ["as GPT-2's", GPT2, END, false],
  ["as Llama's", LLAMA, BOS, true],
  ["with a token for each role", ROLES, BOS, false],
  ["that begins and pads with one token", SAME, BOS, true],
] as const)("a tokenizer %s", (_, kind, bos, addsItself) => {
  const model = modelWith(kind);

  test("begins texts where that is asked for, once", () => {
    expect(model.tokenizer?.prependsBos).toBe(addsItself);
    expect(ids(model.toTokens("the cat"))).toEqual([[bos, THE_, CAT_]]);
    expect(ids(model.toTokens("the cat", { prependBos: true }))).toEqual([[bos, THE_, CAT_]]);
    expect(ids(model.toTokens("the cat", { prependBos: false }))).toEqual([[THE_, CAT_]]);
    expect(ids(modelWith(kind, { default_prepend_bos: false }).toTokens("the cat"))).toEqual([[THE_, CAT_]]);
    expect(ids(model.toTokens(""))).toEqual([[bos]]);
    expect(model.toTokens("", { prependBos: false }).shape).toEqual([1, 0]);
  });

  test("loses no token of the text to the removal", () => {
    const own = model.tokenizer?.bosToken ?? "";
    expect(ids(model.toTokens(`${own}the`, { prependBos: false }))).toEqual([[bos, THE_]]);
    expect(ids(model.toTokens(["the cat", "cat"], { prependBos: false, paddingSide: "left" }))).toEqual([
      [THE_, CAT_],
      [model.tokenizer?.padId, CAT],
    ]);
  });

  test("cuts to the context, its beginning included", () => {
    expect(model.toTokens("cat".repeat(9)).shape).toEqual([1, 8]);
    expect(model.toTokens("cat".repeat(9)).get(0, 0).item()).toBe(bos);
    expect(model.toTokens("cat".repeat(9), { truncate: false }).shape).toEqual([1, 10]);
    expect(code(() => model.forward("cat".repeat(9)))).toBe("context_length");
  });

  test("gives strings that join to the text, and single tokens without a beginning", () => {
    expect(model.toStrTokens("the cat")).toEqual([model.tokenizer?.bosToken, "the", " cat"]);
    expect(model.toStrTokens("the cat", { prependBos: false })).toEqual(["the", " cat"]);
    expect(model.toSingleToken(" cat")).toBe(CAT_);
    expect(model.toSingleStrToken(CAT_)).toBe(" cat");
    expect(code(() => model.toSingleToken("the cat"))).toBe("not_single_token");
    for (const text of ["naïve 漢字 🙂", "  spaces ", "", "a\n\tb"]) {
      expect(model.toString(model.toTokens(text, { prependBos: false, truncate: false }))).toEqual([text]);
      expect(model.toString(tensor([0]).get({ stop: 0 }).to("int64"))).toBe("");
    }
  });

  test("finds tokens where the beginning moves them", () => {
    expect(model.getTokenPosition(" cat", "the cat")).toBe(2);
    expect(model.getTokenPosition(" cat", "the cat", { prependBos: false })).toBe(1);
    expect(model.getTokenPosition("cat", "catcatcat", { mode: "last" })).toBe(3);
    expect(model.getTokenPosition(CAT_, model.toTokens("the cat").get(0))).toBe(2);
    expect(code(() => model.getTokenPosition(" the", "the cat"))).toBe("invalid_argument");
    expect(code(() => model.getTokenPosition(CAT, tensor([[CAT], [CAT]], { dtype: "int64" })))).toBe(
      "shape_mismatch",
    );
    expect(code(() => model.getTokenPosition("cat", "cat", { mode: "middle" as "last" }))).toBe(
      "invalid_argument",
    );
  });

  for (const paddingSide of ["left", "right"] as const) {
    test(`pads on the ${paddingSide}, and gives the numbers of single texts`, () => {
      const texts = ["the cat the cat", "cat", ""];
      const tokens = model.toTokens(texts, { paddingSide });
      const pad = model.tokenizer?.padId ?? -1;
      const rows = [[THE_, CAT_, THE, CAT_], [CAT], []].map((row) => {
        const padding = Array<number>(4 - row.length).fill(pad);
        return paddingSide === "left" ? [...padding, bos, ...row] : [bos, ...row, ...padding];
      });
      expect(ids(tokens)).toEqual(rows);
      const mask = rows.map((row, i) => {
        const real = [5, 2, 1][i] ?? 0;
        return row.map((__, at) => Number(paddingSide === "left" ? at >= 5 - real : at < real));
      });
      expect(ids(model.getAttentionMask(tokens, { paddingSide }))).toEqual(mask);
      const batch = model.forward(texts, { paddingSide });
      const fromTokens = model.forward(tokens, { paddingSide });
      for (const [i, text] of texts.entries()) {
        const alone = model.forward(text).get(0);
        const length = alone.shape[0] ?? 0;
        const own =
          paddingSide === "left" ? batch.get(i, { start: 5 - length }) : batch.get(i, { stop: length });
        expect(own.sub(alone).abs().max().item()).toBeLessThan(1e-5);
        const range = paddingSide === "left" ? { start: 5 - length } : { stop: length };
        expect(fromTokens.get(i, range).sub(own).abs().max().item()).toBeLessThan(1e-5);
      }
    });
  }
});

describe("defaults of tokenizers", () => {
  test("are theirs, or the end of sequence where a role is missing", () => {
    const bare = byteLevel({ eos: "</s>" });
    expect([bare.bosId, bare.eosId, bare.padId, bare.paddingSide]).toEqual([EOS, EOS, EOS, "right"]);
    const full = byteLevel(ROLES);
    expect([full.bosId, full.eosId, full.padId]).toEqual([BOS, EOS, PAD]);
    const none = byteLevel();
    expect([none.eosToken, none.bosId]).toEqual(["<|endoftext|>", null]);
    expect(ids(modelWith({}).toTokens("cat"))).toEqual([[CAT]]);
    expect(code(() => modelWith({}).toTokens(["cat", "the cat"]))).toBe("invalid_argument");
  });

  test("of padding are followed, also for ids", () => {
    const left = modelWith({ ...ROLES, paddingSide: "left" });
    const texts = ["the cat", "cat"];
    const tokens = left.toTokens(texts);
    expect(ids(tokens)).toEqual([
      [BOS, THE_, CAT_],
      [PAD, BOS, CAT],
    ]);
    expect(values(left.forward(tokens))).toEqual(values(left.forward(texts)));
    const alone = left.forward("cat");
    expect(left.forward(tokens).get(1, { start: 1 }).sub(alone.get(0)).abs().max().item()).toBeLessThan(1e-5);
    // On the right nothing is taken for padding: later tokens change no earlier ones.
    expect(ids(left.toTokens(texts, { paddingSide: "right" }))).toEqual([
      [BOS, THE_, CAT_],
      [BOS, CAT, PAD],
    ]);
    const mask = [
      [1, 1, 1],
      [1, 1, 1],
    ];
    expect(values(left.forward(tokens, { attentionMask: mask }))).not.toEqual(values(left.forward(tokens)));
  });
});

describe("getAttentionMask", () => {
  const both = modelWith(GPT2);
  const apart = modelWith(ROLES);

  test("keeps padding tokens inside a text, and the beginning where it is the padding token", () => {
    const rows = [[END, THE, END, CAT, END, END]];
    expect(ids(both.getAttentionMask(rows))).toEqual([[1, 1, 1, 1, 0, 0]]);
    expect(ids(both.getAttentionMask([[END, END, THE, END]], { paddingSide: "left" }))).toEqual([
      [0, 1, 1, 1],
    ]);
    expect(
      ids(both.getAttentionMask([[END, END, THE, END]], { paddingSide: "left", prependBos: false })),
    ).toEqual([[0, 0, 1, 1]]);
    expect(ids(apart.getAttentionMask([[PAD, BOS, PAD, THE]], { paddingSide: "left" }))).toEqual([
      [0, 1, 1, 1],
    ]);
  });

  test("of nothing but padding has the beginning only", () => {
    expect(ids(both.getAttentionMask([[END, END]]))).toEqual([[1, 0]]);
    expect(ids(both.getAttentionMask([[END, END]], { paddingSide: "left" }))).toEqual([[0, 1]]);
    expect(ids(both.getAttentionMask([[END, END]], { prependBos: false }))).toEqual([[0, 0]]);
    expect(ids(apart.getAttentionMask([[PAD, PAD]]))).toEqual([[0, 0]]);
  });

  test("refuses options that make no sense", () => {
    expect(code(() => both.getAttentionMask([[1]], { paddingSide: "top" as "left" }))).toBe(
      "invalid_argument",
    );
    expect(code(() => both.getAttentionMask([[1]], { truncate: true } as never))).toBe("invalid_argument");
  });
});

describe("tokensToResidualDirections", () => {
  const model = modelWith(ROLES);
  const column = (id: number) => values(model.W_U.get(slice(), id));

  test("gives columns of W_U in the shape of the tokens", () => {
    for (const one of [" cat", CAT_, tensor([CAT_], { dtype: "int64" }), [CAT_]] as const) {
      expect(values(model.tokensToResidualDirections(one))).toEqual(column(CAT_));
    }
    const several = model.tokensToResidualDirections([CAT_, THE]);
    expect(values(several)).toEqual([column(CAT_), column(THE)]);
    const batch = model.tokensToResidualDirections([
      [CAT_, THE],
      [THE, CAT],
    ]);
    expect(values(batch)).toEqual([
      [column(CAT_), column(THE)],
      [column(THE), column(CAT)],
    ]);
    expect(code(() => model.tokensToResidualDirections("the cat"))).toBe("not_single_token");
    expect(code(() => model.tokensToResidualDirections(268))).toBe("token_out_of_range");
  });
});

// Text, tokens and their directions.

import { beforeAll, describe, expect, test } from "vitest";
import { HookedTransformer, tensor } from "../../ts/index.ts";
import { code, values } from "../hooks/toy.ts";
import { tinyTokenizer } from "../text/tokenizers.ts";

let model: HookedTransformer;

beforeAll(async () => {
  const tokenizer = tinyTokenizer();
  model = HookedTransformer.fromConfig(
    {
      n_layers: 1,
      d_model: 8,
      n_ctx: 32,
      d_head: 4,
      n_heads: 2,
      d_mlp: 16,
      d_vocab: tokenizer.size,
      act_fn: "gelu",
      normalization_type: "LN",
      seed: 1,
    },
    { tokenizer },
  );
});

describe("toStrTokens", () => {
  test("gives the tokens of a text or a row, and a list for each of several", () => {
    const texts = ["In the beginning", "And God"];
    const each = texts.map((text) => model.toStrTokens(text));
    expect(each[0]?.join("")).toBe("<|endoftext|>In the beginning");
    expect(model.toStrTokens(texts)).toEqual(each);
    const rows = texts.map((text) => model.toTokens(text));
    expect(model.toStrTokens(rows)).toEqual(each);
    const ids = rows.map((row) => row.toArray()[0] as number[]);
    expect(model.toStrTokens(ids)).toEqual(each);
    expect(model.toStrTokens(ids[0] ?? [])).toEqual(each[0]);
    expect(model.toStrTokens([texts[0] ?? "", ids[1] ?? []])).toEqual(each);
    expect(model.toStrTokens(texts, { prependBos: false })[1]).toEqual(each[1]?.slice(1));
    expect(code(() => model.toStrTokens(tensor([ids[0] ?? [], ids[0] ?? []])))).toBe("shape_mismatch");
    expect(model.toStrTokens([])).toEqual([]);
  });
});

describe("getTokenPosition", () => {
  test("finds the first or last place of a token in text or ids", () => {
    const text = "the man and the woman and the child";
    const id = model.toSingleToken(" and");
    const row = model.toTokens(text).toArray()[0] as number[];
    expect(model.getTokenPosition(" and", text)).toBe(row.indexOf(id));
    expect(model.getTokenPosition(id, row, { mode: "last" })).toBe(row.lastIndexOf(id));
    expect(model.getTokenPosition(id, model.toTokens(text))).toBe(row.indexOf(id));
    expect(model.getTokenPosition(id, text, { prependBos: false })).toBe(row.indexOf(id) - 1);
    expect(row.indexOf(id)).toBeLessThan(row.lastIndexOf(id));
  });

  test("refuses what is no token, or not there", () => {
    expect(code(() => model.getTokenPosition(" and", "the man"))).toBe("invalid_argument");
    expect(code(() => model.getTokenPosition("several tokens here", "the man"))).toBe("not_single_token");
    expect(code(() => model.getTokenPosition(0.5, "the man"))).toBe("invalid_argument");
    expect(code(() => model.getTokenPosition(0, tensor([[0], [1]])))).toBe("shape_mismatch");
    expect(code(() => model.getTokenPosition(0, [0], { mode: "any" as "last" }))).toBe("invalid_argument");
  });
});

describe("tokensToResidualDirections", () => {
  test("gives columns of the unembedding", () => {
    const column = (id: number) => values(model.W_U.select(1, id));
    const id = model.toSingleToken(" and");
    expect(values(model.tokensToResidualDirections(" and"))).toEqual(column(id));
    expect(values(model.tokensToResidualDirections(7))).toEqual(column(7));
    expect(values(model.tokensToResidualDirections(tensor([[7]], { dtype: "int64" })))).toEqual(column(7));
    expect(values(model.tokensToResidualDirections([7, 9]))).toEqual([column(7), column(9)]);
    const several = model.tokensToResidualDirections(
      tensor(
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        { dtype: "int64" },
      ),
    );
    expect(several.shape).toEqual([2, 3, 8]);
    expect(values(several.get(1, 0))).toEqual(column(4));
    expect(model.tokensToResidualDirections(tensor(7)).shape).toEqual([8]);
  });

  test("refuses ids outside the vocabulary", () => {
    for (const id of [-1, model.cfg.d_vocab_out]) {
      expect(code(() => model.tokensToResidualDirections(id))).toBe("token_out_of_range");
      expect(code(() => model.tokensToResidualDirections([0, id]))).toBe("token_out_of_range");
    }
    expect(code(() => model.tokensToResidualDirections(0.5))).toBe("invalid_argument");
    expect(code(() => model.tokensToResidualDirections("several tokens here"))).toBe("not_single_token");
  });
});

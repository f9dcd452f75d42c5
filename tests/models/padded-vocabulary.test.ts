// Models whose vocabulary was filled up to a round size: most of their ids are no tokens here.

import { describe, expect, test } from "vitest";
import { explain } from "../../ts/analysis/explain.ts";
import { HookedTransformer, HooklensError } from "../../ts/index.ts";
import { byteLevel } from "../text/tokenizers.ts";
import { CONFIG } from "./small.ts";

const tokenizer = byteLevel({ eos: "</s>" });
const { size } = tokenizer;
const model = HookedTransformer.fromConfig({ ...CONFIG, n_ctx: 64, d_vocab: 1000 }, { tokenizer });
const options = { maxNewTokens: 40, seed: 1, stopAtEos: false, prependBos: false } as const;

function code(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof HooklensError) return error.code;
    throw error;
  }
  return "none";
}

describe("ids that the tokenizer has no token for", () => {
  test("are generated, and have no text", async () => {
    const written = await model.generate("the cat", { ...options, returnType: "tokens" });
    const ids = written.toArray(2)[0]?.map(Number) ?? [];
    expect(ids.filter((id) => id >= size).length).toBeGreaterThan(10);
    expect(ids.filter((id) => id < size).length).toBeGreaterThan(5);
    const text = tokenizer.decode(
      ids.filter((id) => id < size),
      { skipSpecialTokens: true },
    );
    expect(await model.generate("the cat", options)).toBe(text);
    let streamed = "the cat";
    for await (const step of model.generateStream("the cat", options)) streamed += step.text[0];
    expect(streamed).toBe(text);
  });

  test("are shown by their number", () => {
    const [a] = tokenizer.encode("a", false);
    expect(model.toStrTokens([a ?? -1, size, 999])).toEqual(["a", `<${size}>`, "<999>"]);
    expect(model.toSingleStrToken(size)).toBe(`<${size}>`);
    expect(model.toString([a ?? -1, size, a ?? -1])).toBe("aa");
    const report = explain(model, "the cat", { top: 1000 });
    expect(report.next.filter(({ id, text }) => id >= size && text === `<${id}>`)).toHaveLength(1000 - size);
  });

  test("are refused where the model lacks them too", () => {
    for (const id of [1000, -1]) {
      expect(code(() => model.toSingleStrToken(id))).toBe("token_out_of_range");
      expect(code(() => model.toStrTokens([0, id]))).toBe("token_out_of_range");
      expect(code(() => model.toString([id]))).toBe("token_out_of_range");
    }
    for (const id of [-1, 0.5, Number.NaN, 2 ** 40]) {
      expect(code(() => tokenizer.decode([id]))).toBe("token_out_of_range");
    }
    expect(tokenizer.decode([size, 5e4])).toBe("");
  });
});

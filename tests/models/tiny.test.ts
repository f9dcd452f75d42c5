import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { HookedTransformer } from "../../ts/index.ts";

const folder = fileURLToPath(new URL("../../models/tiny", import.meta.url));
let model: HookedTransformer;

beforeAll(async () => {
  model = await HookedTransformer.fromPretrained("builtin:tiny");
});

describe("the embedded model is what its card says", () => {
  const card = readFileSync(`${folder}/README.md`, "utf8");

  test("its size", () => {
    const bytes = statSync(`${folder}/model.safetensors`).size;
    expect(bytes).toBeLessThan(3e6);
    expect(card).toContain(`${bytes.toLocaleString("en")} bytes`);
    // The head is tied and has no bias: neither is stored.
    const sizes = [...model.namedParameters()].map(([name, weight]) =>
      name.startsWith("unembed.") ? 0 : weight.size,
    );
    const parameters = sizes.reduce((sum, size) => sum + size, 0);
    expect(card).toContain(`| parameters | ${parameters.toLocaleString("en")} |`);
  });

  test("its loss curve ends at the loss of the card", () => {
    const rows = readFileSync(`${folder}/loss.csv`, "utf8").trim().split("\n");
    const loss = Number(rows.at(-1)?.split(",")[2]);
    expect(card).toContain(`| **tiny** | **${loss.toFixed(3)}**`);
    const bigrams = Number(/\| bigrams \| ([\d.]+) \|/.exec(card)?.[1]);
    expect(loss).toBeLessThan(bigrams - 0.3);
  });

  test("it knows the formulas of its book", () => {
    const [, prompt, answer, percent] =
      /after "([^"]+)" it gives "([^"]+)" (\d+) %/.exec(card.replaceAll("\n", " ")) ?? [];
    const probabilities = model
      .forward(prompt ?? "")
      .get(0, -1)
      .softmax(-1);
    const share = probabilities.get(model.toSingleToken(answer ?? "")).item();
    expect(Math.round(100 * share)).toBe(Number(percent));
  });

  test("text of the book is far likelier to it than the same words shuffled", () => {
    const verse = "And it came to pass in those days, that he went out into a mountain to pray";
    const shuffled = "mountain pray a And to into days those out he went that, in to pass came it";
    const loss = (text: string) => model.forward(text, { returnType: "loss" }).item();
    expect(loss(verse)).toBeLessThan(2.8);
    expect(loss(shuffled)).toBeGreaterThan(loss(verse) + 1);
  });
});

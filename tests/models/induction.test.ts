import { readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { headScores, scoredSequences } from "../../scripts/tiny/heads.ts";
import { repeatedOnce } from "../../scripts/tiny/repeats.ts";
import { HookedTransformer, type Tensor, tensor } from "../../ts/index.ts";

const folder = fileURLToPath(new URL("../../models/induction", import.meta.url));
const card = readFileSync(`${folder}/README.md`, "utf8");
const numbersAfter = (text: RegExp): number[] => (text.exec(card) ?? []).slice(1).map(Number);

/** A row of the card's table of heads. */
interface CardRow {
  readonly layer: number;
  readonly head: number;
  readonly previous: number;
  readonly induction: number;
}
const rows = [...card.matchAll(/^\| (\d)\.(\d) \| ([\d.]+) \| ([\d.]+) \|$/gm)].map(
  ([, layer, head, previous, induction]): CardRow => ({
    layer: Number(layer),
    head: Number(head),
    previous: Number(previous),
    induction: Number(induction),
  }),
);
const best = (layer: number, score: "previous" | "induction"): CardRow => {
  const [row] = rows.filter((row) => row.layer === layer).sort((a, b) => b[score] - a[score]);
  if (row === undefined) throw new Error(`the card has no head in layer ${layer}`);
  return row;
};

let model: HookedTransformer;
beforeAll(async () => {
  model = await HookedTransformer.fromPretrained("builtin:induction");
});

/** Random tokens and the same once more, after the start token: `[batch, 1 + 2 * length]`. */
function repeated(seed: number, batch: number, length: number): Tensor {
  return tensor(repeatedOnce(seed, batch, length, model.cfg.d_vocab).ids, { shape: [batch, 1 + 2 * length] });
}

/** Mean attention of a head from the second occurrences of tokens to what followed their first. */
function inductionScore(pattern: Tensor, head: number, length: number): number {
  // The first two entries of the diagonal are queries of the first occurrences.
  const diagonal = pattern.select(1, head).diagonal(1 - length, 1, 2);
  return diagonal.slice(1, 2).mean().item();
}

/** Mean losses of the first and the second occurrences, nats a token. */
function halves(losses: Tensor): [number, number] {
  const length = (losses.shape[1] ?? 0) / 2;
  return [losses.slice(1, 0, length).mean().item(), losses.slice(1, length).mean().item()];
}

describe("the model with induction heads is what its card says", () => {
  test("its size", () => {
    const bytes = statSync(`${folder}/model.safetensors`).size;
    expect(card).toContain(`${bytes.toLocaleString("en")} bytes`);
    const parameters = [...model.namedParameters()].reduce((sum, [, weight]) => sum + weight.size, 0);
    expect(card).toContain(`| parameters | ${parameters.toLocaleString("en")} |`);
    const files = readdirSync(folder).filter((name) => !/token/.test(name));
    const all = files.reduce((sum, name) => sum + statSync(`${folder}/${name}`).size, 0);
    expect(all).toBeLessThan(1e6);
  });

  test("its tokenizer is the one of builtin:tiny", () => {
    for (const name of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]) {
      expect(readFileSync(`${folder}/${name}`)).toEqual(readFileSync(`${folder}/../tiny/${name}`));
    }
  });

  test("its loss curve ends at the losses of the card", () => {
    const [header = "", ...points] = readFileSync(`${folder}/loss.csv`, "utf8").trim().split("\n");
    const columns = header.split(",");
    const last = (points.at(-1) ?? "").split(",").map(Number);
    const at = (name: string): number => last[columns.indexOf(name)] ?? Number.NaN;
    expect(card).toContain(`| **induction** | **${at("validation").toFixed(3)}**`);
    const [unigrams = 0] = numbersAfter(/\| unigrams .*\| ([\d.]+) \|/);
    expect(at("validation")).toBeLessThan(unigrams - 1);
    expect(at("repeated")).toBeCloseTo(numbersAfter(/\| the same again \| ([\d.]+) \|/)[0] ?? 0, 1);
  });

  test("its losses on repeated random tokens", () => {
    const { seed, batch, length } = scoredSequences;
    const tokens = repeated(seed, batch, length);
    const [first, second] = halves(model.forward(tokens, { returnType: "loss", lossPerToken: true }));
    const told = numbersAfter(/\| random tokens \| ([\d.]+) \|\n\| the same again \| ([\d.]+) \|/);
    expect([first.toFixed(2), second.toFixed(2)]).toEqual(told.map((loss) => loss.toFixed(2)));
    expect(second).toBeLessThan(first / 3);
    // Knowing nothing costs this much: all tokens but the start token are equally likely.
    expect(second).toBeLessThan(Math.log(model.cfg.d_vocab - 1) / 3);
  });

  test("the scores of its heads", () => {
    const { seed, batch, length } = scoredSequences;
    const [, cache] = model.runWithCache(repeated(seed, batch, length), {
      namesFilter: "blocks.*.attn.hook_pattern",
    });
    expect(rows).toHaveLength(model.cfg.n_layers * model.cfg.n_heads);
    for (const { layer, head, previous, induction } of rows) {
      const pattern = cache.get(`blocks.${layer}.attn.hook_pattern`);
      const before = pattern.select(1, head).diagonal(-1, 1, 2).mean().item();
      expect(Math.abs(before - previous), `${layer}.${head} previous`).toBeLessThan(0.006);
      const score = inductionScore(pattern, head, length);
      expect(Math.abs(score - induction), `${layer}.${head} induction`).toBeLessThan(0.006);
    }
    // It looks at the token before more than at any other, its own among them.
    const writer = cache.get("blocks.0.attn.hook_pattern").select(1, best(0, "previous").head);
    const back = [0, 1, 2, 3].map((offset) => writer.diagonal(-offset, 1, 2).mean().item());
    expect(Math.max(...back)).toBe(back[1]);
    expect(back[1]).toBeGreaterThan(0.5);
    expect(best(1, "induction").induction).toBeGreaterThan(0.8);
  });

  test("the training script measures the same scores", () => {
    for (const { layer, head, previous, induction } of headScores(model)) {
      const row = rows.find((row) => row.layer === layer && row.head === head);
      expect(Math.abs(previous - (row?.previous ?? 2))).toBeLessThan(0.006);
      expect(Math.abs(induction - (row?.induction ?? 2))).toBeLessThan(0.006);
    }
  });
});

describe("the mechanism of induction", () => {
  const length = 40;
  const pattern = "blocks.1.attn.hook_pattern";
  // Other sequences than those of the card.
  const tokens = () => repeated(99, 16, length);
  const reader = () => best(1, "induction").head;
  const writer = () => best(0, "previous").head;

  function measured(): { score: number; second: number } {
    const [losses, cache] = model.runWithCache(tokens(), {
      returnType: "loss",
      lossPerToken: true,
      namesFilter: pattern,
    });
    return { score: inductionScore(cache.get(pattern), reader(), length), second: halves(losses)[1] };
  }

  test("is there on any random tokens, with or without the start token", () => {
    const plain = measured();
    expect(plain.score).toBeGreaterThan(0.6);
    for (const repeats of [tokens(), tokens().slice(1, 1)]) {
      const [, cache] = model.runWithCache(repeats, { namesFilter: pattern });
      const diagonal = cache
        .get(pattern)
        .select(1, reader())
        .diagonal(1 - length, 1, 2);
      expect(diagonal.slice(1, -length).mean().item()).toBeGreaterThan(0.6);
    }
  });

  test("breaks without the head that attends to the token before", async () => {
    const plain = measured();
    const ablated = await model.withHooks(
      { fwdHooks: { "blocks.0.attn.hook_z": (z) => z.at({ head: writer() }).fill(0) } },
      measured,
    );
    expect(ablated.score).toBeLessThan(plain.score / 3);
    expect(ablated.second).toBeGreaterThan(plain.second + 3);
  });

  test("needs that head in the keys of the second layer, not in its queries and values", async () => {
    const plain = measured();
    const [, cache] = model.runWithCache(tokens(), { namesFilter: "blocks.0.attn.hook_result" });
    const written = cache.get("blocks.0.attn.hook_result").select(2, writer()).unsqueeze(2);
    const without = (point: `blocks.1.hook_${"q" | "k" | "v"}_input`) =>
      model.withHooks({ fwdHooks: { [point]: (x: Tensor) => x.sub(written) } }, measured);
    expect((await without("blocks.1.hook_k_input")).score).toBeLessThan(plain.score / 3);
    expect((await without("blocks.1.hook_q_input")).score).toBeGreaterThan(plain.score * 0.8);
    expect((await without("blocks.1.hook_v_input")).score).toBeCloseTo(plain.score, 5);
  });

  test("predicts nothing again without its own heads", async () => {
    const plain = measured();
    const ablated = await model.withHooks(
      { fwdHooks: { "blocks.1.attn.hook_z": (z) => z.mul(0) } },
      measured,
    );
    expect(ablated.second).toBeGreaterThan(plain.second + 5);
    expect(ablated.score).toBeCloseTo(plain.score, 5);
  });

  test("continues names that it has seen once", () => {
    const [, text = "", answer = "", percent] =
      /After "([^"]+)" it gives "([^"]+)" (\d+) %/.exec(card.replaceAll("\n", " ")) ?? [];
    const next = model.forward(text).get(0, -1).softmax(-1);
    expect(Math.round(100 * next.get(model.toSingleToken(answer)).item())).toBe(Number(percent));
  });
});

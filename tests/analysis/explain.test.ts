import { beforeAll, describe, expect, test } from "vitest";
import { type ExplainReport, explain, HookedTransformer, memory, slice } from "../../ts/index.ts";

const prompt = "And God said, Let there be light: and";
let model: HookedTransformer;
let report: ExplainReport;

beforeAll(async () => {
  model = await HookedTransformer.fromPretrained("builtin:tiny");
  report = explain(model, prompt);
});

/** The answer's logit after the last position. */
function answerLogit(): number {
  return model.forward(prompt).get(0, -1, report.answer.id).item();
}

test.each(["float64", "float16", "bfloat16"] as const)("a model in %s is explained too", async (dtype) => {
  using cast = await HookedTransformer.fromPretrained("builtin:tiny", { dtype });
  const { answer, headAblation } = explain(cast, prompt);
  expect(answer.id).toBe(report.answer.id);
  const tolerance = dtype === "bfloat16" ? 0.15 : 0.02;
  for (const [layer, row] of headAblation.effects.entries()) {
    for (const [head, effect] of row.entries()) {
      expect(Math.abs(effect - (report.headAblation.effects[layer]?.[head] ?? 9))).toBeLessThan(tolerance);
    }
  }
});

test("a model whose logits are no numbers predicts nothing that could be explained", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    using _scope = model.hooks({ fwdHooks: { "unembed.hook_out": (logits) => logits.add(bad) } });
    expect(() => explain(model, prompt)).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        message: expect.stringMatching(/^the logit of token 0 after/),
      }),
    );
  }
});

describe("every number of an explanation agrees with another way to get it", () => {
  test("the next tokens, with a plain forward", () => {
    const probabilities = model.forward(prompt).get(0, -1).softmax(-1).toFloat32Array();
    const best = [...probabilities.keys()].sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0));
    expect(report.next.map(({ id }) => id)).toEqual(best.slice(0, 5));
    for (const { id, probability } of report.next) expect(probability).toBeCloseTo(probabilities[id] ?? 0, 5);
    expect(report.answer.logit).toBeCloseTo(answerLogit(), 4);
  });

  test("the effect of each head, with a whole forward a head", () => {
    const baseline = answerLogit();
    for (const [layer, row] of report.headAblation.effects.entries()) {
      for (const [head, effect] of row.entries()) {
        using _scope = model.hooks({
          fwdHooks: [[`blocks.${layer}.attn.hook_z`, (z) => z.at("...", head, slice(null)).fill(0)]],
        });
        expect(answerLogit() - baseline).toBeCloseTo(effect, 3);
      }
    }
  });

  test("the attention pattern, with a cache", () => {
    const { layer, head, pattern } = report.attention;
    const [, cache] = model.runWithCache(prompt);
    const cached = cache.get(`blocks.${layer}.attn.hook_pattern`).get(0, head).toArray(2);
    for (const [query, row] of cached.entries()) {
      for (const [key, share] of row.entries()) expect(pattern[query]?.[key]).toBeCloseTo(share, 5);
    }
  });

  test("the patterns of all heads and the norms, with a cache", () => {
    const [, cache] = model.runWithCache(prompt);
    const length = report.tokens.length;
    expect(report.patterns.positions).toEqual(Array.from({ length }, (_, i) => i));
    for (const [layer, heads] of report.patterns.shares.entries()) {
      const cached = cache.get(`blocks.${layer}.attn.hook_pattern`).get(0).toArray(3);
      for (const [head, rows] of heads.entries()) {
        for (const [query, row] of rows.entries()) {
          for (const [key, share] of row.entries()) {
            expect(Math.abs(share - (cached[head]?.[query]?.[key] ?? 9))).toBeLessThan(2e-6);
          }
        }
      }
    }
    for (const [blocks, row] of report.residualNorms.values.entries()) {
      const hook = report.residualNorms.hooks[blocks] ?? "";
      expect(hook).toBe(report.logitLens[blocks]?.hook);
      const vectors = cache
        .get(model.hookPoint(hook).name ?? "")
        .get(0)
        .toArray(2);
      for (const [position, norm] of row.entries()) {
        expect(norm).toBeCloseTo(Math.hypot(...(vectors[position] ?? [])), 3);
      }
    }
  });

  test("the lens of the embedding, by hand", () => {
    const [, cache] = model.runWithCache(prompt);
    const residual = cache.get("hook_embed").add(cache.get("hook_pos_embed"));
    const logits = residual
      .layerNorm([model.cfg.d_model], {
        weight: model.parameter("ln_final.w"),
        bias: model.parameter("ln_final.b"),
        eps: model.cfg.eps,
      })
      .matmul(model.parameter("unembed.W_U"))
      .add(model.parameter("unembed.b_U"));
    expect(report.logitLens[0]?.answer.logit).toBeCloseTo(logits.get(0, -1, report.answer.id).item(), 3);
    expect(report.logitLens[0]?.best.map(({ id }) => id)).toEqual(logits.argmax(-1).get(0).toArray(1));
  });

  test("gradient × activation, with small changes of each token's embedding", () => {
    const scale = 0.01;
    for (const [position, value] of report.attribution.values.entries()) {
      const scaled = (factor: number) => {
        using _scope = model.hooks({
          fwdHooks: { hook_embed: (x) => x.at({ pos: position }).mul(factor) },
        });
        return answerLogit();
      };
      const slope = (scaled(1 + scale) - scaled(1 - scale)) / (2 * scale);
      expect(Math.abs(slope - value)).toBeLessThan(0.02 + 0.02 * Math.abs(value));
    }
  });
});

test("of a long prompt the patterns are those of the first position and the last ones", () => {
  const short = explain(model, prompt, { patternPositions: 3 });
  const last = short.tokens.length - 1;
  expect(short.patterns.positions).toEqual([0, last - 1, last]);
  const whole = report.patterns.shares[2]?.[1];
  expect(short.patterns.shares[2]?.[1]).toEqual(
    [0, last - 1, last].map((query) => [0, last - 1, last].map((key) => whole?.[query]?.[key])),
  );
  expect(explain(model, prompt, { patternPositions: 1 }).patterns.positions).toEqual([last]);
});

test("progress is told after every piece of work, to the end", () => {
  const seen: { readonly done: number; readonly total: number }[] = [];
  explain(model, prompt, { onProgress: (progress) => seen.push(progress) });
  const total = 2 + 3 * model.cfg.n_layers;
  expect(seen).toEqual(Array.from({ length: total }, (_, i) => ({ done: i + 1, total })));
});

test.each([{ patternPositions: 0 }, { patternPositions: 1.5 }, { onProgress: 1 }, { patern: 3 }])(
  "options that make no sense are refused: %j",
  (options) => {
    expect(() => explain(model, prompt, options as object)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  },
);

test("explanations leave no hooks and no tensors behind", () => {
  // Long enough for its residual stream to be more than what the engine's own table of handles grows by until the next
  // garbage collection, which comes to no loop without a wait.
  const long = " the".repeat(50);
  const { tokens } = explain(model, long);
  const before = memory();
  for (let i = 0; i < 60; i++) explain(model, long);
  const after = memory();
  expect(after.tensors).toBeLessThanOrEqual(before.tensors);
  const residual = 4 * tokens.length * model.cfg.d_model;
  expect(after.bytes - before.bytes).toBeLessThan(30 * residual);
  expect(model.listHooks().size).toBe(0);
});

test("a long prompt that just fits is explained, one token more is refused", () => {
  const most = model.cfg.n_ctx - 1;
  expect(explain(model, " the".repeat(most)).tokens).toHaveLength(model.cfg.n_ctx);
  expect(() => explain(model, " the".repeat(most + 1))).toThrow(
    expect.objectContaining({ code: "context_length" }),
  );
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Gpt2Config, gpt2Architecture, gpt2State } from "../../scripts/tiny/gpt2.ts";
import { type Architecture, sinusoids, TinyModel } from "../../scripts/tiny/model.ts";
import { publish, roundToHalf } from "../../scripts/tiny/publish.ts";
import type { TokenStream } from "../../scripts/tiny/tokens.ts";
import { evaluate, type Settings, Trainer } from "../../scripts/tiny/trainer.ts";

const folder = mkdtempSync(join(tmpdir(), "hooklens-train-"));
afterAll(() => rmSync(folder, { recursive: true }));

const config: Gpt2Config = {
  n_layer: 2,
  n_head: 2,
  n_embd: 16,
  n_positions: 12,
  vocab_size: 20,
  layer_norm_epsilon: 1e-5,
  initializer_range: 0.02,
};

/** The other recipe's kind: attention alone, with a head of its own. */
const attentionOnly: Architecture = {
  tied: false,
  sinusoids: true,
  config: {
    n_layers: 2,
    n_heads: 2,
    d_model: 16,
    d_head: 8,
    n_ctx: 12,
    d_vocab: 20,
    attn_only: true,
    positional_embedding_type: "shortformer",
  },
};

/** Counting upwards again and again: easy to learn. */
const stream: TokenStream = {
  ids: Uint16Array.from({ length: 400 }, (_, i) => 1 + (i % 19)),
  verses: Uint32Array.from({ length: 50 }, (_, i) => 7 * i),
  characters: 800,
};

const settings: Settings = {
  architecture: gpt2Architecture(config),
  seed: 5,
  steps: 60,
  batch: 4,
  repeats: 0,
  windows: [12],
  peakLearningRate: 2e-2,
  warmup: 3,
  weightDecay: 0.1,
  clip: 1,
};

function weights(trainer: Trainer): number[] {
  return trainer.model.trained().flatMap(([, weight]) => [...weight.toFloat32Array()]);
}

const runs: [string, Settings][] = [
  ["of a GPT-2 on text", settings],
  [
    "of attention alone on text and repeated tokens",
    { ...settings, architecture: attentionOnly, repeats: 0.5, windows: [6, 12] },
  ],
];

describe.each(runs)("a training run %s", (_, settings) => {
  test("learns, and the same settings give the same run", () => {
    const [first, second] = [new Trainer(settings, stream), new Trainer(settings, stream)];
    const before = first.evaluate(stream);
    const losses = Array.from({ length: settings.steps }, () => first.takeStep());
    expect(Array.from({ length: 5 }, () => second.takeStep())).toEqual(losses.slice(0, 5));
    expect(first.evaluate(stream)).toBeLessThan(before / 2);
  });

  test("goes on after an interruption as if there had been none", () => {
    const path = join(folder, "checkpoint.safetensors");
    const straight = new Trainer(settings, stream);
    const losses = Array.from({ length: 10 }, () => straight.takeStep());

    const interrupted = new Trainer(settings, stream);
    for (let i = 0; i < 6; i++) interrupted.takeStep();
    interrupted.save(path);
    const resumed = new Trainer(settings, stream);
    resumed.restore(path);
    expect(resumed.step).toBe(6);
    expect(Array.from({ length: 4 }, () => resumed.takeStep())).toEqual(losses.slice(6));
    expect(weights(resumed)).toEqual(weights(straight));
  });

  test("refuses the checkpoint of another run", () => {
    const path = join(folder, "other.safetensors");
    new Trainer(settings, stream).save(path);
    const other = new Trainer({ ...settings, seed: 6 }, stream);
    expect(() => other.restore(path)).toThrow("is of another run");
  });

  test("a published model read back has the same loss", async () => {
    const trainer = new Trainer(settings, stream);
    for (let i = 0; i < 5; i++) trainer.takeStep();
    roundToHalf(trainer.model);
    const { tied, config: native } = settings.architecture;
    const home = mkdtempSync(join(folder, "home-"));
    const json = {
      ...config,
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      activation_function: "gelu_new",
    };
    if (tied) writeFileSync(join(home, "config.json"), JSON.stringify(json));
    else writeFileSync(join(home, "tl_config.json"), JSON.stringify(native));
    const stateOf = (model: TinyModel) => (tied ? gpt2State(model) : new Map(model.trained()));
    const directory = join(home, "published");
    publish(trainer.model, { stateOf, directory: home }, directory);
    expect(evaluate(await TinyModel.load(directory, { tied }), stream)).toBeCloseTo(
      trainer.evaluate(stream),
      5,
    );
  });
});

test("a tied head follows the embedding, another is trained", () => {
  const trainer = new Trainer(settings, stream);
  trainer.takeStep();
  const embedding = trainer.model.parameter("embed.W_E");
  const head = trainer.model.parameter("unembed.W_U");
  expect(head.toFloat32Array()).toEqual(embedding.transpose(0, 1).contiguous().toFloat32Array());
  expect(new Set(trainer.model.parameter("unembed.b_U").toFloat32Array())).toEqual(new Set([0]));

  const free = new Trainer({ ...settings, architecture: attentionOnly }, stream);
  const before = free.model.parameter("unembed.W_U").toFloat32Array();
  free.takeStep();
  expect(free.model.parameter("unembed.W_U").toFloat32Array()).not.toEqual(before);
  expect(free.model.trained().map(([name]) => name)).toContain("unembed.b_U");
});

test("an untied head starts as the embedding with its axes in reverse order", () => {
  const model = TinyModel.random(attentionOnly, 3);
  const embedding = model.parameter("embed.W_E");
  const head = model.parameter("unembed.W_U").transpose(0, 1);
  expect(head.flip(1).contiguous().toFloat32Array()).toEqual(embedding.toFloat32Array());
});

test("sinusoids know how far apart positions are, wherever they are", () => {
  const waves = sinusoids(32, 16);
  const products = waves.matmul(waves.transpose(0, 1));
  for (const distance of [0, 1, 5]) {
    const along = products.diagonal(distance).toFloat32Array();
    expect(Math.max(...along) - Math.min(...along)).toBeLessThan(1e-4);
  }
  expect(products.get(3, 3).item()).toBeCloseTo(8, 4);
  expect(products.get(3, 4).item()).toBeLessThan(7.9);
  expect(TinyModel.random(attentionOnly, 3).parameter("pos_embed.W_pos").toFloat32Array()).toEqual(
    sinusoids(12, 16).toFloat32Array(),
  );
});

test("rows with weights have the mean loss of what counts", () => {
  const model = TinyModel.random(attentionOnly, 4);
  const ids = BigInt64Array.from([0n, 3n, 4n, 5n, 0n, 6n, 7n, 8n]);
  const losses = model.tokenLosses({ ids, batch: 2 }).toFloat32Array();
  expect(losses).toHaveLength(6);
  const weights = Float32Array.of(1, 0, 1, 0, 0, 1);
  const [a = 0, , b = 0, , , c = 0] = losses;
  expect(model.loss({ ids, batch: 2, weights }).item()).toBeCloseTo((a + b + c) / 3, 5);
  expect(model.loss({ ids, batch: 2 }).item()).toBeCloseTo(losses.reduce((x, y) => x + y) / 6, 5);
});

test("publishing gives GPT-2's names and layouts", () => {
  const model = TinyModel.random(gpt2Architecture(config), 1);
  const shapes = new Map([...gpt2State(model)].map(([name, value]) => [name, [...value.shape]]));
  expect(shapes.size).toBe(2 + 2 * 12 + 2);
  expect(shapes.get("transformer.wte.weight")).toEqual([20, 16]);
  expect(shapes.get("transformer.wpe.weight")).toEqual([12, 16]);
  expect(shapes.get("transformer.h.1.attn.c_attn.weight")).toEqual([16, 48]);
  expect(shapes.get("transformer.h.1.attn.c_attn.bias")).toEqual([48]);
  expect(shapes.get("transformer.h.0.attn.c_proj.weight")).toEqual([16, 16]);
  expect(shapes.get("transformer.h.0.mlp.c_fc.weight")).toEqual([16, 64]);
  expect(shapes.get("transformer.h.0.mlp.c_proj.weight")).toEqual([64, 16]);
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Gpt2Config, TinyModel } from "../../scripts/tiny/model.ts";
import { huggingFaceState, publish, roundToHalf } from "../../scripts/tiny/publish.ts";
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

/** Counting upwards again and again: easy to learn. */
const stream: TokenStream = {
  ids: Uint16Array.from({ length: 400 }, (_, i) => 1 + (i % 19)),
  verses: Uint32Array.from({ length: 50 }, (_, i) => 7 * i),
  characters: 800,
};

const settings: Settings = {
  model: config,
  seed: 5,
  steps: 60,
  batch: 4,
  window: 12,
  peakLearningRate: 2e-2,
  warmup: 3,
  weightDecay: 0.1,
  clip: 1,
};

function weights(trainer: Trainer): number[] {
  return trainer.model.trained().flatMap(([, weight]) => [...weight.toFloat32Array()]);
}

describe("a training run", () => {
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

  test("keeps the head tied to the embedding", () => {
    const trainer = new Trainer(settings, stream);
    trainer.takeStep();
    const embedding = trainer.model.parameter("embed.W_E");
    const head = trainer.model.parameter("unembed.W_U");
    expect(head.toFloat32Array()).toEqual(embedding.transpose(0, 1).contiguous().toFloat32Array());
    expect(new Set(trainer.model.parameter("unembed.b_U").toFloat32Array())).toEqual(new Set([0]));
  });
});

describe("publishing", () => {
  test("gives GPT-2's names and layouts", () => {
    const model = TinyModel.random(config, 1);
    const shapes = new Map([...huggingFaceState(model)].map(([name, value]) => [name, [...value.shape]]));
    expect(shapes.size).toBe(2 + 2 * 12 + 2);
    expect(shapes.get("transformer.wte.weight")).toEqual([20, 16]);
    expect(shapes.get("transformer.wpe.weight")).toEqual([12, 16]);
    expect(shapes.get("transformer.h.1.attn.c_attn.weight")).toEqual([16, 48]);
    expect(shapes.get("transformer.h.1.attn.c_attn.bias")).toEqual([48]);
    expect(shapes.get("transformer.h.0.attn.c_proj.weight")).toEqual([16, 16]);
    expect(shapes.get("transformer.h.0.mlp.c_fc.weight")).toEqual([16, 64]);
    expect(shapes.get("transformer.h.0.mlp.c_proj.weight")).toEqual([64, 16]);
  });

  test("a published model read back has the same loss", async () => {
    const trainer = new Trainer(settings, stream);
    for (let i = 0; i < 5; i++) trainer.takeStep();
    roundToHalf(trainer.model);
    const directory = mkdtempSync(join(folder, "published-"));
    const json = {
      ...config,
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      activation_function: "gelu_new",
    };
    writeFileSync(join(directory, "config.json"), JSON.stringify(json));
    publish(trainer.model, directory);
    expect(evaluate(await TinyModel.load(directory), stream)).toBeCloseTo(trainer.evaluate(stream), 5);
  });
});

// What the explorer page computes, on the engine of this process.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Edit, Experiment } from "../../explorer/src/experiment.ts";
import { Laboratory } from "../../explorer/src/laboratory.ts";
import { HookedTransformer } from "../../ts/index.ts";

const lab = new Laboratory();
const model = await HookedTransformer.fromPretrained("builtin:tiny");
beforeAll(async () => {
  await lab.load("builtin:tiny");
});

const prompt = "And God said, Let there be";
const source = "And God said, Let there is";
const asked = (...edits: Edit[]): Experiment => ({
  version: 1,
  model: "builtin:tiny",
  prompt,
  source,
  edits,
});

/** The probability of a next token that was listed. */
function probabilityOf(edits: readonly Edit[], id: number): number {
  return lab.run(asked(...edits)).next.find((change) => change.id === id)?.after ?? Number.NaN;
}

describe("a model of the user's", () => {
  const files = () =>
    ["config.json", "model.safetensors", "tokenizer.json"].map((name) => {
      const blob = new Blob([readFileSync(join("models/tiny", name))]);
      return { name, webkitRelativePath: `mine/${name}`, size: blob.size, slice: blob.slice.bind(blob) };
    });

  test("is run under its name, in half precision too, and tells how far it is", async () => {
    const own = new Laboratory();
    const expected = lab.run(asked()).next[0];
    for (const dtype of ["float32", "float16"] as const) {
      const progress: number[] = [];
      const facts = await own.load("local:mine", files(), {
        dtype,
        onProgress: ({ done, total }) => progress.push(done / total),
      });
      expect(facts).toMatchObject({ name: "local:mine", layers: 4, heads: 4 });
      expect(progress.at(-1)).toBe(1);
      const [best] = own.run({ ...asked(), model: "local:mine" }).next;
      expect(best?.text).toBe(expected?.text);
      expect(best?.before).toBeCloseTo(expected?.before ?? -1, dtype === "float32" ? 6 : 2);
    }
  });

  test("that cannot be loaded leaves none, and the next one can", async () => {
    const own = new Laboratory();
    await own.load("builtin:tiny");
    await expect(own.load("local:mine", files().slice(1))).rejects.toMatchObject({ code: "missing_file" });
    expect(() => own.run(asked())).toThrow(/not loaded/);
    await own.load("builtin:tiny");
    expect(own.run(asked()).next).toEqual(lab.run(asked()).next);
  });
});

describe("an experiment", () => {
  test("without edits reads the prompt as the library does", () => {
    const { tokens, plain, edited, next } = lab.run(asked());
    const [logits, cache] = model.runWithCache(prompt, { removeBatchDim: true });
    expect(tokens).toEqual(model.toStrTokens(prompt));
    expect(edited).toBeNull();
    const best = logits.get(0, -1).argmax().item();
    expect(next[0]).toMatchObject({ id: best, gain: 0 });
    expect(next[0]?.before).toBeCloseTo(logits.get(0, -1).softmax(-1).get(best).item(), 5);
    const side = tokens.length;
    const pattern = cache.get("blocks.2.attn.hook_pattern").get(3).toFloat32Array();
    const start = (2 * 4 + 3) * side * side;
    for (const [i, share] of pattern.entries()) expect(plain.patterns[start + i]).toBeCloseTo(share, 5);
    expect(plain.lens).toHaveLength(5);
    expect(plain.lens.at(-1)?.at(-1)?.text).toBe(model.toSingleStrToken(best));
    const length = cache.get("blocks.3.hook_resid_post").get(-1).norm().item();
    expect(plain.norms.at(-1)?.at(-1)).toBeCloseTo(length, 3);
  });

  test("with a head at zero is the run with that hook", () => {
    const zeroed = lab.run(asked({ part: "head", layer: 1, head: 0, action: "zero" }));
    const logits = model.runWithHooks(prompt, {
      fwdHooks: { "blocks.1.attn.hook_z": (z) => z.at({ head: 0 }).fill(0) },
    });
    const best = logits.get(0, -1).argmax().item();
    expect(zeroed.next[0]?.id).toBe(best);
    expect(zeroed.next[0]?.after).toBeCloseTo(logits.get(0, -1).softmax(-1).get(best).item(), 5);
    expect(zeroed.edited?.patterns).not.toEqual(zeroed.plain.patterns);
    expect(model.isCaching).toBe(false);
  });

  test("that patches the whole embedding is the other prompt", () => {
    const { next } = lab.run(asked({ part: "embedding", layer: 0, action: "patch" }));
    const other = model.forward(source).get(0, -1);
    expect(next[0]?.id).toBe(other.argmax().item());
    expect(next[0]?.after).toBeCloseTo(other.softmax(-1).amax().item(), 5);
  });

  test("that patches the position which differs does the same; one before it does nothing", () => {
    const id = lab.run(asked({ part: "embedding", layer: 0, action: "patch" })).next[0]?.id ?? -1;
    const whole = probabilityOf([{ part: "embedding", layer: 0, action: "patch" }], id);
    const last = model.toStrTokens(prompt).length - 1;
    expect(
      probabilityOf([{ part: "residual", layer: 1, action: "patch", position: last }], id),
    ).not.toBeNaN();
    expect(probabilityOf([{ part: "embedding", layer: 0, action: "patch", position: last }], id)).toBeCloseTo(
      whole,
      6,
    );
    const plain = lab.run(asked()).next[0];
    const before = lab.run(asked({ part: "mlp", layer: 2, action: "patch", position: 0 })).next[0];
    expect(before?.after).toBeCloseTo(plain?.after ?? -1, 6);
  });

  test("may scale at one position", () => {
    const { next } = lab.run(asked({ part: "attention", layer: 0, action: "scale", factor: 3, position: 7 }));
    const logits = model.runWithHooks(prompt, {
      fwdHooks: { "blocks.0.hook_attn_out": (out) => out.at({ pos: 7 }).mul(3) },
    });
    expect(next[0]?.after).toBeCloseTo(logits.get(0, -1).softmax(-1).amax().item(), 5);
  });

  test.each<[string, Experiment, RegExp]>([
    ["an empty prompt", { ...asked(), prompt: "" }, /prompt is empty/],
    ["another model", { ...asked(), model: "builtin:induction" }, /not loaded/],
    [
      "nothing to patch from",
      { ...asked({ part: "mlp", layer: 0, action: "patch" }), source: "" },
      /second prompt/,
    ],
    [
      "prompts of different lengths",
      { ...asked({ part: "mlp", layer: 0, action: "patch" }), source: "And" },
      /has 2 tokens, this one 9/,
    ],
    ["a position beyond", asked({ part: "mlp", layer: 0, action: "zero", position: 40 }), /no position 40/],
    ["a layer beyond", asked({ part: "mlp", layer: 40, action: "zero" }), /blocks\.40/],
    ["a head beyond", asked({ part: "head", layer: 0, head: 40, action: "zero" }), /head/],
  ])("refuses %s, and works afterwards", (_, experiment, message) => {
    expect(() => lab.run(experiment)).toThrow(message);
    expect(lab.run(asked()).edited).toBeNull();
  });
});

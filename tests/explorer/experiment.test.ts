// Experiments as JSON and as links: what goes out comes back, and what is damaged is refused.

import { describe, expect, test } from "vitest";
import {
  describeEdit,
  type Experiment,
  fromHash,
  readExperiment,
  toHash,
  writeExperiment,
} from "../../explorer/src/experiment.ts";

const experiment: Experiment = {
  version: 1,
  model: "builtin:tiny",
  prompt: "Überall 日本 🙂",
  source: "",
  edits: [
    { part: "head", layer: 1, head: 0, action: "scale", factor: -0.5, position: 3 },
    { part: "embedding", layer: 0, action: "patch" },
  ],
};

describe("experiments", () => {
  test("survive export and a link", () => {
    expect(readExperiment(writeExperiment(experiment))).toEqual(experiment);
    const half: Experiment = { ...experiment, model: "https://example.org/gpt2/", dtype: "float16" };
    expect(readExperiment(writeExperiment(half))).toEqual(half);
    expect(toHash(experiment)).toMatch(/^[\w-]+$/);
    expect(fromHash(`#${toHash(experiment)}`)).toEqual(experiment);
  });

  test("are described in words", () => {
    expect(experiment.edits.map((edit) => describeEdit(edit, ["a", "b", "c", " d"]))).toEqual([
      "head 1.0: × -0.5, position 3  d",
      "embedding: patch from the second prompt, all positions",
    ]);
  });

  const edit = { part: "head", layer: 0, head: 0, action: "zero" };
  test.each<[string, unknown, RegExp]>([
    ["a list", [], /expected an object/],
    ["another version", { ...experiment, version: 2 }, /'version' should be 1/],
    ["no prompt", { ...experiment, prompt: undefined }, /'prompt'/],
    ["a huge prompt", { ...experiment, prompt: "x".repeat(1e6) }, /at most/],
    ["a dtype that the page lacks", { ...experiment, dtype: "int4" }, /'dtype'/],
    ["edits that are none", { ...experiment, edits: {} }, /'edits'/],
    ["too many edits", { ...experiment, edits: Array(1000).fill(edit) }, /at most 200/],
    ["a part that is none", { ...experiment, edits: [{ ...edit, part: "__proto__" }] }, /edit 0: 'part'/],
    ["half a layer", { ...experiment, edits: [{ ...edit, layer: 0.5 }] }, /'layer'/],
    ["an MLP's head", { ...experiment, edits: [{ ...edit, part: "mlp" }] }, /'head'/],
    ["no head", { ...experiment, edits: [{ ...edit, head: undefined }] }, /'head'/],
    ["a factor of zero", { ...experiment, edits: [{ ...edit, factor: 1 }] }, /'factor'/],
    ["no factor", { ...experiment, edits: [{ ...edit, action: "scale" }] }, /'factor'/],
    ["a position before the first", { ...experiment, edits: [{ ...edit, position: -1 }] }, /'position'/],
  ])("refuse %s", (_, value, message) => {
    expect(() => readExperiment(JSON.stringify(value))).toThrow(message);
  });

  test.each(["", "#", "#!!", "#AAAA", "{"])("refuse the link %j", (hash) => {
    expect(() => fromHash(hash)).toThrow();
  });
});

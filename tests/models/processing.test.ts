// Rewritten weights: the same log-probabilities, a model that says so, and options that are checked.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HookedTransformer, setLogger, type Tensor } from "../../ts/index.ts";
import { code } from "../hooks/toy.ts";
import { CONFIG, TOKENS } from "./small.ts";

const NONE = {
  foldLn: false,
  centerWritingWeights: false,
  centerUnembed: false,
  foldValueBiases: false,
  refactorFactoredAttnMatrices: false,
};
const USUAL = {
  ...NONE,
  foldLn: true,
  centerWritingWeights: true,
  centerUnembed: true,
  foldValueBiases: true,
};

const warnings: string[] = [];
let before: ReturnType<typeof setLogger>;
beforeEach(() => {
  warnings.length = 0;
  before = setLogger({ warn: (message) => void warnings.push(message) });
});
afterEach(() => void setLogger(before));

/** Norm weights that are not one and biases that are not zero: on those a mistake would not show. */
function make(changes: object = {}): HookedTransformer {
  const model = HookedTransformer.fromConfig({ ...CONFIG, dtype: "float64", ...changes });
  const state = [...model.stateDict()].map(([name, weight], i): [string, Tensor] => [
    name,
    name.includes("W_") ? weight : weight.mul(0.5).add(0.7 + 0.1 * Math.sin(i)),
  ]);
  model.loadStateDict(new Map(state));
  return model;
}

const flat = (x: Tensor): number[] => [...x.to("float64").toTypedArray()].map(Number);
const logProbs = (model: HookedTransformer): number[] => flat(model.forward(TOKENS).logSoftmax(-1));

function expectClose(got: number[], want: number[], tolerance: number): void {
  expect(got.length).toBe(want.length);
  const worst = Math.max(...got.map((x, i) => Math.abs(x - (want[i] ?? Number.NaN))));
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe("processWeights", () => {
  test("keeps log-probabilities, says what it did, and drops the norms' weights", () => {
    const model = make();
    const want = logProbs(model);
    expect(model.processed).toEqual(NONE);
    expect(model.processWeights()).toBe(model);
    expectClose(logProbs(model), want, 1e-10);
    expect(model.processed).toEqual(USUAL);
    expect(model.cfg.normalization_type).toBe("LNPre");
    expect([...model.stateDict().keys()].filter((name) => name.includes("ln"))).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test("does the steps that an object names, and adds up", () => {
    const model = make();
    const want = logProbs(model);
    model.processWeights({ centerUnembed: true, foldLn: false });
    expect(model.processed).toEqual({ ...NONE, centerUnembed: true });
    expect(model.cfg.normalization_type).toBe("LN");
    expectClose(flat(model.W_U.mean(-1)), new Array(CONFIG.d_model).fill(0), 1e-12);
    model.processWeights({ refactorFactoredAttnMatrices: true });
    expect(model.processed).toEqual({ ...NONE, centerUnembed: true, refactorFactoredAttnMatrices: true });
    expectClose(logProbs(model), want, 1e-10);
  });

  test("keeps hooks, and its state loads into a model of its new configuration", () => {
    const model = make();
    let fired = 0;
    model.addHook("blocks.0.hook_mlp_out", () => void fired++);
    model.processWeights();
    const want = logProbs(model);
    expect(fired).toBe(1);
    const again = HookedTransformer.fromConfig({ ...model.cfg, seed: 5 });
    again.loadStateDict(model.stateDict());
    expectClose(logProbs(again), want, 0);
  });

  test("warns of what would change the model, and leaves it out", () => {
    const model = make({ normalization_type: "RMS", output_logits_soft_cap: 3 });
    const want = logProbs(model);
    model.processWeights();
    expect(model.processed).toEqual({ ...NONE, foldLn: true, foldValueBiases: true });
    expect(warnings).toEqual([
      expect.stringMatching(/^centerWritingWeights was left out: /),
      expect.stringMatching(/^centerUnembed was left out: /),
    ]);
    expectClose(logProbs(model), want, 1e-10);
  });

  test("refuses what it cannot do, changing nothing", () => {
    const rotary = make({ positional_embedding_type: "rotary" });
    const want = logProbs(rotary);
    const all = { foldLn: true, refactorFactoredAttnMatrices: true };
    expect(code(() => rotary.processWeights(all))).toBe("not_supported_on_this_model");
    expect(rotary.processed).toEqual(NONE);
    expect(logProbs(rotary)).toEqual(want);
    rotary.setTrainable(true);
    expect(code(() => rotary.processWeights())).toBe("invalid_argument");
    rotary.dispose();
    expect(code(() => rotary.processWeights())).toBe("disposed");
  });

  test.each<readonly [unknown]>([
    [{ foldLN: true }],
    [{ foldLn: 1 }],
    [{}],
    [{ foldLn: false }],
    ["all"],
    [null],
  ])("refuses %j", (steps) => {
    expect(code(() => make().processWeights(steps as object))).toBe("invalid_argument");
  });
});

describe("fromPretrained", () => {
  test("processes nothing unless asked, and then as processWeights does", async () => {
    const plain = await HookedTransformer.fromPretrained("builtin:tiny");
    const asked = await HookedTransformer.fromPretrained("builtin:tiny", { process: true });
    expect([plain.processed, asked.processed]).toEqual([NONE, USUAL]);
    expect([plain.cfg.normalization_type, asked.cfg.normalization_type]).toEqual(["LN", "LNPre"]);
    const want = flat(plain.processWeights().forward([1, 2, 3]));
    expectClose(flat(asked.forward([1, 2, 3])), want, 1e-5);
    await expect(
      HookedTransformer.fromPretrained("builtin:tiny", { process: { fold: true } as object }),
    ).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

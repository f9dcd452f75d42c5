// Forwards that go on from cached keys and values.

import { describe, expect, test } from "vitest";
import {
  HookedTransformer,
  KeyValueCache,
  noGrad,
  sampleLogits,
  type Tensor,
  tensor,
} from "../../ts/index.ts";
import { values } from "../hooks/toy.ts";
import { CONFIG } from "./small.ts";

const model = HookedTransformer.fromConfig({
  ...CONFIG,
  positional_embedding_type: "rotary",
  n_key_value_heads: 1,
});
const ROWS = [
  [3, 1, 4, 1, 5, 9],
  [0, 0, 2, 6, 5, 3],
];
const MASK = ROWS.map((row, i) => row.map((_, j) => (i === 1 && j < 2 ? 0 : 1)));
const columns = (rows: readonly number[][], from: number, to: number) =>
  rows.map((row) => row.slice(from, to));
const distance = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

describe("KeyValueCache", () => {
  test("gives the numbers of the whole sequence", () => {
    const whole = noGrad(() => model.forward(ROWS, { attentionMask: MASK }));
    using cache = model.createKvCache({ batchSize: 2 });
    for (const [from, to] of [
      [0, 3],
      [3, 4],
      [4, 6],
    ] as const) {
      const masks = [columns(MASK, from, to), columns(MASK, 0, to)];
      for (const [i, attentionMask] of masks.entries()) {
        if (i === 0) cache.freeze();
        else cache.unfreeze();
        const part = noGrad(() =>
          model.forward(columns(ROWS, from, to), { attentionMask, pastKvCache: cache }),
        );
        expect(distance(part, whole.slice(1, from, to))).toBeLessThan(1e-5);
      }
    }
    expect([cache.batchSize, cache.length, cache.capacity, cache.frozen]).toEqual([2, 6, 16, false]);
    expect(values(cache.previousAttentionMask)).toEqual(MASK);
  });

  test("shows what it holds, which later forwards do not change", () => {
    using cache = model.createKvCache({ capacity: 8 });
    const [, seen] = noGrad(() =>
      model.runWithCache([3, 1, 4], { pastKvCache: cache, namesFilter: /rot_k|hook_v/ }),
    );
    const entry = cache.entry(1);
    expect(values(entry.pastKeys)).toEqual(values(seen.get("blocks.1.attn.hook_rot_k")));
    expect(values(entry.pastValues)).toEqual(values(seen.get("blocks.1.attn.hook_v")));
    expect(entry.pastKeys.axes).toEqual(["batch", "pos", "head", "d_head"]);
    expect(cache.byteSize).toBe(2 * 2 * 8 * 4 * 4);
    const before = values(entry.pastKeys);
    cache.clear();
    noGrad(() => model.forward([7, 7, 7], { pastKvCache: cache }));
    expect(values(entry.pastKeys)).toEqual(before);
    expect(cache.length).toBe(3);
  });

  test("serves asynchronous and hooked runs, and refuses two at a time", async () => {
    using cache = model.createKvCache();
    await model.forwardAsync([3, 1, 4], { pastKvCache: cache });
    const first = model.forwardAsync([1, 5], { pastKvCache: cache });
    expect(() => model.forward([1], { pastKvCache: cache })).toThrow(/another forward/);
    await first;
    const shapes: string[] = [];
    model.runWithHooks([9], {
      pastKvCache: cache,
      fwdHooks: { "blocks.0.attn.hook_attn_scores": (x: Tensor) => void shapes.push(x.shape.join()) },
    });
    expect([shapes, cache.length]).toEqual([["1,2,1,6"], 6]);
  });

  test("is left as it was by a hook that throws", () => {
    using cache = model.createKvCache();
    noGrad(() => model.forward([3, 1], { pastKvCache: cache }));
    const thrown = new Error("no");
    const run = () =>
      model.runWithHooks([4], {
        pastKvCache: cache,
        fwdHooks: {
          "blocks.1.attn.hook_z": () => {
            throw thrown;
          },
        },
      });
    expect(run).toThrow(thrown);
    const after = noGrad(() => model.forward([4], { pastKvCache: cache }));
    expect(distance(after, noGrad(() => model.forward([3, 1, 4])).slice(1, 2, 3))).toBeLessThan(1e-5);
  });

  test("is free again after a run that was given up", async () => {
    using cache = model.createKvCache();
    noGrad(() => model.forward([3, 1], { pastKvCache: cache }));
    const control = new AbortController();
    const thrown = { by: "caller" };
    const fail = () => {
      throw thrown;
    };
    const given = [
      { signal: control.signal, onProgress: () => control.abort(thrown) },
      { onProgress: fail },
      { fwdHooks: [["blocks.1.attn.hook_z", fail] as const] },
    ];
    const expected = noGrad(() => model.forward([3, 1, 4])).slice(1, 2, 3);
    cache.freeze();
    for (const options of given) {
      const run = model.runWithHooksAsync([4, 1], { pastKvCache: cache, ...options });
      await expect(run).rejects.toBe(thrown);
      const after = noGrad(() => model.forward([4], { pastKvCache: cache }));
      expect(distance(after, expected)).toBeLessThan(1e-5);
    }
  });

  test("refuses what does not fit", () => {
    const coded = (run: () => unknown, code: string) =>
      expect(run).toThrow(expect.objectContaining({ code }));
    const cache = model.createKvCache({ capacity: 2 });
    coded(() => model.forward(ROWS, { pastKvCache: cache }), "shape_mismatch");
    coded(() => model.forward([1, 2, 3], { pastKvCache: cache }), "invalid_argument");
    coded(() => model.forward([1], { pastKvCache: {} as KeyValueCache }), "invalid_argument");
    coded(() => model.createKvCache({ batchSize: 0 }), "invalid_argument");
    coded(() => model.createKvCache({ capacity: 17 }), "context_length");
    coded(() => model.createKvCache({ size: 1 } as object), "invalid_argument");
    coded(() => cache.entry(2), "index_out_of_range");
    const options = { returnType: "loss", inclBwd: true, pastKvCache: cache } as const;
    coded(() => model.runWithCache([1, 2], options), "autograd");
    cache.dispose();
    cache.dispose();
    coded(() => model.forward([1], { pastKvCache: cache }), "disposed");
    coded(() => cache.length, "disposed");
    expect(cache).toBeInstanceOf(KeyValueCache);
  });
});

describe("sampleLogits", () => {
  test("follows its rules", () => {
    const logits = tensor([[2, -1, 0.5, 0]]);
    const pick = (options: object, from = logits) => sampleLogits(from, options).item();
    expect(pick({ doSample: false })).toBe(0);
    expect(pick({ temperature: 0 })).toBe(0);
    expect(pick({ topK: 1 })).toBe(0);
    expect(pick({ doSample: false, repetitionPenalty: 8, tokens: [[0, 1]] })).toBe(2);
    expect(pick({ freqPenalty: 1e3, tokens: [[0, 2, 3, 0]] })).toBe(1);
    expect(sampleLogits(tensor([0, 5, 0]), { doSample: false }).shape).toEqual([]);
    const two = sampleLogits(
      tensor([
        [0, 5],
        [5, 0],
      ]),
      { doSample: false },
    );
    expect([two.shape, two.dtype, values(two)]).toEqual([[2], "int64", [1, 0]]);
    expect(pick({ topK: 100, seed: 3 })).toBe(pick({ seed: 3 }));
    expect(values(logits)).toEqual([[2, -1, 0.5, 0]]);
  });

  test("refuses what makes no sense", () => {
    const logits = tensor([[1, 2]]);
    for (const options of [{ topK: 0 }, { topP: 2 }, { freqPenalty: 1 }, { temperature: -1 }, { k: 1 }]) {
      expect(() => sampleLogits(logits, options as object)).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    }
    expect(() => sampleLogits(tensor([[Number.NaN, 1]]))).toThrow(/NaN/);
    expect(() => sampleLogits(tensor([[[1]]]))).toThrow(expect.objectContaining({ code: "rank_mismatch" }));
    expect(() => sampleLogits(logits, { freqPenalty: 1, tokens: [[0], [1]] })).toThrow(/rows/);
  });
});

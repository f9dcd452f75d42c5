// Loading: progress, aborting, an event loop that stays alive, parts of a checkpoint, dtypes, and the way back to disk.

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  HookedTransformer,
  type LoadProgress,
  memory,
  type Progress,
  setLogger,
  slice,
  type Tensor,
} from "../../ts/index.ts";
import { GOLDEN } from "../support/golden.ts";
import { TINY, withCopy } from "./folders.ts";

const IDS = [[3, 1, 4, 1, 5]];
const flat = (x: Tensor): number[] => [...x.to("float64").toTypedArray()].map(Number);
/** Bytes, a small part of the embedded model's. */
const SMALL = 1e5;
const good = await HookedTransformer.fromPretrained(TINY);

/** A folder of the reference's own form with random weights of about `megabytes`, gone afterwards. */
async function withLarge<T>(megabytes: number, body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hooklens-large-"));
  try {
    const n_layers = Math.round(megabytes / 12.6);
    const config = { n_layers, d_model: 512, d_head: 64, n_ctx: 64, d_vocab: 64, act_fn: "gelu", seed: 1 };
    using model = HookedTransformer.fromConfig(config);
    await model.save(join(folder, "model.safetensors"));
    writeFileSync(join(folder, "tl_config.json"), JSON.stringify(model.cfg));
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("while a large model loads", () => {
  test("the event loop turns, progress grows to the end, and it can be aborted", () =>
    withLarge(300, async (folder) => {
      const seen: Progress[] = [];
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      using model = await HookedTransformer.fromPretrained(folder, {
        tokenizer: null,
        onProgress: (progress) => void seen.push(progress),
      });
      clearInterval(timer);
      const bytes = [...model.stateDict().values()].reduce((sum, weight) => sum + 4 * weight.size, 0);
      expect(seen.at(-1)).toEqual({ done: bytes, total: bytes, phase: "model" });
      expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).toSorted((a, b) => a - b));
      expect(turns).toBeGreaterThan(3);

      const reason = new Error("enough");
      const controller = new AbortController();
      const loading = HookedTransformer.fromPretrained(folder, { signal: controller.signal });
      setImmediate(() => controller.abort(reason));
      await expect(loading).rejects.toBe(reason);
      await expect(HookedTransformer.fromPretrained(folder, { signal: controller.signal })).rejects.toBe(
        reason,
      );

      const thrown = new Error("from onProgress");
      const onProgress = () => {
        throw thrown;
      };
      await expect(HookedTransformer.fromPretrained(folder, { onProgress })).rejects.toBe(thrown);
    }));
});

describe("a load that ends early", () => {
  test("keeps no weights when a small file beside them is bad, and reads none", () =>
    withCopy(async (folder) => {
      writeFileSync(join(folder, "generation_config.json"), "{");
      const limit = memory().bytes + SMALL;
      const seen: Progress[] = [];
      const onProgress = (progress: Progress) => void seen.push(progress);
      await expect(HookedTransformer.fromPretrained(folder, { onProgress })).rejects.toMatchObject({
        code: "invalid_file",
      });
      expect(seen).toEqual([]);
      expect(memory().bytes).toBeLessThan(limit);
    }));

  test("is aborted by its last report too", async () => {
    const controller = new AbortController();
    const reason = new Error("at the last moment");
    const limit = memory().bytes + SMALL;
    const onProgress = ({ phase }: { phase?: string }) => {
      if (phase === "model") controller.abort(reason);
    };
    const loading = HookedTransformer.fromPretrained(TINY, { signal: controller.signal, onProgress });
    await expect(loading).rejects.toBe(reason);
    expect(memory().bytes).toBeLessThan(limit);
  });
});

describe("parts of a checkpoint", () => {
  test("the first blocks give the residual stream that the whole model has there", async () => {
    const two = await HookedTransformer.fromPretrained(TINY, { firstNLayers: 2 });
    expect(two.cfg.n_layers).toBe(2);
    expect(flat(two.forward(IDS, { stopAtLayer: 2 }))).toEqual(flat(good.forward(IDS, { stopAtLayer: 2 })));
    expect([...two.stateDict().keys()].filter((name) => name.startsWith("blocks.2"))).toEqual([]);
  });

  test("a shorter context keeps fewer positions and the same numbers", async () => {
    const short = await HookedTransformer.fromPretrained(TINY, { nCtx: 8 });
    expect([short.cfg.n_ctx, short.W_pos.shape]).toEqual([8, [8, short.cfg.d_model]]);
    expect(flat(short.forward(IDS))).toEqual(flat(good.forward(IDS)));
    const nine = [[1, 2, 3, 4, 5, 6, 7, 8, 9]];
    expect(() => short.forward(nine)).toThrow(expect.objectContaining({ code: "context_length" }));
  });

  test.each(["gpt2", "gpt2_sharded", "tl_attn_only"])(
    "progress of %s with a shorter context ends where it said that it would",
    async (name) => {
      const seen: LoadProgress[] = [];
      const folder = join(GOLDEN, name);
      const whole = await HookedTransformer.fromPretrained(folder, { tokenizer: null });
      const options = {
        tokenizer: null,
        nCtx: 3,
        onProgress: (progress: LoadProgress) => void seen.push(progress),
      };
      const short = await HookedTransformer.fromPretrained(folder, options);
      expect(short.W_pos.toFloat32Array()).toEqual(whole.W_pos.get(slice(0, 3)).toFloat32Array());
      const last = seen.at(-1);
      expect(last).toEqual({ done: last?.total, total: last?.total, phase: "model" });
      for (const [i, { done, total }] of seen.entries()) {
        expect(done).toBeLessThanOrEqual(total);
        expect(done).toBeGreaterThanOrEqual(seen[i - 1]?.done ?? 0);
      }
      // Bytes of the first rows alone.
      const rows = whole.cfg.n_ctx - 3;
      const all: LoadProgress[] = [];
      await HookedTransformer.fromPretrained(folder, {
        tokenizer: null,
        onProgress: (p) => void all.push(p),
      });
      expect((all.at(-1)?.total ?? 0) - (last?.total ?? 0)).toBe(4 * rows * whole.cfg.d_model);
    },
  );

  test("a longer context is possible where positions are not learned, with a warning", async () => {
    const warnings: string[] = [];
    const before = setLogger({ warn: (message) => void warnings.push(message) });
    const folder = mkdtempSync(join(tmpdir(), "hooklens-rotary-"));
    try {
      const config = { n_layers: 1, d_model: 8, d_head: 4, n_ctx: 4, d_vocab: 9, act_fn: "relu", seed: 1 };
      const model = HookedTransformer.fromConfig({ ...config, positional_embedding_type: "rotary" });
      await model.save(join(folder, "model.safetensors"));
      writeFileSync(join(folder, "tl_config.json"), JSON.stringify(model.cfg));
      const long = await HookedTransformer.fromPretrained(folder, { nCtx: 6 });
      expect(long.forward([1, 2, 3, 4, 5, 6]).shape).toEqual([1, 6, 9]);
      expect(warnings).toEqual([expect.stringMatching(/^nCtx: 6 is beyond the 4 tokens/)]);
    } finally {
      rmSync(folder, { recursive: true });
      setLogger(before);
    }
  });

  test.each<readonly [object]>([
    [{ firstNLayers: 0 }],
    [{ firstNLayers: 5 }],
    [{ firstNLayers: 1.5 }],
    [{ nCtx: 10_000 }],
    [{ nCtx: -1 }],
    [{ nCtx: "8" }],
    [{ onProgress: true }],
    [{ signal: {} }],
  ])("refuses %j", async (options) => {
    await expect(HookedTransformer.fromPretrained(TINY, options)).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});

describe("dtypes", () => {
  test.each(["float16", "bfloat16", "float32", "float64"] as const)(
    "%s: weights and activations are that, and come back from disk",
    async (dtype) => {
      const model = await HookedTransformer.fromPretrained(TINY, { dtype });
      expect([model.cfg.dtype, model.W_E.dtype, model.forward(IDS).dtype]).toEqual([dtype, dtype, dtype]);
      await withCopy(async (folder) => {
        const own = join(folder, "own");
        mkdirSync(own);
        await model.save(join(own, "model.safetensors"));
        writeFileSync(join(own, "tl_config.json"), JSON.stringify(model.cfg));
        copyFileSync(join(folder, "tokenizer.json"), join(own, "tokenizer.json"));
        const back = await HookedTransformer.fromPretrained(own, { dtype });
        for (const [name, weight] of model.stateDict()) {
          expect(flat(back.parameter(name)), name).toEqual(flat(weight));
        }
      });
    },
  );
});

test("a model that was saved and loaded frees its weights when it is disposed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hooklens-dispose-"));
  try {
    const path = join(folder, "state.safetensors");
    const model = HookedTransformer.fromConfig({
      n_layers: 1,
      d_model: 64,
      n_ctx: 16,
      d_head: 16,
      d_vocab: 20_000,
      act_fn: "gelu",
      seed: 1,
    });
    // The embedding and the unembedding.
    const weights = 2 * 20_000 * 64 * 4;
    const before = memory();
    await model.save(path);
    await model.load(path);
    expect(memory().tensors).toBe(before.tensors);
    expect(memory().bytes - before.bytes).toBeLessThan(0.01 * weights);
    model.dispose();
    expect(before.bytes - memory().bytes).toBeGreaterThanOrEqual(weights);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EngineWorker, moduleHook, type RemoteTransformer, startWorker } from "../../ts/worker-node.ts";
import { CONFIG, TOKENS } from "./small.ts";
import { start, thread } from "./start.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const HOOKS = new URL("hooks.mjs", import.meta.url);

let worker: EngineWorker;
let model: RemoteTransformer;
beforeEach(async () => {
  worker = await start();
  model = await worker.HookedTransformer.fromConfig(CONFIG);
});
afterEach(() => worker.dispose());

const ticks = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("progress", () => {
  test("is told after each block", async () => {
    const seen: number[] = [];
    using _ = await model.forward(TOKENS, {
      onProgress: ({ done, total }) => {
        expect(total).toBe(6);
        seen.push(done);
      },
    });
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("is told while a model loads", async () => {
    let last: { done: number; total: number } | undefined;
    using _ = await worker.HookedTransformer.fromPretrained("builtin:tiny", {
      onProgress: (progress) => {
        last = progress;
      },
    });
    expect(last?.total).toBeGreaterThan(100_000);
    expect(last?.done).toBe(last?.total);
  });

  test("that throws ends the call with what it threw", async () => {
    const thrown = { mine: true };
    const { held } = await worker.info();
    const told: number[] = [];
    const failed = model.forward(TOKENS, {
      onProgress: ({ done }) => {
        told.push(done);
        throw thrown;
      },
    });
    await expect(failed).rejects.toBe(thrown);
    expect(told).toEqual([1]);
    expect((await worker.info()).held).toBe(held);
  });
});

describe("an AbortSignal", () => {
  test("ends a forward with its reason, and the worker goes on", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const blocks: number[] = [];
    const deep = await worker.HookedTransformer.fromConfig({ ...CONFIG, n_layers: 100 });
    const failed = deep.forward(TOKENS, {
      signal: controller.signal,
      onProgress: ({ done }) => {
        blocks.push(done);
        controller.abort(reason);
      },
    });
    await expect(failed).rejects.toBe(reason);
    expect(blocks.length).toBeLessThan(100);
    using logits = await model.forward(TOKENS);
    expect(logits.shape).toEqual([1, 32, 50]);
  });

  test("that has been aborted ends a worker that was to start", async () => {
    const worker = thread();
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    await expect(startWorker({ worker, signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow(
      "before",
    );
    await ended;
  });

  test("that has been aborted ends a call before it begins", async () => {
    const signal = AbortSignal.abort(new Error("before"));
    await expect(model.forward(TOKENS, { signal })).rejects.toThrow("before");
    await expect(worker.HookedTransformer.fromPretrained("builtin:tiny", { signal })).rejects.toThrow(
      "before",
    );
    await expect(startWorker({ worker: thread(), signal })).rejects.toThrow("before");
  });

  test("ends a stream", async () => {
    const controller = new AbortController();
    const steps: number[] = [];
    const writing = async () => {
      const options = { maxNewTokens: 30, stopAtEos: false, signal: controller.signal };
      for await (const { step } of model.generateStream([1, 2, 3], options)) {
        steps.push(step);
        if (step === 3) controller.abort();
      }
    };
    await expect(writing()).rejects.toMatchObject({ name: "AbortError" });
    expect(steps).toEqual([1, 2, 3]);
    expect((await worker.info()).held).toBe(1);
  });

  test("refuses what is none", async () => {
    await expect(model.forward(TOKENS, { signal: {} as AbortSignal })).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});

describe("disposal", () => {
  test("frees in the worker", async () => {
    // What a first run makes for all that follow, such as room that products work in, is not the model's.
    (await model.forward(TOKENS)).dispose();
    const before = await worker.info();
    const logits = await model.forward(TOKENS);
    const [more, cache] = await model.runWithCache(TOKENS);
    expect((await worker.info()).held).toBe(before.held + 3);
    for (const one of [logits, more, cache, cache]) one.dispose();
    await expect(logits.toArray()).rejects.toMatchObject({ code: "disposed" });
    expect(logits.isDisposed).toBe(true);
    expect(await worker.info()).toMatchObject({ held: before.held });
    model.dispose();
    await expect(model.forward(TOKENS)).rejects.toMatchObject({ code: "disposed" });
    const after = await worker.info();
    expect(after.held).toBe(0);
    expect(after.bytes).toBeLessThan(before.bytes);
  });

  test("waits for the calls that use what is disposed", async () => {
    const residual = await model.forward(TOKENS, { stopAtLayer: 2 });
    const running = model.forward(residual, { startAtLayer: 2 });
    residual.dispose();
    using logits = await running;
    expect(logits.shape).toEqual([1, 32, 50]);
    expect((await worker.info()).held).toBe(2);
  });

  test("comes by itself for what is forgotten", async () => {
    const forget = async () => {
      for (let i = 0; i < 20; i++) await model.forward(TOKENS);
    };
    await forget();
    let held = 99;
    for (let attempt = 0; attempt < 50 && held > 3; attempt++) {
      collect();
      await ticks(20);
      ({ held } = await worker.info());
    }
    expect(held).toBeLessThanOrEqual(3);
  });

  test("of the worker fails what waits, and what comes later", async () => {
    const waiting = [model.forward(TOKENS), worker.info()];
    worker.dispose();
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: "disposed" });
    await expect(model.forward(TOKENS)).rejects.toMatchObject({ code: "disposed" });
    expect(worker.isAlive).toBe(false);
    worker.dispose();
    model.dispose();
  });
});

describe("a worker that dies", () => {
  test("in the middle of a forward fails every call, and another can be started", async () => {
    const dying = moduleHook(HOOKS, { export: "dying" });
    const waiting = [
      model.runWithHooks(TOKENS, { fwdHooks: { "blocks.3.hook_resid_pre": dying } }),
      model.forward(TOKENS),
      worker.info(),
    ];
    for (const one of waiting) one.catch(() => undefined);
    await expect(waiting[0]).rejects.toMatchObject({
      code: "worker_died",
      message: expect.stringMatching(/exited with code 3.*startWorker\(\) starts another/),
    });
    for (const one of await Promise.allSettled(waiting)) {
      if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "worker_died" });
    }
    await expect(model.forward(TOKENS)).rejects.toMatchObject({ code: "worker_died" });
    expect(worker.isAlive).toBe(false);
    using next = await start();
    using again = await next.HookedTransformer.fromConfig(CONFIG);
    using logits = await again.forward(TOKENS);
    expect(logits.shape).toEqual([1, 32, 50]);
  });

  test("before it has started is told so", async () => {
    const { Worker } = await import("node:worker_threads");
    const broken = new Worker("throw new Error('no such engine')", { eval: true });
    await expect(startWorker({ worker: broken })).rejects.toMatchObject({
      code: "worker_died",
      message: expect.stringMatching(/no such engine/),
    });
  });
});

test("1,000 forwards leave nothing behind", async () => {
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) {
      using logits = await model.forward(TOKENS);
      const data = await logits.toTypedArray();
      if (data.length !== 32 * 50) throw new Error("logits of another size");
    }
    await worker.run(HOOKS, { export: "collect" });
    return worker.info();
  };
  const warm = await run(50);
  const rss = process.memoryUsage.rss();
  const began = performance.now();
  const after = await run(1000);
  const grown = (process.memoryUsage.rss() - rss) / 2 ** 20;
  console.log(
    `1,000 forwards in a worker: ${((performance.now() - began) / 1000).toFixed(2)} s, engine ${warm.bytes} → ${after.bytes} bytes, ` +
      `${warm.tensors} → ${after.tensors} tensors, ${warm.held} → ${after.held} held, process ${grown.toFixed(1)} MiB more`,
  );
  expect(after.held).toBe(warm.held);
  expect(after.tensors).toBeLessThanOrEqual(warm.tensors + 20);
  expect(after.bytes).toBeLessThanOrEqual(warm.bytes + 2 ** 20);
  expect(grown).toBeLessThan(64);
});

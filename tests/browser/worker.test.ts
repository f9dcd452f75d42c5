import { expect, test } from "vitest";
import { CONFIG, TOKENS } from "../worker/small.ts";
import { start, thread } from "./start-worker.ts";

test("a worker that the browser ends fails every call, and another can be started", async () => {
  const ended = thread();
  using worker = await start({ worker: ended });
  expect((await worker.info()).engine).toBe("wasm");
  const model = await worker.HookedTransformer.fromConfig({ ...CONFIG, n_layers: 200, d_model: 128 });
  const waiting = [model.forward(TOKENS), model.forward(TOKENS), worker.info()];
  // Nobody tells the page, as when the browser itself ends a worker.
  ended.terminate();
  for (const one of await Promise.allSettled(waiting)) {
    expect(one).toMatchObject({ status: "rejected", reason: { code: "worker_died" } });
  }
  await expect(model.forward(TOKENS)).rejects.toMatchObject({ code: "worker_died" });
  using next = await start();
  const again = await next.HookedTransformer.fromConfig(CONFIG);
  using logits = await again.forward(TOKENS);
  expect(logits.shape).toEqual([1, 32, 50]);
});

test("a page stays responsive while a worker runs a model", async () => {
  using worker = await start();
  const model = await worker.HookedTransformer.fromConfig({ ...CONFIG, n_layers: 24, d_model: 256 });
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 4);
  const began = performance.now();
  using _ = await model.forward(TOKENS);
  clearInterval(timer);
  console.log(
    `a forward of ${(performance.now() - began).toFixed(0)} ms; the page waited ${longest.toFixed(0)} ms at most`,
  );
  expect(longest).toBeLessThan(Math.max(100, (performance.now() - began) / 2));
});

test("a script that cannot be loaded is told so", async () => {
  const worker = new Worker(new URL("../../ts/worker/nowhere.ts", import.meta.url), { type: "module" });
  await expect(start({ worker })).rejects.toMatchObject({ code: "worker_died" });
});

test("1,000 forwards leave nothing behind", async () => {
  using worker = await start();
  const model = await worker.HookedTransformer.fromConfig(CONFIG);
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) {
      using logits = await model.forward(TOKENS);
      if ((await logits.toTypedArray()).length !== 32 * 50) throw new Error("logits of another size");
    }
    return worker.info();
  };
  const warm = await run(200);
  const began = performance.now();
  const after = await run(1000);
  console.log(
    `1,000 forwards in a worker of a page: ${((performance.now() - began) / 1000).toFixed(2)} s, ` +
      `engine ${warm.bytes} → ${after.bytes} bytes, ${warm.tensors} → ${after.tensors} tensors, ${warm.held} → ${after.held} held`,
  );
  expect(after.held).toBe(warm.held);
  expect(after.bytes).toBeLessThanOrEqual(warm.bytes + 4 * 2 ** 20);
});

declare const Worker: new (address: URL, options: { readonly type: "module" }) => ReturnType<typeof thread>;

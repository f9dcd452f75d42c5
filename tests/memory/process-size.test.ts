// How much memory of the system the process takes, and what garbage collection gives back in the middle of a call.

import { expect, onTestFinished, test } from "vitest";
import { HookedTransformer, memory, setMemoryLimit, tidy, zeros } from "../../ts/index.ts";

const MIB = 2 ** 20;

test("10,000 tensors of 4 MB, each made and forgotten in a tidy, stay under 300 MB", () => {
  const rss = process.memoryUsage().rss;
  let most = 0;
  const x = zeros([MIB]);
  for (let i = 0; i < 10_000; i++) {
    tidy(() => {
      x.add(i);
    });
    if (i % 500 === 0) most = Math.max(most, process.memoryUsage().rss - rss);
  }
  expect(most).toBeLessThan(300 * MIB);
}, 240_000);

test("10,000 tensors of 4 MB that nobody frees stay under 1.5 GB, by garbage collection alone", () => {
  const rss = process.memoryUsage().rss;
  let most = 0;
  const x = zeros([MIB]);
  for (let i = 0; i < 10_000; i++) {
    x.add(i);
    if (i % 500 === 0) most = Math.max(most, process.memoryUsage().rss - rss);
  }
  expect(most).toBeLessThan(1536 * MIB);
}, 240_000);

test("30 models, each disposed before the next, take the memory of few", () => {
  const shape = { n_layers: 2, d_model: 64, n_ctx: 16, d_head: 16, d_vocab: 20_000 };
  // The embedding and the unembedding.
  const weights = 2 * shape.d_vocab * shape.d_model * 4;
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 30; i++) {
    using model = HookedTransformer.fromConfig({ ...shape, act_fn: "gelu", seed: 1 });
    model.forward([[3, 1, 4, 1]]).dispose();
  }
  expect(process.memoryUsage.rss() - before).toBeLessThan(10 * weights);
});

test("elements go out once what nobody refers to has made room", () => {
  const x = zeros([4 * MIB]);
  const limit = memory().bytes + 40 * MIB;
  setMemoryLimit(limit);
  onTestFinished(() => setMemoryLimit(0));
  (() => {
    for (let i = 0; i < 8; i++) zeros([MIB]);
  })();
  // Nothing was collected so far, and 16 MiB more do not fit.
  expect(memory().bytes + 16 * MIB).toBeGreaterThan(limit);
  expect(x.toFloat32Array().length).toBe(4 * MIB);
});

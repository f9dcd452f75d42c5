// How much memory of the system the process takes.

import { expect, test } from "vitest";
import { HookedTransformer, tidy, zeros } from "../../ts/index.ts";

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

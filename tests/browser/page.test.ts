import { expect, test } from "vitest";
import { HookedTransformer, HookPoint, initEngine, randn, Tokenizer, zeros } from "../../ts/index.ts";

test("the engine of a page is WebAssembly", async () => {
  expect(await initEngine()).toMatchObject({
    name: "wasm",
    source: expect.stringMatching(/hooklens_bg\.wasm$/),
  });
});

test("what takes paths says what to do instead", async () => {
  await expect(Tokenizer.fromDirectory("gpt2")).rejects.toMatchObject({ code: "no_file_system" });
});

test("a hook that throws comes out as the same value, and the engine goes on", () => {
  const model = HookedTransformer.fromConfig({
    n_layers: 2,
    d_model: 16,
    n_ctx: 8,
    d_head: 4,
    d_vocab: 10,
    act_fn: "gelu",
  });
  const thrown = { mine: true };
  const fail = () => {
    throw thrown;
  };
  const run = () => model.runWithHooks([1, 2], { fwdHooks: { "blocks.1.hook_resid_pre": fail } });
  let caught: unknown;
  try {
    run();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBe(thrown);
  expect(model.forward([1, 2]).shape).toEqual([1, 2, 10]);
});

test("tensors, gradients and points work", () => {
  const x = randn([3, 4], { requiresGrad: true, seed: 1 });
  const point = new HookPoint();
  point.forward(x).square().sum().backward();
  expect(x.grad?.sub(x.mul(2)).abs().max().item()).toBe(0);
  expect(zeros([2, 0, 3]).toArray(3)).toEqual([[], []]);
});

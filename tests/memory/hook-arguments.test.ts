// Values that hooks are given: nobody disposes them, and a program that runs forward after forward never pauses.

import { afterEach, expect, test } from "vitest";
import { engine } from "../../ts/engine/current.ts";
import { HookedTransformer, memory, setMemoryLimit, type Tensor } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";

const MIB = 2 ** 20;
/** Where garbage collection is told of tensors, it does the same in its own time. */
const LIMIT = (engine().name === "wasm" ? 64 : 1024) * MIB;
const TOKENS = [Array.from({ length: 64 }, (_, i) => i)];

afterEach(() => setMemoryLimit(0));

/** A model at whose points about 1.5 MiB pass in a forward. */
function small(): HookedTransformer {
  return HookedTransformer.fromConfig({
    n_layers: 2,
    d_model: 128,
    n_ctx: 64,
    d_head: 32,
    d_vocab: 64,
    act_fn: "gelu",
    seed: 1,
  });
}

test("forwards with a hook on every point take no more memory the longer they go on", () => {
  using model = small();
  let fired = 0;
  model.addHook(/./, () => {
    fired++;
  });
  model.forward(TOKENS).dispose();
  const points = fired;
  // An eighth of the limit may wait for garbage collection; 200 forwards pass several times the limit.
  setMemoryLimit(memory().bytes + LIMIT);
  const before = memory().bytes;
  let most = 0;
  for (let i = 0; i < 200; i++) {
    model.forward(TOKENS).dispose();
    most = Math.max(most, memory().bytes - before);
  }
  expect(fired).toBe(201 * points);
  expect(most).toBeLessThan(LIMIT);
});

test("what a hook keeps with share(), or uses after it has returned, stays", () => {
  using model = small();
  const kept: Tensor[] = [];
  const used: Tensor[] = [];
  const want: number[] = [];
  for (let i = 0; i < 3; i++) {
    const forward = () =>
      model
        .runWithHooks(TOKENS, {
          fwdHooks: {
            "blocks.0.hook_resid_pre": (value) => {
              kept.push(value.share());
              want.push(value.sum().item());
            },
            "blocks.1.hook_resid_pre": (value) => void used.push(value),
          },
        })
        .dispose();
    forward();
    used.at(-1)?.sum().item();
  }
  model.addHook(/./, () => {});
  setMemoryLimit(memory().bytes + LIMIT);
  for (let i = 0; i < 100; i++) model.forward(TOKENS).dispose();
  expect(kept.map((value) => value.sum().item())).toEqual(want);
  for (const value of used) expect(value.sum().item()).toBe(used[0]?.sum().item());
});

test.runIf(engine().name === "wasm")("what was let go of says so, and what keeps it", () => {
  using model = small();
  let first: Tensor | undefined;
  model.addHook(/./, (value) => {
    first ??= value;
  });
  setMemoryLimit(memory().bytes + LIMIT);
  for (let i = 0; i < 200; i++) model.forward(TOKENS).dispose();
  expect(codeOf(() => first?.toFloat32Array())).toBe("disposed");
  expect(() => first?.toFloat32Array()).toThrow(/given to a hook.*share\(\)/);
  first?.dispose();
});

/** Hooks that are allowed to return activations of another shape. */

import { expect, test } from "vitest";
import { HookedTransformer, HooklensError, type Tensor } from "../../ts/index.ts";
import { codeOf } from "../support/errors.ts";
import { CONFIG, TOKENS } from "./small.ts";

const model = HookedTransformer.fromConfig({ ...CONFIG, dtype: "float64" });
const RESIDUAL = "blocks.1.hook_resid_pre";
const dropLast = (x: Tensor) => x.narrow(1, 0, 3);

test("what comes next sees the new shape", () => {
  const shorter = model.forward([TOKENS[0]?.slice(0, 3) ?? []]);
  const logits = model.runWithHooks(TOKENS, {
    fwdHooks: [[RESIDUAL, dropLast, { allowShapeChange: true }]],
  });
  expect(logits.shape).toEqual([1, 3, 20]);
  expect(logits.sub(shorter).abs().max().item()).toBeLessThan(1e-12);
});

test("gradients flow back through what the hook did", () => {
  const point = model.hookPoint(RESIDUAL);
  const [handle] = model.addHook(RESIDUAL, dropLast, { allowShapeChange: true });
  expect(handle?.allowShapeChange).toBe(true);
  const before = "blocks.0.hook_resid_post";
  const [cache, fwd, bwd] = model.getCachingHooks({ namesFilter: [before, RESIDUAL], inclBwd: true });
  {
    using _scope = model.hooks({ fwdHooks: fwd, bwdHooks: bwd });
    model.forward(TOKENS).sum().backward();
  }
  expect(cache.get(before).shape).toEqual([1, 4, 8]);
  expect(cache.get(`${before}_grad`).shape).toEqual([1, 4, 8]);
  expect(cache.get(`${RESIDUAL}_grad`).shape).toEqual([1, 3, 8]);
  expect(cache.get(`${before}_grad`).select(1, 3).abs().max().item()).toBe(0);
  const kept = cache.get(`${before}_grad`).narrow(1, 0, 3);
  expect(
    kept
      .sub(cache.get(`${RESIDUAL}_grad`))
      .abs()
      .max()
      .item(),
  ).toBe(0);
  handle?.remove();
  expect(point.hasHooks()).toBe(false);
});

test("the option is for functions on activations, and other options are checked as ever", () => {
  const add = (options: object) => codeOf(() => model.addHook(RESIDUAL, dropLast, options));
  expect(add({ dir: "bwd", allowShapeChange: true })).toBe("invalid_argument");
  expect(add({ allowShapeChange: 1 })).toBe("invalid_argument");
  const table = (options: object) =>
    codeOf(() => model.runWithHooks(TOKENS, { fwdHooks: [[RESIDUAL, dropLast, options]] }));
  expect(table({})).toBe("hook_shape");
  expect(table({ allowShapeChanges: true })).toBe("invalid_argument");
  expect(
    codeOf(() =>
      model.runWithHooks(TOKENS, { fwdHooks: [[RESIDUAL, (x) => x.sum(), { allowShapeChange: true }]] }),
    ),
  ).toBe("hook_shape");
});

test("at every point another shape gives a result or an error that says what does not fit", () => {
  const shapes: ((x: Tensor) => Tensor)[] = [0, 1, 2, 3].flatMap((axis) => [
    (x: Tensor) => (axis < x.rank ? x.narrow(axis, 0, 0) : x),
    (x: Tensor) => (axis < x.rank ? x.narrow(axis, 0, 1) : x),
    (x: Tensor) => (axis < x.rank ? x.repeatInterleave(3, axis) : x),
  ]);
  for (const [name, point] of model.hookDict) {
    for (const [i, change] of shapes.entries()) {
      try {
        const hook = (x: Tensor) => (name === "hook_tokens" ? x : change(x));
        const both = model.runWithHooks(TOKENS, {
          returnType: "both",
          fwdHooks: [[point, hook, { allowShapeChange: true }]],
        });
        both.loss.dispose();
      } catch (error) {
        expect(error, `${name} ${i}`).toBeInstanceOf(HooklensError);
        expect((error as HooklensError).code, `${name} ${i}: ${error}`).not.toBe("internal");
      }
    }
  }
});

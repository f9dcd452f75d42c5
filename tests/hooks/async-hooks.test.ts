// A hook that is async by mistake: one error, at the call.

import { afterEach, expect, test } from "vitest";
import { type HookFn, ones, parameter, SGD, tensor, zeros } from "../../ts/index.ts";
import { code, Toy, X } from "./toy.ts";

const rejections: unknown[] = [];
const record = (reason: unknown) => rejections.push(reason);
process.on("unhandledRejection", record);
afterEach(() => void process.off("unhandledRejection", record));

test("what an async hook fails with later is not an unhandled rejection", async () => {
  const toy = new Toy();
  const hook = (async () => {
    throw new Error("later");
  }) as unknown as HookFn;
  expect(code(() => toy.runWithHooks(X(1, 2), { fwdHooks: { hook_a: hook } }))).toBe("hook_result");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(rejections).toEqual([]);
});

test("an optimizer refuses a parameter that is there twice, named or not", () => {
  const p = parameter(ones([2]));
  expect(code(() => new SGD([p, p], { lr: 0.1 }))).toBe("invalid_argument");
});

test("tensors have at most 64 axes", () => {
  expect(code(() => zeros(Array(65).fill(1)))).toBe("rank_mismatch");
  expect(String(tensor([1]).reshape(Array(64).fill(1)))).toContain("1.");
});

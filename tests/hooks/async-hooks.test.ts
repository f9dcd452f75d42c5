// A hook that is async by mistake: one error, at the call.

import { expect, test } from "vitest";
import type { HookFn } from "../../ts/index.ts";
import { unhandledRejections } from "../support/rejections.ts";
import { code, Toy, X } from "./toy.ts";

const rejections = unhandledRejections();

test("what an async hook fails with later is not an unhandled rejection", async () => {
  const toy = new Toy();
  const hook = (async () => {
    throw new Error("later");
  }) as unknown as HookFn;
  expect(code(() => toy.runWithHooks(X(1, 2), { fwdHooks: { hook_a: hook } }))).toBe("hook_result");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(rejections).toEqual([]);
});

// A hook that is async by mistake: one error, at the call.

import { afterEach, expect, test } from "vitest";
import type { HookFn } from "../../ts/index.ts";
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

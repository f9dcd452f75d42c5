// What all suites of workers rely on.

import { expect, test } from "vitest";
import { initEngine } from "../../ts/index.ts";

test("there is no page here, and the engine is WebAssembly", async () => {
  expect("document" in globalThis).toBe(false);
  expect("WorkerGlobalScope" in globalThis).toBe(true);
  expect(await initEngine()).toMatchObject({ name: "wasm" });
});

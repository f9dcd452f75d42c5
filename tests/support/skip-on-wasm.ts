// With the engine as WebAssembly: leaves out the tests that `not-on-wasm.ts` lists.
import { relative } from "node:path";
import { beforeEach } from "vitest";
import { TESTS_NOT_ON_WASM } from "./not-on-wasm.ts";

beforeEach(({ task, skip }) => {
  const listed = TESTS_NOT_ON_WASM[relative(process.cwd(), task.file.filepath)] ?? {};
  const reason = Object.hasOwn(listed, task.name) ? listed[task.name] : undefined;
  if (reason !== undefined) skip(reason);
});

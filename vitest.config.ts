import { defineConfig } from "vitest/config";
import { FILES_NOT_ON_WASM } from "./tests/support/not-on-wasm.ts";

/** The same suites with the engine as WebAssembly; `tests/support/not-on-wasm.ts` lists what is left out, and why. */
const onWasm = process.env["HOOKLENS_ENGINE"] === "wasm";

// vitest's report of failures calls Map.groupBy, which Node has from 21 on; without it a failure has no message on Node 20.
const groupBy = <K, V>(items: Iterable<V>, keyOf: (item: V) => K): Map<K, V[]> => {
  const groups = new Map<K, V[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
};
if (!("groupBy" in Map)) Object.defineProperty(Map, "groupBy", { value: groupBy });

export default defineConfig({
  // The examples import the package by its name, as a user's program does.
  resolve: { alias: { hooklens: new URL("ts/node.ts", import.meta.url).pathname } },
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["tests/browser/**", ...(onWasm ? Object.keys(FILES_NOT_ON_WASM) : [])],
    // Tests import from ts/index.ts, which chooses no engine.
    setupFiles: ["tests/support/start.ts", ...(onWasm ? ["tests/support/skip-on-wasm.ts"] : [])],
    // The addon keeps per-thread state, as a user's process would: one process a test file.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 60_000,
    typecheck: {
      // Types are the same for all engines.
      enabled: !onWasm,
      include: ["tests/**/*.test-d.ts"],
      tsconfig: "tsconfig.json",
      checker: "tsc",
    },
  },
});

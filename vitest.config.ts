import { defineConfig } from "vitest/config";

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
    exclude: ["tests/browser/**"],
    // Tests import from ts/index.ts, which chooses no engine.
    setupFiles: ["tests/support/start.ts"],
    // The addon keeps per-thread state, as a user's process would: one process a test file.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    typecheck: {
      enabled: true,
      include: ["tests/**/*.test-d.ts"],
      tsconfig: "tsconfig.json",
      checker: "tsc",
    },
  },
});

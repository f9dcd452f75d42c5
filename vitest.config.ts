import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["tests/browser/**"],
    // The addon keeps per-thread state, as a user's process would: one process a test file.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    typecheck: { enabled: true, include: ["tests/**/*.test-d.ts"], tsconfig: "tsconfig.json", checker: "tsc" },
  },
});

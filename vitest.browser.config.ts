import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { CHROMIUM_FLAGS, chromiumPath } from "./scripts/chromium.mjs";
import { repositoryFiles } from "./tests/browser/files-plugin.ts";
import { NOT_IN_PAGES } from "./tests/browser/not-in-pages.ts";

const here = (path: string) => new URL(path, import.meta.url).pathname;
const shim = (name: string) => here(`tests/browser/shims/${name}.ts`);
const executablePath = chromiumPath();

/** The same suites as in Node, in a page of Chromium; `tests/browser/not-in-pages.ts` lists those that are not, and why. */
export default defineConfig({
  plugins: [repositoryFiles(here(".").replace(/\/$/, ""))],
  resolve: {
    alias: {
      hooklens: here("ts/browser.ts"),
      "node:fs": shim("node-fs"),
      "node:path": shim("node-path"),
      "node:url": shim("node-url"),
      "node:timers/promises": shim("node-timers"),
    },
  },
  test: {
    include: [
      "tests/browser/**/*.test.ts",
      "tests/{tensor,hooks,cache,models,train,golden,text,analysis}/*.test.ts",
      "tests/worker/worker.test.ts",
    ],
    exclude: Object.keys(NOT_IN_PAGES),
    setupFiles: ["tests/browser/start.ts"],
    testTimeout: 120_000,
    fileParallelism: false,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          args: CHROMIUM_FLAGS,
          ...(executablePath === undefined ? {} : { executablePath }),
        },
      }),
      instances: [{ browser: "chromium" }],
    },
  },
});

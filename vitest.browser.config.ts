import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { CHROMIUM_FLAGS, chromiumPath } from "./scripts/chromium.mjs";
import { repositoryFiles } from "./tests/browser/files-plugin.ts";
import { NOT_IN_PAGES } from "./tests/browser/not-in-pages.ts";
import { suitesInWorkers } from "./tests/browser/suite-plugin.ts";

const here = (path: string) => new URL(path, import.meta.url).pathname;
const root = here(".").replace(/\/$/, "");
const shim = (name: string) => here(`tests/browser/shims/${name}.ts`);
const executablePath = chromiumPath();

const resolve = {
  alias: {
    hooklens: here("ts/browser.ts"),
    "node:fs": shim("node-fs"),
    "node:path": shim("node-path"),
    "node:url": shim("node-url"),
    "node:timers/promises": shim("node-timers"),
  },
};

const include = ["tests/{tensor,hooks,cache,models,train,golden,text,analysis}/*.test.ts"];

const test = {
  testTimeout: 120_000,
  fileParallelism: false,
  browser: {
    enabled: true,
    headless: true,
    screenshotFailures: false,
    provider: playwright({
      launchOptions: {
        args: [...CHROMIUM_FLAGS, "--js-flags=--expose-gc"],
        ...(executablePath === undefined ? {} : { executablePath }),
      },
    }),
  },
};

/** The same suites as in Node, in Chromium; `tests/browser/not-in-pages.ts` lists those that are not, and why. */
export default defineConfig({
  test: {
    projects: [
      {
        plugins: [repositoryFiles(root)],
        resolve,
        test: {
          ...test,
          name: "page",
          include: ["tests/browser/**/*.test.ts", ...include, "tests/worker/worker.test.ts"],
          exclude: [...Object.keys(NOT_IN_PAGES), "tests/browser/no-page.test.ts"],
          setupFiles: ["tests/browser/start.ts"],
          browser: { ...test.browser, instances: [{ browser: "chromium" }] },
        },
      },
      {
        plugins: [suitesInWorkers(root), repositoryFiles(root)],
        resolve,
        test: {
          ...test,
          name: "worker",
          include: ["tests/browser/no-page.test.ts", ...include],
          exclude: Object.keys(NOT_IN_PAGES),
          browser: { ...test.browser, instances: [{ browser: "chromium" }] },
        },
      },
    ],
  },
});

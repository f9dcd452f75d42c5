/**
 * Suites that do not run in Chromium, and why. Everything else in the folders that `vitest.browser.config.ts` names does, in
 * a page and in a worker.
 */
const FILES = "writes and changes files on disk";

export const NOT_IN_PAGES: Readonly<Record<string, string>> = {
  "tests/cache/cache-file.test.ts": FILES,
  "tests/hooks/files.test.ts": FILES,
  "tests/models/bad-folders.test.ts": FILES,
  "tests/models/loading.test.ts": FILES,
  "tests/text/hostile.test.ts": FILES,
  "tests/train/resume.test.ts": FILES,
};

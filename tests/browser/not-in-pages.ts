/**
 * Suites that do not run in a page, and why. Everything else in the folders that `vitest.browser.config.ts` names does.
 */
const FILES = "writes or changes files";
const FOLDERS = "loads models or tokenizers from folders by their paths";

export const NOT_IN_PAGES: Readonly<Record<string, string>> = {
  "tests/analysis/explain.test.ts": FOLDERS,
  "tests/cache/cache-file.test.ts": FILES,
  "tests/golden/golden.test.ts": FOLDERS,
  "tests/hooks/async-hooks.test.ts": "listens to Node's own reports of rejections that nobody handles",
  "tests/hooks/hook-points.test.ts": "is about what Node's util.inspect shows",
  "tests/hooks/interventions.test.ts": FILES,
  "tests/hooks/modules.test.ts": FILES,
  "tests/models/bad-folders.test.ts": FILES,
  "tests/models/bad-input.test.ts": FILES,
  "tests/models/dispose.test.ts": FILES,
  "tests/models/generate.test.ts": FOLDERS,
  "tests/models/hooked-transformer.test.ts": FOLDERS,
  "tests/models/induction.test.ts": FOLDERS,
  "tests/models/loading.test.ts": FILES,
  "tests/models/padded-vocabulary.test.ts": FOLDERS,
  "tests/models/processing.test.ts": FOLDERS,
  "tests/models/text.test.ts": FOLDERS,
  "tests/models/tiny.test.ts": FOLDERS,
  "tests/tensor/data.test.ts": "is about what Node's util.inspect shows",
  "tests/tensor/memory.test.ts": "measures the memory of the process",
  "tests/tensor/options.test.ts": FOLDERS,
  "tests/text/hostile.test.ts": FILES,
  "tests/text/text-stream.test.ts": FOLDERS,
  "tests/text/tokenizer.test.ts": FOLDERS,
  "tests/train/resume.test.ts": FILES,
  "tests/worker/worker.test.ts": FOLDERS,
};

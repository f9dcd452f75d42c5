/**
 * What of the suite is not run with `HOOKLENS_ENGINE=wasm`, and why. Everything else is.
 */

const NATIVE = "is about finding and loading the native addon";
const ENGINELESS = "does not use the engine, or starts one of its own: the native run has it";

/** Files. */
export const FILES_NOT_ON_WASM: Readonly<Record<string, string>> = {
  "tests/engine/loader.test.ts": NATIVE,
  "tests/engine/threads.test.ts":
    "several threads in one native addon; each thread has a WebAssembly engine of its own",
  "tests/bundle/bundle.test.ts": ENGINELESS,
  "tests/bundle/served.test.ts": ENGINELESS,
  "tests/explorer/page.test.ts": ENGINELESS,
  "tests/repository/layout.test.ts": ENGINELESS,
};

const COLLECTED =
  "JavaScript cannot be told how much memory of WebAssembly hangs on an object, nor collect garbage before a call returns";

/** Tests, by file. */
export const TESTS_NOT_ON_WASM: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "tests/memory/loops.test.ts": {
    "never disposed stay under 1.5 GB when the loop awaits now and then": COLLECTED,
    "never disposed stay under 1.5 GB also when the loop never awaits": COLLECTED,
    "does not count what nobody can reach any more": COLLECTED,
    "is asked before anything large is made":
      "its tensors are beyond addresses of 32 bits, which is told before any limit is asked: tests/engine/stopped.test.ts",
  },
  "tests/memory/process-size.test.ts": {
    "elements go out once what nobody refers to has made room": COLLECTED,
    "10,000 tensors of 4 MB that nobody frees stay under 1.5 GB, by garbage collection alone": COLLECTED,
  },
};

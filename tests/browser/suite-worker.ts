/** The worker's side of `in-worker.ts`: vitest's own runner over one test file, where there is no page. */

import type { RunnerTestCase, RunnerTestFile, RunnerTestSuite } from "vitest";

/** A test of the file. */
export interface Collected {
  readonly id: number;
  readonly name: string;
  readonly skipped: boolean;
}

/** What came of a test. */
export interface Finished {
  readonly kind: "finished";
  readonly id: number;
  readonly state: string;
  readonly errors: readonly { readonly message: string; readonly stack: string }[];
}

/** What the page is told. */
export type Told =
  | { readonly kind: "collected"; readonly tests: readonly Collected[] }
  | Finished
  | { readonly kind: "ended"; readonly message: string };

const page = globalThis as unknown as {
  postMessage(message: Told): void;
  addEventListener(
    type: "message",
    listener: (event: { readonly data: { readonly file: string; readonly config: object } }) => void,
    options: { readonly once: true },
  ): void;
};

/** What vitest's runner expects of the environment that it runs in. */
function pretend(config: object): void {
  const nothing = () => undefined;
  Object.assign(globalThis, {
    __vitest_browser_runner__: { wrapDynamicImport: (load: () => unknown) => load() },
    __vitest_worker__: {
      config: { ...config, snapshotOptions: { updateSnapshot: "none", snapshotEnvironment: null } },
      ctx: { pool: "browser" },
      environment: { name: "browser" },
      metaEnv: {},
      evaluatedModules: { idToModuleMap: new Map(), getModuleById: nothing },
      moduleExecutionInfo: new Map(),
      resolvingModules: new Set(),
      rpc: {},
      onCleanup: nothing,
    },
  });
}

function* testsOf(suite: RunnerTestSuite): Generator<RunnerTestCase> {
  for (const task of suite.tasks) {
    if (task.type === "suite") yield* testsOf(task);
    else yield task;
  }
}

/** The errors of a test and of the suites around it. */
function errorsOf(task: RunnerTestCase | RunnerTestSuite | undefined): Finished["errors"] {
  if (task === undefined) return [];
  const own = (task.result?.errors ?? []).map(({ message, stack }) => ({ message, stack: stack ?? message }));
  return [...own, ...errorsOf(task.suite ?? (task === task.file ? undefined : task.file))];
}

async function run(file: string, config: object): Promise<void> {
  pretend(config);
  const [{ TestRunner }, { startTests, Traces }] = await Promise.all([
    import("vitest"),
    import("vitest/internal/browser"),
  ]);
  await import("./start.ts");
  const ids = new Map<RunnerTestCase, number>();
  const told = new Set<number>();
  const tell = (test: RunnerTestCase, id: number) => {
    if (told.has(id)) return;
    told.add(id);
    const errors = errorsOf(test);
    const state = errors.length > 0 ? "fail" : (test.result?.state ?? test.mode);
    page.postMessage({ kind: "finished", id, state, errors });
  };
  class Runner extends TestRunner {
    override importFile(path: string): unknown {
      return import(/* @vite-ignore */ path);
    }
    onCollected([whole]: RunnerTestFile[]): void {
      const problem = whole?.result?.errors?.[0];
      if (whole === undefined || problem !== undefined) {
        throw new Error(problem?.stack ?? problem?.message ?? "no tests");
      }
      const tests = [...testsOf(whole)].map((test, id) => {
        ids.set(test, id);
        const names: string[] = [];
        for (let at: RunnerTestCase | RunnerTestSuite | undefined = test; at; at = at.suite)
          names.unshift(at.name);
        return { id, name: names.join(" > "), skipped: test.mode === "skip" || test.mode === "todo" };
      });
      page.postMessage({ kind: "collected", tests });
    }
    override onAfterRunTask(test: RunnerTestCase): void {
      super.onAfterRunTask(test);
      const id = ids.get(test);
      if (id !== undefined) tell(test, id);
    }
    // Snapshots are read and written by way of a page.
    override async onBeforeRunSuite(): Promise<void> {}
    override async onAfterRunSuite(): Promise<void> {}
    override onAfterRunFiles(): void {}
  }
  const runner = new Runner(config as ConstructorParameters<typeof TestRunner>[0]);
  Object.assign(runner, {
    snapshotClient: { clearTest: () => undefined, getSnapshotState: () => undefined },
  });
  runner.__setTraces(new Traces({ enabled: false }));
  await startTests([file], runner);
  for (const [test, id] of ids) tell(test, id);
}

page.addEventListener(
  "message",
  ({ data: { file, config } }) => {
    run(file, config).catch((error: unknown) => {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      page.postMessage({ kind: "ended", message });
    });
  },
  { once: true },
);

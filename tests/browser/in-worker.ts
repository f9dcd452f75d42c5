/** A test file's suite in a worker of the page, told as a suite of the page: `suite-plugin.ts` puts this in its place. */

import { afterAll, describe, test } from "vitest";
import type { Collected, Finished, Told } from "./suite-worker.ts";

interface State {
  readonly config: object;
}

declare const __vitest_worker__: State;

declare const Worker: new (
  address: URL,
  options: { readonly type: "module" },
) => {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: { readonly data: Told }) => void): void;
  addEventListener(type: "error", listener: (event: { readonly message: string }) => void): void;
  terminate(): void;
};

/** What will be known. */
class Answer<T> {
  readonly promise: Promise<T>;
  resolve: (value: T) => void = () => undefined;
  reject: (error: Error) => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Nobody may wait for it yet.
    this.promise.catch(() => undefined);
  }
}

/** Runs the tests of `file`, an address, and tells what came of each. */
export async function runInWorker(file: string): Promise<void> {
  const worker = new Worker(new URL("./suite-worker.ts", import.meta.url), { type: "module" });
  const collected = new Answer<readonly Collected[]>();
  const results = new Map<number, Answer<Finished>>();
  const fail = (message: string) => {
    worker.terminate();
    for (const answer of [collected, ...results.values()]) answer.reject(new Error(message));
  };
  worker.addEventListener("message", ({ data }) => {
    if (data.kind === "collected") {
      for (const { id } of data.tests) results.set(id, new Answer());
      collected.resolve(data.tests);
    } else if (data.kind === "finished") results.get(data.id)?.resolve(data);
    else fail(data.message);
  });
  worker.addEventListener("error", ({ message }) => fail(`the worker ended: ${message}`));
  worker.postMessage({ file, config: JSON.parse(JSON.stringify(__vitest_worker__.config)) });
  const tests = await collected.promise;
  afterAll(() => worker.terminate());
  describe("in a worker", () => {
    for (const { id, name, skipped } of tests) {
      test.skipIf(skipped)(name, async ({ skip }) => {
        const result = await results.get(id)?.promise;
        if (result === undefined) throw new Error("nothing came of the test");
        const { state, errors } = result;
        if (state === "skip") skip();
        const [first] = errors;
        if (first !== undefined) throw Object.assign(new Error(first.message), { stack: first.stack });
        if (state !== "pass") throw new Error(`the test was not run: ${state}`);
      });
    }
  });
}

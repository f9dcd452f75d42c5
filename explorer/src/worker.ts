/** Where models run: off the page's thread, so that it stays alive. */

import { createBirpc } from "birpc";
import type { Progress } from "hooklens";
import type { Experiment } from "./experiment.ts";
import { type Findings, Laboratory, type ModelFacts } from "./laboratory.ts";

/** What came of a call: errors travel as texts. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string };

/** What the page can ask for. */
export interface Service {
  /** Loads a model; the page is told of bytes of weights meanwhile. */
  load(name: string): Promise<Outcome<ModelFacts>>;
  /** Runs an experiment on the model that was loaded last. */
  run(experiment: Experiment): Promise<Outcome<Findings>>;
}

/** What the page is told. */
export interface Listener {
  progress(progress: Progress): void;
  /** The worker hears from now on: what was said while its engine started may be lost. */
  ready(): void;
}

async function outcome<T>(run: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await run() };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

const laboratory = new Laboratory();

const service: Service = {
  load: (name) =>
    outcome(() => laboratory.load(name, (progress) => void page.progress.asEvent({ ...progress }))),
  run: (experiment) => outcome(() => laboratory.run(experiment)),
};

const page = createBirpc<Listener, Service>(service, {
  post: (data) => self.postMessage(data),
  on: (take) => self.addEventListener("message", ({ data }) => take(data)),
  timeout: -1,
});

void page.ready.asEvent();

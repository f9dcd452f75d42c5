/** Where models run: off the page's thread, so that it stays alive. */

import * as Comlink from "comlink";
import type { Progress } from "hooklens";
import type { Experiment } from "./experiment.ts";
import { type Findings, Laboratory, type ModelFacts } from "./laboratory.ts";

/** What came of a call: errors travel as texts. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string };

async function outcome<T>(run: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await run() };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

const laboratory = new Laboratory();

/** What the page can ask for. */
export interface Service {
  /** Loads a model; `onProgress` is told of bytes of weights. */
  load(name: string, onProgress: (progress: Progress) => void): Promise<Outcome<ModelFacts>>;
  /** Runs an experiment on the model that was loaded last. */
  run(experiment: Experiment): Promise<Outcome<Findings>>;
}

const service: Service = {
  load: (name, onProgress) => outcome(() => laboratory.load(name, onProgress)),
  async run(experiment) {
    const found = await outcome(() => laboratory.run(experiment));
    return found;
  },
};

Comlink.expose(service);

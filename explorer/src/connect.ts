/** The page's end of the worker. */

import * as Comlink from "comlink";
import type { Progress } from "hooklens";
import type { Experiment } from "./experiment.ts";
import type { Findings, ModelFacts } from "./laboratory.ts";
import type { Outcome, Service } from "./worker.ts";

function unpacked<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw new Error(outcome.message);
}

/** What runs models for the page. */
export interface Connection {
  load(name: string, onProgress: (progress: Progress) => void): Promise<ModelFacts>;
  run(experiment: Experiment): Promise<Findings>;
}

/** Starts a worker. One that dies fails the calls that wait for it, and the next call starts another. */
export function connect(): Connection {
  let worker: Worker | null = null;
  let remote: Comlink.Remote<Service> | null = null;
  let loaded: string | null = null;
  let died: Promise<never> = new Promise(() => undefined);
  const start = (): Comlink.Remote<Service> => {
    if (remote !== null) return remote;
    const started = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    died = new Promise((_, reject) => {
      started.addEventListener("error", (event) => {
        started.terminate();
        if (worker === started) [worker, remote, loaded] = [null, null, null];
        reject(new Error(`The worker that runs the model ended: ${event.message || "it could not start"}`));
      });
    });
    // Without a call in progress nobody waits for it.
    died.catch(() => undefined);
    worker = started;
    remote = Comlink.wrap<Service>(started);
    return remote;
  };
  const load = async (name: string, onProgress: (progress: Progress) => void): Promise<ModelFacts> => {
    loaded = null;
    const facts = unpacked(await Promise.race([start().load(name, Comlink.proxy(onProgress)), died]));
    loaded = name;
    return facts;
  };
  return {
    load,
    run: async (experiment) => {
      // A worker that was started anew has no model yet.
      if (loaded !== experiment.model) await load(experiment.model, () => undefined);
      return unpacked(await Promise.race([start().run(experiment), died]));
    },
  };
}

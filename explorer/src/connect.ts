/** The page's end of the worker. */

import { type BirpcReturn, createBirpc } from "birpc";
import type { Progress } from "hooklens";
import type { Experiment } from "./experiment.ts";
import type { Findings, ModelFacts } from "./laboratory.ts";
import type { Listener, Outcome, Service } from "./worker.ts";

function unpacked<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw new Error(outcome.message);
}

/** What runs models for the page. */
export interface Connection {
  /** Loads a model; `onProgress` is told of bytes of weights. */
  load(name: string, onProgress: (progress: Progress) => void): Promise<ModelFacts>;
  /** Runs an experiment on its model. */
  run(experiment: Experiment): Promise<Findings>;
}

/** A worker, and what ends calls that wait for it when it dies. */
interface Running {
  readonly ready: Promise<void>;
  readonly remote: BirpcReturn<Service, Listener>;
  readonly died: Promise<never>;
}

/** Starts a worker. One that dies fails the calls that wait for it, and the next call starts another. */
export function connect(): Connection {
  let running: Running | null = null;
  let loaded: string | null = null;
  let tell: (progress: Progress) => void = () => undefined;

  const start = (): Running => {
    if (running !== null) return running;
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    let hears: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => {
      hears = resolve;
    });
    const remote = createBirpc<Service, Listener>(
      { progress: (progress) => tell(progress), ready: () => hears() },
      {
        post: (data) => worker.postMessage(data),
        on: (take) => worker.addEventListener("message", ({ data }) => take(data)),
        timeout: -1,
      },
    );
    const died = new Promise<never>((_, reject) => {
      worker.addEventListener("error", (event) => {
        worker.terminate();
        [running, loaded] = [null, null];
        reject(new Error(`The worker that runs the model ended: ${event.message || "it could not start"}`));
      });
    });
    // Without a call in progress nobody waits for it.
    died.catch(() => undefined);
    running = { ready, remote, died };
    return running;
  };
  const call = async <T>(ask: (remote: Running["remote"]) => Promise<Outcome<T>>): Promise<T> => {
    const { ready, remote, died } = start();
    await Promise.race([ready, died]);
    return unpacked(await Promise.race([ask(remote), died]));
  };
  const load = async (name: string, onProgress: (progress: Progress) => void): Promise<ModelFacts> => {
    loaded = null;
    tell = onProgress;
    const facts = await call((remote) => remote.load(name));
    loaded = name;
    return facts;
  };
  return {
    load,
    run: async (experiment) => {
      // A worker that was started anew has no model yet.
      if (loaded !== experiment.model) await load(experiment.model, () => undefined);
      return call((remote) => remote.run(experiment));
    },
  };
}

/** The page's end of the worker. */

import { type BirpcReturn, createBirpc } from "birpc";
import type { LoadProgress } from "hooklens";
import type { Experiment } from "./experiment.ts";
import type { Findings, ModelFacts } from "./laboratory.ts";
import type { ModelChoice } from "./model-choice.ts";
import type { Kept, Listener, Outcome, Service } from "./worker.ts";

function unpacked<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  const half = ". In half precision, which “Another model” offers, weights take half as much.";
  throw new Error(outcome.message + (outcome.code === "memory_limit" ? half : ""));
}

/** What a load ends with that nobody wants any more. */
export class Cancelled extends Error {}

/** What runs models for the page. */
export interface Connection {
  /** Loads a model, in place of the one before; `onProgress` is told of bytes of weights. */
  load(choice: ModelChoice, onProgress: (progress: LoadProgress) => void): Promise<ModelFacts>;
  /** Ends what is being loaded or run with {@link Cancelled}, and lets the model go. */
  cancel(): void;
  /** Runs an experiment on its model. */
  run(experiment: Experiment): Promise<Findings>;
  /** The models that are kept on this device. */
  kept(): Promise<readonly Kept[]>;
  /** Deletes one of them. */
  forget(source: string): Promise<void>;
}

/** A worker, and what ends calls that wait for it when it ends. */
interface Running {
  readonly ready: Promise<unknown>;
  readonly remote: BirpcReturn<Service, Listener>;
  readonly died: Promise<never>;
  end(reason: Error): void;
}

/**
 * Starts a worker when it is first needed. One that dies fails the calls that wait for it, and the next call starts
 * another. Each has one model in its life: the memory of WebAssembly never shrinks, and a load ends with its worker.
 */
export function connect(): Connection {
  let running: Running | null = null;
  let chosen: ModelChoice | null = null;
  let loaded: string | null = null;
  let tell: (progress: LoadProgress) => void = () => undefined;

  const start = (): Running => {
    if (running !== null) return running;
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    let hears: (lock: string | null) => void = () => undefined;
    const ready = new Promise<string | null>((resolve) => {
      hears = resolve;
    });
    const remote = createBirpc<Service, Listener>(
      { progress: (progress) => tell(progress), ready: (lock) => hears(lock) },
      {
        post: (data) => worker.postMessage(data),
        on: (take) => worker.addEventListener("message", ({ data }) => take(data)),
        timeout: -1,
      },
    );
    let fail: (reason: Error) => void = () => undefined;
    const died = new Promise<never>((_, reject) => {
      fail = reject;
    });
    // Without a call in progress nobody waits for it.
    died.catch(() => undefined);
    const watching = new AbortController();
    const end = (reason: Error) => {
      watching.abort();
      worker.terminate();
      [running, chosen] = [null, null];
      fail(reason);
    };
    const lost = (why: string) => {
      const again = chosen;
      end(new Error(`The worker that runs the model ended: ${why}`));
      chosen = again;
      loaded = null;
    };
    worker.addEventListener("error", (event) => lost(event.message || "it could not start"));
    void ready.then((lock) => {
      if (lock === null) return;
      const { signal } = watching;
      const why = "the browser ended it, perhaps for want of memory";
      navigator.locks.request(lock, { signal }, () => lost(why)).catch(() => undefined);
    });
    running = { ready, remote, died, end };
    return running;
  };
  const call = async <T>(ask: (remote: Running["remote"]) => Promise<Outcome<T>>): Promise<T> => {
    const { ready, remote, died } = start();
    await Promise.race([ready, died]);
    return unpacked(await Promise.race([ask(remote), died]));
  };
  const load: Connection["load"] = async (choice, onProgress) => {
    if (chosen !== null) running?.end(new Cancelled());
    [chosen, loaded, tell] = [choice, null, onProgress];
    const facts = await call((remote) => remote.load(choice));
    loaded = choice.model;
    return facts;
  };
  return {
    load,
    cancel: () => {
      loaded = null;
      running?.end(new Cancelled());
    },
    run: async (experiment) => {
      // A worker that was started anew has no model yet.
      if (loaded !== experiment.model && chosen !== null) await load(chosen, () => undefined);
      return call((remote) => remote.run(experiment));
    },
    kept: () => call((remote) => remote.kept()),
    forget: async (source) => {
      await call((remote) => remote.forget(source));
    },
  };
}

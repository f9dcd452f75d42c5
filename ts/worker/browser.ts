/** Workers of a page, and the line to them. */

import { hooklensError } from "../engine/errors.ts";
import { EngineWorker, type WorkerLike, type WorkerLink, type WorkerOptions } from "./start.ts";

type Listener = (event: {
  readonly data?: unknown;
  readonly message?: string;
  readonly error?: unknown;
}) => void;

/** A worker as pages have it. */
interface WebWorker extends WorkerLike {
  addEventListener(type: "message" | "messageerror" | "error", listener: Listener): void;
}

/** Locks as pages have them. */
interface Locks {
  request(name: string, options: { readonly signal: AbortSignal }, held: () => unknown): Promise<unknown>;
}

declare const Worker: new (
  address: URL,
  options: { readonly type: "module"; readonly name: string },
) => WebWorker;

function link(worker: WebWorker): WorkerLink {
  const { locks } = (globalThis as { readonly navigator?: { readonly locks?: Locks } }).navigator ?? {};
  const waiting = new AbortController();
  let tell: (why: string, cause?: unknown) => void = () => undefined;
  let watched = false;
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    listen: (receive) => worker.addEventListener("message", ({ data }) => receive(data)),
    watch: (given) => {
      tell = given;
      worker.addEventListener("error", ({ message, error }) => {
        // Later errors are of someone's module; the lock tells whether it lives.
        if (!watched) tell(message ?? "its script could not be loaded", error);
      });
      worker.addEventListener("messageerror", () => tell("it sent what this page cannot read"));
    },
    started: (lock) => {
      if (lock === null || locks === undefined) return;
      watched = true;
      // Browsers say nothing of workers that they end, for want of memory or otherwise; but they give back its locks.
      locks
        .request(lock, { signal: waiting.signal }, () =>
          tell("the browser ended it, perhaps for want of memory"),
        )
        .catch(() => undefined);
    },
    terminate: () => {
      waiting.abort();
      worker.terminate();
    },
  };
}

function made(): WebWorker {
  if (typeof Worker !== "function") {
    throw hooklensError("engine_unavailable", "startWorker: there are no workers here");
  }
  // Written out, because bundlers look for exactly this form.
  return new Worker(new URL("./main-browser.js", import.meta.url), { type: "module", name: "hooklens" });
}

/**
 * Starts the engine in a worker, so that the page stays responsive while a model runs. What it gives has the methods of
 * the library as promises: tensors stay in the worker until one asks for their elements.
 *
 * Hooks are interventions, or functions of modules that the worker imports ({@link moduleHook}). If the worker dies, every
 * call that waits rejects with `worker_died`, and another may be started.
 *
 * @throws what `initEngine` throws; `worker_died` if its script cannot be loaded.
 */
export async function startWorker(options: WorkerOptions = {}): Promise<EngineWorker> {
  const worker = (options.worker as WebWorker | undefined) ?? made();
  return new EngineWorker(link(worker)).start(options);
}

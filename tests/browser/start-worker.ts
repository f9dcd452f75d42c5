// What `tests/worker/start.ts` is in Node.
import { type EngineWorker, startWorker, type WorkerLike, type WorkerOptions } from "../../ts/worker.ts";

declare const Worker: new (address: URL, options: { readonly type: "module" }) => WorkerLike;

/** A worker that runs the script as it is written here, not as it was last compiled. */
export function thread(): WorkerLike {
  return new Worker(new URL("../../ts/worker/main-browser.ts", import.meta.url), { type: "module" });
}

/** A worker with an engine. */
export function start(options: WorkerOptions = {}): Promise<EngineWorker> {
  return startWorker({ worker: thread(), ...options });
}

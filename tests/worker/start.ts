import { Worker } from "node:worker_threads";
import { type EngineWorker, startWorker, type WorkerOptions } from "../../ts/worker-node.ts";

const SCRIPT = new URL("../../ts/worker/main-node.ts", import.meta.url).href;

/** A thread that runs the worker's script as it is written here, not as it was last compiled. */
export function thread(): Worker {
  const run = `import("tsx/esm/api").then(({ register }) => { register(); return import("${SCRIPT}"); });`;
  return new Worker(run, { eval: true });
}

/** A worker with an engine. */
export function start(options: WorkerOptions = {}): Promise<EngineWorker> {
  return startWorker({ worker: thread(), ...options });
}

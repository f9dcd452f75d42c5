/** Workers of Node, and the line to them. */

import { Worker } from "node:worker_threads";
import { EngineWorker, type WorkerLink, type WorkerOptions } from "./start.ts";

function link(worker: Worker): WorkerLink {
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    listen: (receive) => worker.on("message", receive),
    // A worker that has nothing to do keeps no process alive.
    busy: (on) => (on ? worker.ref() : worker.unref()),
    watch: (tell) => {
      worker.on("error", (error) => tell(error.message, error));
      worker.on("exit", (code) => tell(`it exited with code ${code}`));
    },
    started: () => undefined,
    terminate: () => void worker.terminate(),
  };
}

/** Starts a worker; see the page's `startWorker`. */
export async function startWorker(options: WorkerOptions = {}): Promise<EngineWorker> {
  const worker =
    (options.worker as Worker | undefined) ?? new Worker(new URL("./main-node.js", import.meta.url));
  return new EngineWorker(link(worker)).start(options);
}

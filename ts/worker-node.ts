/** `hooklens/worker` in Node: the engine in a thread of its own. */

export * from "./worker/index.ts";
export { startWorker } from "./worker/node.ts";

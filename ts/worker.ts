/** `hooklens/worker` in a page: the engine off the main thread. */

export { startWorker } from "./worker/browser.ts";
export * from "./worker/index.ts";

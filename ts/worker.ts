/**
 * `hooklens/worker` in a page: the engine off the main thread.
 *
 * @module hooklens/worker
 */

export { startWorker } from "./worker/browser.ts";
export * from "./worker/index.ts";

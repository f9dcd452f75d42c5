/**
 * `hooklens/lazy` in a page: everything that `hooklens` exports, without starting the engine. Await `initEngine()` before
 * using anything else, with `{ wasm }` where the bundler does not copy `wasm/hooklens_bg.wasm` by itself.
 */

import "./platform/start-browser.ts";

export * from "./index.ts";

/** The engine that everything in this process uses, loaded when it is first needed. */

import type { Engine } from "./engine.ts";
import { type LoadedEngine, loadNative } from "./native.ts";

let loaded: LoadedEngine | null = null;

/** The loaded engine and where it came from. */
export function engineInfo(): LoadedEngine {
  loaded ??= loadNative();
  return loaded;
}

let current: Engine | null = null;

/** The engine. Its methods throw `HooklensError`, or what a hook threw. */
export function engine(): Engine {
  current ??= engineInfo().engine;
  return current;
}

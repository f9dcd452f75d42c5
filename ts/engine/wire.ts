/** Makes an {@link Engine} of what a binding exports. */

import { VERSION } from "../version.ts";
import type { Engine } from "./engine.ts";
import { catching, guardMembers } from "./guard.ts";

/** What a binding exports, to Node or as WebAssembly. Classes are exported too, but only their prototypes are of use. */
export interface EngineModule extends Omit<Engine, "name" | "version"> {
  engineVersion(): string;
  errorCodes(): string[];
  /** Sets the memory limit unless it was set before, by any thread. */
  proposeMemoryLimit(bytes: number): void;
}

/** Why an engine of this version of its own is not taken; null if it is this package's. */
export function versionProblem(found: string): string | null {
  return found === VERSION ? null : `is version ${found}, needed is ${VERSION}`;
}

/** The engine of a binding that has been loaded. */
export function wire(module: EngineModule, name: Engine["name"], memoryLimit: number): Engine {
  for (const exported of Object.values(module)) {
    if (
      typeof exported === "function" &&
      typeof exported.prototype === "object" &&
      exported.prototype !== null
    ) {
      guardMembers(exported.prototype);
    }
  }
  module.proposeMemoryLimit(memoryLimit);
  const engine: Engine = {
    ...module,
    name,
    version: module.engineVersion(),
    setTrampoline: (run) => module.setTrampoline(catching(run)),
  };
  guardMembers(engine);
  return engine;
}

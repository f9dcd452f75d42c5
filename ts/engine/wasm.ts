/**
 * Starts the engine as WebAssembly. The glue between JavaScript and the module (`wasm/hooklens.js`) is made with it; once
 * there is an instance, it gives what the native addon exports.
 */

import type { LoadedEngine, WasmSource } from "./current.ts";
import { hooklensError } from "./errors.ts";
import { compiled } from "./wasm-download.ts";
import { webAssembly } from "./web-assembly.ts";
import { type EngineModule, versionProblem, wire } from "./wire.ts";

/** What `wasm/hooklens.js` exports. */
export interface WasmGlue extends WasmCalls {
  default(options: { readonly module_or_path: WebAssembly.Module }): Promise<WasmCalls>;
  initSync(options: { readonly module: WebAssembly.Module }): WasmCalls;
  /** Makes the functions and classes of the engine. */
  exported(invoke: WasmCalls["invoke"], release: WasmCalls["release"]): EngineModule;
}

/** What the classes and functions of the engine go through, as the instance exports it. */
export interface WasmCalls {
  /** Calls a member by its number, with the first `count` arguments. */
  invoke(member: number, handle: number, count: number, ...args: unknown[]): unknown;
  /** Ends the handle of an object that was collected. */
  release(classNumber: number, handle: number): void;
}

/** Addresses have 32 bits. What is above nine tenths of that is left to the stack, to code and to gaps. */
const MEMORY_LIMIT = Math.floor(0.9 * 2 ** 32);

function nameOf(source: WasmSource): string {
  if (typeof source === "string" || source instanceof URL) return String(source);
  return "WebAssembly given to initEngine";
}

/** What is wrong with a module that compiles but is not this engine, or for which there is no room. */
function notStarted(from: string, error: unknown): Error {
  const detail = error instanceof Error ? error.message : String(error);
  const told = hooklensError(
    "engine_unavailable",
    `the engine from ${from} did not start; it must be that of this very version of hooklens (${detail})`,
    { url: from },
  );
  told.cause = error;
  return told;
}

function running(glue: WasmGlue, { invoke, release }: WasmCalls, source: string): LoadedEngine {
  // The instance's own functions, not the glue around them: V8 of Node 20 ends the process where one that it has inlined
  // there throws. host.js calls them where it catches what they throw, and such calls are not inlined.
  const module = glue.exported(invoke, release);
  const problem = versionProblem(module.engineVersion());
  if (problem !== null) throw hooklensError("engine_unavailable", `${source}: ${problem}`, { url: source });
  return { engine: wire(module, "wasm", MEMORY_LIMIT), source, rejected: [] };
}

/**
 * Compiles and starts the engine.
 *
 * @throws what `compiled` throws; `engine_unavailable` for a module of another version.
 */
export async function startWasm(glue: () => Promise<WasmGlue>, source: WasmSource): Promise<LoadedEngine> {
  const from = nameOf(source);
  const [module, functions] = await Promise.all([compiled(source), glue()]);
  let calls: WasmCalls;
  try {
    calls = await functions.default({ module_or_path: module });
  } catch (error) {
    throw notStarted(from, error);
  }
  return running(functions, calls, from);
}

/** Starts the engine from bytes without giving up the thread: for Node, and for workers. */
export function startWasmSync(glue: WasmGlue, bytes: Uint8Array, source: string): LoadedEngine {
  const api = webAssembly();
  let calls: WasmCalls;
  try {
    calls = glue.initSync({ module: new api.Module(bytes) });
  } catch (error) {
    throw notStarted(source, error);
  }
  return running(glue, calls, source);
}

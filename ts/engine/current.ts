/**
 * The engine that everything in this thread uses. The entry points say how one is started; a process starts it when it is
 * first needed, a page has to wait for it ({@link initEngine}).
 */

import type { Engine } from "./engine.ts";
import { HooklensError } from "./errors.ts";

declare global {
  // Neither Node's types nor the language's have it; those of the DOM are merged with this.
  namespace WebAssembly {
    /** A compiled module. */
    interface Module {}
  }
}

/** The engine in use, and how it was found. */
export interface LoadedEngine {
  readonly engine: Engine;
  /** What was loaded: a path, an address or the name of a package. */
  readonly source: string;
  /** What was tried before, and why each was not taken. */
  readonly rejected: readonly string[];
}

/**
 * Where the engine's WebAssembly comes from: an address, a response, the bytes, or what was compiled of them.
 */
export type WasmSource =
  | string
  | URL
  | Response
  | PromiseLike<Response>
  | ArrayBuffer
  | ArrayBufferView
  | WebAssembly.Module;

/** How {@link initEngine} starts the engine. */
export interface EngineOptions {
  /**
   * The file `wasm/hooklens_bg.wasm` of this package, for bundlers that do not copy it by themselves.
   * @default the file beside the package's modules; in Node the native engine
   */
  readonly wasm?: WasmSource;
}

/** How an entry point starts engines. */
export interface EngineStarter {
  /** Starts the engine at once; null where one has to wait for it. */
  readonly now: (() => LoadedEngine) | null;
  /** Starts it and waits for it. Rejections leave everything as it was. */
  start(options: EngineOptions): Promise<LoadedEngine>;
}

let starter: EngineStarter | null = null;
let loaded: LoadedEngine | null = null;
let current: Engine | null = null;
let starting: Promise<LoadedEngine> | null = null;
let failure: { readonly reason: unknown } | null = null;

/** Says how engines are started. Internal. */
export function installStarter(given: EngineStarter): void {
  starter = given;
}

function startNow(): LoadedEngine {
  if (starter?.now) return starter.now();
  if (failure !== null) {
    const { reason } = failure;
    const why = reason instanceof Error ? reason.message : String(reason);
    const code = reason instanceof HooklensError ? reason.code : "engine_unavailable";
    throw new HooklensError(
      code,
      `the engine did not start: ${why}; initEngine() tries again`,
      {},
      { cause: reason },
    );
  }
  throw new HooklensError(
    "engine_unavailable",
    starting === null
      ? "the engine has not been started: await initEngine() first"
      : "the engine is still starting: await initEngine()",
  );
}

/** The loaded engine and where it came from. Internal. */
export function engineInfo(): LoadedEngine {
  loaded ??= startNow();
  return loaded;
}

/** The engine. Its methods throw `HooklensError`, or what a hook threw. Internal. */
export function engine(): Engine {
  current ??= engineInfo().engine;
  return current;
}

/** Which engine runs. */
export interface EngineInfo {
  /** The native addon, or WebAssembly. */
  readonly name: Engine["name"];
  /** The version, equal to the package's. */
  readonly version: string;
  /** What was loaded: a path, an address or the name of a package. */
  readonly source: string;
}

/**
 * Starts the engine unless it runs already, and says which it is. With `import … from "hooklens"` there is no need to: a
 * process starts it when it is first needed, a page while the module loads. It is for `hooklens/lazy`, which starts
 * nothing by itself, and for another attempt after a failed download: if it rejects, it may be called again.
 *
 * @throws `no_webassembly` and `no_simd` for browsers that are too old; `download_failed`, saying what came instead of the
 *   engine; `engine_unavailable` if it was loaded but does not start.
 *
 * @example
 * ```ts
 * const { name } = await initEngine();
 * name; // "node" in Node, "wasm" in a page
 * ```
 */
export async function initEngine(options: EngineOptions = {}): Promise<EngineInfo> {
  checkOptions(options);
  const { engine: running, source } = loaded ?? (await started(options));
  if (options.wasm !== undefined && running.name !== "wasm") {
    throw new HooklensError(
      "invalid_argument",
      `initEngine: the native engine runs already (${source}); give wasm before anything uses the library`,
    );
  }
  return { name: running.name, version: running.version, source };
}

function checkOptions(options: unknown): void {
  if (typeof options !== "object" || options === null) {
    throw new HooklensError("invalid_argument", `initEngine: expected options, got ${String(options)}`);
  }
  const unknown = Object.keys(options).find((key) => key !== "wasm");
  if (unknown === undefined) return;
  throw new HooklensError("invalid_argument", `initEngine: there is no option '${unknown}'; there is wasm`);
}

async function started(options: EngineOptions): Promise<LoadedEngine> {
  if (starter === null) return startNow();
  starting ??= starter.start(options);
  const attempt = starting;
  try {
    const found = await attempt;
    // Something may have needed one meanwhile, and its tensors exist.
    loaded ??= found;
    failure = null;
    return loaded;
  } catch (reason) {
    failure = { reason };
    throw reason;
  } finally {
    if (starting === attempt) starting = null;
  }
}

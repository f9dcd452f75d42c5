/** Starts workers, and what a page has of one. */

import type { WasmSource } from "../engine/current.ts";
import type { DType } from "../engine/engine.ts";
import { type HooklensError, hooklensError } from "../engine/errors.ts";
import type { AsyncOptions } from "../models/forward-options.ts";
import type { LoadOptions, ModelOptions } from "../models/load-options.ts";
import type { TransformerConfig } from "../models/transformer-config.ts";
import { Line } from "./line.ts";
import { type Port, WIRED, type Wired } from "./protocol.ts";
import { RemoteCache } from "./remote-cache.ts";
import { RemoteScope, RemoteTransformer } from "./remote-model.ts";
import { RemoteTensor } from "./remote-tensor.ts";
import { ModuleFunction, type ModuleHookOptions, moduleHook } from "./worker-hook.ts";

/** A worker of a page or of Node, made by someone else. */
export interface WorkerLike {
  /** Sends a message, and the buffers that move with it. */
  postMessage(message: unknown, transfer?: ArrayBuffer[]): void;
  /** Ends it at once. */
  terminate(): unknown;
}

/** How {@link startWorker} starts a worker. */
export interface WorkerOptions {
  /**
   * The worker, where the bundler does not make one by itself: a module worker whose script imports
   * `hooklens/worker-main`.
   */
  readonly worker?: WorkerLike;
  /** As in `initEngine`: an address, bytes or a module. */
  readonly wasm?: Exclude<WasmSource, Response | PromiseLike<Response>>;
  /** Gives up starting. */
  readonly signal?: AbortSignal;
}

/** A worker, seen from where it was started. Internal. */
export interface WorkerLink extends Port {
  /** Calls `tell` once it has ended by itself; `lock` is held as long as it lives. */
  watch(tell: (why: string, cause?: unknown) => void): void;
  /** It runs and holds this lock; null if it holds none. */
  started(lock: string | null): void;
  terminate(): void;
}

/** What {@link EngineWorker.info} tells. */
export interface WorkerInfo {
  /** The native addon, or WebAssembly. */
  readonly engine: "node" | "wasm";
  /** The version of the engine. */
  readonly version: string;
  /** What was loaded as the engine. */
  readonly source: string;
  /** Tensors of the worker that are neither disposed nor collected. */
  readonly tensors: number;
  /** Bytes that the engine holds. */
  readonly bytes: number;
  /** Tensors, caches, models and hooks that the page still refers to. */
  readonly held: number;
}

/** Options of a worker's `fromPretrained`. */
export type RemoteLoadOptions = Omit<LoadOptions, "tokenizer" | "fetch">;

/** Makes models in a worker. */
export interface RemoteModels {
  /** Loads a model, as `HookedTransformer.fromPretrained` does. */
  fromPretrained(model: string, options?: RemoteLoadOptions): Promise<RemoteTransformer>;
  /** A model with random weights, as `HookedTransformer.fromConfig` makes it. */
  fromConfig(
    config: Partial<TransformerConfig>,
    options?: Omit<ModelOptions, "tokenizer">,
  ): Promise<RemoteTransformer>;
}

/** What the elements given to {@link EngineWorker.tensor} are. */
export interface RemoteTensorOptions {
  /** The size of each axis. @default one axis */
  readonly shape?: readonly number[];
  /** @default what the array's type says */
  readonly dtype?: DType;
  /** The names of the axes. */
  readonly axes?: readonly string[];
}

/** Typed arrays of elements. */
export type RemoteElements =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigInt64Array;

function dtypeOf(elements: RemoteElements): DType {
  if (elements instanceof Float32Array) return "float32";
  if (elements instanceof Float64Array) return "float64";
  if (elements instanceof Uint8Array) return "uint8";
  if (elements instanceof Uint32Array) return "uint32";
  if (elements instanceof BigInt64Array) return "int64";
  throw hooklensError(
    "invalid_argument",
    "tensor: expected a Float32Array, Float64Array, Uint8Array, Uint32Array or BigInt64Array; a Uint16Array with dtype float16 or bfloat16",
  );
}

/** An engine in a worker: the calling thread stays free. */
export class EngineWorker implements Disposable {
  readonly #line: Line;
  readonly #link: WorkerLink;
  /** Makes models in the worker. */
  readonly HookedTransformer: RemoteModels;

  /** @internal */
  constructor(link: WorkerLink) {
    this.#link = link;
    this.#line = new Line(link, unwire);
    link.watch((why, cause) => this.#lost(why, cause));
    const line = this.#line;
    this.HookedTransformer = {
      fromPretrained: async (model, options = {}) => {
        const { signal, onProgress, ...sent } = options;
        const control = { signal, onProgress };
        return (await line.call(null, "fromPretrained", [model, sent], control)) as RemoteTransformer;
      },
      fromConfig: async (config, options = {}) =>
        (await line.call(null, "fromConfig", [config, options])) as RemoteTransformer,
    };
  }

  /** Starts its engine. @internal */
  async start({ wasm, signal }: WorkerOptions): Promise<this> {
    const source = wasm instanceof URL ? String(wasm) : wasm;
    const gaveUp = () =>
      this.#close(hooklensError("worker_died", "the worker was given up while it started"));
    signal?.addEventListener("abort", gaveUp, { once: true });
    try {
      signal?.throwIfAborted();
      const lock = await this.#line.call(null, "start", [source === undefined ? {} : { wasm: source }]);
      this.#link.started(lock as string | null);
      return this;
    } catch (error) {
      this.dispose();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", gaveUp);
    }
  }

  /** Whether it can be used: it has neither been disposed nor died. */
  get isAlive(): boolean {
    return this.#line.end === null;
  }

  /**
   * A tensor in the worker. The elements are not copied: their buffer moves there, and the array given is empty
   * afterwards. Give a copy (`elements.slice()`) to keep it.
   */
  async tensor(elements: RemoteElements, options: RemoteTensorOptions = {}): Promise<RemoteTensor> {
    const { dtype = dtypeOf(elements), shape = [elements.length], axes = [] } = options;
    const whole =
      elements.buffer instanceof ArrayBuffer && elements.byteLength === elements.buffer.byteLength;
    const bits = whole ? elements : elements.slice();
    const wired = { [WIRED]: "bits", bits, dtype, shape: [...shape], axes: [...axes] };
    return (await this.#line.call(null, "tensor", [wired], {}, [bits.buffer as ArrayBuffer])) as RemoteTensor;
  }

  /**
   * Runs a function of a module in the worker and gives what it returns: data, tensors, caches or models. The function gets
   * a `WorkerContext`, with `argument` and everything that the package exports.
   *
   * @param module the module's full address, or what `moduleHook` gives.
   */
  async run(
    module: string | URL | ModuleFunction,
    options: ModuleHookOptions & AsyncOptions = {},
  ): Promise<unknown> {
    const { signal, onProgress, ...which } = options;
    const chosen = module instanceof ModuleFunction ? module : moduleHook(module, which);
    return this.#line.call(null, "run", [chosen], { signal, onProgress });
  }

  /** Which engine runs there, and what it holds. */
  async info(): Promise<WorkerInfo> {
    return (await this.#line.call(null, "info", [])) as WorkerInfo;
  }

  #lost(why: string, cause: unknown): void {
    const error = hooklensError(
      "worker_died",
      `the worker has ended: ${why}. What it held is gone; startWorker() starts another`,
    );
    if (cause !== undefined) error.cause = cause;
    this.#close(error);
  }

  #close(reason: HooklensError): void {
    this.#line.close(reason);
    this.#link.terminate();
  }

  /** Ends the worker and frees everything in it. Calls that wait fail with `disposed`. */
  dispose(): void {
    this.#close(hooklensError("disposed", "the worker was disposed"));
  }

  /** The same as {@link dispose}. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function unwire(line: Line, wired: Wired): unknown {
  switch (wired[WIRED]) {
    case "tensor":
      return new RemoteTensor(line, wired);
    case "cache":
      return new RemoteCache(line, wired);
    case "model":
      return new RemoteTransformer(line, wired);
    case "held":
      return new RemoteScope(line, wired.id);
    default:
      throw hooklensError("internal", "a worker sent what only a page sends");
  }
}

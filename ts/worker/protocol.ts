/**
 * What a page and its worker say to each other. Values cross as they are where structured cloning knows them; what only
 * one side can hold is a {@link Wired} object in its place. Buffers are moved, not copied.
 */

import type { DType } from "../engine/engine.ts";
import type { Progress } from "../models/forward-options.ts";

/** The key that marks what stands for something else. */
export const WIRED = "hooklens:wired";

/** What the worker holds and the page refers to, by number. */
export interface RefWire {
  readonly [WIRED]: "ref";
  readonly id: number;
}

/** A tensor of the page, for the worker to make one of its own. */
export interface BitsWire {
  readonly [WIRED]: "bits";
  readonly bits: ArrayBufferView;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
}

/** An intervention of the page. */
export interface EditWire {
  readonly [WIRED]: "edit";
  readonly spec: unknown;
  readonly tensors: unknown;
}

/** A function of a module, by its place in {@link Call.modules}. */
export interface FunctionWire {
  readonly [WIRED]: "function";
  readonly module: number;
  readonly name: string;
  readonly argument: unknown;
}

/** A tensor of the worker, as the page sees it. */
export interface TensorWire {
  readonly [WIRED]: "tensor";
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly axes: readonly string[];
}

/** A cache of the worker. */
export interface CacheWire {
  readonly [WIRED]: "cache";
  readonly id: number;
  readonly keys: readonly string[];
  readonly byteSize: number;
}

/** A model of the worker. */
export interface ModelWire {
  readonly [WIRED]: "model";
  readonly id: number;
  readonly cfg: object;
  readonly hookNames: readonly string[];
  readonly hasTokenizer: boolean;
}

/** Anything else that the worker holds: attached hooks, a text that is being written. */
export interface HeldWire {
  readonly [WIRED]: "held";
  readonly id: number;
}

/** Everything that stands for something else. */
export type Wired =
  | RefWire
  | BitsWire
  | EditWire
  | FunctionWire
  | TensorWire
  | CacheWire
  | ModelWire
  | HeldWire;

/** Whether a list is one of numbers alone, such as token ids, which stand for themselves. */
export function isNumbers(list: readonly unknown[]): boolean {
  return list.every((item) => typeof item === "number");
}

/** Whether a value stands for another. */
export function isWired(value: object): value is Wired {
  return WIRED in value;
}

/** A call of a method of something that the worker holds; of the library itself if `target` is null. */
export interface Call {
  readonly id: number;
  readonly target: number | null;
  readonly method: string;
  readonly args: readonly unknown[];
  /** Addresses of modules that the arguments refer to. */
  readonly modules: readonly string[];
  /** Whether the page wants to hear how far it is. */
  readonly progress: boolean;
  /** Whether the page may abort it. */
  readonly abortable: boolean;
}

/** An error on its way. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | null;
  /** Of a `HooklensError`. */
  readonly code: string | null;
  readonly details: unknown;
}

/** What a call gives. */
export type Reply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: WireError };

/** What a page calls. */
export interface WorkerFunctions {
  invoke(call: Call): Promise<Reply>;
  /** Lets go of what the page no longer refers to. */
  release(ids: readonly number[]): void;
  /** Ends a call that is `abortable`. */
  abort(call: number): void;
}

/** What a worker calls. */
export interface PageFunctions {
  /** How far a call is, with whatever else the method that was called tells of it. */
  progress(call: number, progress: Progress): void;
}

/** One end of the line. */
export interface Port {
  post(message: unknown, transfer: readonly ArrayBuffer[]): void;
  listen(receive: (message: unknown) => void): void;
  /** Told whether answers are awaited, where that decides how long a process lives. */
  busy?(on: boolean): void;
}

const buffers = new WeakMap<object, readonly ArrayBuffer[]>();

/** Says which buffers move with a call or a reply. */
export function moving<T extends object>(carrier: T, transfer: readonly ArrayBuffer[]): T {
  if (transfer.length > 0) buffers.set(carrier, transfer);
  return carrier;
}

/** Sends what the library for calls made, with the buffers that move. */
export function posting(port: Port): (message: unknown) => void {
  return (message) => {
    const { a = [], r } = message as { readonly a?: readonly unknown[]; readonly r?: unknown };
    const carriers = [...a, r].filter((value) => typeof value === "object" && value !== null);
    const transfer = carriers.flatMap((carrier) => buffers.get(carrier as object) ?? []);
    port.post(message, [...new Set(transfer)]);
  };
}

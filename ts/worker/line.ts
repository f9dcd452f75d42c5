/** The page's end of the line to a worker. */

import { type BirpcReturn, createBirpc } from "birpc";
import { type HooklensError, hooklensError } from "../engine/errors.ts";
import type { Progress } from "../models/forward-options.ts";
import { Encoder } from "./encode.ts";
import { errorOf } from "./errors.ts";
import {
  type Call,
  isWired,
  moving,
  type PageFunctions,
  type Port,
  posting,
  type Wired,
  type WorkerFunctions,
} from "./protocol.ts";
import { Remote } from "./remote.ts";

/** What goes on beside a call. */
export interface Control<P extends Progress = Progress> {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: P) => void) | undefined;
}

/** A call that has not been answered. */
interface Open {
  readonly control: Control<never>;
  /** What `onProgress` threw. */
  thrown: { readonly value: unknown } | null;
}

/** Makes of what stands for something in the worker what the page has for it. */
export type Unwire = (line: Line, wired: Wired) => unknown;

/** Calls, their answers, and what the page no longer needs. */
export class Line {
  readonly #rpc: BirpcReturn<WorkerFunctions, PageFunctions>;
  readonly #unwire: Unwire;
  readonly #port: Port;
  readonly #open = new Map<number, Open>();
  #released: number[] = [];
  #next = 1;
  #end: HooklensError | null = null;

  constructor(port: Port, unwire: Unwire) {
    this.#unwire = unwire;
    this.#port = port;
    const functions: PageFunctions = { progress: (call, progress) => this.#progress(call, progress) };
    this.#rpc = createBirpc<WorkerFunctions, PageFunctions>(functions, {
      post: posting(port),
      on: (receive) => port.listen(receive),
      // A forward may take as long as it takes.
      timeout: -1,
    });
  }

  /** Why the worker can do nothing any more; null while it can. */
  get end(): HooklensError | null {
    return this.#end;
  }

  /** Calls a method of `target`, or of the library. Arguments that are in `moved` lose their buffers. */
  async call<P extends Progress = Progress>(
    target: Remote | null,
    method: string,
    args: readonly unknown[],
    control: Control<P> = {},
    moved: readonly ArrayBuffer[] = [],
  ): Promise<unknown> {
    if (this.#end !== null) throw this.#end;
    checkControl(method, control);
    const { signal, onProgress } = control;
    signal?.throwIfAborted();
    const encoded = new Encoder(method, this).encode(args);
    const id = this.#next++;
    const call: Call = {
      id,
      target: target?.useIn(method, this) ?? null,
      method,
      args: encoded.args,
      modules: encoded.modules,
      progress: onProgress !== undefined,
      abortable: signal !== undefined,
    };
    const open: Open = { control, thrown: null };
    // What the arguments refer to must not be collected before the worker has answered.
    const needed: unknown[] = [target, args];
    if (this.#open.set(id, open).size === 1) this.#port.busy?.(true);
    const abort = () => void this.#tell(() => this.#rpc.abort.asEvent(id));
    signal?.addEventListener("abort", abort, { once: true });
    // What was let go of before this call is gone when it runs, hooks above all.
    this.#flush();
    try {
      const reply = await this.#rpc.invoke(moving(call, [...encoded.transfer, ...moved]));
      if (!reply.ok) throw errorOf(reply.error);
      const value = this.#value(reply.value);
      if (open.thrown === null && signal?.aborted !== true) return value;
      // It was done before the worker heard that nobody wants it.
      discard(value);
      throw signal?.reason;
    } catch (error) {
      if (open.thrown !== null) throw open.thrown.value;
      if (this.#end === null) signal?.throwIfAborted();
      throw isUncloneable(error)
        ? hooklensError(
            "invalid_argument",
            `${method}: an argument cannot be sent to a worker: ${error.message}`,
          )
        : error;
    } finally {
      this.#open.delete(id);
      if (this.#open.size === 0 && this.#end === null) this.#port.busy?.(false);
      signal?.removeEventListener("abort", abort);
      needed.length = 0;
    }
  }

  #progress(id: number, progress: Progress): void {
    const open = this.#open.get(id);
    if (open === undefined || open.thrown !== null) return;
    try {
      // What a method tells is what is listened for: both sides name the same method.
      open.control.onProgress?.(progress as never);
    } catch (value) {
      open.thrown = { value };
      this.#tell(() => this.#rpc.abort.asEvent(id));
    }
  }

  #value(value: unknown): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (isWired(value)) return this.#unwire(this, value);
    // What comes from the worker in lists are a handful of results, or plain numbers and texts.
    if (Array.isArray(value)) return value.some(isObject) ? value.map((item) => this.#value(item)) : value;
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#value(item)]));
  }

  /** Lets go of something in the worker. Several at once are told together. */
  release(id: number): void {
    if (this.#end !== null) return;
    if (this.#released.push(id) > 1) return;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const ids = this.#released;
    if (ids.length === 0) return;
    this.#released = [];
    this.#tell(() => this.#rpc.release.asEvent(ids));
  }

  /** Tells the worker something that needs no answer. */
  #tell(event: () => Promise<void>): void {
    if (this.#end === null) event().catch(() => undefined);
  }

  /** The worker is gone: every call that waits and every later one fails with `reason`. */
  close(reason: HooklensError): void {
    if (this.#end !== null) return;
    this.#end = reason;
    this.#rpc.$close(reason);
  }
}

/** Lets go of what a call gave. */
function discard(value: unknown): void {
  if (!isObject(value)) return;
  if (value instanceof Remote) value.dispose();
  else if (Object.getPrototypeOf(value) === Object.prototype || Array.isArray(value)) {
    for (const item of Object.values(value)) discard(item);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isUncloneable(error: unknown): error is Error {
  return error instanceof Error && error.name === "DataCloneError";
}

function checkControl(method: string, { signal, onProgress }: Control<never>): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw hooklensError("invalid_argument", `${method}: signal must be an AbortSignal`);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw hooklensError("invalid_argument", `${method}: onProgress must be a function`);
  }
}

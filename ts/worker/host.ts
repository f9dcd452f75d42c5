/** The worker's end of the line: what a page calls, on the real objects. */

import { createBirpc } from "birpc";
import { ActivationCache } from "../cache/activation-cache.ts";
import { type EngineOptions, engineInfo, initEngine } from "../engine/current.ts";
import { hooklensError } from "../engine/errors.ts";
import type { ModelInput, Progress } from "../models/forward-options.ts";
import { HookedTransformer } from "../models/hooked-transformer.ts";
import { isTensor } from "../tensor/base.ts";
import { memory } from "../tensor/memory.ts";
import { Tensor } from "../tensor/tensor.ts";
import { Decoder, type Import, importAll, refsIn } from "./decode.ts";
import { wireError } from "./errors.ts";
import { Held } from "./held.ts";
import {
  type Call,
  type FunctionWire,
  isNumbers,
  moving,
  type PageFunctions,
  type Port,
  posting,
  type Reply,
  WIRED,
  type WorkerFunctions,
} from "./protocol.ts";
import type { WorkerContext } from "./worker-hook.ts";

type Args = readonly unknown[];
type Options = Readonly<Record<string, unknown>>;

/** What goes on beside a call. */
interface Beside {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** A text that is being written. */
class Stream {
  readonly #abort = new AbortController();
  readonly #steps: AsyncGenerator<unknown, void, void>;

  constructor(model: HookedTransformer, input: ModelInput, options: Options) {
    this.#steps = model.generateStream(input, { ...options, signal: this.#abort.signal });
  }

  /** The next step; null after the last. */
  async next({ signal }: Beside): Promise<unknown> {
    const abort = () => this.#abort.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const { done, value } = await this.#steps.next();
      return done ? null : value;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  end(): void {
    void this.#steps.return();
  }
}

/** Hooks that are attached. */
class Attached {
  readonly #detach: () => void;
  #arguments: Decoder | null = null;

  constructor(detach: () => void) {
    this.#detach = detach;
  }

  /** Has the tensors of the hooks freed with them. */
  owns(decoded: Decoder): void {
    this.#arguments = decoded;
  }

  detach(): void {
    this.#detach();
    this.#arguments?.dispose();
  }
}

type Method<T> = (target: T, args: Args, beside: Beside) => unknown;
type Methods<T> = Readonly<Record<string, Method<T>>>;

// Arguments are checked by what they are given to, as those of any untyped program.
const text = (value: unknown) => value as string;
const input = (value: unknown) => value as string;

const MODEL: Methods<HookedTransformer> = {
  forward: (model, [x, options], beside) =>
    model.forwardAsync(input(x), { ...(options as Options), ...beside }),
  runWithHooks: (model, [x, options], beside) =>
    model.runWithHooksAsync(input(x), { ...(options as Options), ...beside }),
  runWithCache: (model, [x, options], beside) =>
    model.runWithCacheAsync(input(x), { ...(options as Options), ...beside }),
  hooks: (model, [options]) => {
    const scope = model.hooks(options as object);
    return new Attached(() => scope.dispose());
  },
  generate: (model, [x, options], { signal }) =>
    model.generate(input(x), { ...(options as Options), ...(signal === undefined ? {} : { signal }) }),
  generateStream: (model, [x, options]) => new Stream(model, input(x), options as Options),
  toTokens: (model, [x, options]) => model.toTokens(text(x), options as object),
  toStrTokens: (model, [x, options]) => model.toStrTokens(text(x), options as object),
  decode: (model, [tokens]) => model.toString(tokens as number),
  toSingleToken: (model, [x]) => model.toSingleToken(text(x)),
  getTokenPosition: (model, [token, x, options]) =>
    model.getTokenPosition(token as number, text(x), options as object),
};

const TENSOR: Methods<Tensor> = {
  toTypedArray: (tensor) => tensor.toTypedArray(),
  toFloat32Array: (tensor) => tensor.toFloat32Array(),
  toArray: (tensor, [rank]) => (rank === undefined ? tensor.toArray() : tensor.toArray(rank as number)),
  item: (tensor) => tensor.item(),
};

const CACHE: Methods<ActivationCache> = {
  get: (cache, [key]) => cache.get(key as string),
};

const STREAM: Methods<Stream> = {
  next: (stream, _, beside) => stream.next(beside),
};

const LIBRARY: Methods<Host> = {
  fromPretrained: (_, [model, options], beside) =>
    HookedTransformer.fromPretrained(text(model), { ...(options as Options), ...beside }),
  fromConfig: (_, [config, options]) => HookedTransformer.fromConfig(config as object, options as object),
  // Shared, because what was decoded for a call is freed after it.
  tensor: (_, [made]) => (made as Tensor).share(),
  start: (host, [options]) => host.start(options as EngineOptions),
  info: (host) => host.info(),
};

function methodOf<T>(methods: Methods<T>, name: string): Method<T> {
  const found = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (found !== undefined) return found;
  throw hooklensError("invalid_argument", `a worker knows no method '${name}' of this`);
}

/** What a host needs of the worker that it is in. */
export interface HostOptions {
  /** Everything that the package exports, for modules of the page. */
  readonly library: WorkerContext["hooklens"];
  /** Imports a module of the page. */
  readonly load: Import;
  /** A name of a lock that this worker holds until its end; null where there are no locks. */
  readonly alive: () => Promise<string | null>;
  /** Ends this worker. */
  readonly end: () => void;
}

/** Whether the engine has stopped in the middle of something: what it holds can no longer be trusted. */
function isTrap(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "RuntimeError";
}

/** Answers the calls of one page. */
class Host implements WorkerFunctions {
  readonly #held = new Held();
  readonly #aborts = new Map<number, AbortController>();
  readonly #options: HostOptions;
  /** Set once the line is there. */
  page: Pick<PageFunctions, "progress"> = { progress: () => undefined };

  constructor(options: HostOptions) {
    this.#options = options;
  }

  // Called by themselves: the library for calls takes functions, not an object.
  readonly invoke = async (call: Call): Promise<Reply> => {
    try {
      const refs = [...refsIn(call.args), ...(call.target === null ? [] : [call.target])];
      return await this.#held.using(refs, () => this.#run(call));
    } catch (thrown) {
      // Once the answer is on its way.
      if (isTrap(thrown)) setTimeout(this.#options.end, 0);
      return { ok: false, error: wireError(thrown) };
    } finally {
      this.#aborts.delete(call.id);
    }
  };

  readonly release = (ids: readonly number[]): void => {
    for (const id of ids) this.#held.release(id);
  };

  readonly abort = (call: number): void => {
    this.#aborts.get(call)?.abort();
  };

  /** Starts the engine; gives the name of the lock that ends with this worker. */
  async start(options: EngineOptions): Promise<string | null> {
    await initEngine(options);
    return this.#options.alive();
  }

  /** What the page is told of this worker. */
  info(): object {
    const { engine, source } = engineInfo();
    return { engine: engine.name, version: engine.version, source, ...memory(), held: this.#held.size };
  }

  async #run(call: Call): Promise<Reply> {
    const beside = this.#beside(call);
    const modules = await importAll(call.modules, this.#options.load);
    const decoder = new Decoder(this.#held, this.#options.library, call, modules);
    let stays = false;
    try {
      const value = await this.#called(call, decoder, beside);
      if (value instanceof Attached) {
        value.owns(decoder);
        stays = true;
      }
      const transfer: ArrayBuffer[] = [];
      const reply: Reply = { ok: true, value: this.#wire(value, transfer) };
      return moving(reply, transfer);
    } finally {
      // A function may give back what it was given: then it is the page's.
      if (!stays) decoder.dispose((made) => !this.#held.has(made));
    }
  }

  async #called(call: Call, decoder: Decoder, beside: Beside): Promise<unknown> {
    if (call.method === "run" && call.target === null) {
      const wired = call.args[0] as FunctionWire;
      return decoder.functionOf(wired)(decoder.contextOf(wired));
    }
    const args = call.args.map((arg) => decoder.value(arg));
    if (call.target === null) return methodOf(LIBRARY, call.method)(this, args, beside);
    const target = this.#held.get(call.target);
    if (target instanceof HookedTransformer) return methodOf(MODEL, call.method)(target, args, beside);
    if (target instanceof Tensor) return methodOf(TENSOR, call.method)(target, args, beside);
    if (target instanceof ActivationCache) return methodOf(CACHE, call.method)(target, args, beside);
    if (target instanceof Stream) return methodOf(STREAM, call.method)(target, args, beside);
    return methodOf({}, call.method);
  }

  #beside({ id, progress, abortable }: Call): Beside {
    let signal: AbortSignal | undefined;
    if (abortable || progress) {
      // What `onProgress` throws on the page ends a call too.
      const controller = new AbortController();
      this.#aborts.set(id, controller);
      signal = controller.signal;
    }
    return {
      ...(signal === undefined ? {} : { signal }),
      ...(progress ? { onProgress: (state) => this.page.progress(id, state) } : {}),
    };
  }

  /** A result as it crosses. */
  #wire(value: unknown, transfer: ArrayBuffer[]): unknown {
    if (typeof value !== "object" || value === null) return value;
    if (ArrayBuffer.isView(value)) {
      if (value.buffer instanceof ArrayBuffer && value.buffer.byteLength === value.byteLength) {
        transfer.push(value.buffer);
      }
      return value;
    }
    if (isTensor(value)) {
      const { shape, dtype, axes } = value;
      const id = this.#held.add(value, () => value.dispose());
      return { [WIRED]: "tensor", id, shape: [...shape], dtype, axes: [...axes] };
    }
    if (value instanceof ActivationCache) {
      const id = this.#held.add(value, () => value[Symbol.dispose]());
      return { [WIRED]: "cache", id, keys: [...value.keys()], byteSize: value.byteSize };
    }
    if (value instanceof HookedTransformer) return this.#model(value);
    if (value instanceof Stream) {
      return { [WIRED]: "held", id: this.#held.add(value, () => value.end()) };
    }
    if (value instanceof Attached) {
      return { [WIRED]: "held", id: this.#held.add(value, () => value.detach()) };
    }
    if (Array.isArray(value)) {
      return isNumbers(value) ? value : value.map((item) => this.#wire(item, transfer));
    }
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#wire(item, transfer)]));
  }

  #model(model: HookedTransformer): object {
    const id = this.#held.add(model, () => model.dispose());
    return {
      [WIRED]: "model",
      id,
      cfg: model.cfg,
      hookNames: [...model.hookDict.keys()],
      hasTokenizer: model.tokenizer !== null,
    };
  }
}

/** Answers what comes in through `port`. */
export function serve(port: Port, options: HostOptions): void {
  const host = new Host(options);
  const { invoke, release, abort } = host;
  const functions: WorkerFunctions = { invoke, release, abort };
  const page = createBirpc<PageFunctions, WorkerFunctions>(functions, {
    post: posting(port),
    on: (receive) => port.listen(receive),
    timeout: -1,
    eventNames: ["progress"],
  });
  host.page = {
    // A page that has gone away needs no news.
    progress: (call, progress) => void page.progress(call, progress).catch(() => undefined),
  };
}

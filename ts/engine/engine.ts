/**
 * The one interface that every engine (the native addon, later WebAssembly) satisfies. It is deliberately small: tensor
 * operations go through a single {@link Engine.call}, so a new operation changes neither this file nor a binding.
 *
 * Everything here is internal. Users hold `Tensor`, `HookPoint`, `HookedRootModule`, `HookedTransformer`.
 */

/** torch's dtype names. `bool` is stored as bytes 0 and 1. */
export type DType = "float32" | "float64" | "float16" | "bfloat16" | "uint8" | "uint32" | "int64" | "bool";

/** `cpu`, or `cuda` / `cuda:N` where a CUDA build and driver are present. */
export type DeviceName = "cpu" | "cuda" | `cuda:${number}`;

/** A plain argument of an operation. Whole numbers count as integers; `bigint` reaches all of int64. */
export type Arg = null | boolean | number | bigint | string | readonly Arg[];

/** Typed arrays that data come in and go out as; float16 and bfloat16 travel as their bits. */
export type Bits = Float32Array | Float64Array | Uint16Array | Uint8Array | Uint32Array | BigInt64Array;

/** A handle to a tensor inside the engine. */
export interface EngineTensor {
  /** Frozen. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly device: string;
  readonly requiresGrad: boolean;
  readonly isLeaf: boolean;
  /** Name of the recorded operation that made it, or null. */
  readonly gradFn: string | null;
  readonly isDisposed: boolean;
  /** One copy, row-major, in the tensor's own dtype. */
  toBits(): Bits;
  /** Same data, as a new leaf that requires a gradient. */
  requiringGrad(): EngineTensor;
  detach(): EngineTensor;
  grad(): EngineTensor | null;
  setGrad(grad: EngineTensor | null): void;
  retainGrad(): void;
  /** Overwrites a parameter's data in place. */
  assign(value: EngineTensor): void;
  backward(seed: EngineTensor | null, retainGraph: boolean): void;
  to(device: string): EngineTensor;
  /** The text that torch would print, shortened if there are more than `threshold` elements: by default 1000. */
  display(threshold?: number): string;
  /** A second handle to the same tensor, disposed independently. */
  share(): EngineTensor;
  dispose(): void;
}

export interface OpSpec {
  readonly name: string;
  readonly params: readonly string[];
}

/** A hook point as the registry knows it. */
export interface PointInfo {
  readonly name: string;
  /** Axis names, empty if unknown. */
  readonly axes: readonly string[];
  /** Whether an unfiltered cache records it. */
  readonly default: boolean;
}

export type HookDir = "fwd" | "bwd";

/** What runs at a point. Callback numbers are handed out by TypeScript, which owns the functions. */
export type HookBody =
  | { readonly kind: "callback"; readonly callback: number }
  /** Data, validated against the point: see `ts/hooks/interventions.ts`. Tensors are referred to by index. */
  | { readonly kind: "intervention"; readonly json: string; readonly tensors: readonly EngineTensor[] }
  | { readonly kind: "capture"; readonly cache: EngineCache; readonly options: CaptureOptions };

export interface CaptureOptions {
  /** Key to store under, and under no other; by default the point's name, with `_grad` for gradients. */
  readonly key?: string;
  readonly removeBatchDim?: boolean;
  /** Positions to keep, as `[start, stop, step]` or a list of indices. The axis stays. */
  readonly posSlice?:
    | { readonly start: number | null; readonly stop: number | null; readonly step: number | null }
    | { readonly indices: readonly number[] };
  readonly dtype?: DType;
  readonly device?: string;
}

export interface AddHookOptions {
  readonly permanent?: boolean;
  readonly level?: number;
  readonly prepend?: boolean;
  /** Run once per alias, each time under that name. */
  readonly aliases?: readonly string[];
  /** Callbacks on activations only. */
  readonly allowShapeChange?: boolean;
}

export interface HandleInfo {
  readonly handle: number;
  readonly point: number;
  readonly dir: HookDir;
  readonly permanent: boolean;
  readonly level: number | null;
  /** The callback's number, or null for interventions and captures. */
  readonly callback: number | null;
}

/** Captured activations in firing order, by key. */
export interface EngineCache {
  keys(): string[];
  get(key: string): EngineTensor | null;
  set(key: string, value: EngineTensor): void;
  delete(key: string): boolean;
  clear(): void;
  readonly byteSize: number;
}

export interface EngineRegistry {
  points(): PointInfo[];
  /** Adds a hook and gives its handle. */
  add(point: number, dir: HookDir, body: HookBody, options: AddHookOptions): number;
  /** Adds a capture to each of several points, or to none if one refuses it; gives the handles. */
  capture(
    points: readonly number[],
    dir: HookDir,
    cache: EngineCache,
    capture: CaptureOptions,
    options: AddHookOptions,
  ): number[];
  /** False if it was gone already. */
  remove(handle: number): boolean;
  /** Removes several; those that are gone already are passed over. */
  removeAll(handles: readonly number[]): void;
  /** Removes what matches; gives the handles removed. */
  removeWhere(filter: {
    point?: number;
    dir?: HookDir;
    includingPermanent?: boolean;
    level?: number;
  }): number[];
  /** Handles in execution order. */
  list(point?: number): HandleInfo[];
  /** Resolves exact names, globs and lists to point numbers; throws `unknown_hook` with suggestions. */
  select(names: readonly string[]): number[];
  /**
   * Passes an activation through a point: gives the very handle `x` if the hooks left it alone, else another. `name` is
   * one of this firing's own: hooks are told it, and captures store under it too.
   */
  fire(point: number, x: EngineTensor, name?: string): EngineTensor;
  /** {@link fire} for a gradient and backward hooks. Captures add up what comes in one backward pass. */
  fireGradient(point: number, gradient: EngineTensor, name?: string): EngineTensor;
  /** How many recorded operations, in graphs still alive, run hooks of this registry in a backward pass. */
  recorded(): number;
  /** Callback numbers that nothing refers to any more (neither a handle nor a recorded graph). */
  drainReleased(): number[];
}

/**
 * Called by the engine for each callback hook. Returns the replacement, or null to leave the value alone. It never
 * throws: it returns `false` after stashing what the hook threw, and the engine then fails with code `callback`.
 */
export type Trampoline = (
  callback: number,
  /** Whether `value` is a gradient. */
  backward: boolean,
  /** The name to show: the alias being run, or the firing's own; null for the point's. */
  name: string | null,
  value: EngineTensor,
) => EngineTensor | null | false;

export interface ForwardRequest {
  /** int64 ids `[batch, pos]`, or the residual stream `[batch, pos, d_model]` with `startAtLayer`. */
  readonly input: EngineTensor;
  readonly returnType: "logits" | "loss" | "both" | "none";
  readonly lossPerToken?: boolean;
  readonly startAtLayer?: number;
  readonly stopAtLayer?: number;
  /** ids for the loss when starting from a residual. */
  readonly tokens?: EngineTensor;
  /** `[batch, pos]` of 1 and 0. */
  readonly attentionMask?: EngineTensor;
  /** What came before the input, and where the input is added. */
  readonly kvCache?: EngineKvCache;
}

/** Keys and values of tokens that were seen, a row for each sequence of a batch. */
export interface EngineKvCache {
  readonly batch: number;
  /** Positions that every layer holds. */
  readonly length: number;
  readonly capacity: number;
  readonly byteSize: number;
  readonly frozen: boolean;
  setFrozen(frozen: boolean): void;
  clear(): void;
  /** Copies `[batch, pos, kv_head, d_head]`. */
  layer(layer: number): { readonly keys: EngineTensor; readonly values: EngineTensor };
  /** `[batch, pos]` of 1 and 0. */
  attentionMask(): EngineTensor;
  dispose(): void;
}

/** What is to be written. Left out: see `GenerationRequest` of the core. */
export interface GenerationRequest {
  /** int64 ids `[batch, pos]`. */
  readonly tokens: EngineTensor;
  readonly attentionMask?: EngineTensor;
  readonly maxNewTokens: number;
  readonly stopIds: readonly number[];
  readonly fillId?: number;
  readonly doSample: boolean;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly freqPenalty?: number;
  readonly seed?: number | bigint;
  readonly useCache: boolean;
  readonly keepLogits: boolean;
}

/** Why a row has ended: it wrote a stop id, there are enough tokens, or {@link EngineGeneration.stop} said so. */
export type EngineFinishReason = "eos" | "length" | "stop";

/** One more token for each row. */
export interface EngineGenerationStep {
  /** Null for rows that had ended before. */
  readonly tokens: (number | null)[];
  /** The rows that end with this token. */
  readonly finished: (EngineFinishReason | null)[];
  readonly logits: EngineTensor | null;
}

/** Tokens being written. Nothing is recorded for gradients. */
export interface EngineGeneration {
  readonly done: boolean;
  /** Runs the next block; null unless that completed a step. After a failure the step can be tried again. */
  advance(): EngineGenerationStep | null;
  /** Ends a row after what it has written. */
  stop(row: number): void;
  /** Ends all rows, and frees what is kept between steps. */
  end(): void;
  /** All tokens so far, `[batch, pos]`. */
  sequences(): EngineTensor;
}

export interface ForwardResult {
  readonly logits: EngineTensor | null;
  readonly loss: EngineTensor | null;
  /** With `stopAtLayer`. */
  readonly residual: EngineTensor | null;
}

/** A forward, between two of its blocks. It cannot be carried on after it failed. */
export interface EngineRun {
  /** How many blocks are left to run. Fewer do where nobody asks for what comes later. */
  readonly blocksLeft: number;
  /** Runs the next block; false when none is left to run. */
  step(): boolean;
  /** What comes after the last block. Ends the run. */
  finish(): ForwardResult;
  /** Gives the run up: frees what it holds, its cache above all. Does nothing once it has finished. */
  end(): void;
}

/** How a model is to be read. */
export interface LoadRequest {
  readonly dtype?: DType;
  readonly device?: string;
  /** Names of steps of processing. */
  readonly process?: readonly string[];
  readonly firstNLayers?: number;
  readonly nCtx?: number;
}

/** A model that is being read. */
export interface EngineLoading {
  /** Reads it without holding up this thread. May be called again if it failed. */
  finish(): Promise<EngineModel>;
  /** Bytes of weights, as they will be in memory; the total is 0 until the files have been looked at. */
  progress(): { readonly done: number; readonly total: number };
  /** Makes {@link EngineLoading.finish} fail with `cancelled`, soon. */
  cancel(): void;
}

/** What an {@link EngineUpload} needs next. */
export interface UploadNeed {
  /**
   * `text`: all of a small file, which may be absent; `start`: the first bytes of a file, which may be absent; `ranges`:
   * parts of a file.
   */
  readonly kind: "text" | "start" | "ranges";
  /** The file's path in the model's folder, with `/` between names. */
  readonly file: string;
  /** Of a text the most that it may have; of a start the fewest that are of use, unless the file has fewer. */
  readonly bytes: number;
  /** Where each part starts and ends: two numbers a part, in ascending order. */
  readonly ranges: readonly number[];
}

/**
 * A model whose files are brought. It says what it needs, and takes that in order. Locations are for messages. An upload
 * that has failed is of no more use.
 */
export interface EngineUpload {
  /** What it needs next; null if all is there. */
  need(): UploadNeed | null;
  /** The file that it needs is not there. */
  absent(location: string): void;
  /** The text that it needs. */
  text(location: string, bytes: Uint8Array): void;
  /** The first bytes of the file that it needs, and the size of all of it, if that is known. */
  start(location: string, size: number | null, bytes: Uint8Array): void;
  /** The next bytes of the ranges that it needs. */
  feed(bytes: Uint8Array): void;
  /** The file whose ranges it needs has so many bytes. */
  end(size: number): void;
  /** As {@link EngineLoading.progress}. */
  progress(): { readonly done: number; readonly total: number };
  /** The model, once nothing more is needed. */
  finish(): Promise<EngineModel>;
  /** Frees what has come. */
  dispose(): void;
}

/** What was done to a model's weights. */
export interface Processing {
  readonly done: readonly string[];
  /** Texts for people, such as why a step was left out. */
  readonly notices: readonly string[];
}

export interface EngineModel {
  /** The reference-style config as JSON. */
  configJson(): string;
  registry(): EngineRegistry;
  forward(request: ForwardRequest): ForwardResult;
  /** Begins a forward that runs a block at a time, so that others may use the thread in between. */
  start(request: ForwardRequest): EngineRun;
  createKvCache(batch: number, capacity?: number): EngineKvCache;
  generate(request: GenerationRequest): EngineGeneration;
  parameterNames(): string[];
  parameter(name: string): EngineTensor;
  /** Replaces every parameter. Throws `weight_mismatch`, changing nothing, if one is missing, unknown or of another shape. */
  loadParameters(tensors: readonly { name: string; tensor: EngineTensor }[]): void;
  /** Whether forwards record gradients of the weights. */
  setTrainable(on: boolean): void;
  /** Rewrites the weights by the steps of these names. Changes nothing if it throws. */
  process(steps: readonly string[]): void;
  /** What was done to the weights since they were read, and what the last call wants known. */
  processing(): Processing;
  /** Lets go of the weights; every later call throws `disposed`. The registry stays. */
  dispose(): void;
}

/** A tensor of a file. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: EngineTensor;
}

/** What a safetensors file holds. */
export interface TensorFile {
  readonly tensors: NamedTensor[];
  /** Free-form pairs. */
  readonly metadata: { readonly name: string; readonly text: string }[];
}

export interface Engine {
  readonly name: "node" | "wasm";
  readonly version: string;
  ops(): OpSpec[];
  /** Runs operation number `op` (its place in {@link Engine.ops}). */
  call(op: number, inputs: readonly EngineTensor[], args: readonly Arg[]): EngineTensor[];
  fromBits(data: Bits, dtype: DType, shape: readonly number[], device: string): EngineTensor;
  parameter(value: EngineTensor): EngineTensor;
  /** Sets whether operations are recorded; gives what was set before. */
  setGradEnabled(on: boolean): boolean;
  setTrampoline(run: Trampoline): void;
  createRegistry(points: readonly PointInfo[]): EngineRegistry;
  createCache(): EngineCache;
  /** The full name of a point that a short one stands for, such as `k6` or `k` in layer 6; it need not exist. */
  actName(short: { readonly name: string; readonly layer?: number; readonly part?: string }): string;
  /** Begins to read an HF directory or a reference-native one (`tl_config.json`). */
  startLoading(directory: string, options: LoadRequest): EngineLoading;
  /** Begins a model whose files are brought, from wherever they are. */
  startUpload(options: LoadRequest): EngineUpload;
  /** A model with random weights, from a reference-style config as JSON. */
  createModel(configJson: string, options: { readonly dtype?: DType; readonly device?: string }): EngineModel;
  /** All of a safetensors file. */
  readTensors(path: string): TensorFile;
  /** Writes a safetensors file, replacing it in one step if it exists. */
  writeTensors(
    path: string,
    tensors: readonly NamedTensor[],
    metadata: Readonly<Record<string, string>>,
  ): void;
  /** {@link Engine.readTensors} of bytes that are at hand; the location is for messages. */
  decodeTensors(location: string, bytes: Uint8Array): TensorFile;
  /** The bytes that {@link Engine.writeTensors} would write. */
  encodeTensors(tensors: readonly NamedTensor[], metadata: Readonly<Record<string, string>>): Uint8Array;
  /** The gradients of `output` with respect to `inputs`, without touching any tensor's own; null where none flows. */
  gradients(
    output: EngineTensor,
    seed: EngineTensor | null,
    inputs: readonly EngineTensor[],
    retainGraph: boolean,
  ): (EngineTensor | null)[];
  /** Tensors of this thread that are neither disposed nor collected. */
  liveTensors(): number;
  /**
   * Bytes that the engine holds in this process: elements of tensors (shared ones once), what recorded operations keep,
   * caches, weights.
   */
  liveBytes(): number;
  /** The number of {@link Engine.liveBytes} over which calls throw `memory_limit` (0: none), for all threads. */
  setMemoryLimit(bytes: number): void;
}

/** Errors cross the boundary as an `Error` whose message is this JSON after the prefix `hooklens:`. */
export interface EngineErrorData {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

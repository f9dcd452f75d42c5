/** Tensors from numbers, from typed arrays, and from nothing. */

import { engine } from "../engine/current.ts";
import type { Bits, DeviceName, DType, EngineTensor } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { requireTensor } from "./arguments.ts";
import { describe, wrap } from "./base.ts";
import { type Nested, unnest } from "./nested.ts";
import { callEngine, run } from "./operation.ts";
import { checkOptionKeys } from "./option-keys.ts";
import type { Tensor } from "./tensor.ts";

/** Settings that every function that creates a tensor takes. */
export interface CreateOptions<D extends DType = DType> {
  /** Element type. @default "float32" */
  readonly dtype?: D;
  /** Where the elements live. @default "cpu" */
  readonly device?: DeviceName;
  /** Make it a leaf that requires a gradient. @default false */
  readonly requiresGrad?: boolean;
}

/** Settings of {@link tensor}. */
export interface TensorOptions<D extends DType = DType> extends CreateOptions<D> {
  /** Shape of a typed array's elements, row-major. @default one axis */
  readonly shape?: readonly number[];
}

/** Typed arrays that {@link tensor} takes, and the dtype that each becomes. */
export interface ArrayDTypes {
  /** The same elements. */
  Float32Array: "float32";
  /** The same elements. */
  Float64Array: "float64";
  /** The same elements. */
  Uint8Array: "uint8";
  /** Its elements; operations do not clamp. */
  Uint8ClampedArray: "uint8";
  /** The same elements. */
  Uint32Array: "uint32";
  /** The same elements. */
  BigInt64Array: "int64";
  /** Widened: there is no smaller signed dtype. */
  Int32Array: "int64";
  /** Widened: there is no smaller signed dtype. */
  Int16Array: "int64";
  /** Widened: there is no smaller signed dtype. */
  Int8Array: "int64";
}

/** The typed arrays of {@link ArrayDTypes}. */
export type NumericArray =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint32Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array;

/** The dtype that a typed array becomes. */
export type DTypeOf<A extends NumericArray> = A[typeof Symbol.toStringTag] extends keyof ArrayDTypes
  ? ArrayDTypes[A[typeof Symbol.toStringTag]]
  : DType;

/** The keys of {@link CreateOptions}. Internal. */
export const CREATE_KEYS: readonly string[] = ["dtype", "device", "requiresGrad"];
const TENSOR_KEYS: readonly string[] = [...CREATE_KEYS, "shape"];

/** Hands an engine tensor on with the device and gradient settings applied. Internal. */
export function finish<Axes extends readonly string[], D extends DType>(
  made: EngineTensor | undefined,
  options: CreateOptions,
  axes: readonly string[] = [],
): Tensor<Axes, D> {
  if (made === undefined) throw new HooklensError("internal", "an operation gave no result");
  let handle = made;
  const replace = (next: EngineTensor): void => {
    handle.dispose();
    handle = next;
  };
  if (options.device !== undefined && options.device !== handle.device) replace(handle.to(options.device));
  if (options.requiresGrad) replace(handle.requiringGrad());
  return wrap(handle, axes);
}

/**
 * A tensor of the given elements: a number, nested arrays of one depth (`[2, 3]` for two rows of three), or a typed
 * array with `shape`. Elements are copied once. Numbers become float32, `true`/`false` bool, bigints int64, and typed
 * arrays keep their kind (small signed integers become int64), unless `dtype` says otherwise. Ragged arrays throw
 * `shape_mismatch`, elements that the dtype cannot hold `invalid_argument`.
 *
 * @example
 * ```ts
 * tensor([[1, 2, 3], [4, 5, 6]]).shape;                           // [2, 3]
 * tensor([3, 1, 2], { dtype: "int64" });
 * tensor(new Float32Array(6), { shape: [2, 3], requiresGrad: true });
 * ```
 */
export function tensor<D extends DType>(
  data: Nested<number> | Nested<boolean> | Nested<bigint> | NumericArray,
  options: TensorOptions<D> & { readonly dtype: D },
): Tensor<readonly string[], D>;
export function tensor<A extends NumericArray>(
  data: A,
  options?: TensorOptions<never>,
): Tensor<readonly string[], DTypeOf<A>>;
export function tensor(
  data: Nested<number>,
  options?: TensorOptions<never>,
): Tensor<readonly string[], "float32">;
export function tensor(
  data: Nested<boolean>,
  options?: TensorOptions<never>,
): Tensor<readonly string[], "bool">;
export function tensor(
  data: Nested<bigint>,
  options?: TensorOptions<never>,
): Tensor<readonly string[], "int64">;
export function tensor(
  data: Nested<number> | Nested<boolean> | Nested<bigint> | NumericArray,
  options: TensorOptions = {},
): Tensor {
  checkOptionKeys("tensor", options, TENSOR_KEYS);
  if (ArrayBuffer.isView(data)) {
    const { bits, dtype } = typedBits(data);
    const shape = options.shape ?? [bits.length];
    const made = engine().fromBits(bits, dtype, shape, "cpu");
    return finish(converted(made, options.dtype), options);
  }
  const { shape, flat } = unnest<number | boolean | bigint>(data);
  if (options.shape !== undefined) {
    throw new HooklensError(
      "invalid_argument",
      "tensor: nested arrays have a shape already; `shape` is for typed arrays",
    );
  }
  const dtype = options.dtype ?? inferredDType(flat);
  const target = dtype === "float16" || dtype === "bfloat16" ? "float32" : dtype;
  return finish(converted(engine().fromBits(listBits(flat, target), target, shape, "cpu"), dtype), options);
}

/** A float32 tensor of that shape from row-major elements, copied once. Throws `element_count` if they do not fit. */
export function fromFloat32Array(
  data: Float32Array,
  shape?: readonly number[],
  options: Omit<CreateOptions, "dtype"> = {},
): Tensor<readonly string[], "float32"> {
  if (!(data instanceof Float32Array)) {
    throw new HooklensError(
      "invalid_argument",
      `fromFloat32Array: expected a Float32Array, got ${describe(data)}`,
    );
  }
  checkOptionKeys("fromFloat32Array", options, ["device", "requiresGrad"]);
  return finish(engine().fromBits(data, "float32", shape ?? [data.length], "cpu"), options);
}

function converted(made: EngineTensor, dtype: DType | undefined): EngineTensor {
  if (dtype === undefined || dtype === made.dtype) return made;
  const [out] = callEngine("to", [made], { dtype });
  made.dispose();
  if (out === undefined) throw new HooklensError("internal", "to gave no result");
  return out;
}

function typedBits(data: ArrayBufferView): { bits: Bits; dtype: DType } {
  if (data instanceof Float32Array) return { bits: data, dtype: "float32" };
  if (data instanceof Float64Array) return { bits: data, dtype: "float64" };
  if (data instanceof Uint8Array) return { bits: data, dtype: "uint8" };
  if (data instanceof Uint32Array) return { bits: data, dtype: "uint32" };
  if (data instanceof BigInt64Array) return { bits: data, dtype: "int64" };
  if (data instanceof Uint8ClampedArray) {
    return { bits: new Uint8Array(data.buffer, data.byteOffset, data.length), dtype: "uint8" };
  }
  if (data instanceof Int32Array || data instanceof Int16Array || data instanceof Int8Array) {
    return { bits: BigInt64Array.from(data, (x) => BigInt(x)), dtype: "int64" };
  }
  throw new HooklensError(
    "invalid_argument",
    `tensor: no dtype fits ${describe(data)}; convert it to one of the typed arrays of NumericArray`,
  );
}

function inferredDType(flat: readonly unknown[]): DType {
  const [first] = flat;
  return typeof first === "boolean" ? "bool" : typeof first === "bigint" ? "int64" : "float32";
}

function listBits(flat: readonly (number | boolean | bigint)[], dtype: DType): Bits {
  const number = (x: unknown, i: number): number => {
    if (typeof x === "number") return x;
    if (typeof x === "boolean") return x ? 1 : 0;
    if (typeof x === "bigint") return Number(x);
    throw new HooklensError(
      "invalid_argument",
      `tensor: element ${i} should be a number, got ${describe(x)}`,
    );
  };
  const whole = (least: number, most: number) => (x: unknown, i: number) => {
    const value = number(x, i);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new HooklensError(
      "invalid_argument",
      `tensor: element ${i} is ${value}, which ${dtype} cannot hold`,
    );
  };
  switch (dtype) {
    case "float64":
      return Float64Array.from(flat, number);
    case "uint8":
      return Uint8Array.from(flat, whole(0, 255));
    case "uint32":
      return Uint32Array.from(flat, whole(0, 0xffff_ffff));
    case "int64": {
      const safe = whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
      return BigInt64Array.from(flat, (x, i) => (typeof x === "bigint" ? int64(x, i) : BigInt(safe(x, i))));
    }
    case "bool":
      return Uint8Array.from(flat, (x, i) => (number(x, i) === 0 ? 0 : 1));
    default:
      return Float32Array.from(flat, number);
  }
}

function int64(x: bigint, i: number): bigint {
  if (BigInt.asIntN(64, x) === x) return x;
  throw new HooklensError("invalid_argument", `tensor: element ${i} is ${x}, which int64 cannot hold`);
}

/** Zeros of that shape. */
export function zeros<D extends DType = "float32">(
  shape: readonly number[],
  options: CreateOptions<D> = {},
): Tensor<readonly string[], D> {
  checkOptionKeys("zeros", options, CREATE_KEYS);
  const [made] = callEngine("zeros", [], { size: shape, dtype: options.dtype, device: options.device });
  return finish(made, options);
}

/** Ones of that shape. */
export function ones<D extends DType = "float32">(
  shape: readonly number[],
  options: CreateOptions<D> = {},
): Tensor<readonly string[], D> {
  checkOptionKeys("ones", options, CREATE_KEYS);
  const [made] = callEngine("ones", [], { size: shape, dtype: options.dtype, device: options.device });
  return finish(made, options);
}

/** A tensor of that shape with one value everywhere: `true`/`false` gives bool, a number float32 by default. */
export function full<D extends DType>(
  shape: readonly number[],
  value: number | bigint | boolean,
  options: CreateOptions<D> & { readonly dtype: D },
): Tensor<readonly string[], D>;
export function full(
  shape: readonly number[],
  value: number,
  options?: CreateOptions<never>,
): Tensor<readonly string[], "float32">;
export function full(
  shape: readonly number[],
  value: boolean,
  options?: CreateOptions<never>,
): Tensor<readonly string[], "bool">;
export function full(
  shape: readonly number[],
  value: bigint,
  options?: CreateOptions<never>,
): Tensor<readonly string[], "int64">;
export function full(
  shape: readonly number[],
  value: number | bigint | boolean,
  options: CreateOptions = {},
): Tensor {
  checkOptionKeys("full", options, CREATE_KEYS);
  const dtype = options.dtype ?? inferredDType([value]);
  const [made] = callEngine("full", [], { size: shape, fill_value: value, dtype, device: options.device });
  return finish(made, options);
}

/** Zeros of the shape, dtype and device of another tensor. */
export function zerosLike<Axes extends readonly string[], D extends DType>(
  like: Tensor<Axes, D>,
): Tensor<Axes, D> {
  return run("zeros_like", [like], {}, requireTensor(like).axes);
}

/** Ones of the shape, dtype and device of another tensor. */
export function onesLike<Axes extends readonly string[], D extends DType>(
  like: Tensor<Axes, D>,
): Tensor<Axes, D> {
  return run("ones_like", [like], {}, requireTensor(like).axes);
}

/** One value everywhere, in the shape, dtype and on the device of another tensor. */
export function fullLike<Axes extends readonly string[], D extends DType>(
  like: Tensor<Axes, D>,
  value: number | bigint | boolean,
): Tensor<Axes, D> {
  return run("full_like", [like], { fill_value: value }, requireTensor(like).axes);
}

/** The identity matrix `[n, m]`, square if `m` is left out. */
export function eye<D extends DType = "float32">(
  n: number,
  options?: CreateOptions<D>,
): Tensor<readonly string[], D>;
export function eye<D extends DType = "float32">(
  n: number,
  m: number,
  options?: CreateOptions<D>,
): Tensor<readonly string[], D>;
export function eye<D extends DType = "float32">(
  n: number,
  m: number | CreateOptions<D> = n,
  options: CreateOptions<D> = {},
): Tensor<readonly string[], D> {
  const settings = typeof m === "object" ? m : options;
  checkOptionKeys("eye", settings, CREATE_KEYS);
  const args = { n, m: typeof m === "number" ? m : n, dtype: settings.dtype, device: settings.device };
  const [made] = callEngine("eye", [], args);
  return finish(made, settings);
}

/**
 * Numbers from `start` (0) to before `end`, `step` (1) apart: int64 if all three are whole, else float32. A step of 0
 * or away from the end throws `invalid_argument`.
 */
export function arange(end: number, options?: CreateOptions): Tensor;
export function arange(start: number, end: number, options?: CreateOptions): Tensor;
export function arange(start: number, end: number, step: number, options?: CreateOptions): Tensor;
export function arange(first: number, ...rest: readonly (number | CreateOptions | undefined)[]): Tensor {
  const last = rest.at(-1);
  const options = typeof last === "object" ? last : {};
  checkOptionKeys("arange", options, CREATE_KEYS);
  const numbers = [first, ...rest.filter((x) => typeof x === "number")];
  const [start = 0, end = 0, step = 1] = numbers.length === 1 ? [0, first] : numbers;
  const dtype = options.dtype ?? ([start, end, step].every(Number.isInteger) ? "int64" : "float32");
  const [made] = callEngine("arange", [], { start, end, step, dtype, device: options.device });
  return finish(made, options);
}

/** `steps` numbers from `start` to `end`, both included, at equal distances; float32. */
export function linspace(start: number, end: number, steps: number, options: CreateOptions = {}): Tensor {
  checkOptionKeys("linspace", options, CREATE_KEYS);
  const { dtype, device } = options;
  const [made] = callEngine("linspace", [], { start, end, steps, dtype, device });
  return finish(made, options);
}

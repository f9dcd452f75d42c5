/**
 * What every tensor has: its engine handle, what is known about it without looking at its data, and its end.
 *
 * The operations are declared in a chain of abstract classes, one file a subject, each extending the one before;
 * `Tensor` is the last link. No link needs the class `Tensor` when it is loaded, so nothing is imported in a circle.
 */

import type { DeviceName, DType, EngineTensor } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { track, untrack } from "./scopes.ts";
import type { Tensor } from "./tensor.ts";

type AnyAxes = readonly string[];

/** The engine's handle of a tensor; throws `disposed` or `invalid_argument`. Internal. */
export let handleOf: (tensor: TensorBase) => EngineTensor;

let replaceHandle: (tensor: TensorBase, handle: EngineTensor) => void;

let construct: ((handle: EngineTensor, axes: AnyAxes) => Tensor) | undefined;

/** Says how to make a `Tensor`: called once by the module that defines it. Internal. */
export function setConstructor(make: (handle: EngineTensor, axes: AnyAxes) => Tensor): void {
  construct = make;
}

/** A `Tensor` that owns `handle`. Internal. */
export function wrap<Axes extends AnyAxes = AnyAxes, D extends DType = DType>(
  handle: EngineTensor,
  axes: AnyAxes = [],
): Tensor<Axes, D> {
  if (construct === undefined) {
    throw new HooklensError("internal", "a tensor was made before ts/tensor/tensor.ts was loaded");
  }
  return construct(handle, axes) as Tensor<AnyAxes, DType> as Tensor<Axes, D>;
}

/** Whether `value` is a tensor of this library. */
export function isTensor(value: unknown): value is Tensor {
  return TensorBase.isTensor(value);
}

/**
 * What is known about a tensor without looking at its elements, and its end.
 *
 * @category About a tensor
 */
export abstract class TensorBase<Axes extends AnyAxes = AnyAxes, out D extends DType = DType> {
  #handle: EngineTensor | null;
  #shape: readonly number[] | null = null;
  #dtype: DType | null = null;
  readonly #axes: AnyAxes;

  static {
    handleOf = (tensor) => {
      if (typeof tensor !== "object" || tensor === null || !(#handle in tensor)) {
        throw new HooklensError("invalid_argument", `expected a Tensor, got ${describe(tensor)}`);
      }
      return tensor.#live();
    };
    replaceHandle = (tensor, handle) => {
      tensor.#live().dispose();
      tensor.#handle = handle;
    };
  }

  /** @internal */
  constructor(handle: EngineTensor, axes: AnyAxes) {
    this.#handle = handle;
    this.#axes = axes;
    track(this);
  }

  #live(): EngineTensor {
    if (this.#handle === null) {
      throw new HooklensError(
        "disposed",
        "this tensor was disposed; `using`, `tidy` and `dispose()` end a tensor, `keep()` and returning it from `tidy` do not",
      );
    }
    return this.#handle;
  }

  /** @internal */
  static isTensor(value: unknown): boolean {
    return typeof value === "object" && value !== null && #handle in value;
  }

  /** Size of each axis. */
  get shape(): readonly number[] {
    const handle = this.#live();
    this.#shape ??= Object.freeze(handle.shape);
    return this.#shape;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of axes: torch's name for {@link rank}. */
  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, n) => product * n, 1);
  }

  /** Element type. */
  get dtype(): D {
    const handle = this.#live();
    this.#dtype ??= handle.dtype;
    return this.#dtype as D;
  }

  /** Where the elements live. */
  get device(): DeviceName {
    return this.#live().device as DeviceName;
  }

  /** Names of the axes, as many as there are axes; empty where they are not known. */
  get axes(): Axes {
    return this.#axes as Axes;
  }

  /** Whether gradients flow to this tensor. */
  get requiresGrad(): boolean {
    return this.#live().requiresGrad;
  }

  /** Whether this tensor starts a graph: a constant, or made to require a gradient. */
  get isLeaf(): boolean {
    return this.#live().isLeaf;
  }

  /** Name of the recorded operation that made it, or null. */
  get gradFn(): string | null {
    return this.#live().gradFn;
  }

  /** Whether {@link dispose} has run; everything else then throws `disposed`. */
  get isDisposed(): boolean {
    return this.#handle === null;
  }

  /**
   * Frees the tensor now instead of at some later garbage collection. Other tensors that share its elements (views,
   * captures, recorded operations) keep them. A second call does nothing.
   */
  dispose(): void {
    if (this.#handle === null) return;
    this.#handle.dispose();
    this.#handle = null;
    untrack(this);
  }

  /** Lets `using t = …` free the tensor at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Puts another handle in place of this tensor's own. @internal */
  protected replaceHandle(handle: EngineTensor): void {
    replaceHandle(this, handle);
  }
}

/** A value in an error message. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return `'${shortened(value)}'`;
  if (typeof value === "function") return "a function";
  if (typeof value === "object")
    return Array.isArray(value) ? "an array" : `an object (${value.constructor?.name ?? "no class"})`;
  return shortened(String(value));
}

/** Messages are read by people: no more than some words of a text, nor of the digits of a bigint. */
function shortened(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 80)}… (${text.length} characters)`;
}

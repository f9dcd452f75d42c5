/** Tensors of a worker. */

import type { Bits, DType } from "../engine/engine.ts";
import type { NestedArray, NestedOfRank } from "../tensor/nested.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Line } from "./line.ts";
import type { TensorWire } from "./protocol.ts";
import { Remote } from "./remote.ts";

type AnyAxes = readonly string[];

/** A tensor in a worker. Its form is known here; its elements are there until one asks for them. */
export class RemoteTensor<Axes extends AnyAxes = AnyAxes, D extends DType = DType> extends Remote {
  /** The size of each axis. */
  readonly shape: readonly number[];
  /** The type of its elements. */
  readonly dtype: D;
  /** The names of its axes, empty if it has none. */
  readonly axes: Axes | readonly string[];

  /** @internal */
  constructor(line: Line, { id, shape, dtype, axes }: TensorWire) {
    super(line, id);
    this.shape = shape;
    this.dtype = dtype as D;
    this.axes = axes;
  }

  /** The elements in their own dtype, row-major, in a buffer that moves here without being copied again. */
  toTypedArray(this: RemoteTensor<AnyAxes, "float32">): Promise<Float32Array>;
  toTypedArray(this: RemoteTensor<AnyAxes, "float64">): Promise<Float64Array>;
  toTypedArray(this: RemoteTensor<AnyAxes, "float16" | "bfloat16">): Promise<Uint16Array>;
  toTypedArray(this: RemoteTensor<AnyAxes, "uint8" | "bool">): Promise<Uint8Array>;
  toTypedArray(this: RemoteTensor<AnyAxes, "uint32">): Promise<Uint32Array>;
  toTypedArray(this: RemoteTensor<AnyAxes, "int64">): Promise<BigInt64Array>;
  toTypedArray(): Promise<Bits>;
  async toTypedArray(): Promise<Bits> {
    return (await this.call("toTypedArray", [])) as Bits;
  }

  /** The elements as numbers of single precision, row-major. */
  async toFloat32Array(): Promise<Float32Array> {
    return (await this.call("toFloat32Array", [])) as Float32Array;
  }

  /**
   * The elements as nested arrays, to the depth of `rank` where it is given and then checked (`rank_mismatch`). They are
   * copied several times on the way: for small tensors. Truth values come as booleans.
   */
  toArray(): Promise<NestedArray<number>>;
  toArray<R extends number>(rank: R): Promise<NestedOfRank<number, R>>;
  async toArray(rank?: number): Promise<unknown> {
    return this.call("toArray", rank === undefined ? [] : [rank]);
  }

  /** The only element. Rejects with `scalar_required` if there are more. */
  async item(): Promise<number> {
    return (await this.call("item", [])) as number;
  }

  /** `RemoteTensor float32 [1, 14, 128]` */
  override toString(): string {
    return `RemoteTensor ${this.dtype} [${this.shape.join(", ")}]`;
  }
}

/** What `returnType: "both"` gives. */
interface HasLogits {
  readonly logits: unknown;
}

/** What a function of the library gives, with the worker's tensors in the place of tensors. */
export type Remotely<T> =
  T extends Tensor<infer Axes, infer D>
    ? RemoteTensor<Axes, D>
    : T extends readonly unknown[] | HasLogits
      ? { [Key in keyof T]: Remotely<T[Key]> }
      : T;

/** Getting elements out of the engine, and copies in another dtype or on another device. */

import type { Bits, DeviceName, DType } from "../engine/engine.ts";
import { HooklensError } from "../engine/errors.ts";
import { requireText } from "./arguments.ts";
import { describe, handleOf, wrap } from "./base.ts";
import { type NestedOfRank, nest } from "./nested.ts";
import { NeuralOps } from "./neural.ts";
import { callEngine, run } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Elements as JavaScript values. Each call copies the elements over the boundary once, never one by one.
 *
 * @category Data, dtypes and devices
 */
export abstract class DataOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends NeuralOps<Axes, D> {
  /** A copy as another dtype (gradients flow between float dtypes) or on another device; itself shared if it is that already. */
  to<K extends DType>(dtype: K): Tensor<Axes, K>;
  to(device: DeviceName): Tensor<Axes, D>;
  to(target: DType | DeviceName): Tensor<Axes, DType> {
    requireText("to", "a dtype such as 'float16' or a device such as 'cpu'", target);
    return target === "cpu" || target === "cuda" || target.startsWith("cuda:")
      ? wrap(handleOf(this).to(target), this.axes)
      : run("to", [this], { dtype: target }, this.axes);
  }

  /** A copy as float32. */
  float(): Tensor<Axes, "float32"> {
    return run("float", [this], {}, this.axes);
  }

  /** A copy in the dtype of another tensor. */
  typeAs<K extends DType>(like: Tensor<readonly string[], K>): Tensor<Axes, K> {
    return run("type_as", [this, like], {}, this.axes);
  }

  /** The elements as float32, row-major, copied once. Other dtypes are converted by the engine first. */
  toFloat32Array(): Float32Array {
    if (this.dtype === "float32") return handleOf(this).toBits() as Float32Array;
    const [converted] = callEngine("to", [handleOf(this)], { dtype: "float32" });
    if (converted === undefined) throw new HooklensError("internal", "to gave no result");
    try {
      return converted.toBits() as Float32Array;
    } finally {
      converted.dispose();
    }
  }

  /** int64 elements exactly, row-major. Other dtypes throw `wrong_dtype`. */
  toBigInt64Array(): BigInt64Array {
    if (this.dtype !== "int64") {
      throw new HooklensError(
        "wrong_dtype",
        `toBigInt64Array: expected int64, got ${this.dtype}; convert with to("int64")`,
        {
          expected: "int64",
          got: this.dtype,
        },
      );
    }
    return handleOf(this).toBits() as BigInt64Array;
  }

  /**
   * The elements in their own dtype, row-major, copied once: bool as bytes 0 and 1, float16 and bfloat16 as their
   * 16 bits (use {@link toFloat32Array} for numbers).
   */
  toTypedArray(this: Tensor<readonly string[], "float32">): Float32Array;
  toTypedArray(this: Tensor<readonly string[], "float64">): Float64Array;
  toTypedArray(this: Tensor<readonly string[], "float16" | "bfloat16">): Uint16Array;
  toTypedArray(this: Tensor<readonly string[], "uint8" | "bool">): Uint8Array;
  toTypedArray(this: Tensor<readonly string[], "uint32">): Uint32Array;
  toTypedArray(this: Tensor<readonly string[], "int64">): BigInt64Array;
  toTypedArray(): Bits;
  toTypedArray(): Bits {
    return handleOf(this).toBits();
  }

  /**
   * The elements as nested arrays, to the depth of the tensor's rank where the compiler knows it: through axis names,
   * or through `rank`, which is checked (`rank_mismatch`). A tensor without axes gives its only element. Truth values
   * come as booleans. int64 elements that a number cannot hold exactly throw `unsafe_integer`: use
   * {@link toBigInt64Array}.
   */
  toArray(this: Tensor<Axes, "bool">): NestedOfRank<boolean, Axes["length"]>;
  toArray(): NestedOfRank<number, Axes["length"]>;
  toArray<R extends number>(this: Tensor<Axes, "bool">, rank: R): NestedOfRank<boolean, R>;
  toArray<R extends number>(rank: R): NestedOfRank<number, R>;
  toArray(rank?: number): unknown {
    const shape = this.shape;
    if (rank !== undefined && rank !== shape.length) {
      throw new HooklensError(
        "rank_mismatch",
        `toArray: expected rank ${describe(rank)}, got shape [${shape.join(", ")}]`,
        {
          expected: rank,
          got: [...shape],
        },
      );
    }
    return nest<number | boolean>(this.#values(), shape);
  }

  /** The only element. More or fewer than one throw `scalar_required`. */
  item(this: Tensor<Axes, "bool">): boolean;
  item(): number;
  item(): number | boolean {
    if (this.size !== 1) {
      throw new HooklensError(
        "scalar_required",
        `item: needs one element, got shape [${this.shape.join(", ")}]`,
        {
          got: [...this.shape],
        },
      );
    }
    return this.#values()[0] as number | boolean;
  }

  #values(): ArrayLike<number | boolean> {
    switch (this.dtype as DType) {
      case "bool":
        return Array.from(handleOf(this).toBits() as Uint8Array, (x) => x !== 0);
      case "int64":
        return Array.from(handleOf(this).toBits() as BigInt64Array, safeNumber);
      case "float16":
      case "bfloat16":
        return this.toFloat32Array();
      default:
        return handleOf(this).toBits() as Float32Array | Float64Array | Uint8Array | Uint32Array;
    }
  }

  /** The elements and what is not obvious about them, as torch prints: long tensors are shortened. */
  override toString(): string {
    return this.isDisposed ? "Tensor(disposed)" : handleOf(this).display();
  }

  /**
   * What `console.log` shows in Node: {@link toString}, shortened from `maxArrayLength` elements on (usually 100), and
   * deeper in an object than it goes, only the shape. @internal
   */
  [Symbol.for("nodejs.util.inspect.custom")](
    depth = 0,
    { maxArrayLength }: { readonly maxArrayLength?: number | null } = {},
  ): string {
    if (this.isDisposed) return this.toString();
    if (depth < 0) return `[Tensor ${this.dtype} [${this.shape.join(", ")}]]`;
    const threshold = maxArrayLength === undefined ? 100 : (maxArrayLength ?? Number.MAX_SAFE_INTEGER);
    return handleOf(this).display(Math.min(threshold, Number.MAX_SAFE_INTEGER));
  }

  /** Throws: JSON of a whole model's activations is never what was meant. Use {@link toArray}. */
  toJSON(): never {
    throw new HooklensError(
      "invalid_argument",
      `a tensor (here of shape [${this.isDisposed ? "disposed" : this.shape.join(", ")}]) does not turn into JSON by itself; call toArray() first`,
    );
  }
}

function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new HooklensError(
      "unsafe_integer",
      `the int64 element ${value} does not fit a number exactly; use toBigInt64Array()`,
      { value: String(value) },
    );
  }
  return number;
}

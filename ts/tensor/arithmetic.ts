/** Operations of two operands, element by element, with broadcasting as in NumPy. */

import type { DType } from "../engine/engine.ts";
import { isTensor, TensorBase } from "./base.ts";
import { run } from "./operation.ts";
import { checkOptionKeys } from "./option-keys.ts";
import type { Tensor } from "./tensor.ts";

/** The right-hand side of an operation: a tensor that broadcasts, or a number. */
export type Operand = Tensor | number | bigint;

/** How much two elements may differ. */
export interface Closeness {
  /** Share of the second element. @default 1e-5 */
  readonly rtol?: number;
  /** On top of that. @default 1e-8 */
  readonly atol?: number;
  /** Whether NaN is close to NaN. @default false */
  readonly equalNan?: boolean;
}

/** Runs a binary operation with a number allowed on either side. Internal. */
export function runBinary<D extends DType = DType>(
  op: string,
  left: Operand,
  right: Operand,
  args: Readonly<Record<string, string | undefined>> = {},
): Tensor<readonly string[], D> {
  if (!isTensor(left)) {
    return isTensor(right)
      ? run(op, [right], { ...args, this: left }, right.axes)
      : run(op, [run("full", [], { size: [], fill_value: left })], { ...args, other: right });
  }
  if (!isTensor(right)) {
    // Anything else that is no number is refused by the engine with what it expected.
    if (typeof right === "number" || typeof right === "bigint") {
      return run(op, [left], { ...args, other: right }, left.axes);
    }
    return run(op, [left, right], args);
  }
  const gap = left.rank - right.rank;
  return run(
    op,
    [left, right],
    args,
    gap > 0 || (gap === 0 && left.axes.length > 0) ? left.axes : right.axes,
  );
}

/**
 * Operations on two operands, element by element.
 *
 * Shapes broadcast: `[batch, 1, d]` with `[pos, d]` gives `[batch, pos, d]`; shapes that do not fit throw
 * `shape_mismatch`. A whole number keeps an integer tensor integer; any other number makes it float. The result keeps
 * the axis names of the operand with more axes (of this tensor, if they have equally many).
 *
 * @category Arithmetic and comparison
 */
export abstract class ArithmeticOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends TensorBase<Axes, D> {
  #self(): Tensor {
    return this as unknown as Tensor;
  }

  /** `this + other`. */
  add(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  add(other: Operand): Tensor;
  add(other: Operand): Tensor {
    return runBinary("add", this.#self(), other);
  }

  /** `this - other`. For a number on the left use the function `sub(1, x)`. */
  sub(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  sub(other: Operand): Tensor;
  sub(other: Operand): Tensor {
    return runBinary("sub", this.#self(), other);
  }

  /** `this * other`. */
  mul(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  mul(other: Operand): Tensor;
  mul(other: Operand): Tensor {
    return runBinary("mul", this.#self(), other);
  }

  /**
   * `this / other`, float even for integers unless rounded: `"floor"` rounds down, `"trunc"` towards zero.
   * Integers divided by zero with rounding throw `division_by_zero`.
   */
  div(other: number | bigint | Tensor<Axes>, roundingMode?: "floor" | "trunc"): Tensor<Axes>;
  div(other: Operand, roundingMode?: "floor" | "trunc"): Tensor;
  div(other: Operand, roundingMode?: "floor" | "trunc"): Tensor {
    return runBinary("div", this.#self(), other, { rounding_mode: roundingMode });
  }

  /** `this / other` rounded down; integers stay integers, and by zero throw `division_by_zero`. */
  floorDivide(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  floorDivide(other: Operand): Tensor;
  floorDivide(other: Operand): Tensor {
    return runBinary("floor_divide", this.#self(), other);
  }

  /** `this` to the power `other`. Integers to a negative power throw `invalid_argument`. */
  pow(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  pow(other: Operand): Tensor;
  pow(other: Operand): Tensor {
    return runBinary("pow", this.#self(), other);
  }

  /** The remainder of a division rounded towards zero: it has the sign of `this`. */
  fmod(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  fmod(other: Operand): Tensor;
  fmod(other: Operand): Tensor {
    return runBinary("fmod", this.#self(), other);
  }

  /** The remainder of a division rounded down: it has the sign of `other`. */
  remainder(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  remainder(other: Operand): Tensor;
  remainder(other: Operand): Tensor {
    return runBinary("remainder", this.#self(), other);
  }

  /** The larger of two elements; NaN if either is. A tie splits the gradient. */
  maximum(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  maximum(other: Operand): Tensor;
  maximum(other: Operand): Tensor {
    return runBinary("maximum", this.#self(), other);
  }

  /** The smaller of two elements; NaN if either is. A tie splits the gradient. */
  minimum(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  minimum(other: Operand): Tensor;
  minimum(other: Operand): Tensor {
    return runBinary("minimum", this.#self(), other);
  }

  /** The angle of the point (`other`, `this`) in radians, between -π and π. */
  atan2(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  atan2(other: Operand): Tensor;
  atan2(other: Operand): Tensor {
    return runBinary("atan2", this.#self(), other);
  }

  /** `log(e^this + e^other)` without overflow. */
  logaddexp(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  logaddexp(other: Operand): Tensor;
  logaddexp(other: Operand): Tensor {
    return runBinary("logaddexp", this.#self(), other);
  }

  /** Where `this` equals `other`. */
  eq(other: number | bigint | Tensor<Axes>): Tensor<Axes, "bool">;
  eq(other: Operand): Tensor<readonly string[], "bool">;
  eq(other: Operand): Tensor<readonly string[], "bool"> {
    return runBinary("eq", this.#self(), other);
  }

  /** Where `this` differs from `other`. */
  ne(other: number | bigint | Tensor<Axes>): Tensor<Axes, "bool">;
  ne(other: Operand): Tensor<readonly string[], "bool">;
  ne(other: Operand): Tensor<readonly string[], "bool"> {
    return runBinary("ne", this.#self(), other);
  }

  /** Where `this` is less than `other`. */
  lt(other: number | bigint | Tensor<Axes>): Tensor<Axes, "bool">;
  lt(other: Operand): Tensor<readonly string[], "bool">;
  lt(other: Operand): Tensor<readonly string[], "bool"> {
    return runBinary("lt", this.#self(), other);
  }

  /** Where `this` is less than or equal to `other`. */
  le(other: number | bigint | Tensor<Axes>): Tensor<Axes, "bool">;
  le(other: Operand): Tensor<readonly string[], "bool">;
  le(other: Operand): Tensor<readonly string[], "bool"> {
    return runBinary("le", this.#self(), other);
  }

  /** Where `this` is greater than `other`. */
  gt(other: number | bigint | Tensor<Axes>): Tensor<Axes, "bool">;
  gt(other: Operand): Tensor<readonly string[], "bool">;
  gt(other: Operand): Tensor<readonly string[], "bool"> {
    return runBinary("gt", this.#self(), other);
  }

  /** Where `this` is greater than or equal to `other`. */
  ge(other: number | bigint | Tensor<Axes>): Tensor<Axes, "bool">;
  ge(other: Operand): Tensor<readonly string[], "bool">;
  ge(other: Operand): Tensor<readonly string[], "bool"> {
    return runBinary("ge", this.#self(), other);
  }

  /** Where the two differ by at most `atol + rtol * |other|`; NaN is close to NaN only with `equalNan`. */
  isclose(other: Tensor, options: Closeness = {}): Tensor<Axes, "bool"> {
    checkOptionKeys("isclose", options, ["rtol", "atol", "equalNan"]);
    const { rtol, atol, equalNan } = options;
    return run("isclose", [this, other], { rtol, atol, equal_nan: equalNan }, this.axes);
  }

  /** Where both are true (not zero). */
  logicalAnd(other: Tensor<Axes>): Tensor<Axes, "bool">;
  logicalAnd(other: Tensor): Tensor<readonly string[], "bool">;
  logicalAnd(other: Tensor): Tensor<readonly string[], "bool"> {
    return runBinary("logical_and", this.#self(), other);
  }

  /** Where at least one is true (not zero). */
  logicalOr(other: Tensor<Axes>): Tensor<Axes, "bool">;
  logicalOr(other: Tensor): Tensor<readonly string[], "bool">;
  logicalOr(other: Tensor): Tensor<readonly string[], "bool"> {
    return runBinary("logical_or", this.#self(), other);
  }

  /** Where exactly one is true (not zero). */
  logicalXor(other: Tensor<Axes>): Tensor<Axes, "bool">;
  logicalXor(other: Tensor): Tensor<readonly string[], "bool">;
  logicalXor(other: Tensor): Tensor<readonly string[], "bool"> {
    return runBinary("logical_xor", this.#self(), other);
  }

  /** The bits that both integers have, or where both truth values are true. */
  bitwiseAnd(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  bitwiseAnd(other: Operand): Tensor;
  bitwiseAnd(other: Operand): Tensor {
    return runBinary("bitwise_and", this.#self(), other);
  }

  /** The bits that either integer has, or where either truth value is true. */
  bitwiseOr(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  bitwiseOr(other: Operand): Tensor;
  bitwiseOr(other: Operand): Tensor {
    return runBinary("bitwise_or", this.#self(), other);
  }

  /** The bits in which integers differ, or where truth values do. */
  bitwiseXor(other: number | bigint | Tensor<Axes>): Tensor<Axes>;
  bitwiseXor(other: Operand): Tensor;
  bitwiseXor(other: Operand): Tensor {
    return runBinary("bitwise_xor", this.#self(), other);
  }

  /** Where this is false (zero). */
  logicalNot(): Tensor<Axes, "bool"> {
    return run("logical_not", [this], {}, this.axes);
  }

  /** `this + weight * (end - this)`: this for weight 0, `end` for weight 1. */
  lerp(end: Tensor, weight: number): Tensor<Axes> {
    return run("lerp", [this, end], { weight }, this.axes);
  }
}

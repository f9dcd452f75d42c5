/** Functions of one operand, element by element. The result has the shape and the axis names of the operand. */

import type { DType } from "../engine/engine.ts";
import { ArithmeticOps } from "./arithmetic.ts";
import { run } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Functions of one operand. Those with a fractional result take integers too and give float32; those that need a
 * float throw `wrong_dtype` otherwise.
 *
 * @category Functions of each element
 */
export abstract class ElementwiseOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends ArithmeticOps<Axes, D> {
  /** `-x`. */
  neg(): Tensor<Axes> {
    return run("neg", [this], {}, this.axes);
  }

  /** `|x|`; its gradient at 0 is 0. */
  abs(): Tensor<Axes> {
    return run("abs", [this], {}, this.axes);
  }

  /** -1, 0 or 1; 0 for NaN. */
  sign(): Tensor<Axes> {
    return run("sign", [this], {}, this.axes);
  }

  /** `x * x`. */
  square(): Tensor<Axes> {
    return run("square", [this], {}, this.axes);
  }

  /** `e^x`. */
  exp(): Tensor<Axes> {
    return run("exp", [this], {}, this.axes);
  }

  /** `2^x`. */
  exp2(): Tensor<Axes> {
    return run("exp2", [this], {}, this.axes);
  }

  /** `e^x - 1`, exact near 0. */
  expm1(): Tensor<Axes> {
    return run("expm1", [this], {}, this.axes);
  }

  /** Natural logarithm; NaN below 0, `-inf` at 0. */
  log(): Tensor<Axes> {
    return run("log", [this], {}, this.axes);
  }

  /** Logarithm to base 2. */
  log2(): Tensor<Axes> {
    return run("log2", [this], {}, this.axes);
  }

  /** Logarithm to base 10. */
  log10(): Tensor<Axes> {
    return run("log10", [this], {}, this.axes);
  }

  /** `log(1 + x)`, exact near 0. */
  log1p(): Tensor<Axes> {
    return run("log1p", [this], {}, this.axes);
  }

  /** Square root; NaN below 0. */
  sqrt(): Tensor<Axes> {
    return run("sqrt", [this], {}, this.axes);
  }

  /** `1 / sqrt(x)`. */
  rsqrt(): Tensor<Axes> {
    return run("rsqrt", [this], {}, this.axes);
  }

  /** `1 / x`. */
  reciprocal(): Tensor<Axes> {
    return run("reciprocal", [this], {}, this.axes);
  }

  /** Sine of an angle in radians. */
  sin(): Tensor<Axes> {
    return run("sin", [this], {}, this.axes);
  }

  /** Cosine of an angle in radians. */
  cos(): Tensor<Axes> {
    return run("cos", [this], {}, this.axes);
  }

  /** Tangent of an angle in radians. */
  tan(): Tensor<Axes> {
    return run("tan", [this], {}, this.axes);
  }

  /** Angle in radians with that sine. */
  asin(): Tensor<Axes> {
    return run("asin", [this], {}, this.axes);
  }

  /** Angle in radians with that cosine. */
  acos(): Tensor<Axes> {
    return run("acos", [this], {}, this.axes);
  }

  /** Angle in radians with that tangent. */
  atan(): Tensor<Axes> {
    return run("atan", [this], {}, this.axes);
  }

  /** Hyperbolic sine. */
  sinh(): Tensor<Axes> {
    return run("sinh", [this], {}, this.axes);
  }

  /** Hyperbolic cosine. */
  cosh(): Tensor<Axes> {
    return run("cosh", [this], {}, this.axes);
  }

  /** Hyperbolic tangent. */
  tanh(): Tensor<Axes> {
    return run("tanh", [this], {}, this.axes);
  }

  /** Inverse of {@link sinh}. */
  asinh(): Tensor<Axes> {
    return run("asinh", [this], {}, this.axes);
  }

  /** Inverse of {@link cosh}. */
  acosh(): Tensor<Axes> {
    return run("acosh", [this], {}, this.axes);
  }

  /** Inverse of {@link tanh}. */
  atanh(): Tensor<Axes> {
    return run("atanh", [this], {}, this.axes);
  }

  /** The error function. */
  erf(): Tensor<Axes> {
    return run("erf", [this], {}, this.axes);
  }

  /** `1 - erf(x)`. */
  erfc(): Tensor<Axes> {
    return run("erfc", [this], {}, this.axes);
  }

  /** `log(x / (1 - x))`. */
  logit(): Tensor<Axes> {
    return run("logit", [this], {}, this.axes);
  }

  /** Rounds down. */
  floor(): Tensor<Axes> {
    return run("floor", [this], {}, this.axes);
  }

  /** Rounds up. */
  ceil(): Tensor<Axes> {
    return run("ceil", [this], {}, this.axes);
  }

  /** Rounds to the nearest whole number, halves to the even one. */
  round(): Tensor<Axes> {
    return run("round", [this], {}, this.axes);
  }

  /** Rounds towards zero. */
  trunc(): Tensor<Axes> {
    return run("trunc", [this], {}, this.axes);
  }

  /** What {@link trunc} takes away. */
  frac(): Tensor<Axes> {
    return run("frac", [this], {}, this.axes);
  }

  /** Limits elements to `[min, max]`; null leaves a side open. NaN stays NaN. */
  clamp(min: number | null, max: number | null = null): Tensor<Axes> {
    return run("clamp", [this], { min, max }, this.axes);
  }

  /** `max(x, min)`. */
  clampMin(min: number): Tensor<Axes> {
    return run("clamp_min", [this], { min }, this.axes);
  }

  /** `min(x, max)`. */
  clampMax(max: number): Tensor<Axes> {
    return run("clamp_max", [this], { max }, this.axes);
  }

  /** Replaces NaN by a number, and infinities by the largest numbers of the dtype or those given. */
  nanToNum(nan = 0, posinf: number | null = null, neginf: number | null = null): Tensor<Axes> {
    return run("nan_to_num", [this], { nan, posinf, neginf }, this.axes);
  }

  /** Where the element is NaN. */
  isnan(): Tensor<Axes, "bool"> {
    return run("isnan", [this], {}, this.axes);
  }

  /** Where the element is neither NaN nor infinite. */
  isfinite(): Tensor<Axes, "bool"> {
    return run("isfinite", [this], {}, this.axes);
  }

  /** Where the element is infinite. */
  isinf(): Tensor<Axes, "bool"> {
    return run("isinf", [this], {}, this.axes);
  }

  /** Where the element is `Infinity`. */
  isposinf(): Tensor<Axes, "bool"> {
    return run("isposinf", [this], {}, this.axes);
  }

  /** Where the element is `-Infinity`. */
  isneginf(): Tensor<Axes, "bool"> {
    return run("isneginf", [this], {}, this.axes);
  }

  /** All bits of integers flipped; truth values negated. */
  bitwiseNot(): Tensor<Axes> {
    return run("bitwise_not", [this], {}, this.axes);
  }
}

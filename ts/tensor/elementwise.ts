/** Functions of one operand, element by element. The result has the shape and the axis names of the operand. */

import type { DType } from "../engine/engine.ts";
import { ArithmeticOps } from "./arithmetic.ts";
import { run } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Functions of one operand. Those with a fractional result take integers too and give float32; those that need a
 * float throw `wrong_dtype` otherwise.
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

  /** -1, 0 or 1; NaN stays NaN. */
  sign(): Tensor<Axes> {
    return run("sign", [this], {}, this.axes);
  }

  /** `e^x`. */
  exp(): Tensor<Axes> {
    return run("exp", [this], {}, this.axes);
  }

  /** Natural logarithm; NaN below 0, `-inf` at 0. */
  log(): Tensor<Axes> {
    return run("log", [this], {}, this.axes);
  }

  /** `log(1 + x)`, exact near 0. */
  log1p(): Tensor<Axes> {
    return run("log1p", [this], {}, this.axes);
  }

  /** `e^x - 1`, exact near 0. */
  expm1(): Tensor<Axes> {
    return run("expm1", [this], {}, this.axes);
  }

  /** Square root; NaN below 0. */
  sqrt(): Tensor<Axes> {
    return run("sqrt", [this], {}, this.axes);
  }

  /** `1 / sqrt(x)`. */
  rsqrt(): Tensor<Axes> {
    return run("rsqrt", [this], {}, this.axes);
  }

  /** Sine of an angle in radians. */
  sin(): Tensor<Axes> {
    return run("sin", [this], {}, this.axes);
  }

  /** Cosine of an angle in radians. */
  cos(): Tensor<Axes> {
    return run("cos", [this], {}, this.axes);
  }

  /** Hyperbolic tangent. */
  tanh(): Tensor<Axes> {
    return run("tanh", [this], {}, this.axes);
  }

  /** `1 / (1 + e^-x)`. */
  sigmoid(): Tensor<Axes> {
    return run("sigmoid", [this], {}, this.axes);
  }

  /** `max(x, 0)`; its gradient at 0 is 0. */
  relu(): Tensor<Axes> {
    return run("relu", [this], {}, this.axes);
  }

  /** The error function. */
  erf(): Tensor<Axes> {
    return run("erf", [this], {}, this.axes);
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

  /** `1 / x`. */
  reciprocal(): Tensor<Axes> {
    return run("reciprocal", [this], {}, this.axes);
  }

  /** `x * x`. */
  square(): Tensor<Axes> {
    return run("square", [this], {}, this.axes);
  }

  /** `x * sigmoid(x)`, also called swish. */
  silu(): Tensor<Axes> {
    return run("silu", [this], {}, this.axes);
  }

  /** The tanh form of GELU with its constant rounded to 0.7978845608: `gelu_fast` in reference configs. */
  geluFast(): Tensor<Axes> {
    return run("gelu_fast", [this], {}, this.axes);
  }

  /** `x * sigmoid(1.702 x)`: a quick GELU. */
  quickGelu(): Tensor<Axes> {
    return run("quick_gelu", [this], {}, this.axes);
  }

  /** `relu(x)^2`. */
  reluSquared(): Tensor<Axes> {
    return run("relu_squared", [this], {}, this.axes);
  }

  /**
   * The Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415): `x Φ(x)`, or with `"tanh"` the
   * approximation that GPT-2 uses.
   */
  gelu(approximate: "none" | "tanh" = "none"): Tensor<Axes> {
    return run("gelu", [this], { approximate }, this.axes);
  }

  /** `log(1 + e^(beta x)) / beta`, and `x` itself where `beta x` is above `threshold`. */
  softplus(beta = 1, threshold = 20): Tensor<Axes> {
    return run("softplus", [this], { beta, threshold }, this.axes);
  }

  /** Limits elements to `[min, max]`; null leaves a side open. NaN stays NaN. */
  clamp(min: number | null, max: number | null = null): Tensor<Axes> {
    return run("clamp", [this], { min, max }, this.axes);
  }

  /** Where the element is NaN. */
  isnan(): Tensor<Axes, "bool"> {
    return run("isnan", [this], {}, this.axes);
  }

  /** Where the element is neither NaN nor infinite. */
  isfinite(): Tensor<Axes, "bool"> {
    return run("isfinite", [this], {}, this.axes);
  }

  /**
   * In training, sets each element to zero with probability `p` and scales the others by `1 / (1 - p)`; otherwise
   * gives the elements unchanged. `p` outside `[0, 1]` throws `invalid_argument`.
   */
  dropout(p = 0.5, training = true): Tensor<Axes> {
    return run("dropout", [this], { p, training }, this.axes);
  }
}

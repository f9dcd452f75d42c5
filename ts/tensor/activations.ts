/** Activation functions, element by element except {@link Tensor.softmax} and its kin. Integers throw `wrong_dtype`. */

import type { DType } from "../engine/engine.ts";
import { type Dim, dimNumber } from "./axes.ts";
import { MatrixOps } from "./matrices.ts";
import { run } from "./operation.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The non-linear functions between the layers of a network.
 *
 * @category Activation functions
 */
export abstract class ActivationOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends MatrixOps<Axes, D> {
  /** `1 / (1 + e^-x)`. */
  sigmoid(): Tensor<Axes> {
    return run("sigmoid", [this], {}, this.axes);
  }

  /** `max(x, 0)`; its gradient at 0 is 0. */
  relu(): Tensor<Axes> {
    return run("relu", [this], {}, this.axes);
  }

  /** `relu(x)^2`. */
  reluSquared(): Tensor<Axes> {
    return run("relu_squared", [this], {}, this.axes);
  }

  /** `x` limited to between 0 and 6. */
  relu6(): Tensor<Axes> {
    return run("relu6", [this], {}, this.axes);
  }

  /** `x * sigmoid(x)`, also called swish. */
  silu(): Tensor<Axes> {
    return run("silu", [this], {}, this.axes);
  }

  /** `x * tanh(softplus(x))`. */
  mish(): Tensor<Axes> {
    return run("mish", [this], {}, this.axes);
  }

  /** ELU, scaled so that variances settle (Klambauer et al., arXiv 1706.02515). */
  selu(): Tensor<Axes> {
    return run("selu", [this], {}, this.axes);
  }

  /** `log(sigmoid(x))` without loss of digits. */
  logsigmoid(): Tensor<Axes> {
    return run("logsigmoid", [this], {}, this.axes);
  }

  /** `x / (1 + |x|)`. */
  softsign(): Tensor<Axes> {
    return run("softsign", [this], {}, this.axes);
  }

  /** `x - tanh(x)`. */
  tanhshrink(): Tensor<Axes> {
    return run("tanhshrink", [this], {}, this.axes);
  }

  /** The tanh form of GELU with its constant rounded to 0.7978845608: `gelu_fast` in reference configs. */
  geluFast(): Tensor<Axes> {
    return run("gelu_fast", [this], {}, this.axes);
  }

  /** `x * sigmoid(1.702 x)`: a quick GELU. */
  quickGelu(): Tensor<Axes> {
    return run("quick_gelu", [this], {}, this.axes);
  }

  /**
   * The Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415): `x Φ(x)`, or with `"tanh"` the
   * approximation that GPT-2 uses.
   */
  gelu(approximate: "none" | "tanh" = "none"): Tensor<Axes> {
    return run("gelu", [this], { approximate }, this.axes);
  }

  /** `x` where positive, `slope * x` elsewhere. */
  leakyRelu(slope = 0.01): Tensor<Axes> {
    return run("leaky_relu", [this], { negative_slope: slope }, this.axes);
  }

  /** `x` where positive, `alpha * (e^x - 1)` elsewhere. */
  elu(alpha = 1): Tensor<Axes> {
    return run("elu", [this], { alpha }, this.axes);
  }

  /** `x` limited to between `min` and `max`, where the gradient is 0 outside and on the limits. */
  hardtanh(min = -1, max = 1): Tensor<Axes> {
    return run("hardtanh", [this], { min_val: min, max_val: max }, this.axes);
  }

  /** `log(1 + e^(beta x)) / beta`, and `x` itself where `beta x` is above `threshold`. */
  softplus(beta = 1, threshold = 20): Tensor<Axes> {
    return run("softplus", [this], { beta, threshold }, this.axes);
  }

  /**
   * In training, sets each element to zero with probability `p` and scales the others by `1 / (1 - p)`; otherwise
   * gives the elements unchanged. `p` outside `[0, 1]` throws `invalid_argument`. For `seed` see `randn`.
   */
  dropout(p = 0.5, training = true, seed?: number | bigint): Tensor<Axes> {
    return run("dropout", [this], { p, training, seed }, this.axes);
  }

  /** `exp(x)` divided by its sum along an axis. */
  softmax(dim: Dim<Axes>): Tensor<Axes> {
    return run("softmax", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** The logarithm of {@link softmax}, without loss of digits. */
  logSoftmax(dim: Dim<Axes>): Tensor<Axes> {
    return run("log_softmax", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** `x * softmax(x)` along an axis (Elhage et al., "Softmax Linear Units", 2022). */
  solu(dim: Dim<Axes> = -1): Tensor<Axes> {
    return run("solu", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }

  /** {@link softmax} of `-x`. */
  softmin(dim: Dim<Axes>): Tensor<Axes> {
    return run("softmin", [this], { dim: dimNumber(this.axes, dim) }, this.axes);
  }
}

/** Matrix products and linear algebra. */

import type { DType } from "../engine/engine.ts";
import { run, runPair, runTriple } from "./operation.ts";
import { SelectionOps } from "./selection.ts";
import type { Tensor } from "./tensor.ts";

/** `a = u diag(s) vh`, with the singular values in descending order; thin form. */
export interface Svd {
  /** `[..., n, k]`, orthonormal columns; k is the smaller of n and m. */
  readonly u: Tensor;
  /** `[..., k]`. */
  readonly s: Tensor;
  /** `[..., k, m]`, orthonormal rows. */
  readonly vh: Tensor;
}

/** `a = q r`, with orthonormal columns in `q` and an upper triangle `r`; thin form. */
export interface Qr {
  /** `[..., n, k]`. */
  readonly q: Tensor;
  /** `[..., k, m]`. */
  readonly r: Tensor;
}

/** `a = v diag(w) v'` for a symmetric `a`. */
export interface Eigh {
  /** `[..., n]`, ascending. */
  readonly values: Tensor;
  /** `[..., n, n]`, an eigenvector a column. */
  readonly vectors: Tensor;
}

/** A determinant in two parts: `sign * exp(logabsdet)`. */
export interface SlogDet {
  /** `[...]`: −1, 0 or 1. */
  readonly sign: Tensor;
  /** `[...]`: the logarithm of the magnitude, −∞ for singular matrices. */
  readonly logabsdet: Tensor;
}

/**
 * Products of matrices, factorisations and solving. Leading axes are a batch.
 *
 * @category Matrices
 */
export abstract class MatrixOps<
  Axes extends readonly string[] = readonly string[],
  out D extends DType = DType,
> extends SelectionOps<Axes, D> {
  /**
   * The matrix product: `[..., n, k]` and `[..., k, m]` give `[..., n, m]`, batches broadcast; a vector counts as a
   * row on the left and a column on the right, and its axis goes again. Throws `shape_mismatch` if the inner sizes
   * differ, `wrong_dtype` if the dtypes do.
   */
  matmul(other: Tensor): Tensor {
    return run("matmul", [this, other]);
  }

  /** The matrix product of two batches of equal length: `[b, n, k]` and `[b, k, m]`. Nothing broadcasts. */
  bmm(other: Tensor): Tensor {
    return run("bmm", [this, other]);
  }

  /** The sum of products of two vectors `[n]`. */
  dot(other: Tensor): Tensor<[]> {
    return run("dot", [this, other]);
  }

  /** All products of two vectors: `[n]` and `[m]` give `[n, m]`. */
  outer(other: Tensor): Tensor {
    return run("outer", [this, other]);
  }

  /** `x weight' + bias`: `[..., in]`, `[out, in]` and `[out]` give `[..., out]`. */
  linear(weight: Tensor, bias?: Tensor | null): Tensor {
    return run("linear", bias ? [this, weight, bias] : [this, weight]);
  }

  /** The singular value decomposition of `[..., n, m]`. */
  svd(): Svd {
    const [u, s, vh] = runTriple("svd", [this]);
    return { u, s, vh };
  }

  /** The singular values of `[..., n, m]`, descending. */
  svdvals(): Tensor {
    return run("svdvals", [this]);
  }

  /** The QR decomposition of `[..., n, m]`. */
  qr(): Qr {
    const [q, r] = runPair("qr", [this]);
    return { q, r };
  }

  /** Eigenvalues and eigenvectors of symmetric matrices `[..., n, n]`, of which the lower triangle is read. */
  eigh(): Eigh {
    const [values, vectors] = runPair("eigh", [this]);
    return { values, vectors };
  }

  /** The eigenvalues of symmetric matrices `[..., n, n]`, ascending. */
  eigvalsh(): Tensor {
    return run("eigvalsh", [this]);
  }

  /** The inverse of `[..., n, n]`. Throws `singular_matrix` where there is none. */
  inverse(): Tensor {
    return run("inverse", [this]);
  }

  /** The determinant of `[..., n, n]`. */
  det(): Tensor {
    return run("det", [this]);
  }

  /** Sign and logarithm of the magnitude of the determinant of `[..., n, n]`: for determinants too large or small. */
  slogdet(): SlogDet {
    const [sign, logabsdet] = runPair("slogdet", [this]);
    return { sign, logabsdet };
  }

  /** The `x` with `this x = b`, for `[..., n, n]` and `[..., n]` or `[..., n, m]`. Throws `singular_matrix`. */
  solve(b: Tensor): Tensor {
    return run("solve", [this, b]);
  }
}

//! Matrix factorizations of single matrices on the host, in `f64`, through faer.

use crate::error::{Error, Result};
use faer::linalg::solvers::{PartialPivLu, Qr, SelfAdjointEigen, Solve, Svd};
use faer::{Mat, MatRef, Side};

/// Row-major elements of a faer matrix.
fn elements(m: MatRef<'_, f64>) -> Vec<f64> {
    (0..m.nrows()).flat_map(|i| (0..m.ncols()).map(move |j| m[(i, j)])).collect()
}

fn view(data: &[f64], rows: usize, columns: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(data, rows, columns)
}

/// Iterations on NaN or infinity need not end.
fn require_finite(op: &'static str, data: &[f64]) -> Result<()> {
    if data.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::InvalidArgument { op, detail: "the matrix holds NaN or infinity".into() })
}

fn no_convergence(op: &'static str) -> Error {
    Error::InvalidArgument { op, detail: "the iteration did not converge".into() }
}

/// The thin singular value decomposition of a `[m, n]` matrix: `U [m, k]`, `S [k]` descending, `Vᵀ [k, n]`.
pub(super) fn svd(op: &'static str, a: &[f64], m: usize, n: usize) -> Result<[Vec<f64>; 3]> {
    require_finite(op, a)?;
    if m.min(n) == 0 {
        return Ok([Vec::new(), Vec::new(), Vec::new()]);
    }
    let svd = Svd::new_thin(view(a, m, n)).map_err(|_| no_convergence(op))?;
    let s = svd.S().column_vector();
    Ok([elements(svd.U()), (0..m.min(n)).map(|i| s[i]).collect(), elements(svd.V().transpose())])
}

/// The eigenvalues, ascending, and eigenvectors (columns) of a symmetric `[n, n]` matrix, whose lower triangle is read.
pub(super) fn eigh(op: &'static str, a: &[f64], n: usize) -> Result<[Vec<f64>; 2]> {
    let lower: Vec<f64> = (0..n * n).map(|at| (at / n, at % n)).map(|(i, j)| a[i.max(j) * n + i.min(j)]).collect();
    require_finite(op, &lower)?;
    if n == 0 {
        return Ok([Vec::new(), Vec::new()]);
    }
    let eigen = SelfAdjointEigen::new(view(&lower, n, n), Side::Lower).map_err(|_| no_convergence(op))?;
    let values = eigen.S().column_vector();
    Ok([(0..n).map(|i| values[i]).collect(), elements(eigen.U())])
}

/// The reduced QR decomposition of a `[m, n]` matrix: `Q [m, k]` and `R [k, n]`.
pub(super) fn qr(a: &[f64], m: usize, n: usize) -> [Vec<f64>; 2] {
    if m.min(n) == 0 {
        return [Vec::new(), Vec::new()];
    }
    let qr = Qr::new(view(a, m, n));
    [elements(qr.compute_thin_Q().as_ref()), elements(qr.thin_R())]
}

/// `A⁻¹ B` of `[n, n]` and `[n, k]`.
pub(super) fn solve(op: &'static str, a: &[f64], b: &[f64], n: usize, k: usize) -> Result<Vec<f64>> {
    if n * k == 0 {
        return Ok(Vec::new());
    }
    let lu = PartialPivLu::new(view(a, n, n));
    if (0..n).any(|i| lu.U()[(i, i)] == 0.0) {
        return Err(Error::SingularMatrix { op });
    }
    let x: Mat<f64> = lu.solve(view(b, n, k));
    Ok(elements(x.as_ref()))
}

/// The sign of the determinant of a `[n, n]` matrix and the absolute values of the factors whose product it is.
pub(super) fn pivots(a: &[f64], n: usize) -> (f64, Vec<f64>) {
    if n == 0 {
        return (1.0, Vec::new());
    }
    let lu = PartialPivLu::new(view(a, n, n));
    let (order, _) = lu.P().arrays();
    // A permutation is odd if the number of its cycles differs from its length by an odd number.
    let mut seen = vec![false; n];
    let mut odd = false;
    for start in 0..n {
        let mut at = start;
        let mut length = 0;
        while !std::mem::replace(&mut seen[at], true) {
            at = order[at];
            length += 1;
        }
        odd ^= length > 0 && length % 2 == 0;
    }
    let diagonal: Vec<f64> = (0..n).map(|i| lu.U()[(i, i)]).collect();
    let negative = diagonal.iter().filter(|x| **x < 0.0).count() % 2 == 1;
    (if odd != negative { -1.0 } else { 1.0 }, diagonal.into_iter().map(f64::abs).collect())
}

/// The matrix of cofactors of a `[n, n]` matrix, also of a singular one: `|U| |V| · U diag(Π_{j≠i} s_j) Vᵀ`.
pub(super) fn cofactors(op: &'static str, a: &[f64], n: usize) -> Result<Vec<f64>> {
    let [u, s, vt] = svd(op, a, n, n)?;
    let sign = pivots(&u, n).0 * pivots(&vt, n).0;
    let others: Vec<f64> = (0..n).map(|i| (0..n).filter(|&j| j != i).map(|j| s[j]).product::<f64>() * sign).collect();
    Ok((0..n * n)
        .map(|at| (at / n, at % n))
        .map(|(i, j)| (0..n).map(|k| u[i * n + k] * others[k] * vt[k * n + j]).sum())
        .collect())
}

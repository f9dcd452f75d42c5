//! Matrix factorizations of single matrices on the host, in `f64`: faer's, and in WebAssembly our own, which are a tenth
//! of its size. A test holds both to one another.

#[cfg(not(target_family = "wasm"))]
mod library;
#[cfg(any(target_family = "wasm", test))]
mod reflections;
#[cfg(any(target_family = "wasm", test))]
mod singular;
#[cfg(any(target_family = "wasm", test))]
mod symmetric;
#[cfg(test)]
mod tests;
#[cfg(any(target_family = "wasm", test))]
mod triangular;

#[cfg(target_family = "wasm")]
mod chosen {
    pub(super) use super::singular::svd;
    pub(super) use super::symmetric::eigh;
    pub(super) use super::triangular::{Elimination, qr};
}
#[cfg(not(target_family = "wasm"))]
use library as chosen;

use crate::error::{Error, Result};
use chosen::Elimination;

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

/// A matrix divided by a power of two, and this: the iterations take elements near 1 for granted.
fn scaled(a: &[f64]) -> (Vec<f64>, f64) {
    /// Where a number has its exponent.
    const EXPONENT: u64 = 0x7FF << 52;
    let largest = a.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let scale = f64::from_bits(largest.to_bits() & EXPONENT);
    (a.iter().map(|x| x / scale).collect(), scale)
}

/// The thin singular value decomposition of a `[m, n]` matrix: `U [m, k]`, `S [k]` descending, `Vᵀ [k, n]`.
pub(super) fn svd(op: &'static str, a: &[f64], m: usize, n: usize) -> Result<[Vec<f64>; 3]> {
    require_finite(op, a)?;
    if m.min(n) == 0 {
        return Ok([Vec::new(), Vec::new(), Vec::new()]);
    }
    chosen::svd(a, m, n).ok_or_else(|| no_convergence(op))
}

/// The eigenvalues, ascending, and eigenvectors (columns) of a symmetric `[n, n]` matrix, whose lower triangle is read.
pub(super) fn eigh(op: &'static str, a: &[f64], n: usize) -> Result<[Vec<f64>; 2]> {
    let lower: Vec<f64> = (0..n * n).map(|at| (at / n, at % n)).map(|(i, j)| a[i.max(j) * n + i.min(j)]).collect();
    require_finite(op, &lower)?;
    if n == 0 {
        return Ok([Vec::new(), Vec::new()]);
    }
    chosen::eigh(&lower, n).ok_or_else(|| no_convergence(op))
}

/// The reduced QR decomposition of a `[m, n]` matrix: `Q [m, k]` and `R [k, n]`.
pub(super) fn qr(a: &[f64], m: usize, n: usize) -> [Vec<f64>; 2] {
    if m.min(n) == 0 {
        return [Vec::new(), Vec::new()];
    }
    chosen::qr(a, m, n)
}

/// `A⁻¹ B` of `[n, n]` and `[n, k]`.
pub(super) fn solve(op: &'static str, a: &[f64], b: &[f64], n: usize, k: usize) -> Result<Vec<f64>> {
    if n * k == 0 {
        return Ok(Vec::new());
    }
    let lu = Elimination::new(a, n);
    if lu.diagonal().contains(&0.0) {
        return Err(Error::SingularMatrix { op });
    }
    Ok(lu.solve(b, k))
}

/// The sign of the determinant of a `[n, n]` matrix and the absolute values of the factors whose product it is.
pub(super) fn pivots(a: &[f64], n: usize) -> (f64, Vec<f64>) {
    if n == 0 {
        return (1.0, Vec::new());
    }
    let lu = Elimination::new(a, n);
    let diagonal = lu.diagonal();
    let negative = diagonal.iter().filter(|x| **x < 0.0).count() % 2 == 1;
    (if lu.is_odd() != negative { -1.0 } else { 1.0 }, diagonal.into_iter().map(f64::abs).collect())
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

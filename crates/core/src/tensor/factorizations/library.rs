//! Factorizations through faer.

use super::scaled;
use faer::linalg::solvers::{PartialPivLu, Qr, SelfAdjointEigen, Solve, Svd};
use faer::{Mat, MatRef, Side};

/// Row-major elements of a faer matrix.
fn elements(m: MatRef<'_, f64>) -> Vec<f64> {
    (0..m.nrows()).flat_map(|i| (0..m.ncols()).map(move |j| m[(i, j)])).collect()
}

fn view(data: &[f64], rows: usize, columns: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(data, rows, columns)
}

/// The thin decomposition of a finite `[m, n]` matrix that is not empty: `U [m, k]`, `S [k]` descending, `Vᵀ [k, n]`; none
/// if the iteration does not end.
pub(super) fn svd(a: &[f64], m: usize, n: usize) -> Option<[Vec<f64>; 3]> {
    let (a, scale) = scaled(a);
    let svd = Svd::new_thin(view(&a, m, n)).ok()?;
    let s = svd.S().column_vector();
    Some([elements(svd.U()), (0..m.min(n)).map(|i| s[i] * scale).collect(), elements(svd.V().transpose())])
}

/// The eigenvalues, ascending, and eigenvectors (columns) of a finite symmetric `[n, n]` matrix that is not empty; none if
/// the iteration does not end.
pub(super) fn eigh(a: &[f64], n: usize) -> Option<[Vec<f64>; 2]> {
    // Without, its eigenvalues are wrong in the third digit where elements are 1e20.
    let (a, scale) = scaled(a);
    let eigen = SelfAdjointEigen::new(view(&a, n, n), Side::Lower).ok()?;
    let values = eigen.S().column_vector();
    Some([(0..n).map(|i| values[i] * scale).collect(), elements(eigen.U())])
}

/// The reduced decomposition of an `[m, n]` matrix that is not empty: `Q [m, k]` and `R [k, n]`.
pub(super) fn qr(a: &[f64], m: usize, n: usize) -> [Vec<f64>; 2] {
    let qr = Qr::new(view(a, m, n));
    [elements(qr.compute_thin_Q().as_ref()), elements(qr.thin_R())]
}

/// `P A = L U`, with the largest element of each column as its pivot.
pub(super) struct Elimination(PartialPivLu<f64>);

impl Elimination {
    /// Of an `[n, n]` matrix.
    pub(super) fn new(a: &[f64], n: usize) -> Self {
        Self(PartialPivLu::new(view(a, n, n)))
    }

    /// The diagonal of `U`.
    pub(super) fn diagonal(&self) -> Vec<f64> {
        let u = self.0.U();
        (0..u.nrows()).map(|i| u[(i, i)]).collect()
    }

    /// Whether an odd number of rows changed places with one another.
    pub(super) fn is_odd(&self) -> bool {
        let (order, _) = self.0.P().arrays();
        // A permutation is odd if the number of its cycles differs from its length by an odd number.
        let mut seen = vec![false; order.len()];
        let mut odd = false;
        for start in 0..order.len() {
            let mut at = start;
            let mut length = 0;
            while !std::mem::replace(&mut seen[at], true) {
                at = order[at];
                length += 1;
            }
            odd ^= length > 0 && length % 2 == 0;
        }
        odd
    }

    /// `A⁻¹ B` of `B [n, k]`, if no pivot is zero.
    pub(super) fn solve(&self, b: &[f64], k: usize) -> Vec<f64> {
        let x: Mat<f64> = self.0.solve(view(b, self.0.P().arrays().0.len(), k));
        elements(x.as_ref())
    }
}

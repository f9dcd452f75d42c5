//! Triangular factors: `A = Q R` by reflections, `P A = L U` by elimination.

use super::reflections::{Reflection, identity, reflect_back, transposed};
use hooklens_kernels::factors::{add_scaled, inner};

/// Columns that are reflected together, and solved for.
const TOGETHER: usize = 16;

/// The reduced decomposition of an `[m, n]` matrix that is not empty: `Q [m, k]` and `R [k, n]`.
pub(super) fn qr(a: &[f64], m: usize, n: usize) -> [Vec<f64>; 2] {
    let k = m.min(n);
    let mut columns = transposed(a, m, n);
    let mut reflections: Vec<Reflection> = Vec::with_capacity(k);
    for (first, together) in columns.chunks_mut(TOGETHER * m).enumerate() {
        for reflection in &reflections {
            together.chunks_exact_mut(m).for_each(|column| reflection.apply(column));
        }
        let mut rest = together;
        for j in first * TOGETHER..k {
            let Some((column, others)) = rest.split_at_mut_checked(m) else { break };
            let (reflection, first) = Reflection::onto_first(column[j..].to_vec(), j);
            column[j] = first;
            others.chunks_exact_mut(m).for_each(|column| reflection.apply(column));
            reflections.push(reflection);
            rest = others;
        }
    }
    let r = (0..k * n).map(|at| (at / n, at % n)).map(|(i, j)| if i <= j { columns[j * m + i] } else { 0.0 }).collect();
    let mut q = identity(k, m);
    reflect_back(&reflections, &mut q, m);
    [transposed(&q, k, m), r]
}

/// `P A = L U`, with the largest element of each column as its pivot.
pub(super) struct Elimination {
    n: usize,
    /// `U`, and below its diagonal `L`, whose own diagonal is ones.
    factors: Vec<f64>,
    /// Which row of `A` each row comes from.
    order: Vec<usize>,
    odd: bool,
}

impl Elimination {
    /// Of an `[n, n]` matrix.
    pub(super) fn new(a: &[f64], n: usize) -> Self {
        let (mut rows, mut order, mut odd) = (a.to_vec(), Vec::from_iter(0..n), false);
        for k in 0..n {
            let mut pivot = k;
            for i in k + 1..n {
                // NaN is taken, so that it is not lost where a column is zero otherwise.
                let (x, most) = (rows[i * n + k].abs(), rows[pivot * n + k].abs());
                if x > most || x.is_nan() {
                    pivot = i;
                }
            }
            if pivot != k {
                let (above, below) = rows.split_at_mut(pivot * n);
                above[k * n..][..n].swap_with_slice(&mut below[..n]);
                order.swap(k, pivot);
                odd = !odd;
            }
            let (above, below) = rows.split_at_mut((k + 1) * n);
            let (first, rest) = above[k * n + k..].split_at(1);
            if first[0] == 0.0 {
                continue;
            }
            for row in below.chunks_exact_mut(n) {
                row[k] /= first[0];
                add_scaled(-row[k], rest, &mut row[k + 1..]);
            }
        }
        Self { n, factors: rows, order, odd }
    }

    /// The diagonal of `U`.
    pub(super) fn diagonal(&self) -> Vec<f64> {
        (0..self.n).map(|i| self.factors[i * self.n + i]).collect()
    }

    /// Whether an odd number of rows changed places with one another.
    pub(super) fn is_odd(&self) -> bool {
        self.odd
    }

    /// `A⁻¹ B` of `B [n, k]`, if no pivot is zero.
    pub(super) fn solve(&self, b: &[f64], k: usize) -> Vec<f64> {
        let n = self.n;
        let mut columns: Vec<f64> = (0..k).flat_map(|j| self.order.iter().map(move |i| b[i * k + j])).collect();
        for together in columns.chunks_mut(TOGETHER * n) {
            for (i, row) in self.factors.chunks_exact(n).enumerate() {
                for x in together.chunks_exact_mut(n) {
                    x[i] -= inner(&row[..i], &x[..i]);
                }
            }
            for (i, row) in self.factors.chunks_exact(n).enumerate().rev() {
                for x in together.chunks_exact_mut(n) {
                    x[i] = (x[i] - inner(&row[i + 1..], &x[i + 1..])) / row[i];
                }
            }
        }
        transposed(&columns, k, n)
    }
}

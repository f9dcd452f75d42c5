//! Householder's reflections and Givens's rotations, which all orthogonal factors are products of.

use hooklens_kernels::factors::{Turn, add_scaled, inner, turn};

/// Rows that reflections go over together: they stay in the cache meanwhile.
const TOGETHER: usize = 16;
/// Rotations that are collected before rows are turned.
const COLLECTED: usize = 1 << 13;

/// A matrix with its axes exchanged.
pub(super) fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|j| (0..rows).map(move |i| a[i * columns + j])).collect()
}

/// The identity's first rows.
pub(super) fn identity(rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|at| if at / columns == at % columns { 1.0 } else { 0.0 }).collect()
}

/// The Euclidean norm, also where squares are too large or too small for a number.
fn norm(x: &[f64]) -> f64 {
    /// Sums of squares within have lost nothing that counts.
    const SAFE: std::ops::Range<f64> = 1e-270..1e300;
    let squares = inner(x, x);
    if SAFE.contains(&squares) || squares.is_nan() {
        return squares.sqrt();
    }
    let largest = x.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    x.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt() * largest
}

/// `I - factor v vᵀ`, of vectors whose elements before the first of `v` stay as they are.
pub(super) struct Reflection {
    first: usize,
    factor: f64,
    along: Vec<f64>,
}

impl Reflection {
    /// That which leaves nothing of `x` but its first element, and what this becomes; `x` begins at element `first`.
    pub(super) fn onto_first(mut x: Vec<f64>, first: usize) -> (Self, f64) {
        let rest = norm(&x[1..]);
        if rest == 0.0 {
            let only = x[0];
            return (Self { first, factor: 0.0, along: x }, only);
        }
        // Away from the first element, so that nothing cancels.
        let onto = -x[0].hypot(rest).copysign(x[0]);
        let (factor, over) = ((onto - x[0]) / onto, x[0] - onto);
        x.iter_mut().for_each(|x| *x /= over);
        x[0] = 1.0;
        (Self { first, factor, along: x }, onto)
    }

    /// Reflects a row of all elements.
    pub(super) fn apply(&self, row: &mut [f64]) {
        self.apply_to_rest(&mut row[self.first..]);
    }

    /// Reflects a row that begins where `v` does.
    pub(super) fn apply_to_rest(&self, row: &mut [f64]) {
        if self.factor != 0.0 {
            add_scaled(-self.factor * inner(&self.along, row), &self.along, row);
        }
    }

    /// `(v, factor)`; the factor is zero where nothing is reflected.
    pub(super) fn parts(&self) -> (&[f64], f64) {
        (&self.along, self.factor)
    }
}

/// Reflects rows of `width` elements by the last of these first: rows of `Xᵀ` become those of `(H₀ H₁ … X)ᵀ`.
pub(super) fn reflect_back(reflections: &[Reflection], rows: &mut [f64], width: usize) {
    for together in rows.chunks_mut(TOGETHER * width) {
        for reflection in reflections.iter().rev() {
            together.chunks_exact_mut(width).for_each(|row| reflection.apply(row));
        }
    }
}

/// `cos`, `sin` and `r` with `cos f + sin g = r` and `cos g - sin f = 0`.
pub(super) fn rotation(f: f64, g: f64) -> (f64, f64, f64) {
    if g == 0.0 {
        return (1.0, 0.0, f);
    }
    if f.abs() > g.abs() {
        let t = g / f;
        let length = (1.0 + t * t).sqrt();
        (1.0 / length, t / length, f * length)
    } else {
        let t = f / g;
        let length = (1.0 + t * t).sqrt();
        (t / length, 1.0 / length, g * length)
    }
}

/// An orthogonal matrix in the making, in rows of its transpose: rotations are collected, so that many go over the rows at
/// a time.
pub(super) struct Turned {
    rows: Vec<f64>,
    width: usize,
    turns: Vec<Turn>,
}

impl Turned {
    pub(super) fn identity(width: usize) -> Self {
        Self { rows: identity(width, width), width, turns: Vec::new() }
    }

    /// Turns row `from` towards its neighbour `to`.
    pub(super) fn turn(&mut self, from: usize, to: usize, cos: f64, sin: f64) {
        if self.turns.len() == COLLECTED {
            self.flush();
        }
        self.turns.push(if from < to { Turn { row: from, cos, sin } } else { Turn { row: to, cos, sin: -sin } });
    }

    fn flush(&mut self) {
        turn(&mut self.rows, self.width, &self.turns);
        self.turns.clear();
    }

    /// The rows in this order, each scaled and in the place of the first of `width` elements.
    pub(super) fn rows(mut self, order: &[usize], scale: impl Fn(usize) -> f64, width: usize) -> Vec<f64> {
        self.flush();
        let mut all = vec![0.0; order.len() * width];
        for (&from, to) in order.iter().zip(all.chunks_exact_mut(width)) {
            add_scaled(scale(from), &self.rows[from * self.width..][..self.width], to);
        }
        all
    }
}

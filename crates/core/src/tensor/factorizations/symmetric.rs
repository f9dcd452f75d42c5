//! Eigenvalues of symmetric matrices: reflections leave three diagonals, and rotations with Wilkinson's shift remove the
//! outer ones.

use super::reflections::{Reflection, Turned, reflect_back, rotation, transposed};
use super::scaled;
use hooklens_kernels::factors::{add_scaled, inner};

/// Sweeps for each eigenvalue, of which about two are needed.
const SWEEPS: usize = 60;

/// The eigenvalues, ascending, and eigenvectors (columns) of a finite symmetric `[n, n]` matrix that is not empty; none if
/// the iteration does not end.
pub(super) fn eigh(a: &[f64], n: usize) -> Option<[Vec<f64>; 2]> {
    let (mut a, scale) = scaled(a);
    let mut reflections = Vec::with_capacity(n);
    let mut beside = Vec::with_capacity(n);
    for j in 0..n - 1 {
        let rest = |i: usize| i * n + j + 1..(i + 1) * n;
        let (reflection, e) = Reflection::onto_first(a[rest(j)].to_vec(), j + 1);
        beside.push(e);
        let (along, factor) = reflection.parts();
        if factor != 0.0 {
            // H A H = A - v wᵀ - w vᵀ
            let mut w: Vec<f64> = (j + 1..n).map(|i| factor * inner(&a[rest(i)], along)).collect();
            let half = factor / 2.0 * inner(&w, along);
            add_scaled(-half, along, &mut w);
            for (i, (v_i, w_i)) in (j + 1..n).zip(along.iter().zip(&w)) {
                add_scaled(-v_i, &w, &mut a[rest(i)]);
                add_scaled(-w_i, along, &mut a[rest(i)]);
            }
        }
        reflections.push(reflection);
    }
    let mut diagonal: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    drop(a);
    let vectors = diagonalise(&mut diagonal, &mut beside)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[i].total_cmp(&diagonal[j]));
    let mut rows = vectors.rows(&order, |_| 1.0, n);
    reflect_back(&reflections, &mut rows, n);
    Some([order.iter().map(|&i| diagonal[i] * scale).collect(), transposed(&rows, n, n)])
}

/// Makes `beside`, the elements next to the diagonal, zero; gives the rows of the transposed eigenvectors.
fn diagonalise(diagonal: &mut [f64], beside: &mut [f64]) -> Option<Turned> {
    let n = diagonal.len();
    let mut vectors = Turned::identity(n);
    let (mut end, mut sweeps) = (n - 1, 0);
    while end > 0 {
        let Some(first) = block_start(diagonal, beside, end) else {
            end -= 1;
            continue;
        };
        sweeps += 1;
        if sweeps > SWEEPS * n {
            return None;
        }
        let (d, e) = (&mut diagonal[first..=end], &mut beside[first..end]);
        // Towards the smaller end.
        let down = d[0].abs() >= d[d.len() - 1].abs();
        if !down {
            d.reverse();
            e.reverse();
        }
        let at = |i: usize| if down { first + i } else { end - i };
        sweep(d, e, |i, cos, sin| vectors.turn(at(i), at(i + 1), cos, sin));
        if !down {
            d.reverse();
            e.reverse();
        }
    }
    Some(vectors)
}

/// Where the block begins that ends at `end`; none if this stands alone. Negligible elements become zero.
fn block_start(diagonal: &[f64], beside: &mut [f64], end: usize) -> Option<usize> {
    for i in (0..end).rev() {
        let between = (diagonal[i].abs() * diagonal[i + 1].abs()).sqrt();
        if beside[i].abs() <= f64::EPSILON * between + f64::MIN_POSITIVE {
            beside[i] = 0.0;
            return (i + 1 < end).then_some(i + 1);
        }
    }
    Some(0)
}

/// One step of the iteration, from the first row to the last.
fn sweep(d: &mut [f64], e: &mut [f64], mut turn: impl FnMut(usize, f64, f64)) {
    let last = e.len();
    // The eigenvalue of the last two rows and columns that is nearer to the last element.
    let half = (d[last - 1] - d[last]) / (2.0 * e[last - 1]);
    let shift = d[last] - e[last - 1] / (half + half.hypot(1.0).copysign(half));
    let (mut cos, mut sin, mut less) = (1.0, 1.0, 0.0);
    let mut g = d[0] - shift;
    for i in 0..last {
        let (f, b) = (sin * e[i], cos * e[i]);
        let (c, s, r) = rotation(g, f);
        if i > 0 {
            e[i - 1] = r;
        }
        (cos, sin) = (c, s);
        g = d[i] - less;
        let r = (d[i + 1] - g) * sin + 2.0 * cos * b;
        less = sin * r;
        d[i] = g + less;
        g = cos * r - b;
        turn(i, cos, sin);
    }
    d[last] -= less;
    e[last - 1] = g;
}

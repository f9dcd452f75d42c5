//! Singular values by Golub and Kahan 1965: reflections from both sides leave two diagonals, and rotations remove the
//! second, as in Demmel and Kahan 1990, "Accurate singular values of bidiagonal matrices": steps without a shift where
//! one would cost small values their digits, and elements are dropped only where no value changes by more than rounding.

use super::reflections::{Reflection, Turned, reflect_back, rotation, transposed};
use super::scaled;
use hooklens_kernels::factors::add_scaled;

/// Sweeps for each singular value, of which about two are needed.
const SWEEPS: usize = 60;

/// The thin decomposition of a finite `[m, n]` matrix that is not empty: `U [m, k]`, `S [k]` descending, `Vᵀ [k, n]`; none
/// if the iteration does not end.
pub(super) fn svd(a: &[f64], m: usize, n: usize) -> Option<[Vec<f64>; 3]> {
    let (a, scale) = scaled(a);
    let values = |s: Vec<f64>| s.into_iter().map(|s| s * scale).collect();
    if m < n {
        let [vt, s, ut] = tall(transposed(&a, m, n), n, m)?;
        return Some([transposed(&ut, m, m), values(s), vt]);
    }
    let [ut, s, vt] = tall(a, m, n)?;
    Some([transposed(&ut, n, m), values(s), vt])
}

/// `Uᵀ [n, m]`, `S` and `Vᵀ [n, n]` of a matrix with at least as many rows as columns.
fn tall(mut a: Vec<f64>, m: usize, n: usize) -> Option<[Vec<f64>; 3]> {
    let (mut left, mut right) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let (mut diagonal, mut beside) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for j in 0..n {
        let (column, d) = Reflection::onto_first((j..m).map(|i| a[i * n + j]).collect(), j);
        diagonal.push(d);
        if j + 1 < n {
            let (along, factor) = column.parts();
            let rest = |i: usize| i * n + j + 1..(i + 1) * n;
            let mut sums = vec![0.0; n - j - 1];
            if factor != 0.0 {
                (j..m).zip(along).for_each(|(i, v)| add_scaled(-factor * v, &a[rest(i)], &mut sums));
                add_scaled(1.0, &sums, &mut a[rest(j)]);
            }
            let (row, e) = Reflection::onto_first(a[rest(j)].to_vec(), j + 1);
            beside.push(e);
            // Both reflections of a row while it is in the cache.
            for (i, v) in (j + 1..m).zip(&along[1..]) {
                if factor != 0.0 {
                    add_scaled(*v, &sums, &mut a[rest(i)]);
                }
                row.apply_to_rest(&mut a[rest(i)]);
            }
            right.push(row);
        }
        left.push(column);
    }
    drop(a);
    let [u, v] = diagonalise(&mut diagonal, &mut beside)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| diagonal[j].abs().total_cmp(&diagonal[i].abs()));
    let mut ut = u.rows(&order, |_| 1.0, m);
    reflect_back(&left, &mut ut, m);
    let mut vt = v.rows(&order, |i| 1f64.copysign(diagonal[i]), n);
    reflect_back(&right, &mut vt, n);
    Some([ut, order.iter().map(|&i| diagonal[i].abs()).collect(), vt])
}

/// Makes `beside`, the elements right of the diagonal, zero; gives the rows of `Uᵀ` and `Vᵀ`. Values come out with signs.
fn diagonalise(diagonal: &mut [f64], beside: &mut [f64]) -> Option<[Turned; 2]> {
    const TOLERANCE: f64 = 32.0 * f64::EPSILON;
    let n = diagonal.len();
    let [mut u, mut v] = [Turned::identity(n), Turned::identity(n)];
    // A lower bound of the smallest value, up to a factor.
    let (mut least, mut bound) = (diagonal[0].abs(), diagonal[0].abs());
    for (d, e) in diagonal[1..].iter().zip(&*beside) {
        bound = through(bound, d.abs(), e.abs());
        least = least.min(bound);
    }
    let negligible = (TOLERANCE * least / (n as f64).sqrt()).max((n * n) as f64 * f64::MIN_POSITIVE);
    let (mut end, mut sweeps) = (n - 1, 0);
    while end > 0 {
        let Some(first) = block_start(beside, end, negligible) else {
            end -= 1;
            continue;
        };
        sweeps += 1;
        if sweeps > SWEEPS * n {
            return None;
        }
        let (d, e) = (&mut diagonal[first..=end], &mut beside[first..end]);
        // From the larger end to the smaller one: turned round, the block is its own transpose.
        let down = d[0].abs() >= d[d.len() - 1].abs();
        if !down {
            d.reverse();
            e.reverse();
        }
        let at = |i: usize| if down { first + i } else { end - i };
        let (left, right) = if down { (&mut u, &mut v) } else { (&mut v, &mut u) };
        if let Some(least) = split(d, e, TOLERANCE) {
            let shift = shift(d, e, least, n as f64 * TOLERANCE);
            sweep(
                d,
                e,
                shift,
                |i, cos, sin| left.turn(at(i), at(i + 1), cos, sin),
                |i, cos, sin| right.turn(at(i), at(i + 1), cos, sin),
            );
        }
        if !down {
            d.reverse();
            e.reverse();
        }
    }
    Some([u, v])
}

/// The bound of the next value from that of those before it.
fn through(bound: f64, d: f64, e: f64) -> f64 {
    if bound == 0.0 { 0.0 } else { d * (bound / (bound + e)) }
}

/// Where the block begins that ends at `end`; none if this stands alone. Negligible elements become zero.
fn block_start(beside: &mut [f64], end: usize, negligible: f64) -> Option<usize> {
    for i in (0..end).rev() {
        if beside[i].abs() <= negligible {
            beside[i] = 0.0;
            return (i + 1 < end).then_some(i + 1);
        }
    }
    Some(0)
}

/// Drops an element that no singular value would notice; otherwise gives a lower bound of the smallest.
fn split(d: &[f64], e: &mut [f64], tolerance: f64) -> Option<f64> {
    let last = e.len() - 1;
    if e[last].abs() <= tolerance * d[last + 1].abs() {
        e[last] = 0.0;
        return None;
    }
    let mut bound = d[0].abs();
    let mut least = bound;
    for (e, d) in e.iter_mut().zip(&d[1..]) {
        if e.abs() <= tolerance * bound {
            *e = 0.0;
            return None;
        }
        bound = through(bound, d.abs(), e.abs());
        least = least.min(bound);
    }
    Some(least)
}

/// The smaller singular value of the last two rows and columns; zero where a shift would cost the smallest values digits.
fn shift(d: &[f64], e: &[f64], least: f64, tolerance: f64) -> f64 {
    let largest = d.iter().chain(e).fold(0.0, |most: f64, x| most.max(x.abs()));
    if tolerance * (least / largest) <= f64::EPSILON {
        return 0.0;
    }
    let (f, g, h) = (d[d.len() - 2].abs(), e[e.len() - 1].abs(), d[d.len() - 1].abs());
    // The sum and the difference of both values.
    let twice = (f + h).hypot(g) + (f - h).hypot(g);
    let smaller = 2.0 * f.max(h) / twice * f.min(h);
    let part = smaller / d[0].abs();
    if part * part < f64::EPSILON { 0.0 } else { smaller }
}

/// One step of the iteration, from the first row to the last.
fn sweep(
    d: &mut [f64],
    e: &mut [f64],
    shift: f64,
    mut left: impl FnMut(usize, f64, f64),
    mut right: impl FnMut(usize, f64, f64),
) {
    let last = e.len();
    if shift == 0.0 {
        let (mut cos, mut before) = (1.0, (1.0, 0.0));
        for i in 0..last {
            let (c, s, r) = rotation(d[i] * cos, e[i]);
            if i > 0 {
                e[i - 1] = before.1 * r;
            }
            right(i, c, s);
            let (old_cos, old_sin, value) = rotation(before.0 * r, d[i + 1] * s);
            d[i] = value;
            left(i, old_cos, old_sin);
            (cos, before) = (c, (old_cos, old_sin));
        }
        let rest = d[last] * cos;
        d[last] = rest * before.0;
        e[last - 1] = rest * before.1;
        return;
    }
    let mut f = (d[0].abs() - shift) * (1f64.copysign(d[0]) + shift / d[0]);
    let mut g = e[0];
    for i in 0..last {
        let (cos, sin, r) = rotation(f, g);
        if i > 0 {
            e[i - 1] = r;
        }
        right(i, cos, sin);
        f = cos * d[i] + sin * e[i];
        e[i] = cos * e[i] - sin * d[i];
        g = sin * d[i + 1];
        d[i + 1] *= cos;
        let (cos, sin, r) = rotation(f, g);
        d[i] = r;
        left(i, cos, sin);
        f = cos * e[i] + sin * d[i + 1];
        d[i + 1] = cos * d[i + 1] - sin * e[i];
        if i + 1 < last {
            g = sin * e[i + 1];
            e[i + 1] *= cos;
        }
    }
    e[last - 1] = f;
}

//! Our own factorizations against faer's, and against what they are defined by.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use super::reflections::transposed;
use super::triangular::Elimination;
use super::{library, singular, symmetric, triangular};

const SIZES: [[usize; 2]; 14] = [
    [1, 1],
    [1, 5],
    [6, 1],
    [2, 2],
    [3, 3],
    [3, 2],
    [5, 9],
    [16, 16],
    [17, 17],
    [33, 40],
    [60, 20],
    [100, 100],
    [200, 35],
    [128, 129],
];

/// Numbers between -1 and 1 that look random.
fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn times(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
    (0..m * n).map(|at| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum()).collect()
}

fn largest(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
}

fn assert_near(what: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (i, (a, b)) in got.iter().zip(wanted).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}: [{i}] is {a:e}, expected {b:e}, more than {tolerance:e} apart");
    }
}

/// That the rows of a matrix are orthonormal.
fn assert_orthonormal(what: &str, rows: &[f64], [k, n]: [usize; 2]) {
    let products = times(rows, &transposed(rows, k, n), [k, n, k]);
    let identity: Vec<f64> = (0..k * k).map(|at| if at / k == at % k { 1.0 } else { 0.0 }).collect();
    assert_near(what, &products, &identity, 1e-15 * (n as f64).max(16.0));
}

/// Matrices of every kind: noise, of low rank, with repeated values, graded, with zeros, with values far from 1.
fn matrices(m: usize, n: usize) -> Vec<(&'static str, Vec<f64>)> {
    let plain = noise(m * n, (m * 1000 + n) as u64);
    let low = times(&noise(m * 2, 5), &noise(2 * n, 6), [m, 2, n]);
    let each = |f: &dyn Fn(usize, usize, f64) -> f64| -> Vec<f64> {
        plain.iter().enumerate().map(|(at, &x)| f(at / n, at % n, x)).collect()
    };
    vec![
        ("ones on the diagonal", each(&|i, j, _| if i == j { 1.0 } else { 0.0 })),
        ("zeros", vec![0.0; m * n]),
        ("ones", vec![1.0; m * n]),
        ("of rank 2", low),
        ("graded down", each(&|i, _, x| x * 0.5f64.powi(i as i32))),
        ("graded up", each(&|i, j, x| x * 0.5f64.powi((m + n - i - j) as i32))),
        ("sparse", each(&|i, j, x| if (i + j) % 3 == 0 { x } else { 0.0 })),
        ("two diagonals", each(&|i, j, _| if i == j || i + 1 == j { 1.0 } else { 0.0 })),
        ("a column of zeros", each(&|_, j, x| if j == n / 2 { 0.0 } else { x })),
        ("huge", each(&|_, _, x| x * 1e300)),
        ("tiny", each(&|_, _, x| x * 1e-300)),
        ("noise", plain),
    ]
}

#[test]
fn singular_values_are_those_of_the_library_and_vectors_are_orthonormal() {
    for [m, n] in SIZES {
        let k = m.min(n);
        for (name, a) in matrices(m, n) {
            let what = format!("{m} by {n}, {name}");
            let [u, s, vt] = singular::svd(&a, m, n).unwrap();
            let tolerance = 1e-15 * (m.max(n) as f64).max(16.0) * largest(&a);
            let [_, wanted, _] = library::svd(&a, m, n).unwrap();
            assert_near(&what, &s, &wanted, tolerance * 4.0);
            assert!(s.windows(2).all(|s| s[0] >= s[1]) && s.iter().all(|s| *s >= 0.0), "{what}: {s:?}");
            assert_orthonormal(&what, &transposed(&u, m, k), [k, m]);
            assert_orthonormal(&what, &vt, [k, n]);
            let scaled: Vec<f64> = u.iter().enumerate().map(|(at, u)| u * s[at % k]).collect();
            assert_near(&what, &times(&scaled, &vt, [m, k, n]), &a, tolerance * 4.0);
        }
    }
}

#[test]
fn small_singular_values_keep_their_digits() {
    // Two diagonals determine even the smallest value to all its digits: their product is that of the diagonal.
    let n = 12usize;
    let a: Vec<f64> = (0..n * n)
        .map(|at| (at / n, at % n))
        .map(|(i, j)| match j.wrapping_sub(i) {
            0 => 10f64.powi(-2 * i as i32),
            1 => 10f64.powi(-2 * i as i32) / 3.0,
            _ => 0.0,
        })
        .collect();
    for a in [transposed(&a, n, n), a] {
        let [_, s, _] = singular::svd(&a, n, n).unwrap();
        let product: f64 = s.iter().map(|s| s.log10()).sum();
        assert!((product + (n * (n - 1)) as f64).abs() < 1e-12, "{product}");
    }
}

#[test]
fn eigenvalues_are_those_of_the_library_and_vectors_are_orthonormal() {
    for [n, _] in SIZES {
        for (name, a) in matrices(n, n) {
            let what = format!("{n} by {n}, {name}");
            let a: Vec<f64> = (0..n * n).map(|at| (at / n, at % n)).map(|(i, j)| a[i.max(j) * n + i.min(j)]).collect();
            let [w, v] = symmetric::eigh(&a, n).unwrap();
            let tolerance = 4e-15 * (n as f64).max(16.0) * largest(&a);
            let [wanted, _] = library::eigh(&a, n).unwrap();
            assert_near(&what, &w, &wanted, tolerance);
            assert!(w.windows(2).all(|w| w[0] <= w[1]), "{what}: {w:?}");
            assert_orthonormal(&what, &transposed(&v, n, n), [n, n]);
            let scaled: Vec<f64> = v.iter().enumerate().map(|(at, v)| v * w[at % n]).collect();
            assert_near(&what, &times(&scaled, &transposed(&v, n, n), [n, n, n]), &a, tolerance);
        }
    }
}

#[test]
fn orthogonal_and_triangular_factors_are_those_of_the_library() {
    for [m, n] in SIZES {
        let k = m.min(n);
        for (name, a) in matrices(m, n) {
            let what = format!("{m} by {n}, {name}");
            let [q, r] = triangular::qr(&a, m, n);
            let tolerance = 1e-15 * (m.max(n) as f64).max(16.0) * largest(&a);
            assert_orthonormal(&what, &transposed(&q, m, k), [k, m]);
            assert_near(&what, &times(&q, &r, [m, k, n]), &a, tolerance * 4.0);
            assert!((0..k * n).all(|at| at / n <= at % n || r[at] == 0.0), "{what}");
            if name == "noise" {
                let [wanted_q, wanted_r] = library::qr(&a, m, n);
                assert_near(&what, &q, &wanted_q, 1e-10);
                assert_near(&what, &r, &wanted_r, 1e-10);
            }
        }
    }
}

#[test]
fn pivots_and_solutions_are_those_of_the_library() {
    for [n, k] in SIZES {
        for (name, a) in matrices(n, n) {
            let what = format!("{n} by {n}, {name}");
            let (ours, wanted) = (Elimination::new(&a, n), library::Elimination::new(&a, n));
            let sign = |diagonal: &[f64], odd: bool| odd != (diagonal.iter().filter(|x| **x < 0.0).count() % 2 == 1);
            let (d, e) = (ours.diagonal(), wanted.diagonal());
            let singular = d.contains(&0.0);
            if matches!(name, "noise" | "ones on the diagonal" | "two diagonals" | "zeros" | "a column of zeros") {
                assert_eq!(singular, e.contains(&0.0), "{what}");
            }
            if name == "noise" {
                assert_eq!(sign(&d, ours.is_odd()), sign(&e, wanted.is_odd()), "{what}");
                assert_near(&what, &d, &e, 1e-12 * n as f64);
                let b = noise(n * k, 9);
                let (x, y) = (ours.solve(&b, k), wanted.solve(&b, k));
                assert_near(&what, &x, &y, 1e-10 * largest(&y).max(1.0));
                assert_near(&what, &times(&a, &x, [n, n, k]), &b, 1e-12 * n as f64 * largest(&x).max(1.0));
            }
        }
    }
}

#[test]
fn a_number_that_is_none_is_not_lost() {
    let mut a = noise(25, 3);
    a[12] = f64::NAN;
    assert!(triangular::qr(&a, 5, 5).iter().all(|x| x.iter().any(|x| x.is_nan())));
    let lu = Elimination::new(&a, 5);
    assert!(lu.diagonal().iter().any(|x| x.is_nan()) && lu.solve(&noise(5, 4), 1).iter().any(|x| x.is_nan()));
}

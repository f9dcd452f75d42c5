//! When a result counts as right: the rules of the fixtures' README.

use crate::fixture::Tolerance;
use hooklens_core::{DType, Tensor};

/// Compares two tensors of the same shape; the error says where they differ most.
pub(crate) fn compare(got: &Tensor, want: &Tensor, tolerance: Tolerance, signed_zero: bool) -> Result<(), String> {
    if want.dtype().is_float() {
        let (got, want) = (floats(got)?, floats(want)?);
        let bad = |(g, w): (&f64, &f64)| !float_matches(*g, *w, tolerance, signed_zero);
        let wrong: Vec<usize> = (0..want.len()).filter(|&i| bad((&got[i], &want[i]))).collect();
        let error = |i: usize| (got[i] - want[i]).abs();
        match wrong.iter().copied().max_by(|&a, &b| error(a).total_cmp(&error(b))) {
            None => Ok(()),
            Some(i) => Err(format!(
                "[{i}] is {:e}, expected {:e} (off by {:.1e}, rtol {:.1e}, atol {:.1e}; {} of {} wrong)",
                got[i],
                want[i],
                error(i),
                tolerance.rtol,
                tolerance.atol,
                wrong.len(),
                want.len()
            )),
        }
    } else {
        let (got, want) = (integers(got)?, integers(want)?);
        match (0..want.len()).find(|&i| got[i] != want[i]) {
            None => Ok(()),
            Some(i) => Err(format!("[{i}] is {}, expected {}", got[i], want[i])),
        }
    }
}

/// Whether all elements are zero.
pub(crate) fn is_zero(x: &Tensor) -> bool {
    floats(x).is_ok_and(|x| x.iter().all(|&x| x == 0.0))
}

fn float_matches(got: f64, want: f64, Tolerance { rtol, atol }: Tolerance, signed_zero: bool) -> bool {
    if want.is_nan() || got.is_nan() {
        return want.is_nan() && got.is_nan();
    }
    if want.is_infinite() || got.is_infinite() {
        return want == got;
    }
    if signed_zero && want == 0.0 && got == 0.0 && want.is_sign_negative() != got.is_sign_negative() {
        return false;
    }
    let flushed = got == 0.0 && want.abs() < f64::from(f32::MIN_POSITIVE);
    flushed || (got - want).abs() <= atol + rtol * want.abs()
}

fn floats(x: &Tensor) -> Result<Vec<f64>, String> {
    x.to_vec::<f64>().map_err(|e| e.to_string())
}

/// Integers must be read as such: int64 reaches beyond the whole numbers of a float.
fn integers(x: &Tensor) -> Result<Vec<i64>, String> {
    match x.dtype() {
        DType::Bool | DType::U8 => x.to_vec::<u8>().map(|v| v.into_iter().map(i64::from).collect()),
        _ => x.to_vec::<i64>(),
    }
    .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(got: f64, want: f64) -> bool {
        float_matches(got, want, Tolerance { rtol: 1e-5, atol: 1e-6 }, false)
    }

    #[test]
    fn a_number_outside_the_tolerance_is_wrong() {
        assert!(matches(1.0 + 1e-6, 1.0));
        assert!(!matches(1.0 + 1e-4, 1.0));
        assert!(!matches(0.0, 2e-6));
    }

    #[test]
    fn nan_and_infinity_match_only_themselves() {
        assert!(matches(f64::NAN, f64::NAN));
        assert!(!matches(0.0, f64::NAN));
        assert!(!matches(f64::NAN, 0.0));
        assert!(matches(f64::INFINITY, f64::INFINITY));
        assert!(!matches(f64::NEG_INFINITY, f64::INFINITY));
        assert!(!matches(1e30, f64::INFINITY));
    }

    #[test]
    fn the_sign_of_zero_counts_where_asked_for() {
        let exact = Tolerance::default();
        assert!(float_matches(-0.0, 0.0, exact, false));
        assert!(!float_matches(-0.0, 0.0, exact, true));
        assert!(!float_matches(0.0, -0.0, exact, true));
    }

    #[test]
    fn wide_integers_are_compared_exactly() {
        let tensor = |x: i64| Tensor::from_slice(&[x], &[1]).unwrap();
        let (near, exact) = (tensor((1 << 60) + 1), tensor(1 << 60));
        assert!(compare(&near, &exact, Tolerance::default(), false).is_err());
        assert!(compare(&exact, &exact, Tolerance::default(), false).is_ok());
    }
}

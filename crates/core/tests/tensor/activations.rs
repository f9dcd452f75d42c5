//! Activation functions of transformers' `ACT2FN` that the op fixtures lack, against torch 2.15.

use crate::{assert_close, check_gradient, numbers, values};
use hooklens_core::{BackwardOptions, DType, Tensor};

const INPUTS: [f64; 8] = [-200.0, -30.0, -3.0, -0.5, 0.0, 0.7, 2.0, 25.0];

/// The values of `f` and its slopes at [`INPUTS`].
fn at_inputs(f: impl Fn(&Tensor) -> Tensor) -> (Vec<f64>, Vec<f64>) {
    let x = Tensor::from_slice(&INPUTS, &[8]).unwrap().requiring_grad().unwrap();
    let y = f(&x);
    y.sum(None, false).unwrap().backward(None, BackwardOptions::default()).unwrap();
    (values(&y), values(&x.grad().unwrap().unwrap()))
}

/// Relative to each number, also where it is tiny.
#[track_caller]
fn assert_near(got: &[f64], want: &[f64]) {
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 1e-12 * want.abs() + 1e-300, "{got}, expected {want}");
    }
}

#[test]
fn laplace_is_torchs() {
    let (y, slopes) = at_inputs(|x| x.laplace().unwrap());
    // torch computes the tails as 1 + erf, which loses them.
    let expected =
        [0.0, 0.0, 0.0, 9.383381167682447e-06, 0.006094459617935588, 0.4899502547706289, 0.9999977102450648, 1.0];
    assert_close(&y, &expected, 1e-15);
    let expected = [
        0.0,
        0.0,
        4.469898130710365e-38,
        0.00014942904849454824,
        0.06111382879472588,
        1.4137637755486487,
        3.8834162676589635e-05,
        0.0,
    ];
    assert_near(&slopes, &expected);
}

#[test]
fn sqrt_softplus_is_torchs() {
    let (y, slopes) = at_inputs(|x| x.sqrt_softplus().unwrap());
    let expected = [
        3.720075976020836e-44,
        3.0590232050181864e-07,
        0.2204253877704246,
        0.6885324859293908,
        0.8325546111576978,
        1.050326639139205,
        1.4583991261115636,
        5.0,
    ];
    assert_near(&y, &expected);
    let expected = [
        1.8600379880104178e-44,
        1.5295116025090217e-07,
        0.10757806452621814,
        0.2741632940445328,
        0.30028060219661246,
        0.3180857017564456,
        0.3019739460233686,
        0.1,
    ];
    for (got, want) in slopes.iter().zip(expected) {
        assert!((got - want).abs() <= 1e-10 * want, "{got}, expected {want}");
    }
    // Where torch's softplus is 0 in single precision, its gradient is 0 · ∞.
    let x = Tensor::from_slice(&[-800.0f32], &[1]).unwrap().requiring_grad().unwrap();
    x.sqrt_softplus().unwrap().backward(None, BackwardOptions::default()).unwrap();
    assert_eq!(values(&x.grad().unwrap().unwrap()), [0.0]);
}

#[test]
fn their_gradients_are_those_of_the_functions() {
    let x = numbers(&[3, 5], 4);
    check_gradient(&x, |x| vec![x.laplace().unwrap()]);
    check_gradient(&x, |x| vec![x.sqrt_softplus().unwrap()]);
    let whole = Tensor::from_slice(&[1i64, 2], &[2]).unwrap();
    assert_eq!(whole.laplace().err().map(|e| e.code()), Some("wrong_dtype"));
    assert_eq!(x.to_dtype(DType::BF16).unwrap().sqrt_softplus().unwrap().dtype(), DType::BF16);
}

//! Gradients against differences of the function itself, in `f64`: a check that needs no other library, for every
//! differentiable operation that the PyTorch fixtures leave out, and for both sides of those with two operands.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use hooklens_core::ops::{Arg, call_named};
use hooklens_core::{BackwardOptions, Tensor};

/// A case: operation, arguments, the interval that inputs are drawn from, how many inputs.
struct Case {
    op: &'static str,
    args: Vec<(&'static str, Arg)>,
    low: f64,
    high: f64,
    inputs: usize,
}

fn case(op: &'static str, low: f64, high: f64) -> Case {
    Case { op, args: Vec::new(), low, high, inputs: 1 }
}

impl Case {
    fn with(mut self, name: &'static str, value: Arg) -> Self {
        self.args.push((name, value));
        self
    }

    fn of(mut self, inputs: usize) -> Self {
        self.inputs = inputs;
        self
    }
}

/// Numbers spread over an interval, in no order, never at its middle (where many functions have a kink).
fn numbers(n: usize, seed: usize, low: f64, high: f64) -> Vec<f64> {
    (0..n).map(|i| low + (high - low) * ((i * 7 + seed * 3 + 1) as f64 * 0.618_033_988_75).fract()).collect()
}

const DIMS: [usize; 2] = [3, 4];

fn loss(case: &Case, inputs: &[Tensor]) -> Tensor {
    let y = call_named(case.op, inputs, &case.args).unwrap().remove(0);
    // Unequal weights: a plain sum would hide a gradient put in the wrong place.
    let weights = Tensor::from_slice(&numbers(y.elem_count(), 9, 0.5, 1.5), y.dims()).unwrap();
    y.mul(&weights).unwrap().sum(None, false).unwrap()
}

/// The worst relative error of the gradient, over all inputs.
fn worst_error(case: &Case) -> f64 {
    let values: Vec<Vec<f64>> = (0..case.inputs).map(|k| numbers(12, k, case.low, case.high)).collect();
    let tensors =
        |values: &[Vec<f64>]| -> Vec<Tensor> { values.iter().map(|v| Tensor::from_slice(v, &DIMS).unwrap()).collect() };
    let leaves: Vec<Tensor> = tensors(&values).iter().map(|x| x.requiring_grad().unwrap()).collect();
    loss(case, &leaves).backward(None, BackwardOptions::default()).unwrap();
    let mut worst: f64 = 0.0;
    for (k, leaf) in leaves.iter().enumerate() {
        let gradient = leaf.grad().unwrap().unwrap().to_vec::<f64>().unwrap();
        for (i, got) in gradient.into_iter().enumerate() {
            let shifted = |by: f64| {
                let mut values = values.clone();
                values[k][i] += by;
                loss(case, &tensors(&values)).to_scalar().unwrap()
            };
            let h = 1e-6;
            let want = (shifted(h) - shifted(-h)) / (2.0 * h);
            worst = worst.max((got - want).abs() / (1.0 + want.abs()));
        }
    }
    worst
}

fn check(cases: Vec<Case>) {
    let failed: Vec<String> = cases
        .iter()
        .map(|case| (case, worst_error(case)))
        .filter(|(_, error)| error.is_nan() || *error > 1e-6)
        .map(|(case, error)| format!("{} {:?}: off by {error:.1e}", case.op, case.args))
        .collect();
    assert!(failed.is_empty(), "wrong gradients:\n  {}", failed.join("\n  "));
}

#[test]
fn of_mathematical_functions() {
    check(vec![
        case("log2", 0.2, 3.0),
        case("log10", 0.2, 3.0),
        case("exp2", -2.0, 2.0),
        case("tan", -1.0, 1.0),
        case("asin", -0.9, 0.9),
        case("acos", -0.9, 0.9),
        case("atan", -3.0, 3.0),
        case("sinh", -2.0, 2.0),
        case("cosh", -2.0, 2.0),
        case("asinh", -3.0, 3.0),
        case("acosh", 1.2, 4.0),
        case("atanh", -0.8, 0.8),
        case("erfc", -2.0, 2.0),
        case("frac", 0.1, 0.9),
        case("nan_to_num", -1.0, 1.0),
        case("clone", -1.0, 1.0),
    ]);
}

#[test]
fn of_activations() {
    check(vec![
        case("exp", -2.0, 2.0),
        case("tanh", -2.0, 2.0),
        case("sigmoid", -3.0, 3.0),
        case("silu", -3.0, 3.0),
        case("gelu", -3.0, 3.0),
        case("gelu", -3.0, 3.0).with("approximate", Arg::Text("tanh".into())),
        case("quick_gelu", -3.0, 3.0),
        case("softplus", -3.0, 3.0).with("beta", Arg::Float(1.5)),
        case("logsigmoid", -3.0, 3.0),
        case("leaky_relu", -3.0, 2.9).with("negative_slope", Arg::Float(0.2)),
        case("elu", -3.0, 2.9).with("alpha", Arg::Float(1.3)),
        case("selu", -3.0, 2.9),
        case("mish", -3.0, 3.0),
        case("hardtanh", -2.0, 2.1),
        case("relu6", -2.0, 8.1),
        case("softsign", -2.0, 2.0),
        case("tanhshrink", -2.0, 2.0),
        case("logit", 0.1, 0.9),
    ]);
}

#[test]
fn of_operations_on_two_tensors() {
    check(vec![
        case("add", -2.0, 2.0).of(2).with("alpha", Arg::Float(0.5)),
        case("sub", -2.0, 2.0).of(2).with("alpha", Arg::Float(0.5)),
        case("mul", -2.0, 2.0).of(2),
        case("div", 0.5, 2.0).of(2),
        case("pow", 0.5, 2.0).of(2),
        case("atan2", 0.5, 2.0).of(2),
        case("maximum", -2.0, 2.0).of(2),
        case("minimum", -2.0, 2.0).of(2),
        case("logaddexp", -2.0, 2.0).of(2),
        case("cosine_similarity", 0.2, 2.0).of(2).with("dim", Arg::Int(0)),
        case("lerp", -2.0, 2.0).of(2).with("weight", Arg::Float(0.3)),
    ]);
}

#[test]
fn of_reductions_and_scans() {
    check(vec![
        case("nansum", -2.0, 2.0).with("dim", Arg::Int(0)),
        case("prod", -2.0, 2.0).with("dim", Arg::Int(1)),
        case("logsumexp", -2.0, 2.0).with("dim", Arg::Int(0)),
        case("norm", 0.2, 2.0).with("p", Arg::Float(3.0)).with("dim", Arg::Int(0)),
        case("norm", 0.2, 2.0).with("p", Arg::Float(0.5)),
        case("norm", 0.2, 2.0).with("p", Arg::Text("-inf".into())).with("dim", Arg::Int(1)),
        case("normalize", 0.2, 2.0).with("dim", Arg::Int(1)),
        case("median", -2.0, 2.0).with("dim", Arg::Int(0)),
        case("cumsum", -2.0, 2.0).with("dim", Arg::Int(0)),
        case("cumprod", -2.0, 2.0).with("dim", Arg::Int(1)),
        case("logcumsumexp", -2.0, 2.0).with("dim", Arg::Int(1)),
        case("softmin", -2.0, 2.0).with("dim", Arg::Int(0)),
        case("softmax", -2.0, 2.0).with("dim", Arg::Int(0)),
        case("log_softmax", -2.0, 2.0).with("dim", Arg::Int(1)),
        case("layer_norm", -2.0, 2.0),
        case("rms_norm", -2.0, 2.0),
    ]);
}

#[test]
fn of_a_running_product_through_zero() {
    let x = Tensor::from_slice(&[2.0, 0.0, 3.0, 4.0], &[4]).unwrap().requiring_grad().unwrap();
    x.cumprod(0).unwrap().sum(None, false).unwrap().backward(None, BackwardOptions::default()).unwrap();
    // y = [a, ab, abc, abcd] at b = 0: dy/da = 1 and dy/db = a + ac + acd.
    assert_eq!(x.grad().unwrap().unwrap().to_vec::<f64>().unwrap(), [1.0, 32.0, 0.0, 0.0]);
}

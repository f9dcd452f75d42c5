//! What the op fixtures do not reach: layouts, dtypes, gradients of decompositions, einops patterns, random numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test panics")]

mod activations;
mod decompositions;
mod einops;
mod layouts;
mod products;
mod random;
mod sizes;

use hooklens_core::{BackwardOptions, DType, Tensor};

/// `count` numbers in [-1, 1), always the same, as a `f64` tensor of that shape.
fn numbers(dims: &[usize], seed: u64) -> Tensor {
    let uniform = Tensor::rand(dims, DType::F64, &candle_core::Device::Cpu, Some(seed)).unwrap();
    let data: Vec<f64> = values(&uniform).into_iter().map(|x| 2.0 * x - 1.0).collect();
    Tensor::from_slice(&data, dims).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_vec::<f64>().unwrap()
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "lengths");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * (1.0 + w.abs()), "[{i}] is {g}, expected {w}");
    }
}

/// Compares the gradient of `Σ f(x)·weights` with finite differences.
#[track_caller]
fn check_gradient(x: &Tensor, f: impl Fn(&Tensor) -> Vec<Tensor>) {
    let weigh = |outputs: &[Tensor]| -> Vec<Tensor> {
        outputs.iter().enumerate().map(|(i, out)| numbers(out.dims(), 1000 + i as u64)).collect()
    };
    let loss = |x: &Tensor| -> f64 {
        let outputs = f(x);
        let weights = weigh(&outputs);
        outputs.iter().zip(&weights).flat_map(|(o, w)| values(o).into_iter().zip(values(w))).map(|(o, w)| o * w).sum()
    };
    let leaf = x.requiring_grad().unwrap();
    let outputs = f(&leaf);
    for (output, weight) in outputs.iter().zip(weigh(&outputs)) {
        output.backward(Some(&weight), BackwardOptions { retain_graph: true }).unwrap();
    }
    let got = values(&leaf.grad().unwrap().unwrap());
    let base = values(x);
    let step = 1e-6;
    let want: Vec<f64> = (0..base.len())
        .map(|i| {
            let moved = |by: f64| {
                let mut data = base.clone();
                data[i] += by;
                loss(&Tensor::from_slice(&data, x.dims()).unwrap())
            };
            (moved(step) - moved(-step)) / (2.0 * step)
        })
        .collect();
    assert_close(&got, &want, 1e-6);
}

//! Overwriting a parameter changes the parameter, and no value that was made from it before.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use hooklens_core::hooks::CacheStore;
use hooklens_core::ops::Scalar;
use hooklens_core::{BackwardOptions, Tensor, no_grad};

fn constant(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap()
}

fn parameter(values: &[f32]) -> Tensor {
    Tensor::parameter(constant(values).data()).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec().unwrap()
}

fn gradient(tensor: &Tensor) -> Vec<f32> {
    values(&tensor.grad().unwrap().unwrap())
}

fn backward(tensor: &Tensor) -> hooklens_core::Result<()> {
    tensor.backward(None, BackwardOptions::default())
}

#[test]
fn values_made_before_an_update_stay() {
    let p = parameter(&[1.0, 2.0]);
    let cache = CacheStore::new();
    cache.set("p", &p).unwrap();
    cache.set("view", &p.reshape(&[2, 1]).unwrap()).unwrap();
    let detached = p.detach().unwrap();
    let view = no_grad(|| p.reshape(&[2, 1])).unwrap();
    p.assign(&constant(&[9.0, 9.0])).unwrap();
    assert_eq!(values(&p), [9.0, 9.0]);
    for before in [detached, view, cache.get("p").unwrap(), cache.get("view").unwrap()] {
        assert_eq!(values(&before), [1.0, 2.0]);
    }
}

#[test]
fn gradients_use_the_values_of_the_forward() {
    let (p, x) = (parameter(&[2.0]), constant(&[3.0]).requiring_grad().unwrap());
    let y = p.detach().unwrap().mul(&x).unwrap();
    p.assign(&constant(&[5.0])).unwrap();
    backward(&y).unwrap();
    assert_eq!(gradient(&x), [2.0]);

    let leaf = p.detach().unwrap().requiring_grad().unwrap();
    let y = leaf.mul(&leaf).unwrap();
    p.assign(&constant(&[7.0])).unwrap();
    backward(&y).unwrap();
    assert_eq!(gradient(&leaf), [10.0]);
}

#[test]
fn backward_through_an_overwritten_parameter_is_refused() {
    let (p, x) = (parameter(&[2.0]), constant(&[3.0]).requiring_grad().unwrap());
    for y in [p.mul(&x).unwrap(), p.reshape(&[1, 1]).unwrap().mul(&x).unwrap()] {
        p.assign(&constant(&[5.0])).unwrap();
        assert_eq!(backward(&y).unwrap_err().code(), "autograd");
        assert!(x.grad().unwrap().is_none());
    }
}

#[test]
fn a_parameter_may_be_overwritten_with_itself() {
    let p = parameter(&[1.0, 2.0]);
    p.assign(&p).unwrap();
    p.assign(&p.detach().unwrap().mul_scalar(Scalar::Int(2)).unwrap()).unwrap();
    assert_eq!(values(&p), [2.0, 4.0]);
    let square = Tensor::parameter(constant(&[1.0, 2.0, 3.0, 4.0]).reshape(&[2, 2]).unwrap().data()).unwrap();
    square.assign(&square.transpose(0, 1).unwrap()).unwrap();
    assert_eq!(values(&square), [1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn only_the_output_that_asked_keeps_its_gradient() {
    let x = constant(&[1.0, 2.0, 3.0, 4.0]).requiring_grad().unwrap();
    let parts = x.chunk(2, 0).unwrap();
    parts[0].retain_grad().unwrap();
    backward(&parts[0].mul(&parts[1]).unwrap().sum(None, false).unwrap()).unwrap();
    assert_eq!(gradient(&parts[0]), [3.0, 4.0]);
    assert!(parts[1].grad().unwrap().is_none());
    assert_eq!(gradient(&x), [3.0, 4.0, 1.0, 2.0]);
}

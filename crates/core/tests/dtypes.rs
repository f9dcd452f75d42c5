//! Which dtype comes out, and that none loses what it can hold.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use hooklens_core::ops::{Arg, Scalar, call_named};
use hooklens_core::tensor::{Gelu, Rounding};
use hooklens_core::{BackwardOptions, DType, Error, Tensor};

const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];

fn floats(x: &[f64], dtype: DType) -> Tensor {
    Tensor::from_slice(x, &[x.len()]).unwrap().to_dtype(dtype).unwrap()
}

fn one(dtype: DType, rank: usize) -> Tensor {
    Tensor::from_slice(&[1.0], &vec![1; rank]).unwrap().to_dtype(dtype).unwrap()
}

#[test]
fn tensors_of_equal_rank_promote_to_what_holds_both() {
    use DType::{BF16, Bool, F16, F32, F64, I64, U8};
    let table = [
        (Bool, U8, U8),
        (U8, I64, I64),
        (I64, F16, F16),
        (Bool, BF16, BF16),
        (F16, BF16, F32),
        (F16, F32, F32),
        (F32, F64, F64),
        (I64, F32, F32),
    ];
    for (a, b, want) in table {
        for (a, b) in [(a, b), (b, a)] {
            assert_eq!(one(a, 1).add(&one(b, 1)).unwrap().dtype(), want, "{a:?} + {b:?}");
        }
    }
}

#[test]
fn a_0d_tensor_or_a_number_counts_only_if_its_kind_is_higher() {
    use DType::{Bool, F16, F32, F64, I64, U8};
    let table = [(F32, F64, F32), (F16, F64, F16), (U8, I64, U8), (I64, F64, F64), (Bool, I64, I64), (F32, I64, F32)];
    for (dims, zero, want) in table {
        assert_eq!(one(dims, 1).mul(&one(zero, 0)).unwrap().dtype(), want, "{dims:?} * 0-d {zero:?}");
        assert_eq!(one(zero, 0).mul(&one(dims, 1)).unwrap().dtype(), want, "0-d {zero:?} * {dims:?}");
    }
    let table = [
        (F16, Scalar::Float(2.5), F16),
        (I64, Scalar::Float(2.5), F32),
        (U8, Scalar::Int(2), U8),
        (Bool, Scalar::Int(2), I64),
        (Bool, Scalar::Bool(true), Bool),
    ];
    for (tensor, number, want) in table {
        assert_eq!(one(tensor, 1).mul_scalar(number).unwrap().dtype(), want, "{tensor:?} * {number:?}");
    }
}

#[test]
fn every_float_dtype_keeps_itself_forward_and_backward() {
    for dtype in FLOATS {
        let x = floats(&[-1.5, 0.25, 2.0, 0.75], dtype).requiring_grad().unwrap();
        let results = [
            x.exp(),
            x.gelu(Gelu::Exact),
            x.gelu(Gelu::Tanh),
            x.silu(),
            x.softmax(0),
            x.log_softmax(0),
            x.layer_norm(1, None, None, 1e-5),
            x.rms_norm(1, None, 1e-5),
            x.sum(None, false),
            x.mean(None, false),
            x.var(None, 1.0, false),
            x.cumsum(0),
            x.mul_scalar(Scalar::Float(0.1)),
            x.clamp(Some(Scalar::Int(0)), None),
        ];
        for y in results {
            let y = y.unwrap();
            assert_eq!(y.dtype(), dtype, "{:?}", y.grad_fn());
            let seed = floats(&vec![1.0; y.elem_count()], dtype);
            let seed = Tensor::from_slice(&seed.to_vec::<f64>().unwrap(), y.dims()).unwrap();
            y.backward(Some(&seed), BackwardOptions::default()).unwrap();
            assert_eq!(x.grad().unwrap().unwrap().dtype(), dtype);
        }
    }
}

#[test]
fn half_precision_sums_do_not_stall() {
    // In float16 itself, 2048 + 1 is 2048.
    let ones = Tensor::ones(&[5000], DType::F16, &candle_core::Device::Cpu).unwrap();
    assert_eq!(ones.sum(None, false).unwrap().to_scalar().unwrap(), 5000.0);
    assert_eq!(ones.mean(None, false).unwrap().to_scalar().unwrap(), 1.0);
    let biased = Tensor::ones(&[5000, 3], DType::BF16, &candle_core::Device::Cpu).unwrap();
    let bias = one(DType::BF16, 1).requiring_grad().unwrap();
    biased.add(&bias).unwrap().sum(None, false).unwrap().backward(None, BackwardOptions::default()).unwrap();
    // 15000 rounds to 14976 in bfloat16: one rounding, at the end.
    assert_eq!(bias.grad().unwrap().unwrap().to_scalar().unwrap(), 14976.0);
}

#[test]
fn a_number_is_not_rounded_to_half_before_it_is_used() {
    let y = floats(&[1000.0], DType::F16).mul_scalar(Scalar::Float(0.1)).unwrap();
    assert_eq!(y.to_scalar().unwrap(), 100.0);
    assert!(floats(&[0.1], DType::F16).eq_scalar(Scalar::Float(0.1)).unwrap().to_scalar().unwrap() == 1.0);
}

#[test]
fn wide_integers_are_exact() {
    let big = (1i64 << 60) + 1;
    let x = Tensor::from_slice(&[big, -big], &[2]).unwrap();
    let int = |x: Tensor| x.to_vec::<i64>().unwrap();
    assert_eq!(int(x.add_scalar(Scalar::Int(2)).unwrap()), [big + 2, 2 - big]);
    assert_eq!(int(x.abs().unwrap()), [big, big]);
    assert_eq!(int(x.sum(None, false).unwrap()), [0]);
    assert_eq!(int(x.cumsum(0).unwrap()), [big, 0]);
    assert_eq!(int(x.amax(None, false).unwrap()), [big]);
    assert_eq!(int(x.remainder_scalar(Scalar::Int(10)).unwrap()), [7, 3]);
    let ten = Tensor::from_slice(&[10i64], &[1]).unwrap();
    assert_eq!(int(x.div_rounded(&ten, Rounding::Floor).unwrap()), [big / 10, -big / 10 - 1]);
    assert_eq!(x.eq(&x.add_scalar(Scalar::Int(1)).unwrap()).unwrap().to_vec::<u8>().unwrap(), [0, 0]);
    let range =
        Tensor::arange(Scalar::Int(big), Scalar::Int(big + 2), Scalar::Int(1), DType::I64, &candle_core::Device::Cpu);
    assert_eq!(int(range.unwrap()), [big, big + 1]);
}

#[test]
fn integers_divided_by_zero_are_an_error_and_floats_are_not() {
    let (x, zero) = (Tensor::from_slice(&[4i64], &[1]).unwrap(), Tensor::from_slice(&[0i64], &[1]).unwrap());
    for result in [x.fmod(&zero), x.remainder(&zero), x.div_rounded(&zero, Rounding::Trunc)] {
        assert!(matches!(result, Err(Error::DivisionByZero { .. })));
    }
    assert_eq!(x.div(&zero).unwrap().to_scalar().unwrap(), f64::INFINITY);
    // Nothing is divided where there are no elements.
    let none = Tensor::from_slice::<i64>(&[], &[0]).unwrap();
    assert_eq!(none.remainder(&zero).unwrap().dims(), [0]);
}

#[test]
fn the_smallest_integer_does_not_overflow() {
    let x = Tensor::from_slice(&[i64::MIN], &[1]).unwrap();
    let minus = Tensor::from_slice(&[-1i64], &[1]).unwrap();
    assert_eq!(x.div_rounded(&minus, Rounding::Trunc).unwrap().to_vec::<i64>().unwrap(), [i64::MIN]);
    assert_eq!(x.remainder(&minus).unwrap().to_vec::<i64>().unwrap(), [0]);
    assert_eq!(x.neg().unwrap().to_vec::<i64>().unwrap(), [i64::MIN]);
}

#[test]
fn absurd_sizes_are_refused() {
    for (op, args) in [
        ("zeros", vec![("size", Arg::List(vec![Arg::Int(i64::MAX), Arg::Int(16)]))]),
        ("eye", vec![("n", Arg::Int(i64::MAX))]),
        ("arange", vec![("end", Arg::Float(1e300))]),
        ("arange", vec![("end", Arg::Text("inf".into()))]),
        ("linspace", vec![("start", Arg::Int(0)), ("end", Arg::Int(1)), ("steps", Arg::Int(i64::MAX))]),
        ("zeros", vec![("size", Arg::Int(-1))]),
    ] {
        assert_eq!(call_named(op, &[], &args).unwrap_err().code(), "invalid_argument", "{op} {args:?}");
    }
}

#[test]
fn dropout_keeps_the_mean_and_repeats_with_its_seed() {
    let x = Tensor::ones(&[100_000], DType::F32, &candle_core::Device::Cpu).unwrap();
    let y = x.dropout(0.25, true, 7).unwrap();
    let values = y.to_vec::<f32>().unwrap();
    assert!(values.iter().all(|x| *x == 0.0 || (*x - 4.0 / 3.0).abs() < 1e-6));
    assert!((y.mean(None, false).unwrap().to_scalar().unwrap() - 1.0).abs() < 0.01);
    assert_eq!(values, x.dropout(0.25, true, 7).unwrap().to_vec::<f32>().unwrap());
    assert_ne!(values, x.dropout(0.25, true, 8).unwrap().to_vec::<f32>().unwrap());
}

#[test]
fn closeness_follows_the_tolerances() {
    let x = floats(&[1.0, 1.0, f64::NAN, f64::INFINITY, f64::INFINITY], DType::F64);
    let y = floats(&[1.0 + 1e-6, 1.1, f64::NAN, f64::INFINITY, 1.0], DType::F64);
    let close = |equal_nan| x.isclose(&y, 1e-5, 1e-8, equal_nan).unwrap().to_vec::<u8>().unwrap();
    assert_eq!(close(false), [1, 0, 0, 1, 0]);
    assert_eq!(close(true), [1, 0, 1, 1, 0]);
}

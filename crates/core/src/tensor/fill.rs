//! Tensors made from a rule: constants, ranges, the identity, one-hot rows.
//!
//! By name they take a `dtype` (`float32` unless the values say otherwise) and a `device` (`cpu`).

use super::elements::{map, store, to_vec};
use super::host::check_size;
use super::{CT, Tensor};
use crate::device::{DType, device_from_name};
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};
use candle_core::{DType as Storage, Device};

/// How many steps lead from `start` to just before `end`.
fn range_len(start: Scalar, end: Scalar, step: Scalar) -> Result<usize> {
    let op = "arange";
    let (first, last, by) = (start.as_f64(), end.as_f64(), step.as_f64());
    if !(first.is_finite() && last.is_finite() && by.is_finite()) {
        return Err(Error::InvalidArgument { op, detail: format!("{first} to {last} by {by} is not a finite range") });
    }
    if by == 0.0 || (last - first) * by < 0.0 {
        return Err(Error::InvalidArgument {
            op,
            detail: format!("step {by} does not lead from {first} to {last}; it must point that way and not be 0"),
        });
    }
    let count = match (start, end, step) {
        // Exact beyond 2^53.
        (Scalar::Int(first), Scalar::Int(last), Scalar::Int(by)) => {
            let (span, by) = (last.abs_diff(first), by.unsigned_abs());
            span.div_ceil(by) as f64
        }
        _ => ((last - first) / by).ceil(),
    };
    if count > isize::MAX as f64 {
        return Err(Error::InvalidArgument { op, detail: format!("{first} to {last} by {by} has {count} elements") });
    }
    Ok(count as usize)
}

impl Tensor {
    /// The same number everywhere.
    pub fn full(dims: &[usize], value: Scalar, dtype: DType, device: &Device) -> Result<Self> {
        check_size("full", dims)?;
        value.check_range("full", dtype)?;
        let fill = |data: Result<CT>| Self::constant_as(data?, dtype);
        match (dtype, value) {
            (DType::Bool, _) => {
                let truth = i64::from(value.as_f64() != 0.0);
                fill(store(Storage::U8, dims, device, 1, &|_, out: &mut [i64]| out.fill(truth)))
            }
            (_, Scalar::Int(i)) => fill(store(dtype.storage(), dims, device, 1, &|_, out: &mut [i64]| out.fill(i))),
            _ => {
                let x = value.as_f64();
                fill(store(dtype.storage(), dims, device, 1, &|_, out: &mut [f64]| out.fill(x)))
            }
        }
    }

    /// Ones.
    pub fn ones(dims: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        Self::full(dims, Scalar::Int(1), dtype, device)
    }

    /// `start`, `start + step`, … up to but without `end`: shape `[ceil((end - start) / step)]`.
    pub fn arange(start: Scalar, end: Scalar, step: Scalar, dtype: DType, device: &Device) -> Result<Self> {
        let n = range_len(start, end, step)?;
        check_size("arange", &[n])?;
        let data = match (start, step) {
            (Scalar::Int(first), Scalar::Int(by)) if !dtype.is_float() => {
                store(dtype.storage(), &[n], device, 1, &|from, out: &mut [i64]| {
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = first.wrapping_add(by.wrapping_mul((from + i) as i64));
                    }
                })
            }
            _ => {
                let (first, by) = (start.as_f64(), step.as_f64());
                store(dtype.storage(), &[n], device, 1, &|from, out: &mut [f64]| {
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = first + by * (from + i) as f64;
                    }
                })
            }
        };
        Self::constant(data?)?.to_dtype(dtype)
    }

    /// `steps` numbers evenly spaced from `start` to exactly `end`.
    pub fn linspace(start: f64, end: f64, steps: usize, dtype: DType, device: &Device) -> Result<Self> {
        check_size("linspace", &[steps])?;
        let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
        let data = store(dtype.storage(), &[steps], device, 1, &|from, out: &mut [f64]| {
            for (i, o) in out.iter_mut().enumerate() {
                let i = from + i;
                // From both ends, so that both are met exactly.
                *o = if i < steps.div_ceil(2) { start + step * i as f64 } else { end - step * (steps - 1 - i) as f64 };
            }
        });
        Self::constant(data?)
    }

    /// Ones on the diagonal of an `[n, m]` matrix.
    pub fn eye(n: usize, m: usize, dtype: DType, device: &Device) -> Result<Self> {
        check_size("eye", &[n, m])?;
        let data = store(dtype.storage(), &[n, m], device, 1, &|from, out: &mut [i64]| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = i64::from((from + i) / m == (from + i) % m);
            }
        });
        Self::constant_as(data?, dtype)
    }

    /// For each class id a row (`int64`) that is 1 there and 0 elsewhere; shape `[..., classes]`. Without `classes`,
    /// one more than the largest id.
    pub fn one_hot(&self, classes: Option<usize>) -> Result<Self> {
        let op = "one_hot";
        if !self.dtype().is_int() {
            return Err(Error::WrongDtype { op, expected: "integers".into(), got: self.dtype().name().into() });
        }
        let ids = to_vec::<i64>(self.data())?;
        let classes = match (classes, ids.iter().max()) {
            (Some(classes), _) => classes,
            (None, Some(largest)) => usize::try_from(largest + 1).unwrap_or(0),
            (None, None) => {
                return Err(Error::EmptyReduction { op, detail: "cannot infer the classes of no ids".into() });
            }
        };
        if let Some(wrong) = ids.iter().find(|id| usize::try_from(**id).map_or(true, |id| id >= classes)) {
            return Err(Error::IndexOutOfRange { op, index: *wrong, size: classes });
        }
        let dims = [self.dims(), &[classes]].concat();
        check_size(op, &dims)?;
        let data = store(Storage::I64, &dims, self.data().device(), 1, &|from, out: &mut [i64]| {
            for (i, o) in out.iter_mut().enumerate() {
                let (row, class) = ((from + i) / classes, (from + i) % classes);
                *o = i64::from(ids.get(row).is_some_and(|id| *id == class as i64));
            }
        });
        Self::constant(data?)
    }
}

fn device(name: Option<String>) -> Result<Device> {
    name.map_or(Ok(Device::Cpu), |name| device_from_name(&name))
}

/// `full` by name: without a dtype, the value's own.
fn full(size: &[usize], value: Scalar, dtype: Option<DType>, on: Option<String>) -> Result<Tensor> {
    Tensor::full(size, value, dtype.unwrap_or_else(|| value.dtype()), &device(on)?)
}

fn constant(size: &[usize], value: i64, dtype: Option<DType>, on: Option<String>) -> Result<Tensor> {
    Tensor::full(size, Scalar::Int(value), dtype.unwrap_or(DType::F32), &device(on)?)
}

fn like(x: &Tensor, value: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    Tensor::full(x.dims(), value, dtype.unwrap_or(x.dtype()), x.data().device())
}

fn arange(
    start: Option<Scalar>,
    end: Scalar,
    step: Option<Scalar>,
    dtype: Option<DType>,
    on: Option<String>,
) -> Result<Tensor> {
    let (start, step) = (start.unwrap_or(Scalar::Int(0)), step.unwrap_or(Scalar::Int(1)));
    let whole = [start, end, step].iter().all(|x| matches!(x, Scalar::Int(_)));
    let dtype = dtype.unwrap_or(if whole { DType::I64 } else { DType::F32 });
    Tensor::arange(start, end, step, dtype, &device(on)?)
}

fn one_hot(x: &Tensor, classes: Option<i64>) -> Result<Tensor> {
    match classes {
        None | Some(-1) => x.one_hot(None),
        Some(n) => match usize::try_from(n) {
            Ok(n) if n > 0 => x.one_hot(Some(n)),
            _ => Err(Error::InvalidArgument {
                op: "one_hot",
                detail: format!("'num_classes' must be above 0, or -1 to infer it, got {n}"),
            }),
        },
    }
}

/// A copy with storage of its own.
fn clone(x: &Tensor) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Tensor::constant_as(x.data().force_contiguous()?, x.dtype());
    }
    let data = map(x.data().dtype(), x.data(), |x: f64| x)?;
    crate::autograd::record_unary("clone", data, x, |g| Ok(g.clone()))
}

pub(super) const OPS: &[Op] = op_table! {
    full(; size: Vec<usize>, fill_value: Scalar, dtype: Option<DType>, device: Option<String>) => full(&size, fill_value, dtype, device);
    zeros(; size: Vec<usize>, dtype: Option<DType>, device: Option<String>) => constant(&size, 0, dtype, device);
    ones(; size: Vec<usize>, dtype: Option<DType>, device: Option<String>) => constant(&size, 1, dtype, device);
    full_like(x; fill_value: Scalar, dtype: Option<DType>) => like(x, fill_value, dtype);
    zeros_like(x; dtype: Option<DType>) => like(x, Scalar::Int(0), dtype);
    ones_like(x; dtype: Option<DType>) => like(x, Scalar::Int(1), dtype);
    arange(; start: Option<Scalar>, end: Scalar, step: Option<Scalar>, dtype: Option<DType>, device: Option<String>) => arange(start, end, step, dtype, device);
    linspace(; start: f64, end: f64, steps: usize, dtype: Option<DType>, device: Option<String>) => Tensor::linspace(start, end, steps, dtype.unwrap_or(DType::F32), &self::device(device)?);
    eye(; n: usize, m: Option<usize>, dtype: Option<DType>, device: Option<String>) => Tensor::eye(n, m.unwrap_or(n), dtype.unwrap_or(DType::F32), &self::device(device)?);
    one_hot(x; num_classes: Option<i64>) => one_hot(x, num_classes);
    clone(x) => clone(x);
};

//! Elements in host memory, for kernels that candle lacks: reading any tensor as a slice, and strided windows.
//!
//! A [`Window`] says where the elements of a result lie in a storage. It describes steps, reversals, diagonals and
//! overlaps that candle's own views cannot; [`windowed`] turns one into a differentiable operation, for the gradient
//! of reading through a window is adding through the same window.

use super::cells::{self, Row};
use super::{CT, Tensor};
use crate::autograd::record_unary;
use crate::error::Result;
use crate::ops::Scalar;
use candle_core::{CpuStorage, Device, Layout, WithDType};
use hooklens_kernels::cells::{Runs, put, take};
use std::mem::MaybeUninit;

/// [`with_element`](crate::with_element) for a dtype of candle. The expression is a result: candle has dtypes that are none
/// of ours.
macro_rules! with_element_type {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $crate::device::DType::of_storage($dtype) {
            Ok(dtype) => $crate::with_element!(dtype, $T => $body),
            Err(error) => Err(error),
        }
    };
}
pub(super) use with_element_type;

/// The tensor itself where it is on the host, else a copy there.
pub(super) fn brought(t: &CT) -> Result<CT> {
    if crate::device::on_host(t) { Ok(t.clone()) } else { Ok(t.to_device(&Device::Cpu)?) }
}

/// Passes the storage of `t` and its layout to `f`, copying from the device if need be.
pub(super) fn read<T: WithDType, R>(t: &CT, f: impl FnOnce(&[T], &Layout) -> Result<R>) -> Result<R> {
    let t = brought(t)?;
    let (storage, layout) = t.storage_and_layout();
    f(cells::elements(&storage)?, layout)
}

/// Passes the elements of `t` to `f` in row-major order.
pub(super) fn read_all<T: WithDType, R>(t: &CT, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let t = brought(&contiguous(t)?)?;
    let (storage, layout) = t.storage_and_layout();
    f(&cells::elements(&storage)?[layout.start_offset()..][..t.elem_count()])
}

/// A tensor of these elements on `device`.
pub(super) fn upload<T: WithDType>(data: Vec<T>, dims: &[usize], device: &Device) -> Result<CT> {
    cells::tensor(T::to_cpu_storage_owned(data), dims, device)
}

/// Fails where a tensor of that shape could not be held: a failing allocation would end the process.
pub(super) fn check_size(op: &'static str, dims: &[usize]) -> Result<()> {
    crate::memory::require_tensor(op, dims, 4)
}

/// The same elements in row-major order, without copying where they already are.
pub(super) fn contiguous(t: &CT) -> Result<CT> {
    if t.is_contiguous() {
        return Ok(t.clone());
    }
    crate::memory::require_tensor("contiguous", t.dims(), t.dtype().size_in_bytes())?;
    if !crate::device::on_host(t) {
        return Ok(t.contiguous()?);
    }
    Window::of(t.layout()).collect(t)
}

/// A number as an element of `T`; whole numbers become `i64` exactly.
pub(super) fn element<T: WithDType>(value: Scalar) -> T {
    let Scalar::Int(i) = value else {
        return T::from_f64(value.as_f64());
    };
    let any: &dyn std::any::Any = &i;
    any.downcast_ref::<T>().copied().unwrap_or_else(|| T::from_f64(i as f64))
}

/// `t` with that shape, which must have as many elements; copies only if the layout demands it.
pub(super) fn reshape(t: &CT, dims: &[usize]) -> Result<CT> {
    Ok(contiguous(t)?.reshape(dims)?)
}

/// Where the elements of an n-dimensional result lie: element `i` at `offset + Σ i[d]·strides[d]`.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) dims: Vec<usize>,
    pub(super) strides: Vec<isize>,
    pub(super) offset: usize,
}

impl Window {
    /// All elements of a tensor with that layout.
    pub(super) fn of(layout: &Layout) -> Self {
        Self {
            dims: layout.dims().to_vec(),
            strides: layout.stride().iter().map(|&s| s as isize).collect(),
            offset: layout.start_offset(),
        }
    }

    /// All elements of a row-major tensor.
    pub(super) fn row_major(dims: &[usize]) -> Self {
        let mut strides = vec![1isize; dims.len()];
        for d in (1..dims.len()).rev() {
            strides[d - 1] = strides[d] * dims[d] as isize;
        }
        Self { dims: dims.to_vec(), strides, offset: 0 }
    }

    /// Every `step`-th of an axis, `len` of them from `start` on; a negative step walks backwards.
    pub(super) fn stepped(mut self, dim: usize, start: usize, len: usize, step: isize) -> Self {
        if len > 0 {
            self.offset = self.offset.wrapping_add_signed(self.strides[dim] * start as isize);
        }
        self.dims[dim] = len;
        self.strides[dim] *= step;
        self
    }

    fn elem_count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Merges axes that are walked as one, so that inner loops are long.
    fn merged(&self) -> (Vec<usize>, Vec<isize>) {
        let mut dims: Vec<usize> = Vec::with_capacity(self.dims.len());
        let mut strides: Vec<isize> = Vec::with_capacity(self.dims.len());
        for (&n, &s) in self.dims.iter().zip(&self.strides) {
            if n == 1 {
                continue;
            }
            match (dims.last_mut(), strides.last_mut()) {
                (Some(dim), Some(stride)) if *stride == s * n as isize => {
                    *dim *= n;
                    *stride = s;
                }
                _ => {
                    dims.push(n);
                    strides.push(s);
                }
            }
        }
        (dims, strides)
    }

    /// Calls `f` with the innermost runs, in row-major order, many at a time.
    fn runs(&self, f: &mut dyn FnMut(Runs<'_>) -> Result<()>) -> Result<()> {
        const MANY: usize = 256;
        if self.elem_count() == 0 {
            return Ok(());
        }
        let (dims, strides) = self.merged();
        let (len, stride, rest) = match dims.split_last() {
            Some((&len, rest)) => (len, strides[rest.len()], rest),
            None => (1, 1, [].as_slice()),
        };
        let (rows, row_stride, outer) = match rest.split_last() {
            Some((&rows, outer)) => (rows, strides[outer.len()], outer),
            None => (1, 0, rest),
        };
        let mut at = vec![0usize; outer.len()];
        let mut offset = self.offset;
        let mut starts = Vec::with_capacity(MANY);
        loop {
            let mut start = offset;
            for _ in 0..rows {
                starts.push(start);
                start = start.wrapping_add_signed(row_stride);
                if starts.len() == MANY {
                    f(Runs { starts: &starts, len, stride })?;
                    starts.clear();
                }
            }
            let mut d = outer.len();
            loop {
                if d == 0 {
                    return f(Runs { starts: &starts, len, stride });
                }
                d -= 1;
                at[d] += 1;
                offset = offset.wrapping_add_signed(strides[d]);
                if at[d] < outer[d] {
                    break;
                }
                offset = offset.wrapping_add_signed(-strides[d] * outer[d] as isize);
                at[d] = 0;
            }
        }
    }

    /// Where each element lies, in row-major order.
    pub(super) fn places(&self) -> Result<Vec<usize>> {
        let mut places = Vec::with_capacity(self.elem_count());
        self.runs(&mut |Runs { starts, len, stride }| {
            let run = |start: &usize| {
                let start = *start;
                (0..len as isize).map(move |i| start.wrapping_add_signed(i * stride))
            };
            places.extend(starts.iter().flat_map(run));
            Ok(())
        })?;
        Ok(places)
    }

    /// The elements of the storage of `t`, which is on the host, in row-major order.
    pub(super) fn collect(&self, t: &CT) -> Result<CT> {
        // SAFETY: `copy` writes all elements of the window.
        let out = unsafe { cells::written(t.dtype(), self.elem_count(), &mut |to| self.copy(t, to)) };
        cells::tensor(out?, &self.dims, t.device())
    }

    /// The same, copied to where there is room for exactly those.
    pub(super) fn copy(&self, t: &CT, to: &mut [MaybeUninit<u8>]) -> Result<()> {
        let (storage, _) = t.storage_and_layout();
        let (from, size) = (cells::bytes(&storage)?, t.dtype().size_in_bytes());
        let mut done = 0;
        self.runs(&mut |runs| {
            let start = done;
            done += size * runs.len * runs.starts.len();
            take(size, from, runs, &mut to[start..done]);
            Ok(())
        })
    }

    /// Adds `values`, in row-major order, to the elements of `data` under the window.
    pub(super) fn add(&self, data: &mut CpuStorage, values: &CT) -> Result<()> {
        let (values, mut done) = (Row::of(values)?, 0);
        self.runs(&mut |runs| {
            let start = done;
            done += runs.len * runs.starts.len();
            values.add_to(data, runs, start)
        })
    }

    /// Overwrites the elements of `data` under the window with `values`, in row-major order.
    pub(super) fn set(&self, data: &mut CpuStorage, values: &CT) -> Result<()> {
        let (size, to) = (values.dtype().size_in_bytes(), cells::bytes_mut(data)?);
        Row::of(values)?.bytes(|values| {
            let mut done = 0;
            self.runs(&mut |runs| {
                let start = done;
                done += size * runs.len * runs.starts.len();
                put(size, to, runs, &values[start..done]);
                Ok(())
            })
        })
    }
}

/// The elements of `t` that `window` picks, which maps the window of all of `t` to that of the result.
pub(super) fn windowed(
    op: &'static str,
    t: &Tensor,
    window: impl Fn(Window) -> Window + Send + Sync + 'static,
) -> Result<Tensor> {
    windowed_by(op, t, Box::new(window))
}

/// [`windowed`], compiled once for all windows.
fn windowed_by(op: &'static str, t: &Tensor, window: Box<dyn Fn(Window) -> Window + Send + Sync>) -> Result<Tensor> {
    let data = t.data();
    crate::memory::require_tensor(op, &window(Window::row_major(t.dims())).dims, data.dtype().size_in_bytes())?;
    let host = brought(data)?;
    let out = window(Window::of(host.layout())).collect(&host)?.to_device(data.device())?;
    if !t.dtype().is_float() {
        return Tensor::constant_as(out, t.dtype());
    }
    let dims = t.dims().to_vec();
    record_unary(op, out, t, move |g| add_through(&window(Window::row_major(&dims)), g, &dims))
}

/// A tensor of zeros of shape `dims` to which `values` are added through `window`.
pub(super) fn add_through(window: &Window, values: &CT, dims: &[usize]) -> Result<CT> {
    crate::memory::require_tensor("gradient", dims, values.dtype().size_in_bytes())?;
    let mut out = cells::zeros(values.dtype(), dims.iter().product())?;
    window.add(&mut out, values)?;
    cells::tensor(out, dims, values.device())
}

/// Wraps the result of an operation of one input that only moves elements: the dtype, `bool` included, stays.
pub(super) fn moved(
    op: &'static str,
    out: CT,
    t: &Tensor,
    rule: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static,
) -> Result<Tensor> {
    if t.dtype().is_float() { record_unary(op, out, t, rule) } else { Tensor::constant_as(out, t.dtype()) }
}

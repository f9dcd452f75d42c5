//! Elements in host memory, for kernels that candle lacks: reading any tensor as a slice, and strided windows.
//!
//! A [`Window`] says where the elements of a result lie in a storage. It describes steps, reversals, diagonals and
//! overlaps that candle's own views cannot; [`windowed`] turns one into a differentiable operation, for the gradient
//! of reading through a window is adding through the same window.

use super::{CT, Tensor};
use crate::autograd::record_unary;
use crate::error::{Error, Result};
use crate::ops::Scalar;
use candle_core::{Device, Layout, Storage, WithDType};

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

/// Passes the storage of `t` and its layout to `f`, copying from the device if need be.
pub(super) fn read<T: WithDType, R>(t: &CT, f: impl FnOnce(&[T], &Layout) -> Result<R>) -> Result<R> {
    if !t.device().is_cpu() {
        return read(&t.to_device(&Device::Cpu)?, f);
    }
    let (storage, layout) = t.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(T::cpu_storage_as_slice(storage)?, layout),
        _ => Err(Error::Internal { detail: "a tensor on the CPU whose storage is elsewhere".into() }),
    }
}

/// Passes the elements of `t` to `f` in row-major order.
pub(super) fn read_all<T: WithDType, R>(t: &CT, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    if !t.is_contiguous() {
        return read_all(&contiguous(t)?, f);
    }
    read(t, |data, layout| {
        let start = layout.start_offset();
        f(&data[start..start + layout.shape().elem_count()])
    })
}

/// A tensor of these elements on `device`.
pub(super) fn upload<T: WithDType>(data: Vec<T>, dims: &[usize], device: &Device) -> Result<CT> {
    let t = CT::from_vec(data, dims, &Device::Cpu)?;
    if device.is_cpu() { Ok(t) } else { Ok(t.to_device(device)?) }
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
    with_element_type!(t.dtype(), T => {
        let data = read::<T, _>(t, |data, layout| Ok(Window::of(layout).collect(data)))?;
        upload(data, t.dims(), t.device())
    })
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

    /// Calls `f(offset, inner length, inner stride)` for each innermost run, in row-major order.
    fn runs(&self, mut f: impl FnMut(usize, usize, isize)) {
        if self.elem_count() == 0 {
            return;
        }
        let (dims, strides) = self.merged();
        let Some((&inner, outer)) = dims.split_last() else {
            return f(self.offset, 1, 1);
        };
        let inner_stride = strides[outer.len()];
        let mut at = vec![0usize; outer.len()];
        let mut offset = self.offset as isize;
        loop {
            f(offset as usize, inner, inner_stride);
            let mut d = outer.len();
            loop {
                if d == 0 {
                    return;
                }
                d -= 1;
                at[d] += 1;
                offset += strides[d];
                if at[d] < outer[d] {
                    break;
                }
                offset -= strides[d] * outer[d] as isize;
                at[d] = 0;
            }
        }
    }

    /// The elements in row-major order.
    pub(super) fn collect<T: Copy>(&self, data: &[T]) -> Vec<T> {
        let mut out = Vec::with_capacity(self.elem_count());
        self.runs(|offset, len, stride| match stride {
            1 => out.extend_from_slice(&data[offset..offset + len]),
            0 => out.extend(std::iter::repeat_n(data[offset], len)),
            _ => out.extend((0..len as isize).map(|i| data[offset.wrapping_add_signed(i * stride)])),
        });
        out
    }

    /// Adds `values`, in row-major order, to the elements of `data` under the window.
    pub(super) fn add<T: WithDType>(&self, data: &mut [T], values: &[T]) {
        let mut rest = values;
        self.runs(|offset, len, stride| {
            let (run, tail) = rest.split_at(len);
            rest = tail;
            if stride == 1 {
                data[offset..offset + len].iter_mut().zip(run).for_each(|(d, &v)| *d += v);
            } else {
                for (i, &v) in run.iter().enumerate() {
                    data[offset.wrapping_add_signed(i as isize * stride)] += v;
                }
            }
        });
    }

    /// Overwrites the elements of `data` under the window with `values`, in row-major order.
    pub(super) fn set<T: Copy>(&self, data: &mut [T], values: &[T]) {
        let mut rest = values;
        self.runs(|offset, len, stride| {
            let (run, tail) = rest.split_at(len);
            rest = tail;
            if stride == 1 {
                data[offset..offset + len].copy_from_slice(run);
            } else {
                for (i, &v) in run.iter().enumerate() {
                    data[offset.wrapping_add_signed(i as isize * stride)] = v;
                }
            }
        });
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
    let out = with_element_type!(data.dtype(), T => {
        let (values, dims) = read::<T, _>(data, |data, layout| {
            let w = window(Window::of(layout));
            Ok((w.collect(data), w.dims))
        })?;
        upload(values, &dims, data.device())
    })?;
    if !t.dtype().is_float() {
        return Tensor::constant_as(out, t.dtype());
    }
    let dims = t.dims().to_vec();
    record_unary(op, out, t, move |g| add_through(&window(Window::row_major(&dims)), g, &dims))
}

/// A tensor of zeros of shape `dims` to which `values` are added through `window`.
pub(super) fn add_through(window: &Window, values: &CT, dims: &[usize]) -> Result<CT> {
    crate::memory::require_tensor("gradient", dims, values.dtype().size_in_bytes())?;
    with_element_type!(values.dtype(), T => {
        let mut out = vec![T::from_f64(0.0); dims.iter().product()];
        read_all::<T, _>(values, |values| { window.add(&mut out, values); Ok(()) })?;
        upload(out, dims, values.device())
    })
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

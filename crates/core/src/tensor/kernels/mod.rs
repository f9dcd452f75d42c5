//! Fast `f32` kernels for the operations that models spend their time in: the loops of `hooklens_kernels`, on tensors.
//!
//! Functions here return `None` when the tensors are not `f32` on the host; the caller then takes the general way of
//! [`super::elements`] and [`super::rows`], which is also what the tests compare with.

mod arithmetic;
mod attention;
mod classes;
mod lanes;
mod norm_parts;
mod pointwise;
mod rows;
mod selection;

pub(crate) use arithmetic::arithmetic;
pub(crate) use attention::attention_pattern;
pub(crate) use classes::{class_gradient, log_sums};
pub(crate) use hooklens_kernels::arithmetic::Arithmetic;
pub(crate) use hooklens_kernels::attention::Sight;
pub(crate) use hooklens_kernels::classes::{ClassRow, LogSum};
pub use hooklens_kernels::instructions;
#[cfg(target_family = "wasm")]
pub(crate) use hooklens_kernels::multiply_doubles;
pub(crate) use hooklens_kernels::pointwise::ElementKernel;
pub(crate) use hooklens_kernels::{
    Finish, Half, Head, Mask, Operand, Results, Rows, Shape, Stored, Strided, attends, multiplies, multiply,
};
pub(crate) use norm_parts::{norm_scale, norm_scale_gradient, over_scale, over_scale_slope, scale_shift};
pub(crate) use pointwise::{map_slope, map_value};
pub(crate) use rows::{
    NormGradients, layer_norm, layer_norm_gradients, log_softmax, log_softmax_gradient, softmax, softmax_gradient,
};
pub(crate) use selection::select;

use super::CT;
use super::elements::fill;
use super::host::{contiguous, upload};
use crate::error::Result;
use candle_core::{CpuStorage, DType, Device, Storage};

/// Elements that a kernel works on at a time: three such pieces fit the first-level cache.
const PIECE: usize = 2048;
/// Waking the other threads costs 10 to 25 µs: below this, loops that only move memory stay on one.
const PARALLEL_LIGHT: usize = 1 << 19;
/// The same for loops that compute an exponential or so for each element.
const PARALLEL_HEAVY: usize = 1 << 16;

/// Whether kernels apply.
pub(super) fn applies(x: &CT) -> bool {
    x.dtype() == DType::F32 && x.device().is_cpu()
}

/// Calls `f` with the elements of each tensor in row-major order, if kernels apply to all of them.
pub(super) fn with_slices<const N: usize, R>(tensors: [&CT; N], f: impl FnOnce([&[f32]; N]) -> R) -> Result<Option<R>> {
    if !tensors.iter().all(|x| applies(x)) {
        return Ok(None);
    }
    let mut rows = Vec::with_capacity(N);
    for x in tensors {
        rows.push(contiguous(x)?);
    }
    let guards: Vec<_> = rows.iter().map(|x| x.storage_and_layout()).collect();
    let mut slices = [[].as_slice(); N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        match (&**storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => *slice = &values[start..end],
            _ => return Ok(None),
        }
    }
    Ok(Some(f(slices)))
}

/// A tensor of `dims` written piece by piece, in whole rows of `unit`.
pub(super) fn tensor(
    dims: &[usize],
    unit: usize,
    parallel: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<CT> {
    tensor_by(dims, unit, parallel, &write)
}

/// [`tensor`], compiled once for all.
fn tensor_by(dims: &[usize], unit: usize, parallel: usize, write: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<CT> {
    crate::memory::require_tensor("broadcast", dims, size_of::<f32>())?;
    upload(fill(dims.iter().product(), unit, PIECE, parallel, write), dims, &Device::Cpu)
}

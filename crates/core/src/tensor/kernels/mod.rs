//! Fast `f32` kernels for the operations that models spend their time in.
//!
//! Each kernel is one branch-free loop that the compiler vectorises. [`run`] compiles it several times, for AVX-512,
//! for AVX2 with FMA and for the architecture's baseline, and picks at run time what the machine has: no build flags,
//! one binary. Functions here return `None` when the tensors are not `f32` on the host; the caller then takes the
//! general way of [`super::elements`] and [`super::rows`], which is also what the tests compare with.

mod arithmetic;
mod attention;
mod classes;
mod halves;
mod heads;
mod instructions;
mod lanes;
mod math;
mod norm_parts;
mod operand;
mod pointwise;
mod product;
mod rows;
mod selection;
mod vectors;

pub(crate) use arithmetic::{Arithmetic, arithmetic};
pub(crate) use attention::{Sight, attention_pattern};
pub(crate) use classes::{ClassRow, LogSum, class_gradient, log_sums};
pub(crate) use halves::{Half, narrowed, widen};
pub(crate) use heads::{Head, Mask, Results, Rows, Shape, Stored, attend, attends};
pub use instructions::instructions;
pub(crate) use norm_parts::{norm_scale, norm_scale_gradient, over_scale, over_scale_slope, scale_shift};
pub(crate) use operand::{Operand, Strided};
pub(crate) use pointwise::{
    ElementKernel, Exp, GeluErf, GeluTanh, Pointwise, QuickGelu, Relu, Sigmoid, Silu, Tanh, map_slope, map_value,
};
pub(crate) use product::{Finish, multiplies, multiplies_all, multiply};
pub(crate) use rows::{
    NormGradients, layer_norm, layer_norm_gradients, log_softmax, log_softmax_gradient, softmax, softmax_gradient,
};
pub(crate) use selection::select;

use super::CT;
use super::elements::fill;
use super::host::contiguous;
use crate::error::Result;
use candle_core::{CpuStorage, DType, Device, Storage};
#[cfg(target_arch = "x86_64")]
use instructions::Instructions;

/// Elements that a kernel works on at a time: three such pieces fit the first-level cache.
const PIECE: usize = 2048;
/// Waking the other threads costs 10 to 25 µs: below this, loops that only move memory stay on one.
const PARALLEL_LIGHT: usize = 1 << 19;
/// The same for loops that compute an exponential or so for each element.
const PARALLEL_HEAVY: usize = 1 << 16;

/// A loop, written so that it vectorises. `FMA` says whether fused multiply-add is one instruction.
pub(super) trait Kernel {
    /// Runs it. Implementations must be `#[inline(always)]`, or they miss the instructions of the caller.
    fn call<const FMA: bool>(self);
}

/// Runs a kernel with the best instructions that this machine has.
pub(super) fn run<K: Kernel>(kernel: K) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn with_avx512<K: Kernel>(kernel: K) {
            kernel.call::<true>();
        }
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<K: Kernel>(kernel: K) {
            kernel.call::<true>();
        }
        match Instructions::chosen() {
            // SAFETY: what is chosen was detected.
            Instructions::Avx512 => return unsafe { with_avx512(kernel) },
            // SAFETY: as above.
            Instructions::Avx2 => return unsafe { with_avx2(kernel) },
            Instructions::Simd128 | Instructions::Baseline => {}
        }
    }
    // Every 64-bit ARM has fused multiply-add; elsewhere it would be a slow library call.
    kernel.call::<{ cfg!(target_arch = "aarch64") }>();
}

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
    crate::memory::require_tensor("broadcast", dims, size_of::<f32>())?;
    let values = fill(dims.iter().product(), unit, PIECE, parallel, write);
    Ok(CT::from_vec(values, dims, &Device::Cpu)?)
}

//! Elements as bytes: what moves elements without computing with them is the same for every dtype.

use super::CT;
use super::host::{brought, contiguous, element, with_element_type};
use crate::error::{Error, Result};
use crate::ops::Scalar;
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, DType, Device, Storage, WithDType};
use half::{bf16, f16};
use hooklens_kernels::cells::{Runs, take};
use std::mem::MaybeUninit;

/// Runs an expression with the vector behind a storage; an error for what no tensor of ours is made of.
macro_rules! with_vec {
    ($storage:expr, $vec:ident => $body:expr) => {
        match $storage {
            CpuStorage::F32($vec) => Ok($body),
            CpuStorage::F64($vec) => Ok($body),
            CpuStorage::F16($vec) => Ok($body),
            CpuStorage::BF16($vec) => Ok($body),
            CpuStorage::U8($vec) => Ok($body),
            CpuStorage::U32($vec) => Ok($body),
            CpuStorage::I64($vec) => Ok($body),
            _ => Err(strange()),
        }
    };
}

#[cold]
fn strange() -> Error {
    Error::Internal { detail: "elements of a type that no tensor is made of".into() }
}

/// All bytes behind a tensor.
pub(super) fn bytes(storage: &Storage) -> Result<&[u8]> {
    let Storage::Cpu(storage) = storage else { return Err(elsewhere()) };
    with_vec!(storage, data => bytemuck::must_cast_slice(data))
}

/// The same, to write there.
pub(super) fn bytes_mut(storage: &mut CpuStorage) -> Result<&mut [u8]> {
    with_vec!(storage, data => bytemuck::must_cast_slice_mut(data))
}

/// All elements behind a tensor of that type.
pub(super) fn elements<T: WithDType>(storage: &Storage) -> Result<&[T]> {
    match storage {
        Storage::Cpu(storage) => Ok(T::cpu_storage_as_slice(storage)?),
        _ => Err(elsewhere()),
    }
}

#[cold]
fn elsewhere() -> Error {
    Error::Internal { detail: "a tensor on the CPU whose storage is elsewhere".into() }
}

/// The elements of a tensor on the host, in row-major order; shares storage where they lie so already.
pub(super) struct Row(CT);

impl Row {
    /// Copies what lies elsewhere, or otherwise.
    pub(super) fn of(t: &CT) -> Result<Self> {
        Ok(Self(brought(&contiguous(t)?)?))
    }

    /// Passes their bytes to `f`.
    pub(super) fn bytes<R>(&self, f: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        let (storage, layout) = self.0.storage_and_layout();
        let size = self.0.dtype().size_in_bytes();
        f(&bytes(&storage)?[layout.start_offset() * size..][..self.0.elem_count() * size])
    }

    /// A copy of them.
    pub(super) fn copied(&self) -> Result<CpuStorage> {
        self.bytes(|from| copied(self.0.dtype(), from))
    }

    /// Adds those from the `first` on to the elements of `runs`, in order.
    pub(super) fn add_to(&self, to: &mut CpuStorage, runs: Runs<'_>, first: usize) -> Result<()> {
        let (storage, layout) = self.0.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { return Err(elsewhere()) };
        let at = layout.start_offset() + first;
        match (to, storage) {
            (CpuStorage::F32(to), CpuStorage::F32(from)) => add(to, runs, &from[at..]),
            (CpuStorage::F64(to), CpuStorage::F64(from)) => add(to, runs, &from[at..]),
            (CpuStorage::F16(to), CpuStorage::F16(from)) => add(to, runs, &from[at..]),
            (CpuStorage::BF16(to), CpuStorage::BF16(from)) => add(to, runs, &from[at..]),
            (CpuStorage::U8(to), CpuStorage::U8(from)) => add(to, runs, &from[at..]),
            (CpuStorage::U32(to), CpuStorage::U32(from)) => add(to, runs, &from[at..]),
            (CpuStorage::I64(to), CpuStorage::I64(from)) => add(to, runs, &from[at..]),
            _ => return Err(strange()),
        }
        Ok(())
    }
}

fn add<T: Copy + std::ops::AddAssign>(to: &mut [T], Runs { starts, len, stride }: Runs<'_>, from: &[T]) {
    for (from, &start) in from.chunks_exact(len.max(1)).zip(starts) {
        if stride == 1 {
            to[start..start + len].iter_mut().zip(from).for_each(|(to, &from)| *to += from);
            continue;
        }
        let mut at = start;
        for &from in from {
            to[at] += from;
            at = at.wrapping_add_signed(stride);
        }
    }
}

/// `n` elements that `write` gives, as bytes.
///
/// # Safety
/// `write` must write all bytes, or fail.
pub(super) unsafe fn written(
    dtype: DType,
    n: usize,
    write: &mut dyn FnMut(&mut [MaybeUninit<u8>]) -> Result<()>,
) -> Result<CpuStorage> {
    let mut storage = match dtype {
        DType::F32 => CpuStorage::F32(Vec::with_capacity(n)),
        DType::F64 => CpuStorage::F64(Vec::with_capacity(n)),
        DType::F16 => CpuStorage::F16(Vec::with_capacity(n)),
        DType::BF16 => CpuStorage::BF16(Vec::with_capacity(n)),
        DType::U8 => CpuStorage::U8(Vec::with_capacity(n)),
        DType::U32 => CpuStorage::U32(Vec::with_capacity(n)),
        DType::I64 => CpuStorage::I64(Vec::with_capacity(n)),
        _ => return Err(strange()),
    };
    let place = with_vec!(&mut storage, data => data.as_mut_ptr().cast())?;
    // SAFETY: each vector has room for `n` elements, and bytes need not be initialised to be written.
    write(unsafe { std::slice::from_raw_parts_mut(place, n * dtype.size_in_bytes()) })?;
    // SAFETY: as the caller promises, all bytes are written, and numbers have no invalid patterns.
    with_vec!(&mut storage, data => unsafe { data.set_len(n) })?;
    Ok(storage)
}

/// The elements that have these bytes.
pub(super) fn copied(dtype: DType, from: &[u8]) -> Result<CpuStorage> {
    let write = &mut |to: &mut [MaybeUninit<u8>]| {
        to.write_copy_of_slice(from);
        Ok(())
    };
    // SAFETY: everything is copied.
    unsafe { written(dtype, from.len() / dtype.size_in_bytes(), write) }
}

/// The elements of tensors of one dtype side by side: of each in turn one of `shares` equal shares, over and over.
pub(super) fn side_by_side(tensors: &[CT], shares: usize) -> Result<CpuStorage> {
    let Some(first) = tensors.first() else { return Err(strange()) };
    let (dtype, size) = (first.dtype(), first.dtype().size_in_bytes());
    let rows = tensors.iter().map(Row::of).collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = rows.iter().map(|row| row.0.storage_and_layout()).collect();
    let mut parts = Vec::with_capacity(guards.len());
    let mut total = 0;
    for (storage, layout) in &guards {
        let len = layout.shape().elem_count() * size;
        let from = &bytes(storage)?[layout.start_offset() * size..][..len];
        parts.push((from, len.checked_div(shares).unwrap_or(0)));
        total += len;
    }
    let write = &mut |mut to: &mut [MaybeUninit<u8>]| {
        for share in 0..shares {
            for &(from, len) in &parts {
                let (now, later) = to.split_at_mut(len);
                now.write_copy_of_slice(&from[share * len..][..len]);
                to = later;
            }
        }
        if to.is_empty() { Ok(()) } else { Err(strange()) }
    };
    // SAFETY: nothing is left to be written, or it fails.
    unsafe { written(dtype, total / size, write) }
}

/// `n` zeros.
pub(super) fn zeros(dtype: DType, n: usize) -> Result<CpuStorage> {
    Ok(match dtype {
        DType::F32 => CpuStorage::F32(vec![0.0; n]),
        DType::F64 => CpuStorage::F64(vec![0.0; n]),
        DType::F16 => CpuStorage::F16(vec![f16::ZERO; n]),
        DType::BF16 => CpuStorage::BF16(vec![bf16::ZERO; n]),
        DType::U8 => CpuStorage::U8(vec![0; n]),
        DType::U32 => CpuStorage::U32(vec![0; n]),
        DType::I64 => CpuStorage::I64(vec![0; n]),
        _ => return Err(strange()),
    })
}

/// `n` times the same number.
pub(super) fn filled(dtype: DType, n: usize, value: Scalar) -> Result<CpuStorage> {
    let one = with_element_type!(dtype, T => {
        let (mut one, value) = ([0; 8], element::<T>(value));
        let cell = bytemuck::bytes_of(&value);
        one[..cell.len()].copy_from_slice(cell);
        Ok(one)
    })?;
    // SAFETY: the run covers everything.
    unsafe {
        written(dtype, n, &mut |to| {
            take(dtype.size_in_bytes(), &one, Runs { starts: &[0], len: n, stride: 0 }, to);
            Ok(())
        })
    }
}

/// A tensor on `device` of elements on the host.
pub(super) fn tensor(storage: CpuStorage, dims: &[usize], device: &Device) -> Result<CT> {
    let len = with_vec!(&storage, data => data.len())?;
    if dims.iter().product::<usize>() != len {
        return Err(Error::Internal { detail: format!("{len} elements for shape {dims:?}") });
    }
    let t = CT::from_storage(Storage::Cpu(storage), dims, BackpropOp::none(), false);
    if device.is_cpu() { Ok(t) } else { Ok(t.to_device(device)?) }
}

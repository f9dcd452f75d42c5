//! Elements in and out as plain slices, in the tensor's own dtype and with one copy each way.

use super::{CT, Tensor};
use crate::device::DType;
use crate::error::{Error, Result};
use candle_core::{Device, Storage, StridedBlocks, WithDType};

impl Tensor {
    /// Copies `data` into a tensor of that shape on `device`.
    ///
    /// `dtype` says how a `u8` slice is meant: as bytes, or as truth values (then only 0 and 1 are allowed).
    pub fn from_bits<T: WithDType>(data: &[T], dtype: DType, dims: &[usize], device: &Device) -> Result<Self> {
        if dtype.storage() != T::DTYPE {
            return Err(Error::WrongDtype {
                op: "fromData",
                expected: dtype.name().into(),
                got: format!("elements of {:?}", T::DTYPE),
            });
        }
        let wanted = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| Error::ElementCount {
            op: "fromData",
            detail: format!("shape {dims:?} has more elements than memory has addresses"),
        })?;
        if wanted != data.len() {
            return Err(Error::ElementCount {
                op: "fromData",
                detail: format!("{} elements for shape {dims:?}, which has {wanted}", data.len()),
            });
        }
        if dtype == DType::Bool
            && let Some(x) = data.iter().map(|x| x.to_f64()).find(|&x| x > 1.0)
        {
            return Err(Error::InvalidArgument {
                op: "fromData",
                detail: format!("bool data may hold 0 and 1 only, got {x}"),
            });
        }
        crate::memory::require(size_of_val(data))?;
        Self::constant_as(CT::from_slice(data, dims, device)?, dtype)
    }

    /// Copies the elements, row-major, to `out`, which must have as many and be of the tensor's storage type.
    pub fn write_bits<T: WithDType>(&self, out: &mut [T]) -> Result<()> {
        if self.data().dtype() != T::DTYPE || self.elem_count() != out.len() {
            return Err(Error::Internal {
                detail: format!("{self:?} written to {} elements of {:?}", out.len(), T::DTYPE),
            });
        }
        if out.is_empty() {
            return Ok(());
        }
        let on_cpu = self.data().to_device(&Device::Cpu)?;
        let (storage, layout) = on_cpu.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            return Err(Error::Internal { detail: "a tensor moved to the CPU is not there".into() });
        };
        let from = T::cpu_storage_as_slice(storage)?;
        match on_cpu.strided_blocks() {
            StridedBlocks::SingleBlock { start_offset, len } => {
                out.copy_from_slice(block(from, start_offset, len)?);
            }
            StridedBlocks::UniformBlocks { start_offset, block_len, count: _, src_stride } => {
                for (i, to) in out.chunks_exact_mut(block_len).enumerate() {
                    to.copy_from_slice(block(from, start_offset + i * src_stride, block_len)?);
                }
            }
            StridedBlocks::MultipleBlocks { block_start_index, block_len: 1 } => {
                for (to, index) in out.iter_mut().zip(block_start_index) {
                    if let Some(&value) = from.get(index) {
                        *to = value;
                    }
                }
            }
            StridedBlocks::MultipleBlocks { block_start_index, block_len } => {
                for (to, index) in out.chunks_exact_mut(block_len).zip(block_start_index) {
                    to.copy_from_slice(block(from, index, block_len)?);
                }
            }
        }
        debug_assert_eq!(layout.shape().elem_count(), out.len());
        Ok(())
    }
}

fn block<T>(from: &[T], start: usize, len: usize) -> Result<&[T]> {
    from.get(start..start + len)
        .ok_or_else(|| Error::Internal { detail: "a tensor's layout points outside its storage".into() })
}

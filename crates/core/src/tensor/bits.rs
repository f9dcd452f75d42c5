//! Elements in and out as plain slices, in the tensor's own dtype and with one copy each way.

use super::Tensor;
use super::cells::{self, Row};
use super::host::{Window, brought};
use crate::device::DType;
use crate::error::{Error, Result};
use candle_core::{DType as Storage, Device, WithDType};

/// Elements of tensors, which are nothing but their bits.
pub trait Bits: WithDType + bytemuck::Pod {}

impl<T: WithDType + bytemuck::Pod> Bits for T {}

impl Tensor {
    /// Copies `data` into a tensor of that shape on `device`.
    ///
    /// `dtype` says how a `u8` slice is meant: as bytes, or as truth values (then only 0 and 1 are allowed).
    pub fn from_bits<T: Bits>(data: &[T], dtype: DType, dims: &[usize], device: &Device) -> Result<Self> {
        Self::from_bytes(bytemuck::must_cast_slice(data), T::DTYPE, dtype, dims, device)
    }

    fn from_bytes(data: &[u8], got: Storage, dtype: DType, dims: &[usize], device: &Device) -> Result<Self> {
        const OP: &str = "fromData";
        if dtype.storage() != got {
            return Err(Error::WrongDtype {
                op: OP,
                expected: dtype.name().into(),
                got: format!("elements of {got:?}"),
            });
        }
        let len = data.len() / dtype.size();
        let wanted = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| Error::ElementCount {
            op: OP,
            detail: format!("shape {dims:?} has more elements than memory has addresses"),
        })?;
        if wanted != len {
            return Err(Error::ElementCount {
                op: OP,
                detail: format!("{len} elements for shape {dims:?}, which has {wanted}"),
            });
        }
        if dtype == DType::Bool
            && let Some(x) = data.iter().find(|x| **x > 1)
        {
            return Err(Error::InvalidArgument { op: OP, detail: format!("bool data may hold 0 and 1 only, got {x}") });
        }
        crate::memory::require(data.len())?;
        let copied = cells::copied(got, data)?;
        Self::constant_as(cells::tensor(copied, dims, device)?, dtype)
    }

    /// Copies the elements, row-major, to `out`, which must have as many and be of the tensor's storage type.
    pub fn write_bits<T: Bits>(&self, out: &mut [T]) -> Result<()> {
        if self.data().dtype() != T::DTYPE || self.elem_count() != out.len() {
            return Err(Error::Internal {
                detail: format!("{self:?} written to {} elements of {:?}", out.len(), T::DTYPE),
            });
        }
        self.write_bytes(bytemuck::must_cast_slice_mut(out))
    }

    fn write_bytes(&self, out: &mut [u8]) -> Result<()> {
        let host = brought(self.data())?;
        // SAFETY: bytes that are initialised may be written as those that are not, and only bytes are.
        let out = unsafe { &mut *(std::ptr::from_mut(out) as *mut [std::mem::MaybeUninit<u8>]) };
        Window::of(host.layout()).copy(&host, out)
    }

    /// A copy of the elements, row-major, as they lie in memory.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        Row::of(self.data())?.bytes(|bytes| Ok(bytes.to_vec()))
    }
}

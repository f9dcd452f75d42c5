//! Tensors from nothing, from slices and back.

use super::{CT, Tensor};
use crate::device::DType;
use crate::error::{Error, Result};
use candle_core::{Device, WithDType};

impl Tensor {
    /// Copies `data` into a tensor of that shape on the CPU.
    pub fn from_slice<T: WithDType>(data: &[T], dims: &[usize]) -> Result<Self> {
        let wanted: usize = dims.iter().product();
        if wanted != data.len() {
            return Err(Error::ElementCount {
                op: "fromData",
                detail: format!("{} elements for shape {dims:?}, which has {wanted}", data.len()),
            });
        }
        Self::constant(CT::from_slice(data, dims, &Device::Cpu)?)
    }

    /// All elements in row-major order, converted to `T`'s dtype.
    pub fn to_vec<T: WithDType>(&self) -> Result<Vec<T>> {
        let copied = !self.data().is_contiguous() || self.data().dtype() != T::DTYPE;
        crate::memory::require_tensor("toData", self.dims(), size_of::<T>() * if copied { 2 } else { 1 })?;
        Ok(self.data().to_dtype(T::DTYPE)?.flatten_all()?.to_vec1()?)
    }

    /// The only element, as a float.
    pub fn to_scalar(&self) -> Result<f64> {
        match self.to_vec::<f64>()?.as_slice() {
            [x] => Ok(*x),
            _ => Err(Error::ScalarRequired { op: "item", got: self.dims().to_vec() }),
        }
    }

    /// Zeros.
    pub fn zeros(dims: &[usize], dtype: DType, device: &Device) -> Result<Self> {
        crate::memory::require_tensor("zeros", dims, dtype.size())?;
        Self::constant_as(CT::zeros(dims, dtype.storage(), device)?, dtype)
    }
}

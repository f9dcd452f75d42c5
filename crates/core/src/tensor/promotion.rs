//! The dtype of results of mixed inputs.

use super::Tensor;
use crate::autograd::record_unary;
use crate::device::DType;
use crate::error::Result;

/// The smallest dtype that holds values of both, as torch chooses between tensors of one or more axes.
pub(crate) fn promote(a: DType, b: DType) -> DType {
    const fn rank(d: DType) -> u8 {
        match d {
            DType::Bool => 0,
            DType::U8 => 1,
            DType::U32 => 2,
            DType::I64 => 3,
            DType::F16 | DType::BF16 => 4,
            DType::F32 => 5,
            DType::F64 => 6,
        }
    }
    match (a, b) {
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        _ if rank(a) >= rank(b) => a,
        _ => b,
    }
}

impl Tensor {
    /// The same values in another dtype; gradients are cast back.
    pub(crate) fn cast(&self, op: &'static str, dtype: DType) -> Result<Self> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        let data = if dtype == DType::Bool {
            self.data().ne(&self.data().zeros_like()?)?
        } else {
            self.data().to_dtype(dtype.storage())?
        };
        if !(dtype.is_float() && self.dtype().is_float()) {
            return Self::constant_as(data, dtype);
        }
        let own = self.data().dtype();
        record_unary(op, data, self, move |g| Ok(g.to_dtype(own)?))
    }
}

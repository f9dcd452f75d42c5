//! Moving tensors between devices.

use super::{CT, Tensor};
use crate::autograd::record_unary;
use crate::error::Result;
use candle_core::Device;

impl Tensor {
    /// The same values on `device`; the tensor itself if it is there already. Gradients come back to where it was.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        if self.data().device().same_device(device) {
            return Ok(self.clone());
        }
        let moved = self.data().to_device(device)?;
        if !self.dtype().is_float() {
            return Self::constant_as(moved, self.dtype());
        }
        let home = self.data().device().clone();
        record_unary("to_device", moved, self, move |g: &CT| Ok(g.to_device(&home)?))
    }
}

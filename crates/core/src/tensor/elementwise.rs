//! Functions applied to each element.

use super::{CT, Tensor, require_float};
use crate::autograd::record_unary;
use crate::error::Result;
use crate::ops::{Op, op_table};

impl Tensor {
    /// `e^x`.
    pub fn exp(&self) -> Result<Self> {
        require_float("exp", self.dtype())?;
        let y = self.data().exp()?;
        let saved = y.clone();
        record_unary("exp", y, self, move |g: &CT| Ok(g.mul(&saved)?))
    }
}

pub(super) const OPS: &[Op] = op_table! {
    exp(x) => x.exp();
};

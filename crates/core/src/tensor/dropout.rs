//! Dropout: the one activation that draws lots.

use super::elements::{store, zip};
use super::random::generator;
use super::{CT, Tensor, require_float};
use crate::autograd::record_unary;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::DType as Storage;
use rand_chacha::rand_core::Rng;

/// 1 with probability `keep`, else 0; the same on every machine for the same seed.
fn lots(x: &CT, keep: f64, seed: u64) -> Result<CT> {
    let mut rng = generator(Some(seed));
    let bound = keep * f64::from(u32::MAX);
    let drawn: Vec<i64> = (0..x.elem_count()).map(|_| i64::from(f64::from(rng.next_u32()) < bound)).collect();
    store(Storage::U8, x.dims(), x.device(), 1, &|start, out: &mut [i64]| {
        out.copy_from_slice(&drawn[start..start + out.len()]);
    })
}

impl Tensor {
    /// While training, zeroes each element with probability `p` and divides the others by `1 - p`
    /// (Srivastava et al. 2014); otherwise leaves the tensor alone. `seed` decides which elements.
    pub fn dropout(&self, p: f64, training: bool, seed: u64) -> Result<Self> {
        require_float("dropout", self.dtype())?;
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::InvalidArgument {
                op: "dropout",
                detail: format!("the probability must lie between 0 and 1, got {p}"),
            });
        }
        if !training || p == 0.0 {
            return Ok(self.clone());
        }
        crate::memory::require_tensor("dropout", self.dims(), size_of::<i64>() + 1 + self.dtype().size())?;
        let mask = if p == 1.0 {
            CT::zeros(self.dims(), Storage::U8, self.data().device())?
        } else {
            lots(self.data(), 1.0 - p, seed)?
        };
        let scale = 1.0 / (1.0 - p);
        let thin = move |x: &CT| {
            zip(
                x.dtype(),
                x.dims(),
                [x.into(), (&mask).into()],
                |x: f64, m: f64| if m == 0.0 { 0.0 } else { x * scale },
            )
        };
        record_unary("dropout", thin(self.data())?, self, thin)
    }
}

/// Dropout by name: without a seed, each call takes the next of the process-wide generator.
fn dropout(x: &Tensor, p: f64, training: bool, seed: Option<i64>) -> Result<Tensor> {
    let seed = seed.map_or_else(|| generator(None).next_u64(), i64::cast_unsigned);
    x.dropout(p, training, seed)
}

pub(super) const OPS: &[Op] = op_table! {
    dropout(x; p: Option<f64>, training: Option<bool>, seed: Option<i64>) => dropout(x, p.unwrap_or(0.5), training.unwrap_or(true), seed);
};

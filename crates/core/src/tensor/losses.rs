//! Losses that compare tensors element by element.

use super::cross_entropy::Reduction;
use super::{CT, Tensor, broadcast_dims, promote, require_float};
use crate::autograd::{record, record_unary};
use crate::error::Result;
use crate::ops::{Op, op_table};

/// Both tensors in one float dtype and one shape, of which `copies` will be made (and one in `f64`, to sum it).
fn aligned(op: &'static str, a: &Tensor, b: &Tensor, copies: usize) -> Result<(Tensor, Tensor)> {
    let dtype = promote(a.dtype(), b.dtype());
    require_float(op, dtype)?;
    let dims = broadcast_dims(op, a.dims(), b.dims())?;
    crate::memory::require_tensor(op, &dims, copies * dtype.size() + size_of::<f64>())?;
    Ok((a.cast(op, dtype)?.expand_to(op, &dims)?, b.cast(op, dtype)?.expand_to(op, &dims)?))
}

/// Reduces a loss of one number an element; the mean divides by `count`.
fn reduced(op: &'static str, losses: &Tensor, reduction: Reduction, count: usize) -> Result<Tensor> {
    let weight = match reduction {
        Reduction::None => return Ok(losses.clone()),
        Reduction::Sum => 1.0,
        Reduction::Mean => 1.0 / count as f64,
    };
    // Summed in f64: long sums of f32 lose digits.
    let sum = (losses.data().to_dtype(candle_core::DType::F64)?.sum_all()? * weight)?;
    let (dims, dtype) = (losses.dims().to_vec(), losses.data().dtype());
    record_unary(op, sum.to_dtype(dtype)?, losses, move |g| Ok((g * weight)?.broadcast_as(dims.as_slice())?))
}

impl Tensor {
    /// The squared difference from `target`, reduced.
    pub fn mse_loss(&self, target: &Self, reduction: Reduction) -> Result<Self> {
        const OP: &str = "mse_loss";
        let (x, target) = aligned(OP, self, target, 2)?;
        let difference = x.data().sub(target.data())?;
        let losses = record(OP, difference.sqr()?, &[&x, &target], move |g, needs| {
            let to_x = g.mul(&(&difference * 2.0)?)?;
            let to_target = needs[1].then(|| to_x.neg()).transpose()?;
            Ok(vec![Some(to_x), to_target])
        })?;
        reduced(OP, &losses, reduction, losses.elem_count())
    }

    /// The Kullback-Leibler divergence `target · (log target - self)`, where `self` holds log-probabilities and
    /// `target` probabilities, or log-probabilities too with `log_target`. Probabilities of 0 count for nothing.
    ///
    /// With `per_batch` the sum is divided by the size of the first axis (torch's `batchmean`, the mathematical
    /// definition for a batch) whatever `reduction` says.
    pub fn kl_div(&self, target: &Self, reduction: Reduction, per_batch: bool, log_target: bool) -> Result<Self> {
        const OP: &str = "kl_div";
        let (x, target) = aligned(OP, self, target, 6)?;
        let probability = if log_target { target.data().exp()? } else { target.data().clone() };
        let log = if log_target { target.data().clone() } else { target.data().log()? };
        let ratio = log.sub(x.data())?;
        let zero = probability.zeros_like()?;
        let present: CT = probability.ne(&zero)?;
        let masked = move |t: &CT| -> Result<CT> { super::select::chosen(&present, t, &zero) };
        let losses = masked(&probability.mul(&ratio)?)?;
        let losses = record(OP, losses, &[&x, &target], move |g, needs| {
            let to_x = needs[0].then(|| -> Result<CT> { Ok(g.mul(&probability)?.neg()?) });
            let to_target = needs[1].then(|| -> Result<CT> {
                let slope = if log_target { probability.mul(&(&ratio + 1.0)?)? } else { (&ratio + 1.0)? };
                masked(&g.mul(&slope)?)
            });
            Ok(vec![to_x.transpose()?, to_target.transpose()?])
        })?;
        if per_batch {
            return reduced(OP, &losses, Reduction::Mean, losses.dims().first().copied().unwrap_or(1));
        }
        reduced(OP, &losses, reduction, losses.elem_count())
    }
}

fn kl_div_op(x: &Tensor, target: &Tensor, reduction: Option<String>, log_target: bool) -> Result<Tensor> {
    match reduction.as_deref() {
        Some("batchmean") => x.kl_div(target, Reduction::Sum, true, log_target),
        other => x.kl_div(target, Reduction::from_name("kl_div", other)?, false, log_target),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[broadcast] mse_loss(x, target; reduction: Option<String>)
        => x.mse_loss(target, Reduction::from_name("mse_loss", reduction.as_deref())?);
    #[broadcast] kl_div(x, target; reduction: Option<String>, log_target: Option<bool>)
        => kl_div_op(x, target, reduction, log_target.unwrap_or(false));
};

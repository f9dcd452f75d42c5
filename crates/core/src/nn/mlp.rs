//! The MLP of a block: plain, gated, or with a norm over its neurons.

use super::points::MlpPoints;
use super::weights::{MlpWeights, affine, affine_onto};
use super::{Pass, norm};
use crate::error::Result;
use crate::tensor::Tensor;

/// `[batch, pos, d_model] -> [batch, pos, d_model]`, added to `onto` if given.
pub(crate) fn mlp(
    pass: &Pass<'_>,
    points: &MlpPoints,
    weights: &MlpWeights,
    x: &Tensor,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    let act = pass.config.act_fn;
    // The first product and the activation function after it.
    let activated = |w: &Tensor, b: Option<&Tensor>| -> Result<Tensor> {
        if !pass.observed(points.pre)
            && let Some(mid) = act.of_affine(x, w, b)?
        {
            return Ok(mid);
        }
        act.apply(&pass.fire(points.pre, affine(x, w, b)?)?)
    };
    let post = match &weights.w_gate {
        Some(gate) => {
            let mid = activated(gate, weights.b_gate.as_ref())?;
            let (before, after) = match pass.config.bias_before_gate {
                true => (weights.b_in.as_ref(), None),
                false => (weights.b_pre_linear.as_ref(), weights.b_in.as_ref()),
            };
            let linear = pass.fire_if(points.pre_linear, affine(x, &weights.w_in, before)?)?;
            let product = mid.mul(&linear)?;
            match after {
                Some(b) => product.add(b)?,
                None => product,
            }
        }
        None => {
            let mid = activated(&weights.w_in, weights.b_in.as_ref())?;
            match (points.ln, &weights.ln) {
                (Some(ln), Some(ln_weights)) => {
                    let mid = pass.fire_if(points.mid, mid)?;
                    norm(pass, pass.config.mlp_norm(), ln, ln_weights, &mid)?
                }
                _ => mid,
            }
        }
    };
    let post = pass.fire(points.post, post)?;
    affine_onto(&post, &weights.w_out, weights.b_out.as_ref(), onto)
}

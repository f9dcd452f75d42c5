//! The MLP of a block: plain, gated, or with a norm over its neurons.

use super::points::MlpPoints;
use super::weights::{MlpWeights, affine};
use super::{Pass, norm};
use crate::error::Result;
use crate::tensor::Tensor;

/// `[batch, pos, d_model] -> [batch, pos, d_model]`.
pub(crate) fn mlp(pass: &Pass<'_>, points: &MlpPoints, weights: &MlpWeights, x: &Tensor) -> Result<Tensor> {
    let act = pass.config.act_fn;
    let post = match &weights.w_gate {
        Some(gate) => {
            let pre = pass.fire(points.pre, affine(x, gate, weights.b_gate.as_ref())?)?;
            let (before, after) = match pass.config.bias_before_gate {
                true => (weights.b_in.as_ref(), None),
                false => (weights.b_pre_linear.as_ref(), weights.b_in.as_ref()),
            };
            let linear = pass.fire_if(points.pre_linear, affine(x, &weights.w_in, before)?)?;
            let product = act.apply(&pre)?.mul(&linear)?;
            match after {
                Some(b) => product.add(b)?,
                None => product,
            }
        }
        None => {
            let pre = pass.fire(points.pre, affine(x, &weights.w_in, weights.b_in.as_ref())?)?;
            let mid = act.apply(&pre)?;
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
    affine(&post, &weights.w_out, weights.b_out.as_ref())
}

//! LayerNorm (<https://arxiv.org/abs/1607.06450>) and RMSNorm (<https://arxiv.org/abs/1910.07467>).

use super::points::NormPoints;
use super::{NormWeights, Pass};
use crate::device::DType;
use crate::error::Result;
use crate::models::NormKind;
use crate::tensor::Tensor;

/// Normalises the last axis of `x` `[.., width]`. Statistics are taken in at least `f32`.
///
/// Fires `hook_scale` `[.., 1]` (what is divided by) and `hook_normalized` `[.., width]` (before weight and bias).
pub(crate) fn norm(
    pass: &Pass<'_>,
    kind: NormKind,
    points: NormPoints,
    weights: &NormWeights,
    x: &Tensor,
) -> Result<Tensor> {
    branch_norm(pass, kind, points, weights, None, x)
}

/// [`norm`] of one of several inputs, told apart by the names under which the points fire.
pub(crate) fn branch_norm(
    pass: &Pass<'_>,
    kind: NormKind,
    points: NormPoints,
    weights: &NormWeights,
    branch: Option<&str>,
    x: &Tensor,
) -> Result<Tensor> {
    let stored = x.dtype();
    let wide = if stored == DType::F64 { DType::F64 } else { DType::F32 };
    let x = x.to_dtype(wide)?;
    let (w, b) = (weights.w.as_ref(), weights.b.as_ref());
    let y = if pass.observed(points.scale) || pass.observed(points.normalized) {
        let scale = pass.fire_branch(points.scale, branch, x.norm_scale(kind.centered, pass.config.eps)?)?;
        let y = pass.fire_branch(points.normalized, branch, x.over_scale(&scale, kind.centered)?)?;
        match (w, b) {
            (Some(w), b) => {
                let b = b.map(|b| b.to_dtype(wide)).transpose()?;
                y.scale_shift(&w.to_dtype(wide)?, b.as_ref())?
            }
            (None, Some(b)) => y.add(&b.to_dtype(wide)?)?,
            (None, None) => y,
        }
    } else {
        let (w, b) = (w.map(|w| w.to_dtype(wide)).transpose()?, b.map(|b| b.to_dtype(wide)).transpose()?);
        if kind.centered {
            x.layer_norm(1, w.as_ref(), b.as_ref(), pass.config.eps)?
        } else {
            x.rms_norm(1, w.as_ref(), pass.config.eps)?
        }
    };
    y.to_dtype(stored)
}

//! Multi-head attention (<https://arxiv.org/abs/1706.03762>), with fewer key and value heads than query heads if the
//! model says so (<https://arxiv.org/abs/2305.13245>).

use super::Pass;
use super::attn_weights::AttnWeights;
use super::points::AttnPoints;
use super::weights::affine_onto;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::hooks::HookPointId;
use crate::ops::Scalar;
use crate::tensor::{AttentionOptions, Tensor};

/// What queries, keys and values are made of, normalised.
pub(super) enum Inputs {
    /// One `[batch, pos, d_model]` for all.
    Shared(Tensor),
    /// Each its own `[batch, pos, d_model]`, or `[batch, pos, head, d_model]` with one for each head.
    Separate { q: Tensor, k: Tensor, v: Tensor },
}

/// `[batch, pos, d_model]`, with the output bias: what attention adds to the residual stream, or the stream `onto` with
/// it added.
pub(super) fn attention(
    pass: &Pass<'_>,
    layer: usize,
    points: &AttnPoints,
    weights: &AttnWeights,
    inputs: Inputs,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    let (q, k, v) = match inputs {
        Inputs::Shared(x) => weights.project_shared(pass.config, &x)?,
        Inputs::Separate { q, k, v } => (
            project(&q, &weights.w_q, weights.b_q.as_ref())?,
            project(&k, &weights.w_k, weights.b_k.as_ref())?,
            project(&v, &weights.w_v, weights.b_v.as_ref())?,
        ),
    };
    let (mut q, mut k, mut v) = (pass.fire(points.q, q)?, pass.fire(points.k, k)?, pass.fire(points.v, v)?);
    if let Some(rotary) = pass.rotary.map(|rotations| rotations.of(pass.config.window(layer))) {
        q = pass.fire_if(points.rot_q, rotary.rotate(&q)?)?;
        k = rotary.rotate(&k)?;
    }
    if let Some(cache) = pass.cache {
        (k, v) = cache.append(layer, &k, &v)?;
        if pass.rotary.is_some() && pass.observed(points.rot_k) {
            // A hook may keep what it sees, and the cache's memory will be written to again.
            k = Tensor::constant(k.data().force_contiguous()?)?;
        }
    }
    if pass.rotary.is_some() {
        k = pass.fire_if(points.rot_k, k)?;
    }
    let looked_at = pass.observed(points.scores) || pass.observed(points.pattern);
    let z = if looked_at || pass.config.attn_scores_soft_cap.is_some() {
        weighted_values(&pattern(pass, layer, points, &q, &k)?, &v)?
    } else {
        fused(pass, layer, &q, &k, &v)?
    };
    let z = pass.fire(points.z, z)?;
    output(pass, points.result, weights, &z, onto)
}

/// `[batch, pos, head, d_head]` from an input that all heads share, or that has one row for each.
fn project(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    // [batch, 1 or head, pos, d_model] @ [head, d_model, d_head]
    let x = if x.rank() == 4 { x.transpose(1, 2)? } else { x.unsqueeze(1)? };
    let y = x.matmul(w)?.transpose(1, 2)?;
    match b {
        Some(b) => y.add(b),
        None => Ok(y),
    }
}

/// What [`pattern`] and [`weighted_values`] give together, as one operation.
fn fused(pass: &Pass<'_>, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let options = AttentionOptions {
        scale: Some(1.0 / pass.config.attn_divisor(layer)),
        enable_gqa: pass.config.n_heads != pass.config.n_key_value_heads,
        ..AttentionOptions::default()
    };
    let (sight, hidden) = (pass.mask.sight(pass.config.window(layer)), pass.mask.hidden_keys()?);
    let by_head = |x: &Tensor| x.transpose(1, 2);
    by_head(&by_head(q)?.attention(&by_head(k)?, &by_head(v)?, hidden.as_ref(), sight, options)?)
}

/// Attention probabilities `[batch, head, query, key]` of queries and keys `[batch, pos, head, d_head]`.
fn pattern(pass: &Pass<'_>, layer: usize, points: &AttnPoints, q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let stored = q.dtype();
    let wide = if stored == DType::F64 { DType::F64 } else { DType::F32 };
    // Scaling the queries is the same as scaling the scores, and there are fewer of them.
    let q = q.to_dtype(wide)?.mul_scalar(Scalar::Float(1.0 / pass.config.attn_divisor(layer)))?;
    let mut scores =
        per_group(&q.transpose(1, 2)?, k.dims()[2], |q| q.matmul(&k.to_dtype(wide)?.permute(&[0, 2, 3, 1])?))?;
    if let Some(cap) = pass.config.attn_scores_soft_cap {
        scores = soft_cap(&scores, cap)?;
    }
    let window = pass.config.window(layer);
    if let Some(blocked) = pass.mask.blocked(window)? {
        scores = scores.masked_fill(&blocked, Scalar::Float(f64::NEG_INFINITY))?;
    }
    let pattern = pass.fire(points.scores, scores)?.softmax_or_zeros()?;
    pass.fire(points.pattern, pattern.to_dtype(stored)?)
}

/// Values `[batch, key, head, d_head]` weighted by a pattern `[batch, head, query, key]`: `[batch, query, head, d_head]`.
fn weighted_values(pattern: &Tensor, v: &Tensor) -> Result<Tensor> {
    per_group(pattern, v.dims()[2], |pattern| pattern.matmul(&v.transpose(1, 2)?))?.transpose(1, 2)
}

/// Runs `f` on `x` `[batch, head, rows, _]` with the heads that share a key and value head laid end to end, so that
/// keys and values are never repeated.
fn per_group(x: &Tensor, kv_heads: usize, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let &[batch, heads, rows, width] = x.dims() else {
        return f(x);
    };
    if heads == kv_heads {
        return f(x);
    }
    if kv_heads == 0 || heads % kv_heads != 0 {
        let detail = format!("{heads} heads of queries cannot share {kv_heads} of keys and values");
        return Err(Error::ShapeMismatch { op: "attention", detail });
    }
    let grouped = (heads / kv_heads * rows) as i64;
    let y = f(&x.reshape(&[batch as i64, kv_heads as i64, grouped, width as i64])?)?;
    y.reshape(&[batch as i64, heads as i64, rows as i64, -1])
}

/// `c·tanh(x/c)`.
pub(crate) fn soft_cap(x: &Tensor, cap: f64) -> Result<Tensor> {
    x.mul_scalar(Scalar::Float(1.0 / cap))?.tanh()?.mul_scalar(Scalar::Float(cap))
}

/// Sums what the heads write, `z` `[batch, pos, head, d_head]`; head by head only if someone looks.
fn output(
    pass: &Pass<'_>,
    result: HookPointId,
    weights: &AttnWeights,
    z: &Tensor,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    if !pass.observed(result) {
        return affine_onto(&z.flatten(2, 3)?, &weights.flat_o()?, weights.b_o.as_ref(), onto);
    }
    let per_head = z.transpose(1, 2)?.matmul(&weights.w_o)?.transpose(1, 2)?;
    let sum = pass.fire(result, per_head)?.sum(Some(&[2]), false)?;
    let out = match &weights.b_o {
        Some(b) => sum.add(b)?,
        None => sum,
    };
    match onto {
        Some(onto) => onto.add(&out),
        None => Ok(out),
    }
}

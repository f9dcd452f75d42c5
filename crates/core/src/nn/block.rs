//! One block: attention, then (or beside it) an MLP, each added to the residual stream.

use super::attention::{Inputs, attention};
use super::mlp::mlp;
use super::{BlockPoints, BlockWeights, Pass, branch_norm, norm};
use crate::error::Result;
use crate::tensor::Tensor;

/// The residual stream `[batch, pos, d_model]` after a block, from that before it.
pub(crate) fn block(
    pass: &Pass<'_>,
    layer: usize,
    points: &BlockPoints,
    weights: &BlockWeights,
    resid: Tensor,
) -> Result<Tensor> {
    let resid = pass.fire(points.resid_pre, resid)?;
    let inputs = attention_inputs(pass, points, weights, &resid)?;
    let attend = |onto: Option<&Tensor>| attention(pass, layer, &points.attn, &weights.attn, inputs, onto);
    // What nobody looks at is added to the stream where it is computed.
    let after = match pass.observed(points.attn_out) {
        true => resid.add(&pass.fire(points.attn_out, attend(None)?)?)?,
        false => attend(Some(&resid))?,
    };
    let (Some(mlp_points), Some(mlp_weights)) = (&points.mlp, &weights.mlp) else {
        return pass.fire(points.resid_post, after);
    };
    let (stream, mlp_in) = match points.resid_mid {
        Some(resid_mid) => {
            let mid = pass.fire(resid_mid, after)?;
            (mid.clone(), mid)
        }
        None => (after, resid),
    };
    let mut x = pass.fire_if(points.mlp_in, mlp_in)?;
    if let (Some(kind), Some(ln2)) = (pass.config.normalization, points.ln2) {
        x = norm(pass, kind, ln2, &weights.ln2, &x)?;
    }
    let feed = |onto: Option<&Tensor>| mlp(pass, mlp_points, mlp_weights, &x, onto);
    let after = match pass.observed(points.mlp_out) {
        true => stream.add(&pass.fire_if(points.mlp_out, feed(None)?)?)?,
        false => feed(Some(&stream))?,
    };
    pass.fire(points.resid_post, after)
}

/// What queries, keys and values are made of. They share one normalised input unless someone looks at (or changes) a
/// copy for each head.
fn attention_inputs(pass: &Pass<'_>, points: &BlockPoints, weights: &BlockWeights, resid: &Tensor) -> Result<Inputs> {
    let normed = |branch: Option<&str>, x: &Tensor| match (pass.config.normalization, points.ln1) {
        (Some(kind), Some(ln1)) => branch_norm(pass, kind, ln1, &weights.ln1, branch, x),
        _ => Ok(x.clone()),
    };
    let (heads, kv_heads) = (pass.config.n_heads, pass.config.n_key_value_heads);
    let base = match points.attn_in {
        Some(attn_in) if pass.observed(attn_in) => pass.fire(attn_in, per_head(resid, heads)?)?,
        _ => resid.clone(),
    };
    let split = [points.q_input, points.k_input, points.v_input].into_iter().any(|p| pass.observed(p));
    let inputs = if split {
        let q = pass.fire(points.q_input, per_head(&base, heads)?)?;
        let k = pass.fire(points.k_input, per_head(&base, kv_heads)?)?;
        let v = pass.fire(points.v_input, per_head(&base, kv_heads)?)?;
        Inputs::Separate { q: normed(Some("q"), &q)?, k: normed(Some("k"), &k)?, v: normed(Some("v"), &v)? }
    } else {
        let x = normed(None, &base)?;
        if x.rank() == 3 && pass.shortformer.is_none() {
            return Ok(Inputs::Shared(x));
        }
        Inputs::Separate { q: x.clone(), k: x.clone(), v: x }
    };
    shortformer(pass, points, inputs)
}

/// Adds positions to what queries and keys are made of, in the models that do so.
fn shortformer(pass: &Pass<'_>, points: &BlockPoints, inputs: Inputs) -> Result<Inputs> {
    let (Some(positions), Inputs::Separate { q, k, v }) = (pass.shortformer, &inputs) else {
        return Ok(inputs);
    };
    let positioned = |x: &Tensor| {
        let positions = if x.rank() == 4 { positions.unsqueeze(2)? } else { positions.clone() };
        pass.fire_if(points.attn.attn_input, x.add(&positions)?)
    };
    let q_positioned = positioned(q)?;
    // Without split inputs both are the same tensor, so that the point fires once.
    let k_positioned = if q.rank() == 3 { q_positioned.clone() } else { positioned(k)? };
    Ok(Inputs::Separate { q: q_positioned, k: k_positioned, v: v.clone() })
}

/// A copy for each head: `[batch, pos, d_model] -> [batch, pos, head, d_model]`; what has heads already stays.
fn per_head(x: &Tensor, heads: usize) -> Result<Tensor> {
    if x.rank() == 4 {
        return Ok(x.clone());
    }
    x.unsqueeze(2)?.expand(&[-1, -1, heads as i64, -1])
}

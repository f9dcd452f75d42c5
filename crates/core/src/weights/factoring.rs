//! The factors of each head's two circuits, made orthogonal: what a head looks for and what it moves are the products
//! `W_Q W_Kᵀ` and `W_V W_O` alone (Elhage et al. 2021, <https://transformer-circuits.pub/2021/framework>), whose
//! singular value decompositions are factors that mean something by themselves.

use super::matrix::Side;
use super::part::Part;
use super::value_biases;
use crate::error::Result;
use crate::models::ModelConfig;
use crate::tensor::{CT, Tensor};

/// Replaces a block's factors: `W_Q = U√S`, `W_K = V√S` (biases as an input row of their own), `W_V = US`, `W_O = Vᵀ`.
/// Their columns are orthogonal and come in order of their singular values. Every head has its own keys and values.
pub(super) fn refactor_block(block: &mut Part, config: &ModelConfig) -> Result<()> {
    value_biases::fold_block(block, config)?;
    let (width, d_head) = (config.n_heads * config.d_head, config.d_head);
    let biases = match block.remove("attn.b_QKV") {
        Some(biases) => biases,
        None => block.matrix("attn.W_QKV")?.slice(Side::In, 0, 1)?.flatten_all()?.zeros_like()?,
    };
    let (mut query_biases, mut key_biases) = (Vec::new(), Vec::new());
    for first in (0..width).step_by(d_head) {
        let qkv = block.matrix("attn.W_QKV")?;
        let queries = with_bias_row(&qkv.slice(Side::Out, first, d_head)?, &biases.narrow(0, first, d_head)?)?;
        let keys =
            with_bias_row(&qkv.slice(Side::Out, width + first, d_head)?, &biases.narrow(0, width + first, d_head)?)?;
        let (u, s, v) = factors(&queries, &keys.t()?, d_head)?;
        let root = s.sqrt()?;
        let (queries, keys) = (u.broadcast_mul(&root)?, v.broadcast_mul(&root)?);
        qkv.set_slice(Side::Out, first, &queries.narrow(0, 0, config.d_model)?)?;
        qkv.set_slice(Side::Out, width + first, &keys.narrow(0, 0, config.d_model)?)?;
        query_biases.push(queries.get(config.d_model)?);
        key_biases.push(keys.get(config.d_model)?);
        let values = qkv.slice(Side::Out, 2 * width + first, d_head)?;
        let written = block.matrix("attn.W_O")?.slice(Side::In, first, d_head)?;
        let (u, s, v) = factors(&values, &written, d_head)?;
        block.matrix("attn.W_QKV")?.set_slice(Side::Out, 2 * width + first, &u.broadcast_mul(&s)?)?;
        block.matrix("attn.W_O")?.set_slice(Side::In, first, &v.t()?)?;
    }
    let rest = biases.narrow(0, 2 * width, width)?;
    let all: Vec<CT> = query_biases.into_iter().chain(key_biases).chain([rest]).collect();
    block.set("attn.b_QKV", CT::cat(&all, 0)?);
    Ok(())
}

/// `[d_model + 1, d_head]`: a weight and, below it, its bias.
fn with_bias_row(weight: &CT, bias: &CT) -> Result<CT> {
    Ok(CT::cat(&[weight, &bias.unsqueeze(0)?], 0)?)
}

/// The singular value decomposition `U S Vᵀ` of a product `a b`, for `a` `[m, rank]` and `b` `[rank, n]`: `U`
/// `[m, rank]`, `S` `[rank]`, `V` `[n, rank]`.
///
/// The product itself is never made: its decomposition is that of the small matrix between two orthonormal bases.
fn factors(a: &CT, b: &CT, rank: usize) -> Result<(CT, CT, CT)> {
    let (q_a, r_a) = Tensor::constant(a.contiguous()?)?.qr()?;
    let (q_b, r_b) = Tensor::constant(b.t()?.contiguous()?)?.qr()?;
    let (u, s, vt) = r_a.matmul(&r_b.transpose(0, 1)?)?.svd()?;
    let (u, v) = (q_a.matmul(&u)?, q_b.matmul(&vt.transpose(0, 1)?)?);
    // A product of matrices narrower than a head has a lower rank; what is missing is zero.
    let filled = |x: &CT, axis: usize| -> Result<CT> {
        let missing = rank - x.dim(axis)?;
        Ok(if missing == 0 { x.clone() } else { x.pad_with_zeros(axis, 0, missing)? })
    };
    Ok((filled(u.data(), 1)?, filled(s.data(), 0)?, filled(v.data(), 1)?))
}

//! The factors of each head's two circuits, made orthogonal: what a head looks for and what it moves are the products
//! `W_Q W_Kᵀ` and `W_V W_O` alone (Elhage et al. 2021, <https://transformer-circuits.pub/2021/framework>), whose
//! singular value decompositions are factors that mean something by themselves.

use super::part::Part;
use super::value_biases;
use crate::error::Result;
use crate::models::ModelConfig;
use crate::tensor::{CT, Tensor};

/// Replaces a block's factors: `W_Q = U√S`, `W_K = V√S` (biases as an input row of their own), `W_V = US`, `W_O = Vᵀ`.
/// Their columns are orthogonal and come in order of their singular values.
pub(super) fn refactor_block(block: &mut Part, config: &ModelConfig) -> Result<()> {
    value_biases::fold_block(block, config)?;
    let (queries, keys) = (with_bias_row(block, "Q", config)?, with_bias_row(block, "K", config)?);
    let (u, s, v) = factors(&queries, &keys.transpose(1, 2)?, config.d_head)?;
    let root = s.sqrt()?.unsqueeze(1)?;
    split_bias_row(block, "Q", &u.broadcast_mul(&root)?, config)?;
    split_bias_row(block, "K", &v.broadcast_mul(&root)?, config)?;
    let (u, s, v) = factors(block.get("attn.W_V")?, block.get("attn.W_O")?, config.d_head)?;
    block.set("attn.W_V", u.broadcast_mul(&s.unsqueeze(1)?)?);
    block.set("attn.W_O", v.transpose(1, 2)?.contiguous()?);
    Ok(())
}

/// `[head, d_model + 1, d_head]`: a weight and, below it, its bias.
fn with_bias_row(block: &Part, part: &str, config: &ModelConfig) -> Result<CT> {
    let weight = block.get(&format!("attn.W_{part}"))?;
    let row = match block.find(&format!("attn.b_{part}")) {
        Some(bias) => bias.unsqueeze(1)?,
        None => CT::zeros((config.n_heads, 1, config.d_head), weight.dtype(), weight.device())?,
    };
    Ok(CT::cat(&[weight, &row], 1)?)
}

/// Undoes [`with_bias_row`].
fn split_bias_row(block: &mut Part, part: &str, joined: &CT, config: &ModelConfig) -> Result<()> {
    block.set(&format!("attn.W_{part}"), joined.narrow(1, 0, config.d_model)?.contiguous()?);
    block.set(&format!("attn.b_{part}"), joined.narrow(1, config.d_model, 1)?.squeeze(1)?.contiguous()?);
    Ok(())
}

/// The singular value decomposition `U S Vᵀ` of products `a b`, for `a` `[head, m, rank]` and `b` `[head, rank, n]`:
/// `U` `[head, m, rank]`, `S` `[head, rank]`, `V` `[head, n, rank]`.
///
/// The product itself is never made: its decomposition is that of the small matrix between two orthonormal bases.
fn factors(a: &CT, b: &CT, rank: usize) -> Result<(CT, CT, CT)> {
    let (q_a, r_a) = Tensor::constant(a.contiguous()?)?.qr()?;
    let (q_b, r_b) = Tensor::constant(b.transpose(1, 2)?.contiguous()?)?.qr()?;
    let (u, s, vt) = r_a.matmul(&r_b.transpose(1, 2)?)?.svd()?;
    let (u, v) = (q_a.matmul(&u)?, q_b.matmul(&vt.transpose(1, 2)?)?);
    // A product of matrices narrower than a head has a lower rank; what is missing is zero.
    let filled = |x: &CT, axis: usize| -> Result<CT> {
        let missing = rank - x.dim(axis)?;
        Ok(if missing == 0 { x.clone() } else { x.pad_with_zeros(axis, 0, missing)? })
    };
    Ok((filled(u.data(), 2)?, filled(s.data(), 1)?, filled(v.data(), 2)?))
}

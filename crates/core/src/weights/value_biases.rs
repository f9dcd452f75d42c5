//! Values' biases into the bias of attention's output: each query's pattern sums to 1, so that a bias of the values
//! reaches every position alike. (Padded positions, whose pattern is empty, are the exception; nothing reads them.)

use super::part::Part;
use crate::error::Result;
use crate::models::ModelConfig;
use crate::tensor::CT;

/// `b_O += Σ_h b_V[h] W_O[h]`; the values have no bias afterwards.
pub(super) fn fold_block(block: &mut Part, config: &ModelConfig) -> Result<()> {
    let Some(biases) = block.remove("attn.b_QKV") else {
        return Ok(());
    };
    let (heads, kv_heads, d_head) = (config.n_heads, config.n_key_value_heads, config.d_head);
    let others = biases.narrow(0, 0, (heads + kv_heads) * d_head)?;
    let values = biases.narrow(0, (heads + kv_heads) * d_head, kv_heads * d_head)?;
    block.set("attn.b_QKV", CT::cat(&[&others, &values.zeros_like()?], 0)?);
    let per_head = values.reshape((kv_heads, 1, d_head))?.repeat((1, heads / kv_heads, 1))?.flatten_all()?;
    let written = block.matrix("attn.W_O")?.combined(&per_head)?;
    block.add_bias("attn.b_O", written)
}

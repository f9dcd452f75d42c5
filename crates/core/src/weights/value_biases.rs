//! Values' biases into the bias of attention's output: each query's pattern sums to 1, so that a bias of the values
//! reaches every position alike. (Padded positions, whose pattern is empty, are the exception; nothing reads them.)

use super::part::Part;
use crate::error::Result;
use crate::models::ModelConfig;

/// `b_O += Σ_h b_V[h] W_O[h]`; the values have no bias afterwards.
pub(super) fn fold_block(block: &mut Part, config: &ModelConfig) -> Result<()> {
    let name = block.key_or_value("b_V");
    let Some(values) = block.remove(&name) else {
        return Ok(());
    };
    let w_o = block.get("attn.W_O")?;
    let (heads, shared_by) = (config.n_heads, config.n_heads / config.n_key_value_heads);
    let per_head = values.unsqueeze(1)?.repeat((1, shared_by, 1))?.reshape((heads, config.d_head, 1))?;
    let written = w_o.broadcast_mul(&per_head)?.sum((0, 1))?;
    block.add_bias("attn.b_O", written)
}

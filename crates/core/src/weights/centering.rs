//! Subtracting means that nothing downstream can see.

use super::part::Part;
use crate::error::Result;
use crate::tensor::CT;

/// Everything that a block writes to the residual stream, `[.., d_model]`.
const WRITERS: [&str; 4] = ["attn.W_O", "attn.b_O", "mlp.W_out", "mlp.b_out"];

/// Subtracts from everything that a block writes its mean over `d_model`.
pub(super) fn center_block(block: &mut Part) -> Result<()> {
    WRITERS.iter().try_for_each(|name| center(block, name))
}

/// [`center_block`] for the bias of attention alone.
pub(super) fn center_output_bias(block: &mut Part) -> Result<()> {
    center(block, "attn.b_O")
}

/// Subtracts from every row of an embedding its mean.
pub(super) fn center_table(table: &mut Part) -> Result<()> {
    ["W_E", "W_pos"].iter().try_for_each(|name| center(table, name))
}

/// Subtracts from the unembedding its mean over the vocabulary.
pub(super) fn center_unembed(unembed: &mut Part) -> Result<()> {
    ["W_U", "b_U"].iter().try_for_each(|name| center(unembed, name))
}

fn center(part: &mut Part, name: &str) -> Result<()> {
    if let Some(weight) = part.find(name) {
        let centered = without_mean(weight)?;
        part.set(name, centered);
    }
    Ok(())
}

/// `x` less its mean over the last axis.
fn without_mean(x: &CT) -> Result<CT> {
    Ok(x.broadcast_sub(&x.mean_keepdim(x.rank() - 1)?)?)
}

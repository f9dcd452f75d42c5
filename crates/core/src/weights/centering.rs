//! Subtracting means that nothing downstream can see.

use super::part::Part;
use crate::error::Result;

/// Everything that a block writes to the residual stream: matrices `[.., d_model]` and biases `[d_model]`.
const WRITERS: [(&str, &str); 2] = [("attn.W_O", "attn.b_O"), ("mlp.W_out", "mlp.b_out")];

/// Subtracts from everything that a block writes its mean over `d_model`.
pub(super) fn center_block(block: &mut Part) -> Result<()> {
    WRITERS.iter().try_for_each(|(matrix, bias)| center(block, matrix, bias))
}

/// Subtracts from every row of an embedding its mean.
pub(super) fn center_table(table: &mut Part, matrix: &str) -> Result<()> {
    table.find_matrix(matrix).map_or(Ok(()), |table| table.center_outputs())
}

/// Subtracts from the unembedding its mean over the vocabulary.
pub(super) fn center_unembed(unembed: &mut Part) -> Result<()> {
    center(unembed, "W_U", "b_U")
}

/// Subtracts from each row of a matrix its mean, and from a bias its own.
fn center(part: &mut Part, matrix: &str, bias: &str) -> Result<()> {
    center_table(part, matrix)?;
    center_bias(part, bias)
}

/// Subtracts from a bias, if it is there, its mean.
pub(super) fn center_bias(part: &mut Part, bias: &str) -> Result<()> {
    if let Some(b) = part.find(bias) {
        let centered = b.broadcast_sub(&b.mean_keepdim(0)?)?;
        part.set(bias, centered);
    }
    Ok(())
}

//! Softmax of attention scores.

use super::{PARALLEL_HEAVY, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use hooklens_kernels::attention::{self as loops, Sight};

/// Softmax of rows of scores `[.., queries, keys]` over the keys that each sees; the others, and a row that sees nothing
/// but `-inf`, give zeros.
pub(crate) fn attention_pattern(scores: &CT, queries: usize, keys: usize, sight: Sight) -> Result<Option<CT>> {
    with_slices([scores], |[values]| {
        tensor(scores.dims(), keys, PARALLEL_HEAVY, |start, out| {
            let scores = &values[start..start + out.len()];
            loops::attention_pattern(scores, out, start / keys, queries, keys, sight);
        })
    })?
    .transpose()
}

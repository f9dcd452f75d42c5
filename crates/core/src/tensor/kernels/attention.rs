//! Softmax of attention scores.

use super::math::{exp, max, sum};
use super::{Kernel, PARALLEL_HEAVY, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;

struct Pattern<'a> {
    scores: &'a [f32],
    out: &'a mut [f32],
    /// The number of the first row, and how many rows there are for each head.
    first: usize,
    queries: usize,
    keys: usize,
    causal: bool,
}

impl Kernel for Pattern<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let rows = self.scores.chunks_exact(self.keys).zip(self.out.chunks_exact_mut(self.keys));
        for (i, (scores, out)) in (self.first..).zip(rows) {
            let seen = if self.causal { (i % self.queries + 1).min(self.keys) } else { self.keys };
            let (out, hidden) = out.split_at_mut(seen);
            hidden.fill(0.0);
            let scores = &scores[..seen];
            let top = max(scores);
            // Where everything is masked, every exponential becomes zero. A NaN still makes the sum NaN.
            let top = if top == f32::NEG_INFINITY { 0.0 } else { top };
            for (o, &x) in out.iter_mut().zip(scores) {
                *o = exp::<FMA>(x - top);
            }
            let total = sum([out], |[y]| y);
            let scale = if total == 0.0 { 0.0 } else { 1.0 / total };
            for o in out.iter_mut() {
                *o *= scale;
            }
        }
    }
}

/// Softmax of rows of scores `[.., queries, keys]`; where `causal`, query `i` sees the keys up to `i` only. A row
/// without anything but `-inf` gives zeros.
pub(crate) fn attention_pattern(scores: &CT, queries: usize, keys: usize, causal: bool) -> Result<Option<CT>> {
    with_slices([scores], |[values]| {
        tensor(scores.dims(), keys, PARALLEL_HEAVY, |start, out| {
            let scores = &values[start..start + out.len()];
            run(Pattern { scores, out, first: start / keys, queries, keys, causal });
        })
    })?
    .transpose()
}

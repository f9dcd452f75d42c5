//! Softmax of attention scores, and which of them count.

use super::math::{exp, max, sum};
use super::{Kernel, run};
use std::ops::Range;

/// Which keys a query sees by their positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// No later keys than its own.
    pub causal: bool,
    /// That many keys up to its own at most.
    pub window: Option<usize>,
    /// The key that is the first query's own.
    pub offset: usize,
}

impl Sight {
    /// What a query sees of so many keys.
    pub fn of(self, query: usize, keys: usize) -> Range<usize> {
        let own = query + self.offset;
        let end = if self.causal { keys.min(own + 1) } else { keys };
        let start = self.window.map_or(0, |window| (own + 1).saturating_sub(window));
        start.min(end)..end
    }

    /// Whether every query sees every key.
    pub fn is_full(self, queries: usize, keys: usize) -> bool {
        (self.window.is_none() || keys == 0 || self.of(queries.saturating_sub(1), keys).start == 0)
            && (!self.causal || self.offset + 1 >= keys)
    }
}

/// Softmax of one row of scores in place. A row of `-inf` alone gives zeros where `or_zeros`, otherwise NaN. A NaN
/// spreads to the whole row.
#[inline(always)]
pub(super) fn softmax_row<const FMA: bool>(row: &mut [f32], or_zeros: bool) {
    let top = max(row);
    // Where everything is masked, every exponential becomes zero. A NaN still makes the sum NaN.
    let top = if or_zeros && top == f32::NEG_INFINITY { 0.0 } else { top };
    for x in row.iter_mut() {
        *x = exp::<FMA>(*x - top);
    }
    let total = sum([row], |[y]| y);
    let scale = if or_zeros && total == 0.0 { 0.0 } else { 1.0 / total };
    for x in row.iter_mut() {
        *x *= scale;
    }
}

struct Pattern<'a> {
    scores: &'a [f32],
    out: &'a mut [f32],
    /// The number of the first row, and how many rows there are for each head.
    first: usize,
    queries: usize,
    keys: usize,
    sight: Sight,
}

impl Kernel for Pattern<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let rows = self.scores.chunks_exact(self.keys).zip(self.out.chunks_exact_mut(self.keys));
        for (i, (scores, out)) in (self.first..).zip(rows) {
            let seen = self.sight.of(i % self.queries, self.keys);
            out[..seen.start].fill(0.0);
            out[seen.end..].fill(0.0);
            let out = &mut out[seen.clone()];
            out.copy_from_slice(&scores[seen]);
            softmax_row::<FMA>(out, true);
        }
    }
}

/// Softmax of rows of `keys` scores over the keys that each sees, and zeros for the others. Row `first` comes first, where
/// every head has `queries` of them.
pub fn attention_pattern(scores: &[f32], out: &mut [f32], first: usize, queries: usize, keys: usize, sight: Sight) {
    run(Pattern { scores, out, first, queries, keys, sight });
}

//! Operands of kernels that broadcast, stretch by stretch of the result.

use super::applies;
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::{Pattern, Term};
use hooklens_kernels::lanes::Lane;

/// An operand's elements and how they repeat.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, T> {
    pub(super) values: &'a [T],
    pub(super) pattern: Pattern,
}

impl<'a, T: Copy> Operand<'a, T> {
    /// The operand from element `start` of the result on, and for how many elements that holds.
    pub(super) fn at(self, start: usize, len: usize) -> (Lane<'a, T>, usize) {
        match self.pattern {
            Pattern::Whole => (Lane::Each(&self.values[start..start + len]), len),
            Pattern::Cycle(period) => {
                let at = start % period;
                let len = len.min(period - at);
                (Lane::Each(&self.values[at..at + len]), len)
            }
            Pattern::Repeat(times) => (Lane::All(self.values[start / times]), len.min(times - start % times)),
        }
    }
}

/// A term as a tensor that kernels apply to, and how it repeats over `dims`; `None` if it must go the general way.
pub(super) fn on_host(term: &Term, dims: &[usize]) -> Result<Option<(CT, Pattern)>> {
    match term {
        Term::Number(x) => {
            let one = CT::from_vec(vec![x.as_f64() as f32], (), &candle_core::Device::Cpu)?;
            Ok(Some((one, Pattern::Repeat(usize::MAX))))
        }
        Term::Tensor(x) if !applies(x) => Ok(None),
        Term::Tensor(x) => Ok(Pattern::find(x.dims(), dims).map(|pattern| (x.clone(), pattern))),
    }
}

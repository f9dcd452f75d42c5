//! The four basic operations, with the broadcasting that models use.

use super::{Kernel, PARALLEL_LIGHT, applies, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::{Pattern, Term};

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
}

/// An operand over one stretch of the result.
#[derive(Clone, Copy)]
enum Lane<'a> {
    Each(&'a [f32]),
    All(f32),
}

struct Loop<'a> {
    op: Arithmetic,
    a: Lane<'a>,
    b: Lane<'a>,
    out: &'a mut [f32],
}

impl Kernel for Loop<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        match self.op {
            Arithmetic::Add => apply(self.a, self.b, self.out, |a, b| a + b),
            Arithmetic::Sub => apply(self.a, self.b, self.out, |a, b| a - b),
            Arithmetic::Mul => apply(self.a, self.b, self.out, |a, b| a * b),
            Arithmetic::Div => apply(self.a, self.b, self.out, |a, b| a / b),
        }
    }
}

#[inline(always)]
fn apply(a: Lane<'_>, b: Lane<'_>, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (Lane::Each(a), Lane::Each(b)) => {
            for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *o = f(a, b);
            }
        }
        (Lane::Each(a), Lane::All(b)) => {
            for (o, &a) in out.iter_mut().zip(a) {
                *o = f(a, b);
            }
        }
        (Lane::All(a), Lane::Each(b)) => {
            for (o, &b) in out.iter_mut().zip(b) {
                *o = f(a, b);
            }
        }
        (Lane::All(a), Lane::All(b)) => out.fill(f(a, b)),
    }
}

/// An operand's elements and how they repeat.
#[derive(Clone, Copy)]
struct Operand<'a> {
    values: &'a [f32],
    pattern: Pattern,
}

impl<'a> Operand<'a> {
    /// The operand from element `start` of the result on, and for how many elements that holds.
    fn at(self, start: usize, len: usize) -> (Lane<'a>, usize) {
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

/// `a op b` spread over `dims`.
pub(crate) fn arithmetic(op: Arithmetic, a: &Term, b: &Term, dims: &[usize]) -> Result<Option<CT>> {
    let host = |term: &Term| -> Result<Option<(CT, Pattern)>> {
        match term {
            Term::Number(x) => {
                let one = CT::from_vec(vec![x.as_f64() as f32], (), &candle_core::Device::Cpu)?;
                Ok(Some((one, Pattern::Repeat(usize::MAX))))
            }
            Term::Tensor(x) if !applies(x) => Ok(None),
            Term::Tensor(x) => Ok(Pattern::find(x.dims(), dims).map(|pattern| (x.clone(), pattern))),
        }
    };
    let (Some((a, a_pattern)), Some((b, b_pattern))) = (host(a)?, host(b)?) else { return Ok(None) };
    with_slices([&a, &b], |[a, b]| {
        let (a, b) = (Operand { values: a, pattern: a_pattern }, Operand { values: b, pattern: b_pattern });
        tensor(dims, 1, PARALLEL_LIGHT, |mut start, mut out| {
            while !out.is_empty() {
                let (a, a_len) = a.at(start, out.len());
                let (b, b_len) = b.at(start, out.len());
                let len = a_len.min(b_len);
                let (now, later) = out.split_at_mut(len);
                run(Loop { op, a, b, out: now });
                (start, out) = (start + len, later);
            }
        })
    })?
    .transpose()
}

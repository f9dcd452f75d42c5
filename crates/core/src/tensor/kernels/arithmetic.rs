//! The four basic operations, with the broadcasting that models use.

use super::lanes::{Lane, Operand, on_host};
use super::{Kernel, PARALLEL_LIGHT, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::Term;

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

struct Loop<'a> {
    op: Arithmetic,
    a: Lane<'a, f32>,
    b: Lane<'a, f32>,
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
fn apply(a: Lane<'_, f32>, b: Lane<'_, f32>, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
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

/// `a op b` spread over `dims`.
pub(crate) fn arithmetic(op: Arithmetic, a: &Term, b: &Term, dims: &[usize]) -> Result<Option<CT>> {
    let (Some((a, a_pattern)), Some((b, b_pattern))) = (on_host(a, dims)?, on_host(b, dims)?) else { return Ok(None) };
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

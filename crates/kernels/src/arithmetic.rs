//! The four basic operations.

use super::lanes::Lane;
use super::{Kernel, run};

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
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

/// `a op b`, of operands that have as many elements as `out`, or one for all.
pub fn arithmetic(op: Arithmetic, a: Lane<'_, f32>, b: Lane<'_, f32>, out: &mut [f32]) {
    run(Loop { op, a, b, out });
}

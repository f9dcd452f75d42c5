//! Choosing between two operands by a mask.

use super::lanes::Lane;
use super::{Kernel, run};

struct Loop<'a> {
    mask: Lane<'a, u8>,
    a: Lane<'a, f32>,
    b: Lane<'a, f32>,
    out: &'a mut [f32],
}

impl Kernel for Loop<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let (a, b, out) = (self.a, self.b, self.out);
        let mask = match self.mask {
            Lane::Each(mask) => mask,
            Lane::All(chosen) => {
                return match if chosen != 0 { a } else { b } {
                    Lane::Each(x) => out.copy_from_slice(x),
                    Lane::All(x) => out.fill(x),
                };
            }
        };
        match (a, b) {
            (Lane::Each(a), Lane::Each(b)) => {
                for (((o, &m), &a), &b) in out.iter_mut().zip(mask).zip(a).zip(b) {
                    *o = if m != 0 { a } else { b };
                }
            }
            (Lane::Each(a), Lane::All(b)) => {
                for ((o, &m), &a) in out.iter_mut().zip(mask).zip(a) {
                    *o = if m != 0 { a } else { b };
                }
            }
            (Lane::All(a), Lane::Each(b)) => {
                for ((o, &m), &b) in out.iter_mut().zip(mask).zip(b) {
                    *o = if m != 0 { a } else { b };
                }
            }
            (Lane::All(a), Lane::All(b)) => {
                for (o, &m) in out.iter_mut().zip(mask) {
                    *o = if m != 0 { a } else { b };
                }
            }
        }
    }
}

/// `a` where `mask` is not 0, `b` elsewhere; each has as many elements as `out`, or one for all.
pub fn select(mask: Lane<'_, u8>, a: Lane<'_, f32>, b: Lane<'_, f32>, out: &mut [f32]) {
    run(Loop { mask, a, b, out });
}

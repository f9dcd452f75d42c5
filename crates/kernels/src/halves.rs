//! Numbers of half precision from and to `f32`, by their bits and without branches: few machines have instructions for it,
//! and WebAssembly has none.

use super::operand::{Operand, Strided};
use super::{Kernel, run};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A type of half precision.
pub trait Half: Copy + Sync {
    /// Writes numbers as `f32`, as many as there is room for.
    fn widen(from: &[Self], to: &mut [f32]);
    /// Numbers rounded to the nearest, to that with an even last digit where two are.
    fn narrowed(from: &[f32]) -> Vec<Self>;
    /// A matrix of them as an operand of a product.
    fn operand(matrix: Strided<'_, Self>) -> Operand<'_>;
}

/// How its bits are read and made.
pub(super) trait Bits: Copy + Sync {
    /// The bits of numbers.
    fn bits(slice: &[Self]) -> &[u16];
    /// The number of these bits.
    fn of(bits: u16) -> Self;
    /// What the bits stand for.
    fn wide(bits: u32) -> f32;
    /// The bits of the nearest number, that with an even last digit where two are.
    fn nearest(x: f32) -> u16;
}

macro_rules! half {
    ($type:ident, $operand:ident) => {
        impl Half for $type {
            fn widen(from: &[Self], to: &mut [f32]) {
                let runs = Runs { first: 0, count: 1, len: from.len().min(to.len()), next: 0, step: 1, apart: 0 };
                widen_runs(from, runs, to);
            }

            fn narrowed(from: &[f32]) -> Vec<Self> {
                let mut to = Vec::with_capacity(from.len());
                run(Narrow { from, to: &mut to });
                to
            }

            fn operand(matrix: Strided<'_, Self>) -> Operand<'_> {
                Operand::$operand(matrix)
            }
        }
    };
}
half!(f16, Half);
half!(bf16, Brain);

impl Bits for f16 {
    #[inline(always)]
    fn bits(slice: &[Self]) -> &[u16] {
        slice.reinterpret_cast()
    }

    #[inline(always)]
    fn of(bits: u16) -> Self {
        Self::from_bits(bits)
    }

    #[inline(always)]
    fn wide(bits: u32) -> f32 {
        /// What exponents differ by.
        const REBIAS: u32 = (127 - 15) << 23;
        /// The smallest normal half.
        const SMALLEST: u32 = REBIAS + (1 << 23);
        let magnitude = (bits & 0x7fff) << 13;
        let exponent = magnitude >> 23;
        // Without an exponent, the mantissa counts units of 2^-24.
        let tiny = (f32::from_bits(magnitude + SMALLEST) - f32::from_bits(SMALLEST)).to_bits();
        let rest = magnitude + if exponent == 31 { 2 * REBIAS } else { REBIAS };
        f32::from_bits(if exponent == 0 { tiny } else { rest } | (bits & 0x8000) << 16)
    }

    #[inline(always)]
    fn nearest(x: f32) -> u16 {
        /// What the smallest normal half is, and what is too large for any.
        const SMALLEST: u32 = (127 - 14) << 23;
        const LARGE: u32 = (127 + 16) << 23;
        /// Its last digit is worth as much as that of a half without an exponent.
        const UNIT: u32 = (127 - 1) << 23;
        const INFINITY: u32 = 0x7f80_0000;
        let sign = x.to_bits() & 0x8000_0000;
        let magnitude = x.to_bits() ^ sign;
        let tiny = (f32::from_bits(magnitude) + f32::from_bits(UNIT)).to_bits().wrapping_sub(UNIT);
        let even = (magnitude >> 13) & 1;
        let rest = magnitude.wrapping_sub((127 - 15) << 23).wrapping_add(0xfff + even) >> 13;
        let end = if magnitude > INFINITY { 0x7e00 } else { 0x7c00 };
        let finite = if magnitude < SMALLEST { tiny } else { rest };
        ((if magnitude >= LARGE { end } else { finite }) | sign >> 16) as u16
    }
}

impl Bits for bf16 {
    #[inline(always)]
    fn bits(slice: &[Self]) -> &[u16] {
        slice.reinterpret_cast()
    }

    #[inline(always)]
    fn of(bits: u16) -> Self {
        Self::from_bits(bits)
    }

    #[inline(always)]
    fn wide(bits: u32) -> f32 {
        f32::from_bits(bits << 16)
    }

    #[inline(always)]
    fn nearest(x: f32) -> u16 {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        (if x.is_nan() { bits >> 16 | 0x40 } else { rounded }) as u16
    }
}

/// Runs of elements: where they begin, how many there are and how long they are, how far apart they are and their
/// elements, and how far apart they are going to be.
#[derive(Clone, Copy)]
pub(super) struct Runs {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) len: usize,
    pub(super) next: usize,
    pub(super) step: usize,
    pub(super) apart: usize,
}

struct Widen<'a, T> {
    from: &'a [T],
    runs: Runs,
    to: &'a mut [f32],
}

impl<T: Bits> Kernel for Widen<'_, T> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let Runs { first, count, len, next, step, apart } = self.runs;
        let from = &T::bits(self.from)[first..];
        for i in 0..count {
            let (from, to) = (&from[i * next..], &mut self.to[i * apart..][..len]);
            if step == 1 {
                let ((from, from_rest), (to, to_rest)) = (from[..len].as_chunks::<8>(), to.as_chunks_mut::<8>());
                for (from, to) in from.iter().zip(to) {
                    for j in 0..8 {
                        to[j] = T::wide(u32::from(from[j]));
                    }
                }
                for (from, to) in from_rest.iter().zip(to_rest) {
                    *to = T::wide(u32::from(*from));
                }
            } else {
                for (j, to) in to.iter_mut().enumerate() {
                    *to = T::wide(u32::from(from[j * step]));
                }
            }
        }
    }
}

/// Writes runs as `f32`.
pub(super) fn widen_runs<T: Bits>(from: &[T], runs: Runs, to: &mut [f32]) {
    run(Widen { from, runs, to });
}

struct Narrow<'a, T> {
    from: &'a [f32],
    to: &'a mut Vec<T>,
}

impl<T: Bits> Kernel for Narrow<'_, T> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        self.to.extend(self.from.iter().map(|&x| T::of(T::nearest(x))));
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Half};
    use half::{bf16, f16};

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
    }

    /// Each number of half precision, and what lies between neighbours: on the middle and beside it.
    fn converts<T: Half + Bits>(exact: fn(T) -> f32, nearest: fn(f32) -> T) {
        let all: Vec<T> = (0..=u16::MAX).map(T::of).collect();
        let mut wide = vec![0f32; all.len()];
        T::widen(&all, &mut wide);
        for (bits, (&half, &wide)) in all.iter().zip(&wide).enumerate() {
            assert!(same(wide, exact(half)), "{bits:#06x}: {wide}");
        }
        let middles = wide.windows(2).map(|pair| ((f64::from(pair[0]) + f64::from(pair[1])) / 2.0) as f32);
        let near: Vec<f32> =
            middles.chain(wide.iter().copied()).flat_map(|x| [x.next_down(), x, x.next_up()]).collect();
        for (&x, half) in near.iter().zip(T::narrowed(&near)) {
            assert!(same(exact(half), exact(nearest(x))), "{x:e} became {:e}", exact(half));
        }
    }

    #[test]
    fn halves_are_widened_exactly_and_rounded_to_the_nearest() {
        converts::<f16>(f16::to_f32, f16::from_f32);
        converts::<bf16>(bf16::to_f32, bf16::from_f32);
    }
}

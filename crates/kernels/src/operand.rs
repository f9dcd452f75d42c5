//! Operands of products, as they are stored. Weights in half precision stay so in memory: what a tile is about to
//! multiply is widened on its way to where it is laid out.

use super::{Kernel, run};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::ops::Range;

/// A matrix as elements `at + row * rows + column * columns` of a slice.
#[derive(Clone, Copy)]
pub struct Strided<'a, T = f32> {
    /// Its first element comes first.
    pub data: &'a [T],
    /// How far apart rows are.
    pub row: usize,
    /// How far apart columns are.
    pub column: usize,
}

impl<T> Strided<'_, T> {
    /// Whether there are `rows` by `columns` elements.
    pub(super) fn holds(&self, [rows, columns]: [usize; 2]) -> bool {
        rows == 0 || columns == 0 || self.data.len() > (rows - 1) * self.row + (columns - 1) * self.column
    }
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// `f32`.
    Single(Strided<'a>),
    /// `f16`.
    Half(Strided<'a, f16>),
    /// `bf16`.
    Brain(Strided<'a, bf16>),
}

impl<'a> Operand<'a> {
    /// Whether there are `rows` by `columns` elements.
    pub(super) fn holds(&self, size: [usize; 2]) -> bool {
        match self {
            Self::Single(b) => b.holds(size),
            Self::Half(b) => b.holds(size),
            Self::Brain(b) => b.holds(size),
        }
    }

    /// How far apart rows are, and columns.
    pub(super) fn strides(&self) -> [usize; 2] {
        match self {
            Self::Single(b) => [b.row, b.column],
            Self::Half(b) => [b.row, b.column],
            Self::Brain(b) => [b.row, b.column],
        }
    }

    /// Where it begins, and the bytes of an element.
    pub(super) fn place(&self) -> (*const u8, usize) {
        match self {
            Self::Single(b) => (b.data.as_ptr().cast(), size_of::<f32>()),
            Self::Half(b) => (b.data.as_ptr().cast(), size_of::<f16>()),
            Self::Brain(b) => (b.data.as_ptr().cast(), size_of::<bf16>()),
        }
    }

    /// It, if it is `f32`.
    pub(super) fn single(&self) -> Option<Strided<'a>> {
        match self {
            Self::Single(b) => Some(*b),
            _ => None,
        }
    }

    /// A part of it as `f32`: where it lies, or widened into `room`.
    pub(super) fn part<'r>(&self, rows: Range<usize>, columns: Range<usize>, room: &'r mut Vec<f32>) -> Strided<'r>
    where
        'a: 'r,
    {
        if let Self::Single(b) = *self {
            return Strided { data: &b.data[rows.start * b.row + columns.start * b.column..], ..b };
        }
        let [row, column] = self.strides();
        let (height, width) = (rows.len(), columns.len());
        if room.len() < height * width {
            room.resize(height * width, 0.0);
        }
        let to = &mut room[..height * width];
        if row == 1 && column != 1 {
            self.widen(rows.start + columns.start * column, [width, height], column, 1, height, to);
            Strided { data: to, row: 1, column: height }
        } else {
            self.widen_rows(rows, columns, width, to);
            Strided { data: to, row: width, column: 1 }
        }
    }

    /// Widens a part of halves, row by row, into rows that are `apart` elements apart.
    pub(super) fn widen_rows(&self, rows: Range<usize>, columns: Range<usize>, apart: usize, to: &mut [f32]) {
        let [row, column] = self.strides();
        let first = rows.start * row + columns.start * column;
        self.widen(first, [rows.len(), columns.len()], row, column, apart, to);
    }

    /// Widens `count` runs of `len` halves.
    fn widen(&self, first: usize, [count, len]: [usize; 2], next: usize, step: usize, apart: usize, to: &mut [f32]) {
        let runs = Runs { first, count, len, next, step, apart };
        match self {
            Self::Single(_) => {}
            Self::Half(b) => run(Halves { from: b.data.reinterpret_cast(), runs, to }),
            Self::Brain(b) => run(Brains { from: b.data.reinterpret_cast(), runs, to }),
        }
    }
}

/// Writes halves as `f32`.
pub(super) fn widen_halves(from: &[f16], to: &mut [f32]) {
    run(Halves { from: from.reinterpret_cast(), runs: Runs::one(from.len().min(to.len())), to });
}

/// [`widen_halves`] for `bf16`.
pub(super) fn widen_brains(from: &[bf16], to: &mut [f32]) {
    run(Brains { from: from.reinterpret_cast(), runs: Runs::one(from.len().min(to.len())), to });
}

/// Runs of elements: where they begin, how many there are and how long they are, how far apart they are and their
/// elements, and how far apart they are going to be.
#[derive(Clone, Copy)]
struct Runs {
    first: usize,
    count: usize,
    len: usize,
    next: usize,
    step: usize,
    apart: usize,
}

impl Runs {
    const fn one(len: usize) -> Self {
        Self { first: 0, count: 1, len, next: 0, step: 1, apart: 0 }
    }

    #[inline(always)]
    fn convert(self, from: &[u16], to: &mut [f32], widen: impl Fn(u32) -> f32) {
        let Self { first, count, len, next, step, apart } = self;
        for i in 0..count {
            let to = &mut to[i * apart..][..len];
            if step == 1 {
                let from = &from[first + i * next..][..len];
                let ((from, rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from.map(|x| widen(u32::from(x)));
                }
                to_rest.iter_mut().zip(rest).for_each(|(to, &x)| *to = widen(u32::from(x)));
            } else {
                let from = &from[first + i * next..];
                to.iter_mut().enumerate().for_each(|(j, to)| *to = widen(u32::from(from[j * step])));
            }
        }
    }
}

/// IEEE 754 halves, by their bits.
struct Halves<'a> {
    from: &'a [u16],
    runs: Runs,
    to: &'a mut [f32],
}

impl Kernel for Halves<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        self.runs.convert(self.from, self.to, from_half);
    }
}

/// The number that a half stands for, without a branch.
#[inline(always)]
fn from_half(half: u32) -> f32 {
    /// What exponents differ by.
    const REBIAS: u32 = (127 - 15) << 23;
    /// The smallest normal half.
    const SMALLEST: u32 = REBIAS + (1 << 23);
    let magnitude = (half & 0x7fff) << 13;
    let exponent = magnitude >> 23;
    // Without an exponent, the mantissa counts units of 2^-24.
    let tiny = (f32::from_bits(magnitude + SMALLEST) - f32::from_bits(SMALLEST)).to_bits();
    let rest = magnitude + if exponent == 31 { 2 * REBIAS } else { REBIAS };
    f32::from_bits(if exponent == 0 { tiny } else { rest } | (half & 0x8000) << 16)
}

/// The upper halves of single precision numbers.
struct Brains<'a> {
    from: &'a [u16],
    runs: Runs,
    to: &'a mut [f32],
}

impl Kernel for Brains<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        self.runs.convert(self.from, self.to, |brain| f32::from_bits(brain << 16));
    }
}

#[cfg(test)]
mod tests {
    use super::{widen_brains, widen_halves};
    use half::{bf16, f16};

    #[test]
    fn every_half_is_widened_exactly() {
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0f32; halves.len()];
        widen_halves(&halves, &mut wide);
        for (half, &wide) in halves.iter().zip(&wide) {
            assert!(same(wide, half.to_f32()), "{:#06x}: {wide}", half.to_bits());
        }
        let brains: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        widen_brains(&brains, &mut wide);
        for (brain, &wide) in brains.iter().zip(&wide) {
            assert!(same(wide, brain.to_f32()), "{:#06x}: {wide}", brain.to_bits());
        }
    }
}

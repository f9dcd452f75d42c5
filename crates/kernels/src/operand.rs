//! Operands of products, as they are stored. Weights in half precision stay so in memory: what a tile is about to
//! multiply is widened on its way to where it is laid out.

use super::halves::{Runs, widen_runs};
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
            Self::Half(b) => widen_runs(b.data, runs, to),
            Self::Brain(b) => widen_runs(b.data, runs, to),
        }
    }
}

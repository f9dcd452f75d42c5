//! One row times a matrix.

use super::super::math::fma;
use super::super::vectors::scaled_sum;
use super::super::{Kernel, run};
#[cfg(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128")))]
use super::Tile;
#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
use super::simd128::{SQUARE, columns};
#[cfg(target_arch = "x86_64")]
use super::x86::{SQUARE, columns};
use super::{Finish, Operand, Strided, block_len};
use crate::threads::share_pieces;
use std::mem::MaybeUninit;

/// Columns at a time: their sums stay in the first-level cache.
const COLUMNS: usize = 1024;

/// `x @ b`, plus `bias`, after `finish`: memory decides how long that takes, so what lies in rows is multiplied where it
/// is.
pub(super) fn one_row(
    [n, k]: [usize; 2],
    a: Strided<'_>,
    b: Operand<'_>,
    bias: Option<&[f32]>,
    finish: Option<Finish<'_>>,
    out: &mut [MaybeUninit<f32>],
    threads: usize,
) {
    /// Halves that are widened at a time.
    const WIDENED: usize = 1 << 13;
    let x: Vec<f32> = (0..k).map(|l| a.data[l * a.column]).collect();
    let block = block_len(k);
    let (single, in_rows) = (b.single().is_some(), b.strides()[1] == 1);
    // Halves that follow one another down the columns are widened so, in few long runs.
    let most = if single || in_rows { COLUMNS } else { WIDENED.div_ceil(block).next_multiple_of(32).min(COLUMNS) };
    let width = if threads == 1 { most } else { n.div_ceil(threads * 4).next_multiple_of(32).min(most) };
    share_pieces(out, width, threads, |i, out| {
        let columns = i * width..i * width + out.len();
        match bias {
            Some(bias) => out.iter_mut().zip(&bias[columns.clone()]).for_each(|(o, &b)| _ = o.write(b)),
            None => out.iter_mut().for_each(|o| _ = o.write(0.0)),
        }
        // SAFETY: every element was just written.
        let out = unsafe { out.assume_init_mut() };
        let mut room = Vec::new();
        if in_rows {
            let mut sums = [0f32; COLUMNS];
            let sums = &mut sums[..out.len()];
            let step = if single { block } else { (WIDENED / out.len()).max(8) };
            for (i, x) in x.chunks(block).enumerate() {
                sums.fill(0.0);
                for (j, x) in x.chunks(step).enumerate() {
                    let first = i * block + j * step;
                    let b = b.part(first..first + x.len(), columns.clone(), &mut room);
                    scaled_sum(x, b.data, b.row, sums);
                }
                out.iter_mut().zip(&*sums).for_each(|(o, sum)| *o += sum);
            }
        } else {
            let step = if single { k } else { block };
            for (i, x) in x.chunks(step).enumerate() {
                let first = i * step;
                let b = b.part(first..first + x.len(), columns.clone(), &mut room);
                inner_products(x, block, b, out);
            }
        }
        if let Some(finish) = finish {
            finish(columns.start, out);
        }
    });
}

/// Adds `Σ x[l] b[l][j]` to `out[j]`, for columns that do not lie in rows: the products of each `block` of `l` are summed
/// from zero, one after the other, and then added.
pub(crate) fn inner_products(x: &[f32], block: usize, b: Strided<'_>, out: &mut [f32]) {
    if x.is_empty() || out.is_empty() {
        return;
    }
    assert!(b.data.len() > (x.len() - 1) * b.row + (out.len() - 1) * b.column);
    let mut done = 0;
    #[cfg(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128")))]
    if b.row == 1 && Tile::chosen().is_some() {
        while done + SQUARE <= out.len() {
            let count = if MANY * x.len() <= NEAR && done + MANY <= out.len() { MANY } else { SQUARE };
            for (i, x) in x.chunks(block).enumerate() {
                let at = b.data[done * b.column + i * block..].as_ptr();
                // Columns mostly follow one another, so that the next ones come after these.
                let ahead = b.data.as_ptr().wrapping_add((done + count) * b.column + i * block * count);
                let to = out[done..].as_mut_ptr();
                // SAFETY: the columns were just checked to be there; with a tile there are its instructions.
                unsafe {
                    if count == MANY {
                        columns::<{ MANY / SQUARE }>(x.len(), x.as_ptr(), at, b.column, to, ahead);
                    } else {
                        columns::<1>(x.len(), x.as_ptr(), at, b.column, to, ahead);
                    }
                }
            }
            done += count;
        }
    }
    for (j, out) in out.iter_mut().enumerate().skip(done) {
        let b = Strided { data: &b.data[j * b.column..], ..b };
        run(Chain { x, block, b, out });
    }
}

/// Columns that are turned together where they are short: fewer come from memory faster, one after the other.
#[cfg(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128")))]
const MANY: usize = 32;
/// Elements of half the first-level cache.
#[cfg(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128")))]
const NEAR: usize = 1 << 12;

/// The same of one column of any kind.
struct Chain<'a> {
    x: &'a [f32],
    block: usize,
    b: Strided<'a>,
    out: &'a mut f32,
}

impl Kernel for Chain<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for (i, x) in self.x.chunks(self.block).enumerate() {
            let at = |l: usize| self.b.data[(i * self.block + l) * self.b.row];
            *self.out += x.iter().enumerate().fold(0.0, |sum, (l, x)| fma::<FMA>(*x, at(l), sum));
        }
    }
}

//! One row times a matrix.

use super::super::math::fma;
use super::super::vectors::scaled_sum;
use super::super::{Kernel, run};
use super::{Finish, Strided, block_len};
#[cfg(target_arch = "x86_64")]
use super::{Tile, x86};
use crate::tensor::threads::share_pieces;
use std::mem::MaybeUninit;

/// Columns at a time: their sums stay in the first-level cache.
const COLUMNS: usize = 1024;

/// `x @ b`, plus `bias`, after `finish`: memory decides how long that takes, so what lies in rows is multiplied where it
/// is.
pub(super) fn one_row(
    [n, k]: [usize; 2],
    a: Strided<'_>,
    b: Strided<'_>,
    bias: Option<&[f32]>,
    finish: Option<Finish<'_>>,
    out: &mut [MaybeUninit<f32>],
    threads: usize,
) {
    let x: Vec<f32> = (0..k).map(|l| a.data[l * a.column]).collect();
    let width = if threads == 1 { COLUMNS } else { n.div_ceil(threads * 4).next_multiple_of(32).min(COLUMNS) };
    share_pieces(out, width, threads, |i, out| {
        let columns = i * width..i * width + out.len();
        match bias {
            Some(bias) => out.iter_mut().zip(&bias[columns.clone()]).for_each(|(o, &b)| _ = o.write(b)),
            None => out.iter_mut().for_each(|o| _ = o.write(0.0)),
        }
        // SAFETY: every element was just written.
        let out = unsafe { out.assume_init_mut() };
        let b = Strided { data: &b.data[columns.start * b.column..], ..b };
        if b.column == 1 {
            let mut sums = [0f32; COLUMNS];
            let sums = &mut sums[..out.len()];
            for (i, x) in x.chunks(block_len(k)).enumerate() {
                sums.fill(0.0);
                scaled_sum(x, &b.data[i * block_len(k) * b.row..], b.row, sums);
                out.iter_mut().zip(&*sums).for_each(|(o, sum)| *o += sum);
            }
        } else {
            inner_products(&x, block_len(k), b, out);
        }
        if let Some(finish) = finish {
            finish(columns.start, out);
        }
    });
}

/// Adds `Σ x[l] b[l][j]` to `out[j]`, for columns that do not lie in rows: the products of each `block` of `l` are summed
/// from zero, one after the other, and then added.
pub(in crate::tensor::kernels) fn inner_products(x: &[f32], block: usize, b: Strided<'_>, out: &mut [f32]) {
    if x.is_empty() || out.is_empty() {
        return;
    }
    assert!(b.data.len() > (x.len() - 1) * b.row + (out.len() - 1) * b.column);
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if b.row == 1 && Tile::chosen().is_some() {
        while done + 8 <= out.len() {
            let count = if MANY * x.len() <= NEAR && done + MANY <= out.len() { MANY } else { 8 };
            for (i, x) in x.chunks(block).enumerate() {
                let at = b.data[done * b.column + i * block..].as_ptr();
                // Columns mostly follow one another, so that the next ones come after these.
                let ahead = b.data.as_ptr().wrapping_add((done + count) * b.column + i * block * count);
                let to = out[done..].as_mut_ptr();
                // SAFETY: the columns were just checked to be there; tiles exist only where there is AVX2.
                unsafe {
                    if count == MANY {
                        x86::columns::<{ MANY / 8 }>(x.len(), x.as_ptr(), at, b.column, to, ahead);
                    } else {
                        x86::columns::<1>(x.len(), x.as_ptr(), at, b.column, to, ahead);
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
#[cfg(target_arch = "x86_64")]
const MANY: usize = 32;
/// Elements of half the first-level cache.
#[cfg(target_arch = "x86_64")]
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

//! One row times a matrix.

use super::super::vectors::{dot, scaled_sum};
use super::{Finish, Operand, Strided};
use crate::threads::share_pieces;
use std::mem::MaybeUninit;

/// `x @ b`, plus `bias`, after `finish`: memory decides how long that takes, so nothing is packed.
pub(super) fn one_row(
    [n, k]: [usize; 2],
    a: Strided<'_>,
    b: Operand<'_>,
    bias: Option<&[f32]>,
    finish: Option<Finish<'_>>,
    out: &mut [MaybeUninit<f32>],
    threads: usize,
) {
    /// Columns at a time: their sums stay in the first-level cache.
    const COLUMNS: usize = 1024;
    /// Halves that are widened at a time.
    const WIDENED: usize = 1 << 13;
    let [row, column] = b.strides();
    // Halves that follow one another down the columns are widened so, in few long runs.
    let most = if b.single().is_some() || row != 1 || column == 1 { COLUMNS } else { 32 };
    let x: Vec<f32> = (0..k).map(|l| a.data[l * a.column]).collect();
    let width = if threads == 1 { most } else { n.div_ceil(threads * 4).next_multiple_of(16).min(most) };
    share_pieces(out, width, threads, |i, out| {
        let first = i * width;
        match bias {
            Some(bias) => out.iter_mut().zip(&bias[first..]).for_each(|(o, &b)| _ = o.write(b)),
            None => out.iter_mut().for_each(|o| _ = o.write(0.0)),
        }
        // SAFETY: every element was just written.
        let out = unsafe { out.assume_init_mut() };
        let (block, mut room) = (if b.single().is_some() { k } else { (WIDENED / out.len()).max(8) }, Vec::new());
        for (i, x) in x.chunks(block).enumerate() {
            let b = b.part(i * block..i * block + x.len(), first..first + out.len(), &mut room);
            if b.column == 1 {
                scaled_sum(x, b.data, b.row, out);
            } else if b.row == 1 {
                for (j, out) in out.iter_mut().enumerate() {
                    *out += dot(x, &b.data[j * b.column..][..x.len()]);
                }
            } else {
                for (j, out) in out.iter_mut().enumerate() {
                    let column = &b.data[j * b.column..];
                    *out += x.iter().enumerate().map(|(l, x)| x * column[l * b.row]).sum::<f32>();
                }
            }
        }
        if let Some(finish) = finish {
            finish(first, out);
        }
    });
}

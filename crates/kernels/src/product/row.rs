//! One row times a matrix.

use super::super::vectors::{dot, scaled_sum};
use super::{Finish, Strided};
use crate::threads::share_pieces;
use std::mem::MaybeUninit;

/// `x @ b`, plus `bias`, after `finish`: memory decides how long that takes, so nothing is packed.
pub(super) fn one_row(
    [n, k]: [usize; 2],
    a: Strided<'_>,
    b: Strided<'_>,
    bias: Option<&[f32]>,
    finish: Option<Finish<'_>>,
    out: &mut [MaybeUninit<f32>],
    threads: usize,
) {
    /// Columns at a time: their sums stay in the first-level cache.
    const COLUMNS: usize = 1024;
    let x: Vec<f32> = (0..k).map(|l| a.data[l * a.column]).collect();
    let width = if threads == 1 { COLUMNS } else { n.div_ceil(threads * 4).next_multiple_of(16).min(COLUMNS) };
    share_pieces(out, width, threads, |i, out| {
        let first = i * width;
        match bias {
            Some(bias) => out.iter_mut().zip(&bias[first..]).for_each(|(o, &b)| _ = o.write(b)),
            None => out.iter_mut().for_each(|o| _ = o.write(0.0)),
        }
        // SAFETY: every element was just written.
        let out = unsafe { out.assume_init_mut() };
        if b.column == 1 {
            scaled_sum(&x, &b.data[first..], b.row, out);
        } else if b.row == 1 {
            for (j, out) in out.iter_mut().enumerate() {
                *out += dot(&x, &b.data[(first + j) * b.column..][..k]);
            }
        } else {
            for (j, out) in out.iter_mut().enumerate() {
                let column = &b.data[(first + j) * b.column..];
                *out += x.iter().enumerate().map(|(l, x)| x * column[l * b.row]).sum::<f32>();
            }
        }
        if let Some(finish) = finish {
            finish(first, out);
        }
    });
}

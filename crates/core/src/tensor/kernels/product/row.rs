//! One row times a matrix.

use super::super::vectors::scaled_sum;
use super::{Finish, Strided, Tile, block_len, pack_right};
use crate::tensor::threads::share_pieces;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Columns at a time: their sums stay in the first-level cache.
const COLUMNS: usize = 1024;
/// Rows of the matrix that are laid out at a time where they do not lie in rows: they stay in that cache too.
const STEPS: usize = 64;
/// The most columns of a tile.
const WIDEST: usize = 32;

/// `x @ b`, plus `bias`, after `finish`: memory decides how long that takes, so what lies in rows is multiplied where it
/// is.
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
pub(super) fn one_row(
    tile: Tile,
    [n, k]: [usize; 2],
    a: Strided<'_>,
    b: Strided<'_>,
    bias: Option<&[f32]>,
    finish: Option<Finish<'_>>,
    out: &mut [MaybeUninit<f32>],
    threads: usize,
) {
    let x: Vec<f32> = (0..k).map(|l| a.data[l * a.column]).collect();
    let width = if threads == 1 { COLUMNS } else { n.div_ceil(threads * 4).next_multiple_of(WIDEST).min(COLUMNS) };
    share_pieces(out, width, threads, |i, out| {
        let columns = i * width..i * width + out.len();
        let mut sums = [0f32; COLUMNS];
        let sums = &mut sums[..out.len()];
        for depth in (0..k).step_by(block_len(k)) {
            let depth = depth..k.min(depth + block_len(k));
            sums.fill(0.0);
            if b.column == 1 {
                scaled_sum(&x[depth.clone()], &b.data[depth.start * b.row + columns.start..], b.row, sums);
            } else {
                laid_out(tile, &x, b, depth.clone(), columns.start, sums);
            }
            match bias {
                None if depth.start == 0 => out.iter_mut().zip(&*sums).for_each(|(o, &sum)| _ = o.write(sum)),
                Some(bias) if depth.start == 0 => {
                    let first = sums.iter().zip(&bias[columns.clone()]);
                    out.iter_mut().zip(first).for_each(|(o, (&sum, &b))| _ = o.write(sum + b));
                }
                _ => out.iter_mut().zip(&*sums).for_each(|(o, &sum)| {
                    // SAFETY: the first block wrote every element.
                    let before = unsafe { o.assume_init_mut() };
                    *before += sum;
                }),
            }
        }
        if let Some(finish) = finish {
            // SAFETY: the first block wrote every element.
            finish(columns.start, unsafe { out.assume_init_mut() });
        }
    });
}

/// Adds `Σ x[l] b[l]` over a stretch of the inner dimension, for columns from `first` on that do not lie in rows.
fn laid_out(tile: Tile, x: &[f32], b: Strided<'_>, depth: Range<usize>, first: usize, sums: &mut [f32]) {
    let width = tile.columns();
    let mut laid = [0f32; STEPS * WIDEST];
    for (s, sums) in sums.chunks_mut(width).enumerate() {
        let column = first + s * width;
        for at in depth.clone().step_by(STEPS) {
            let steps = at..depth.end.min(at + STEPS);
            let laid = &mut laid[..steps.len() * width];
            pack_right(tile, b, steps.clone(), column..column + sums.len(), laid);
            scaled_sum(&x[steps], laid, width, sums);
        }
    }
}

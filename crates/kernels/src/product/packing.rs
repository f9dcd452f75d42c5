//! Operands of products laid out anew, so that tiles read them one element after the other.

use super::{Operand, Strided, Tile};
use crate::threads::share_pieces;
use std::mem::MaybeUninit;
use std::ops::Range;

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
use super::simd128::{SQUARE, transpose};
#[cfg(target_arch = "x86_64")]
use super::x86::{SQUARE, transpose};

/// Where there are no tiles nothing is ever packed.
#[cfg(not(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128"))))]
const SQUARE: usize = usize::MAX;
#[cfg(not(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128"))))]
unsafe fn transpose(_: *const f32, _: usize, _: *mut f32, _: usize) {}

/// The left operand in strips of a tile's rows, each `[k, rows]`; the last one is filled up with zeros.
pub(super) fn pack_left(tile: Tile, [m, k]: [usize; 2], a: Strided<'_>, threads: usize) -> Vec<f32> {
    let rows = tile.rows();
    let total = m.div_ceil(rows) * rows * k;
    let mut packed = Vec::with_capacity(total);
    let room = &mut packed.spare_capacity_mut()[..total];
    share_pieces(room, rows * k, if m * k >= 1 << 15 { threads } else { 1 }, |i, out| {
        pack_strip(rows, k, a, i * rows..m.min((i + 1) * rows), out);
    });
    // SAFETY: `pack_strip` writes all of its strip, and the strips are all there is.
    unsafe { packed.set_len(total) };
    packed
}

/// Writes the rows `from` of the left operand as `[k, rows]`, zeros where there are fewer.
pub(crate) fn pack_strip(rows: usize, k: usize, a: Strided<'_>, from: Range<usize>, out: &mut [MaybeUninit<f32>]) {
    let count = from.len();
    if count < rows {
        out.fill(MaybeUninit::new(0.0));
    }
    // SAFETY: only ever written to, and nothing but floats.
    let out = unsafe { &mut *(std::ptr::from_mut(out) as *mut [f32]) };
    if a.row == 1 {
        for (l, out) in out.chunks_exact_mut(rows).enumerate() {
            let at = l * a.column + from.start;
            out[..count].copy_from_slice(&a.data[at..at + count]);
        }
        return;
    }
    let mut done = 0;
    if a.column == 1 && count >= SQUARE {
        let from = &a.data[from.start * a.row..];
        assert!(from.len() >= (count - 1) * a.row + k && out.len() == rows * k);
        done = k / SQUARE * SQUARE;
        for l in (0..done).step_by(SQUARE) {
            // Rows in both squares are written twice.
            for r in [0, count - SQUARE].into_iter().take(1 + usize::from(count > SQUARE)) {
                let (from, to) = (&from[r * a.row + l..], &mut out[l * rows + r..]);
                // SAFETY: the rows and the room for them were just checked; with a tile there are its instructions.
                unsafe { transpose(from.as_ptr(), a.row, to.as_mut_ptr(), rows) };
            }
        }
    }
    for (r, row) in from.enumerate() {
        for l in done..k {
            out[l * rows + r] = a.data[row * a.row + l * a.column];
        }
    }
}

/// Neighbouring elements of each row, as many as a tile has columns.
fn copy_rows<const N: usize>(b: Strided<'_>, depth: Range<usize>, first: usize, out: &mut [f32]) {
    for (l, out) in depth.zip(out.as_chunks_mut::<N>().0) {
        let at = l * b.row + first;
        if let Some(row) = b.data[at..].first_chunk::<N>() {
            *out = *row;
        }
    }
}

/// A strip of the right operand as `[depth, tile columns]`, filled up with zeros.
pub(crate) fn pack_right(tile: Tile, b: Strided<'_>, depth: Range<usize>, columns: Range<usize>, out: &mut [f32]) {
    let width = tile.columns();
    if columns.len() < width {
        out.fill(0.0);
        for (l, out) in depth.zip(out.chunks_exact_mut(width)) {
            for (out, j) in out.iter_mut().zip(columns.clone()) {
                *out = b.data[l * b.row + j * b.column];
            }
        }
    } else if b.column == 1 {
        match width {
            32 => copy_rows::<32>(b, depth, columns.start, out),
            16 => copy_rows::<16>(b, depth, columns.start, out),
            _ => copy_rows::<8>(b, depth, columns.start, out),
        }
    } else {
        if b.row == 1 {
            let whole = depth.len() / SQUARE * SQUARE;
            for j in (0..width).step_by(SQUARE) {
                let from = &b.data[(columns.start + j) * b.column + depth.start..];
                assert!(depth.is_empty() || from.len() >= (SQUARE - 1) * b.column + depth.len());
                for l in (0..whole).step_by(SQUARE) {
                    let to = &mut out[l * width + j..];
                    // SAFETY: the elements of the square were just checked to be there, `out` has `depth.len()` rows of
                    // `width`; with a tile there are its instructions.
                    unsafe { transpose(from[l..].as_ptr(), b.column, to.as_mut_ptr(), width) };
                }
            }
            for l in whole..depth.len() {
                for j in 0..width {
                    out[l * width + j] = b.data[(columns.start + j) * b.column + depth.start + l];
                }
            }
            return;
        }
        for (l, out) in depth.zip(out.chunks_exact_mut(width)) {
            for (out, j) in out.iter_mut().zip(columns.clone()) {
                *out = b.data[l * b.row + j * b.column];
            }
        }
    }
}

/// Strips that are whole, of columns that lie in rows, a row of all of them at a time: memory gives long stretches sooner
/// than many short ones.
pub(super) fn pack_rows<const N: usize>(
    b: Operand<'_>,
    depth: Range<usize>,
    columns: Range<usize>,
    out: &mut [f32],
    room: &mut Vec<f32>,
) {
    /// Rows that are widened at a time.
    const WIDENED: usize = 8;
    let len = depth.len();
    for first in (0..len).step_by(WIDENED) {
        let rows = first..len.min(first + WIDENED);
        let part = b.part(depth.start + rows.start..depth.start + rows.end, columns.clone(), room);
        for (i, l) in rows.enumerate() {
            let row = &part.data[i * part.row..][..columns.len()];
            for (from, strip) in row.as_chunks::<N>().0.iter().zip(out.chunks_exact_mut(N * len)) {
                if let Some(to) = strip[l * N..].first_chunk_mut::<N>() {
                    *to = *from;
                }
            }
        }
    }
}

/// [`pack_right`] from whatever the operand is stored in; halves are widened on the way, through `room` where they have to
/// be turned as well.
pub(super) fn pack_operand(
    tile: Tile,
    b: Operand<'_>,
    depth: Range<usize>,
    columns: Range<usize>,
    out: &mut [f32],
    room: &mut Vec<f32>,
) {
    let [row, column] = b.strides();
    if b.single().is_some() || (row == 1 && column != 1) {
        let (steps, width) = (depth.len(), columns.len());
        return pack_right(tile, b.part(depth, columns, room), 0..steps, 0..width, out);
    }
    if columns.len() < tile.columns() {
        out.fill(0.0);
    }
    b.widen_rows(depth, columns, tile.columns(), out);
}

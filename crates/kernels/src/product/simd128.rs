//! The inner tile of products, in WebAssembly's vectors of four.

use super::Start;
use std::arch::wasm32::*;

/// Rows of a tile. With two vectors of columns its sums and operands just fit the registers that engines have.
pub(super) const ROWS: usize = 4;

/// Columns of a tile.
pub(super) const COLUMNS: usize = 8;

/// With `LAY_OUT` the rows of `right` are `apart` elements apart and are laid out in `to`, `room` apart; otherwise they
/// are laid out.
///
/// # Safety
/// As of [`super::run_tile`].
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
pub(super) unsafe fn tile<const R: usize, const LAY_OUT: bool>(
    len: usize,
    mut left: *const f32,
    mut right: *const f32,
    apart: usize,
    mut to: *mut f32,
    room: usize,
    out: *mut f32,
    stride: usize,
    start: Start,
) {
    // SAFETY: the caller's promises cover every access.
    unsafe {
        let load = |at: *const f32| [v128_load(at.cast()), v128_load(at.add(4).cast())];
        let add = |a: [v128; 2], b: [v128; 2]| [f32x4_add(a[0], b[0]), f32x4_add(a[1], b[1])];
        let mut sums = [[f32x4_splat(0.0); 2]; R];
        // Unrolled it is slower: V8 then keeps some of the sums in memory.
        for _ in 0..len {
            let b = load(right);
            for (r, sum) in sums.iter_mut().enumerate() {
                let a = v128_load32_splat(left.add(r).cast());
                *sum = add(*sum, [f32x4_mul(a, b[0]), f32x4_mul(a, b[1])]);
            }
            left = left.add(ROWS);
            if LAY_OUT {
                v128_store(to.cast(), b[0]);
                v128_store(to.add(4).cast(), b[1]);
                to = to.add(room);
                // The row after the last need not exist.
                right = right.wrapping_add(apart);
            } else {
                right = right.add(COLUMNS);
            }
        }
        // At the end: small products added one by one to a large sum would each be rounded to its last place.
        match start {
            Start::Zero => {}
            Start::Row(row) => {
                let row = load(row);
                sums.iter_mut().for_each(|sum| *sum = add(*sum, row));
            }
            Start::Out => {
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = add(*sum, load(out.add(r * stride)));
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            v128_store(out.add(r * stride).cast(), sum[0]);
            v128_store(out.add(r * stride + 4).cast(), sum[1]);
        }
    }
}

/// Rows and columns that [`transpose`] takes.
pub(super) const SQUARE: usize = 4;

/// Four rows of four elements, `from_stride` apart, into four columns.
///
/// # Safety
/// `from` is valid for four rows, `to` for four rows `to_stride` apart.
pub(super) unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        let row = |i: usize| v128_load(from.add(i * from_stride).cast());
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (ab0, ab1) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let (cd0, cd1) = (i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        let store = |i: usize, x: v128| v128_store(to.add(i * to_stride).cast(), x);
        store(0, i64x2_shuffle::<0, 2>(ab0, cd0));
        store(1, i64x2_shuffle::<1, 3>(ab0, cd0));
        store(2, i64x2_shuffle::<0, 2>(ab1, cd1));
        store(3, i64x2_shuffle::<1, 3>(ab1, cd1));
    }
}

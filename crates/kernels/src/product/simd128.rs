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
        // A turn for each step: unrolled, loads come so early that sums leave their registers.
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
        let columns = turn(std::array::from_fn(|i| v128_load(from.add(i * from_stride).cast())));
        for (i, column) in columns.into_iter().enumerate() {
            v128_store(to.add(i * to_stride).cast(), column);
        }
    }
}

/// Four rows of four as four columns.
#[inline(always)]
fn turn([a, b, c, d]: [v128; 4]) -> [v128; 4] {
    let (ab0, ab1) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
    let (cd0, cd1) = (i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    [
        i64x2_shuffle::<0, 2>(ab0, cd0),
        i64x2_shuffle::<1, 3>(ab0, cd0),
        i64x2_shuffle::<0, 2>(ab1, cd1),
        i64x2_shuffle::<1, 3>(ab1, cd1),
    ]
}

/// Adds `Σ x[l] b[l + j apart]`, summed from zero one `l` after the other, to `out[j]`, for 4 `G` columns `j`: they are
/// turned four by four in registers, and their sums stay there. Nothing can be fetched `_ahead` here.
///
/// # Safety
/// `x` is valid for `len` elements, `b` for `len` at each column, `out` for as many elements as there are columns.
pub(super) unsafe fn columns<const G: usize>(
    len: usize,
    x: *const f32,
    b: *const f32,
    apart: usize,
    out: *mut f32,
    _ahead: *const f32,
) {
    // SAFETY: the caller's promises cover every access.
    unsafe {
        let mut totals = [f32x4_splat(0.0); G];
        let whole = len / SQUARE * SQUARE;
        for l in (0..whole).step_by(SQUARE) {
            for (g, total) in totals.iter_mut().enumerate() {
                let at = b.add(SQUARE * g * apart + l);
                let turned = turn(std::array::from_fn(|j| v128_load(at.add(j * apart).cast())));
                for (i, column) in turned.into_iter().enumerate() {
                    *total = f32x4_add(*total, f32x4_mul(v128_load32_splat(x.add(l + i).cast()), column));
                }
            }
        }
        for l in whole..len {
            for (g, total) in totals.iter_mut().enumerate() {
                let at = |j: usize| *b.add((SQUARE * g + j) * apart + l);
                let column = f32x4(at(0), at(1), at(2), at(3));
                *total = f32x4_add(*total, f32x4_mul(v128_load32_splat(x.add(l).cast()), column));
            }
        }
        for (g, total) in totals.into_iter().enumerate() {
            let out = out.add(SQUARE * g).cast();
            v128_store(out, f32x4_add(total, v128_load(out)));
        }
    }
}

//! The inner tiles of products, in AVX2 and AVX-512.

use super::{Ahead, LINE, Start};
use std::arch::x86_64::*;

macro_rules! tile_kernel {
    ($name:ident, $features:literal, $vector:ty, $lanes:literal, $tile_rows:literal,
     $zero:ident, $load:ident, $store:ident, $spread:ident, $add:ident, $fma:ident) => {
        /// With `LAY_OUT` the rows of `right` are `apart` elements apart and are laid out in `to`, `room` apart; otherwise
        /// they are laid out.
        ///
        /// # Safety
        /// As of [`super::run_tile`].
        #[target_feature(enable = $features)]
        #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
        pub(super) unsafe fn $name<const R: usize, const LAY_OUT: bool>(
            len: usize,
            mut left: *const f32,
            mut right: *const f32,
            apart: usize,
            mut to: *mut f32,
            room: usize,
            out: *mut f32,
            stride: usize,
            start: Start,
            ahead: &mut Ahead,
        ) {
            // SAFETY: the caller's promises cover every access.
            unsafe {
                let mut sums: [[$vector; 2]; R] = [[$zero(); 2]; R];
                macro_rules! step {
                    () => {
                        let b = [$load(right), $load(right.add($lanes))];
                        for r in 0..R {
                            let a = $spread(*left.add(r));
                            sums[r][0] = $fma(a, b[0], sums[r][0]);
                            sums[r][1] = $fma(a, b[1], sums[r][1]);
                        }
                        left = left.add($tile_rows);
                        if LAY_OUT {
                            $store(to, b[0]);
                            $store(to.add($lanes), b[1]);
                            to = to.add(room);
                            // The row after the last need not exist.
                            right = right.wrapping_add(apart);
                        } else {
                            right = right.add(2 * $lanes);
                        }
                    };
                }
                // Spread over the tile, so that what is fetched does not queue up.
                let fetching = ahead.each.min(len / 4).min(ahead.left);
                for _ in 0..fetching {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.at.cast());
                    ahead.next();
                    step!();
                    step!();
                    step!();
                    step!();
                }
                ahead.left -= fetching;
                for _ in 4 * fetching..len {
                    step!();
                }
                // At the end: small products added one by one to a large sum would each be rounded to its last place.
                match start {
                    Start::Zero => {}
                    Start::Row(row) => {
                        let row = [$load(row), $load(row.add($lanes))];
                        for sum in &mut sums {
                            *sum = [$add(sum[0], row[0]), $add(sum[1], row[1])];
                        }
                    }
                    Start::Out => {
                        for r in 0..R {
                            let before = [$load(out.add(r * stride)), $load(out.add(r * stride + $lanes))];
                            sums[r] = [$add(sums[r][0], before[0]), $add(sums[r][1], before[1])];
                        }
                    }
                }
                for r in 0..R {
                    $store(out.add(r * stride), sums[r][0]);
                    $store(out.add(r * stride + $lanes), sums[r][1]);
                }
            }
        }
    };
}

tile_kernel!(
    avx512,
    "avx512f",
    __m512,
    16,
    12,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_fmadd_ps
);
tile_kernel!(
    avx2,
    "avx2,fma",
    __m256,
    8,
    6,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_fmadd_ps
);

/// Rows and columns that [`transpose`] takes.
pub(super) const SQUARE: usize = 8;

/// Adds `Σ x[l] b[l + j apart]`, summed from zero one `l` after the other, to `out[j]`, for 8 `G` columns `j`: they are
/// turned eight by eight in registers, and their sums stay there. What is `ahead` is fetched meanwhile, as many lines as
/// are multiplied.
///
/// # Safety
/// `x` is valid for `len` elements, `b` for `len` at each column, `out` for as many elements as there are columns.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn columns<const G: usize>(
    len: usize,
    x: *const f32,
    b: *const f32,
    apart: usize,
    out: *mut f32,
    mut ahead: *const f32,
) {
    /// Elements in a line of the cache.
    const PER_LINE: usize = LINE / size_of::<f32>();
    // SAFETY: the caller's promises cover every access.
    unsafe {
        let mut totals = [_mm256_setzero_ps(); G];
        // A line of the cache of each column at a time: columns are often so far apart that few lines stay together.
        let lines = len / PER_LINE;
        for line in 0..lines {
            for (g, total) in totals.iter_mut().enumerate() {
                let at = b.add(8 * g * apart + line * PER_LINE);
                for half in [0, 8] {
                    for _ in 0..4 {
                        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                        ahead = ahead.wrapping_add(PER_LINE);
                    }
                    let turned = turn(std::array::from_fn(|j| _mm256_loadu_ps(at.add(j * apart + half))));
                    for (i, column) in turned.into_iter().enumerate() {
                        *total = _mm256_fmadd_ps(_mm256_set1_ps(*x.add(line * PER_LINE + half + i)), column, *total);
                    }
                }
            }
        }
        for l in lines * PER_LINE..len {
            for (g, total) in totals.iter_mut().enumerate() {
                let at = |j: usize| *b.add((8 * g + j) * apart + l);
                let column = _mm256_setr_ps(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
                *total = _mm256_fmadd_ps(_mm256_set1_ps(*x.add(l)), column, *total);
            }
        }
        for (g, total) in totals.into_iter().enumerate() {
            let out = out.add(8 * g);
            _mm256_storeu_ps(out, _mm256_add_ps(total, _mm256_loadu_ps(out)));
        }
    }
}

/// Eight rows of eight as eight columns.
#[inline]
#[target_feature(enable = "avx2")]
fn turn([a, b, c, d, e, f, g, h]: [__m256; 8]) -> [__m256; 8] {
    let (ab0, ab1) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (cd0, cd1) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    let (ef0, ef1) = (_mm256_unpacklo_ps(e, f), _mm256_unpackhi_ps(e, f));
    let (gh0, gh1) = (_mm256_unpacklo_ps(g, h), _mm256_unpackhi_ps(g, h));
    let (ad0, ad1) = (_mm256_shuffle_ps::<0x44>(ab0, cd0), _mm256_shuffle_ps::<0xee>(ab0, cd0));
    let (ad2, ad3) = (_mm256_shuffle_ps::<0x44>(ab1, cd1), _mm256_shuffle_ps::<0xee>(ab1, cd1));
    let (eh0, eh1) = (_mm256_shuffle_ps::<0x44>(ef0, gh0), _mm256_shuffle_ps::<0xee>(ef0, gh0));
    let (eh2, eh3) = (_mm256_shuffle_ps::<0x44>(ef1, gh1), _mm256_shuffle_ps::<0xee>(ef1, gh1));
    [
        _mm256_permute2f128_ps::<0x20>(ad0, eh0),
        _mm256_permute2f128_ps::<0x20>(ad1, eh1),
        _mm256_permute2f128_ps::<0x20>(ad2, eh2),
        _mm256_permute2f128_ps::<0x20>(ad3, eh3),
        _mm256_permute2f128_ps::<0x31>(ad0, eh0),
        _mm256_permute2f128_ps::<0x31>(ad1, eh1),
        _mm256_permute2f128_ps::<0x31>(ad2, eh2),
        _mm256_permute2f128_ps::<0x31>(ad3, eh3),
    ]
}

/// Eight rows of eight elements, `from_stride` apart, into eight columns.
///
/// # Safety
/// `from` is valid for eight rows, `to` for eight rows `to_stride` apart.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transpose(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        let columns = turn(std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * from_stride))));
        for (i, column) in columns.into_iter().enumerate() {
            _mm256_storeu_ps(to.add(i * to_stride), column);
        }
    }
}

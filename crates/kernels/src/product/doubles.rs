//! Products of `f64` where no library is linked for them, as in WebAssembly: written plainly, for compilers to vectorise.

use super::super::operand::Strided;
use super::{PARALLEL, block_len};
use crate::threads::share_pieces;
use std::mem::MaybeUninit;

/// Rows of a tile.
const ROWS: usize = 4;
/// Columns of a tile. Its sums just fit the registers of two numbers each that engines of WebAssembly have.
const COLUMNS: usize = 4;
/// Columns that are laid out at a time.
const GROUP: usize = 64;

/// Writes `a @ b`, plus `bias` on each row: `[m, k] @ [k, n] -> [m, n]`, row-major, in the order of sums of all products.
#[inline(never)]
pub fn multiply_doubles(
    [m, n, k]: [usize; 3],
    a: Strided<'_, f64>,
    b: Strided<'_, f64>,
    bias: Option<&[f64]>,
    out: &mut [MaybeUninit<f64>],
) {
    assert!(out.len() == m * n && bias.is_none_or(|bias| bias.len() == n));
    assert!(a.holds([m, k]) && b.holds([k, n]));
    if m * n == 0 {
        return;
    }
    let threads = if m * n * k >= PARALLEL { rayon::current_num_threads() } else { 1 };
    let height = m.div_ceil(threads).next_multiple_of(ROWS);
    share_pieces(out, height * n, threads, |i, out| {
        for row in out.chunks_exact_mut(n) {
            match bias {
                Some(bias) => row.iter_mut().zip(bias).for_each(|(o, &b)| _ = o.write(b)),
                None => row.fill(MaybeUninit::new(0.0)),
            }
        }
        // SAFETY: every element was just written.
        add_rows([n, k], i * height, a, b, unsafe { out.assume_init_mut() });
    });
}

/// Adds the rows of `a @ b` from `first` on.
fn add_rows([n, k]: [usize; 2], first: usize, a: Strided<'_, f64>, b: Strided<'_, f64>, out: &mut [f64]) {
    let block = block_len(k);
    let mut left = vec![[0.0; ROWS]; block];
    let mut right = vec![[0.0; COLUMNS]; block * GROUP.min(n).div_ceil(COLUMNS)];
    for depth in (0..k).step_by(block.max(1)) {
        let len = block.min(k - depth);
        for group in (0..n).step_by(GROUP) {
            let width = GROUP.min(n - group);
            for (s, strip) in right.chunks_exact_mut(len).take(width.div_ceil(COLUMNS)).enumerate() {
                let column = s * COLUMNS;
                let at = depth * b.row + (group + column) * b.column;
                lay_out(&b.data[at..], [b.row, b.column], COLUMNS.min(width - column), strip);
            }
            for (i, rows) in out.chunks_mut(ROWS * n).enumerate() {
                let at = (first + i * ROWS) * a.row + depth * a.column;
                lay_out(&a.data[at..], [a.column, a.row], rows.len() / n, &mut left[..len]);
                for (s, strip) in right.chunks_exact(len).take(width.div_ceil(COLUMNS)).enumerate() {
                    let column = s * COLUMNS;
                    let columns = group + column..group + width.min(column + COLUMNS);
                    for (row, sums) in rows.chunks_exact_mut(n).zip(tile(&left[..len], strip)) {
                        row[columns.clone()].iter_mut().zip(sums).for_each(|(o, sum)| *o += sum);
                    }
                }
            }
        }
    }
}

/// The first `count` of so many lines, step by step; the others stay what they are, and what comes of them is not used.
fn lay_out<const N: usize>(data: &[f64], [step, line]: [usize; 2], count: usize, to: &mut [[f64; N]]) {
    for (l, to) in to.iter_mut().enumerate() {
        for (i, to) in to.iter_mut().take(count).enumerate() {
            *to = data[l * step + i * line];
        }
    }
}

fn tile(left: &[[f64; ROWS]], right: &[[f64; COLUMNS]]) -> [[f64; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (a, b) in left.iter().zip(right) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of few digits, whose products and sums are exact in any order.
    fn exact(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 37 + seed * 11) % 64) as f64 / 8.0 - 4.0).collect()
    }

    /// Numbers whose sums are rounded.
    fn rounded(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 31 + seed * 7) as f64).sin()).collect()
    }

    fn product(
        size @ [m, n, _]: [usize; 3],
        a: Strided<'_, f64>,
        b: Strided<'_, f64>,
        bias: Option<&[f64]>,
    ) -> Vec<f64> {
        let mut out = vec![MaybeUninit::uninit(); m * n];
        multiply_doubles(size, a, b, bias, &mut out);
        // SAFETY: the product writes every element.
        out.iter().map(|x| unsafe { x.assume_init() }).collect()
    }

    #[test]
    fn products_are_exact_whatever_the_sizes_and_strides() {
        for [m, n, k] in
            [[0, 3, 2], [3, 0, 2], [2, 3, 0], [1, 1, 1], [3, 5, 7], [4, 4, 4], [9, 130, 600], [130, 70, 300]]
        {
            let (a, b, bias) = (exact(m * k, 1), exact(k * n, 2), exact(n, 3));
            for (a_strides, b_strides) in [([k, 1], [n, 1]), ([1, m], [n, 1]), ([k, 1], [1, k]), ([1, m], [1, k])] {
                let left = Strided { data: &a, row: a_strides[0], column: a_strides[1] };
                let right = Strided { data: &b, row: b_strides[0], column: b_strides[1] };
                for bias in [None, Some(bias.as_slice())] {
                    let wanted = |at: usize| {
                        let (i, j) = (at / n, at % n);
                        let sum: f64 = (0..k)
                            .map(|l| a[i * left.row + l * left.column] * b[l * right.row + j * right.column])
                            .sum();
                        sum + bias.map_or(0.0, |bias| bias[j])
                    };
                    let wanted: Vec<f64> = (0..m * n).map(wanted).collect();
                    assert_eq!(product([m, n, k], left, right, bias), wanted, "[{m}, {k}] @ [{k}, {n}]");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_as_among_others() {
        let [m, n, k] = [23, 70, 1300];
        let (a, b, bias) = (rounded(m * k, 1), rounded(k * n, 2), rounded(n, 3));
        let right = Strided { data: &b, row: n, column: 1 };
        let whole = product([m, n, k], Strided { data: &a, row: k, column: 1 }, right, Some(&bias));
        for row in 0..m {
            let left = Strided { data: &a[row * k..], row: k, column: 1 };
            assert_eq!(product([1, n, k], left, right, Some(&bias)), whole[row * n..][..n], "row {row}");
        }
        let block = block_len(k);
        let first = (0..k).step_by(block).fold(bias[0], |sum, from| {
            let products = (from..k.min(from + block)).map(|l| a[l] * b[l * n]);
            sum + products.fold(0.0, |sum, x| sum + x)
        });
        assert_eq!(whole[0], first, "blocks are summed from zero, one after the other");
    }

    #[test]
    fn infinities_stay_in_their_rows_and_columns() {
        let [m, n, k] = [5, 6, 3];
        let (mut a, b) = (vec![1.0; m * k], vec![1.0; k * n]);
        a[4 * k] = f64::INFINITY;
        let out =
            product([m, n, k], Strided { data: &a, row: k, column: 1 }, Strided { data: &b, row: n, column: 1 }, None);
        for (at, &x) in out.iter().enumerate() {
            assert_eq!(x, if at / n == 4 { f64::INFINITY } else { 3.0 });
        }
    }
}

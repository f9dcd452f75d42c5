//! Matrix products of `f32` by our own kernels, where the machine has AVX-512 or AVX2.
//!
//! The left operand is laid out anew in strips of a few rows, the right one a group of columns at a time, so that the
//! innermost loop reads both one element after the other whatever their strides are; each thread packs the columns
//! that it multiplies. A tile of the result stays in registers while a block of the inner dimension passes by. What
//! sets this apart from a general library are the products of transformers: few rows against a large matrix that
//! comes from memory, in either layout, a bias to start from, and one row alone.

use super::instructions::Instructions;
use super::vectors::{dot, scaled_sum};
use rayon::prelude::*;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A matrix as elements `at + row * rows + column * columns` of a slice.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    /// Its first element comes first.
    pub(crate) data: &'a [f32],
    /// How far apart rows are.
    pub(crate) row: usize,
    /// How far apart columns are.
    pub(crate) column: usize,
}

/// Columns that are packed at a time: the packed block fits the second-level cache.
const GROUP: usize = 128;
/// Length of a block of the inner dimension.
const DEPTH: usize = 512;
/// Below this many multiplications a second thread costs more than it gains.
const PARALLEL: usize = 1 << 18;

/// A tile of the result, in registers: its instructions and its size.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tile {
    /// 12 rows of 32 columns.
    Avx512,
    /// 6 rows of 16 columns.
    Avx2,
}

impl Tile {
    /// None on a machine without AVX2.
    fn chosen() -> Option<Self> {
        match Instructions::chosen() {
            Instructions::Avx512 => Some(Self::Avx512),
            Instructions::Avx2 => Some(Self::Avx2),
            Instructions::Baseline => None,
        }
    }

    const fn rows(self) -> usize {
        match self {
            Self::Avx512 => 12,
            Self::Avx2 => 6,
        }
    }

    const fn columns(self) -> usize {
        match self {
            Self::Avx512 => 32,
            Self::Avx2 => 16,
        }
    }
}

/// The largest tile of any kind.
const TILE: usize = 12 * 32;

/// What tiles start from.
#[derive(Clone, Copy)]
enum Start {
    Zero,
    /// One element for each column, the same in all rows.
    Row(*const f32),
    /// What the result holds already.
    Out,
}

/// Elements in a line of the cache.
const LINE: usize = 16;

/// What is going to be packed next, line by line: memory answers while tiles are computed.
struct Ahead {
    at: *const f32,
    /// Which line of the run of neighbouring elements `at` is, how many a run has, and how far apart runs are.
    line: usize,
    lines: usize,
    stride: usize,
    /// Lines that are left.
    left: usize,
    /// Lines for each tile.
    each: usize,
}

impl Ahead {
    #[inline(always)]
    fn next(&mut self) {
        self.line += 1;
        self.at = self.at.wrapping_add(LINE);
        if self.line == self.lines {
            self.line = 0;
            self.at = self.at.wrapping_add(self.stride).wrapping_sub(self.lines * LINE);
        }
    }
}

/// Writes `a @ b`, plus `bias` on each row: `[m, k] @ [k, n] -> [m, n]`, row-major. False where the machine has no
/// instructions for it; nothing is written then.
pub(crate) fn multiply(
    [m, n, k]: [usize; 3],
    a: Strided<'_>,
    b: Strided<'_>,
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
    parallel: bool,
) -> bool {
    let Some(tile) = Tile::chosen() else { return false };
    assert!(out.len() == m * n && bias.is_none_or(|bias| bias.len() == n));
    assert!(m == 0 || k == 0 || a.data.len() > (m - 1) * a.row + (k - 1) * a.column);
    assert!(n == 0 || k == 0 || b.data.len() > (k - 1) * b.row + (n - 1) * b.column);
    if m == 0 || n == 0 {
        return true;
    }
    if k == 0 {
        for row in out.chunks_exact_mut(n) {
            match bias {
                Some(bias) => row.iter_mut().zip(bias).for_each(|(o, &b)| _ = o.write(b)),
                None => row.iter_mut().for_each(|o| _ = o.write(0.0)),
            }
        }
        return true;
    }
    let threads = if parallel && m * n * k >= PARALLEL { rayon::current_num_threads() } else { 1 };
    if m == 1 {
        one_row([n, k], a, b, bias, out, threads);
        return true;
    }
    let packed = pack_left(tile, [m, k], a, threads);
    let job = Job { tile, n, k, b, bias, left: &packed, out: out.as_mut_ptr().cast() };
    // Two pieces of work for each thread, so that one that is held up does not hold up all; wide ones if possible.
    let strips = n.div_ceil(tile.columns());
    let width = strips.div_ceil(threads * 2).clamp(1, GROUP / tile.columns()) * tile.columns();
    let groups = n.div_ceil(width);
    let bands = if groups < threads { (threads * 2).div_ceil(groups).min(m.div_ceil(tile.rows())) } else { 1 };
    let band = m.div_ceil(tile.rows()).div_ceil(bands) * tile.rows();
    let piece = |i: usize| {
        let (column, row) = (i / bands * width, i % bands * band);
        if row < m {
            job.piece(row..m.min(row + band), column..n.min(column + width));
        }
    };
    if threads == 1 {
        (0..groups * bands).for_each(piece);
    } else {
        // Long runs of neighbouring groups: memory is read in order.
        let run = (groups * bands).div_ceil(threads * 4);
        (0..groups * bands).into_par_iter().with_min_len(run).for_each(piece);
    }
    true
}

/// The left operand in strips of a tile's rows, each `[k, rows]`; the last one is filled up with zeros.
fn pack_left(tile: Tile, [m, k]: [usize; 2], a: Strided<'_>, threads: usize) -> Vec<f32> {
    let rows = tile.rows();
    let total = m.div_ceil(rows) * rows * k;
    let mut packed = Vec::with_capacity(total);
    let room = &mut packed.spare_capacity_mut()[..total];
    let strip =
        |(i, out): (usize, &mut [MaybeUninit<f32>])| pack_strip(rows, k, a, i * rows..m.min((i + 1) * rows), out);
    if threads > 1 && m * k >= 1 << 15 {
        room.par_chunks_exact_mut(rows * k).enumerate().for_each(strip);
    } else {
        room.chunks_exact_mut(rows * k).enumerate().for_each(strip);
    }
    // SAFETY: `pack_strip` writes all of its strip, and the strips are all there is.
    unsafe { packed.set_len(total) };
    packed
}

/// Writes the rows `from` of the left operand as `[k, rows]`, zeros where there are fewer.
fn pack_strip(rows: usize, k: usize, a: Strided<'_>, from: Range<usize>, out: &mut [MaybeUninit<f32>]) {
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
    #[cfg(target_arch = "x86_64")]
    if a.column == 1 && count >= 8 {
        let from = &a.data[from.start * a.row..];
        assert!(from.len() >= (count - 1) * a.row + k && out.len() == rows * k);
        done = k / 8 * 8;
        for l in (0..done).step_by(8) {
            // Rows between both eights are written twice.
            for r in [0, count - 8] {
                // SAFETY: the rows and the room for them were just checked; tiles exist only where there is AVX2.
                unsafe {
                    x86::transpose(from[r * a.row + l..].as_ptr(), a.row, out[l * rows + r..].as_mut_ptr(), rows)
                };
            }
        }
    }
    for (r, row) in from.enumerate() {
        for l in done..k {
            out[l * rows + r] = a.data[row * a.row + l * a.column];
        }
    }
}

thread_local! {
    /// The group of columns that a thread works on.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A product in progress.
struct Job<'a> {
    tile: Tile,
    n: usize,
    k: usize,
    b: Strided<'a>,
    bias: Option<&'a [f32]>,
    left: &'a [f32],
    out: *mut f32,
}

// SAFETY: the pieces that threads write through `out` do not overlap, everything else is read only.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    /// Rows and columns of the result.
    fn piece(&self, rows: Range<usize>, columns: Range<usize>) {
        let (tile_rows, tile_columns) = (self.tile.rows(), self.tile.columns());
        let strips = columns.len().div_ceil(tile_columns);
        PACKED.with_borrow_mut(|packed| {
            // Blocks of about the same length.
            let block = self.k.div_ceil(self.k.div_ceil(DEPTH));
            let mut depth = 0;
            while depth < self.k {
                let len = block.min(self.k - depth);
                let mut ahead = self.ahead(depth + len, block, &columns, rows.len().div_ceil(tile_rows) * strips);
                packed.resize((strips * tile_columns * len).max(packed.len()), 0.0);
                for s in 0..strips {
                    let first = columns.start + s * tile_columns;
                    let strip = &mut packed[s * tile_columns * len..(s + 1) * tile_columns * len];
                    let width = tile_columns.min(columns.end - first);
                    pack_right(self.tile, self.b, depth..depth + len, first..first + width, strip);
                }
                for row in rows.clone().step_by(tile_rows) {
                    // The strips of the left operand lie one after the other, each `[k, rows]`.
                    let left = &self.left[row * self.k + depth * tile_rows..][..len * tile_rows];
                    for s in 0..strips {
                        let column = columns.start + s * tile_columns;
                        let right = &packed[s * tile_columns * len..(s + 1) * tile_columns * len];
                        let size = [tile_rows.min(rows.end - row), tile_columns.min(columns.end - column)];
                        let start = match (depth, self.bias) {
                            (0, Some(bias)) => Start::Row(bias[column..].as_ptr()),
                            (0, None) => Start::Zero,
                            _ => Start::Out,
                        };
                        // SAFETY: the tile lies in the result, and no other piece touches it.
                        unsafe { self.tile(size, left, right, self.out.add(row * self.n + column), start, &mut ahead) };
                    }
                }
                depth += len;
            }
        });
    }

    /// What the right operand's next block is, to be fetched while `tiles` tiles are computed: further down in the same
    /// columns, or at the top of the columns after them, which the same thread mostly comes to next.
    fn ahead(&self, depth: usize, block: usize, columns: &Range<usize>, tiles: usize) -> Ahead {
        let (depth, columns) =
            if depth < self.k { (depth, columns.clone()) } else { (0, columns.end..columns.end + columns.len()) };
        let (len, width) = (block.min(self.k - depth), columns.end.min(self.n).saturating_sub(columns.start));
        let (lines, runs, stride) = match (self.b.column, self.b.row) {
            (1, stride) => (width.div_ceil(LINE), len, stride),
            (stride, 1) => (len.div_ceil(LINE), width, stride),
            _ => (0, 0, 0),
        };
        let first = depth * self.b.row + columns.start * self.b.column;
        let at = self.b.data.as_ptr().wrapping_add(first);
        Ahead { at, line: 0, lines, stride, left: lines * runs, each: (lines * runs).div_ceil(tiles.max(1)) }
    }

    /// One tile of the result, or the part of it that is there.
    ///
    /// # Safety
    /// `out` must be valid for `rows` rows of `columns` elements, `n` apart; with [`Start::Out`] they are initialised.
    unsafe fn tile(
        &self,
        [rows, columns]: [usize; 2],
        left: &[f32],
        right: &[f32],
        out: *mut f32,
        start: Start,
        ahead: &mut Ahead,
    ) {
        let (tile_rows, tile_columns) = (self.tile.rows(), self.tile.columns());
        debug_assert!(left.len() / tile_rows == right.len() / tile_columns && rows <= tile_rows);
        let len = left.len() / tile_rows;
        if columns == tile_columns {
            // SAFETY: a whole tile; the operands hold `len` steps of it.
            return unsafe { run_tile(self.tile, rows, len, left.as_ptr(), right.as_ptr(), out, self.n, start, ahead) };
        }
        let mut whole = [0f32; TILE];
        let mut first = [0f32; 32];
        let start = match start {
            Start::Zero => Start::Zero,
            Start::Row(bias) => {
                // SAFETY: the bias has an element for each column of the result.
                unsafe { std::ptr::copy_nonoverlapping(bias, first.as_mut_ptr(), columns) };
                Start::Row(first.as_ptr())
            }
            Start::Out => {
                for r in 0..rows {
                    // SAFETY: as promised by the caller.
                    unsafe {
                        std::ptr::copy_nonoverlapping(
                            out.add(r * self.n),
                            whole[r * tile_columns..].as_mut_ptr(),
                            columns,
                        );
                    }
                }
                Start::Out
            }
        };
        // SAFETY: `whole` has room for the largest tile.
        unsafe {
            run_tile(
                self.tile,
                rows,
                len,
                left.as_ptr(),
                right.as_ptr(),
                whole.as_mut_ptr(),
                tile_columns,
                start,
                ahead,
            );
        }
        for r in 0..rows {
            // SAFETY: as promised by the caller.
            unsafe {
                std::ptr::copy_nonoverlapping(whole[r * tile_columns..].as_ptr(), out.add(r * self.n), columns);
            }
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
fn pack_right(tile: Tile, b: Strided<'_>, depth: Range<usize>, columns: Range<usize>, out: &mut [f32]) {
    let width = tile.columns();
    if columns.len() < width {
        out.fill(0.0);
        for (l, out) in depth.zip(out.chunks_exact_mut(width)) {
            for (out, j) in out.iter_mut().zip(columns.clone()) {
                *out = b.data[l * b.row + j * b.column];
            }
        }
    } else if b.column == 1 {
        match tile {
            Tile::Avx512 => copy_rows::<32>(b, depth, columns.start, out),
            Tile::Avx2 => copy_rows::<16>(b, depth, columns.start, out),
        }
    } else {
        #[cfg(target_arch = "x86_64")]
        if b.row == 1 {
            let whole = depth.len() / 8 * 8;
            for j in (0..width).step_by(8) {
                let from = &b.data[(columns.start + j) * b.column + depth.start..];
                assert!(depth.is_empty() || from.len() >= 7 * b.column + depth.len());
                for l in (0..whole).step_by(8) {
                    // SAFETY: eight elements of eight columns were just checked to be there, `out` has `depth.len()`
                    // rows of `width`; tiles exist only where there is AVX2.
                    unsafe { x86::transpose(from[l..].as_ptr(), b.column, out[l * width + j..].as_mut_ptr(), width) };
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

/// Runs the kernel of a tile with so many rows.
///
/// # Safety
/// `left` holds `len` times the tile's rows, `right` `len` times its columns; `out` is valid for `rows` rows of the
/// tile's columns, `stride` apart, and initialised with [`Start::Out`].
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
unsafe fn run_tile(
    tile: Tile,
    rows: usize,
    len: usize,
    left: *const f32,
    right: *const f32,
    out: *mut f32,
    stride: usize,
    start: Start,
    ahead: &mut Ahead,
) {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! by_rows {
            ($kernel:ident, $($rows:literal)*) => {
                match rows {
                    // SAFETY: passed on; the instructions were detected when the tile was chosen.
                    $($rows => unsafe { x86::$kernel::<$rows>(len, left, right, out, stride, start, ahead) },)*
                    _ => {}
                }
            };
        }
        match tile {
            Tile::Avx512 => by_rows!(avx512, 1 2 3 4 5 6 7 8 9 10 11 12),
            Tile::Avx2 => by_rows!(avx2, 1 2 3 4 5 6),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (tile, rows, len, left, right, out, stride, start, ahead);
}

#[cfg(target_arch = "x86_64")]
mod x86;

/// A single row times a matrix: memory decides how long that takes, so nothing is packed.
fn one_row(
    [n, k]: [usize; 2],
    a: Strided<'_>,
    b: Strided<'_>,
    bias: Option<&[f32]>,
    out: &mut [MaybeUninit<f32>],
    threads: usize,
) {
    /// Columns at a time: their sums stay in the first-level cache.
    const COLUMNS: usize = 1024;
    let x: Vec<f32> = (0..k).map(|l| a.data[l * a.column]).collect();
    let part = |(i, out): (usize, &mut [MaybeUninit<f32>]), width: usize| {
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
    };
    if threads == 1 {
        out.chunks_mut(COLUMNS).enumerate().for_each(|piece| part(piece, COLUMNS));
    } else {
        let width = n.div_ceil(threads * 2).next_multiple_of(16).min(COLUMNS);
        let run = n.div_ceil(width).div_ceil(threads * 2);
        out.par_chunks_mut(width).with_min_len(run).enumerate().for_each(|piece| part(piece, width));
    }
}

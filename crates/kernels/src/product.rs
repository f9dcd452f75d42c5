//! Matrix products of `f32` by our own kernels, where the machine has AVX-512, AVX2 or WebAssembly's vectors; the right
//! operand may be halves.
//!
//! The left operand is laid out anew in strips of a few rows, the right one a group of columns at a time, so that the
//! innermost loop reads both one element after the other whatever their strides are; each thread packs the columns
//! that it multiplies, and where they lie in rows the first tile does so while it multiplies. A tile of the result stays
//! in registers while a block of the inner dimension passes by. What sets this apart from a general library are the
//! products of transformers: few rows against a large matrix that comes from memory, in either layout, a bias to start
//! from, something to be done to each result while it is in the cache, and one row alone.

#[cfg(any(target_family = "wasm", test))]
mod doubles;
mod packing;
mod row;
#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(any(target_family = "wasm", test))]
pub use doubles::multiply_doubles;
pub(super) use packing::{pack_right, pack_strip};
pub(super) use row::inner_products;

use super::instructions::Instructions;
use super::operand::{Operand, Strided};
use crate::threads::share;
use packing::{pack_left, pack_operand, pack_rows};
use row::one_row;
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// What is done to finished results: it is given stretches of rows, with where in the result each begins.
pub type Finish<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

/// Columns that are packed at a time: the packed block fits the second-level cache.
const GROUP: usize = 128;
/// Length of a block of the inner dimension.
const DEPTH: usize = 512;
/// How long the blocks of an inner dimension are: about the same length each. However many rows there are, each block is
/// summed from zero, one product after the other, and then added to what came before: so a row has the same bits in a
/// product of its own as beside others, and a token after others those that it has among them.
fn block_len(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEPTH).max(1))
}

/// Below this many multiplications a second thread costs more than it gains: waking it takes 10 to 25 µs.
const PARALLEL: usize = 1 << 21;
/// The same for one row, which waits for memory.
const PARALLEL_ROW: usize = 1 << 18;

/// A tile of the result, in registers: its instructions and its size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tile {
    /// 12 rows of 32 columns.
    Avx512,
    /// 6 rows of 16 columns.
    Avx2,
    /// 4 rows of 8 columns.
    Simd128,
}

impl Tile {
    /// None on a machine without any of these.
    pub(super) fn chosen() -> Option<Self> {
        match Instructions::chosen() {
            Instructions::Avx512 => Some(Self::Avx512),
            Instructions::Avx2 => Some(Self::Avx2),
            Instructions::Simd128 => Some(Self::Simd128),
            Instructions::Baseline => None,
        }
    }

    pub(super) const fn rows(self) -> usize {
        match self {
            Self::Avx512 => 12,
            Self::Avx2 => 6,
            Self::Simd128 => 4,
        }
    }

    pub(super) const fn columns(self) -> usize {
        match self {
            Self::Avx512 => 32,
            Self::Avx2 => 16,
            Self::Simd128 => 8,
        }
    }
}

/// The largest tile of any kind.
pub(super) const TILE: usize = 12 * 32;

/// What tiles start from.
#[derive(Clone, Copy)]
pub(super) enum Start {
    Zero,
    /// One element for each column, the same in all rows.
    Row(*const f32),
    /// What the result holds already.
    Out,
}

/// Where tiles find the right operand.
#[derive(Clone, Copy)]
pub(super) enum Right {
    /// Laid out: `[depth, columns]`.
    Packed(*const f32),
    /// In rows that are `stride` apart; the tile lays them out in `to` as it goes, for the tiles below it. Without any it
    /// writes all of them to the same place.
    Rows { at: *const f32, stride: usize, to: *mut f32, below: bool },
}

/// Bytes in a line of the cache.
const LINE: usize = 64;

/// What is going to be packed next, line by line: memory answers while tiles are computed.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "WebAssembly has no instruction for it"))]
pub(super) struct Ahead {
    at: *const u8,
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
    /// Nothing.
    pub(super) const fn none() -> Self {
        Self { at: std::ptr::null(), line: 0, lines: 0, stride: 0, left: 0, each: 0 }
    }

    #[cfg(target_arch = "x86_64")]
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

/// Whether the machine has the instructions that [`multiply`] needs.
pub fn multiplies() -> bool {
    Tile::chosen().is_some()
}

/// Writes `a @ b`, plus `bias` on each row, after `finish`: `[m, k] @ [k, n] -> [m, n]`, row-major. False where the
/// machine has no instructions for it; nothing is written then.
#[inline(never)]
pub fn multiply(
    [m, n, k]: [usize; 3],
    a: Strided<'_>,
    b: Operand<'_>,
    bias: Option<&[f32]>,
    finish: Option<Finish<'_>>,
    out: &mut [MaybeUninit<f32>],
) -> bool {
    let Some(tile) = Tile::chosen() else { return false };
    assert!(out.len() == m * n && bias.is_none_or(|bias| bias.len() == n));
    assert!(a.holds([m, k]) && b.holds([k, n]));
    if m == 0 || n == 0 {
        return true;
    }
    if k == 0 {
        for (i, row) in out.chunks_exact_mut(n).enumerate() {
            match bias {
                Some(bias) => row.iter_mut().zip(bias).for_each(|(o, &b)| _ = o.write(b)),
                None => row.iter_mut().for_each(|o| _ = o.write(0.0)),
            }
            if let Some(finish) = finish {
                // SAFETY: every element was just written.
                finish(i * n, unsafe { row.assume_init_mut() });
            }
        }
        return true;
    }
    let parallel = if m == 1 { PARALLEL_ROW } else { PARALLEL };
    let threads = if m * n * k >= parallel { rayon::current_num_threads() } else { 1 };
    if m == 1 {
        one_row([n, k], a, b, bias, finish, out, threads);
        return true;
    }
    let packed = pack_left(tile, [m, k], a, threads);
    let job = Job { tile, n, k, b, bias, finish, left: &packed, out: out.as_mut_ptr().cast() };
    // Some pieces of work for each thread, so that one that is held up does not hold up all; wide ones if possible.
    let strips = n.div_ceil(tile.columns());
    let width = strips.div_ceil(threads * 2).clamp(1, GROUP / tile.columns()) * tile.columns();
    let groups = n.div_ceil(width);
    let bands = if groups < threads { (threads * 2).div_ceil(groups).min(m.div_ceil(tile.rows())) } else { 1 };
    let band = m.div_ceil(tile.rows()).div_ceil(bands) * tile.rows();
    share(groups * bands, threads, |i| {
        let (column, row) = (i / bands * width, i % bands * band);
        if row < m {
            job.piece(row..m.min(row + band), column..n.min(column + width));
        }
    });
    true
}

thread_local! {
    /// The group of columns that a thread works on, and room for halves that are widened before they are laid out.
    static PACKED: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// A product in progress.
struct Job<'a> {
    tile: Tile,
    n: usize,
    k: usize,
    b: Operand<'a>,
    bias: Option<&'a [f32]>,
    finish: Option<Finish<'a>>,
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
        let in_rows = self.b.single().filter(|b| b.column == 1);
        // Halves are widened in long stretches, which memory gives sooner than many short ones.
        let together = self.tile == Tile::Simd128 && in_rows.is_none() && self.b.strides()[1] == 1;
        PACKED.with_borrow_mut(|(packed, room)| {
            let block = block_len(self.k);
            let mut depth = 0;
            while depth < self.k {
                let len = block.min(self.k - depth);
                let mut ahead = self.ahead(depth + len, block, &columns, rows.len().div_ceil(tile_rows) * strips);
                packed.resize((strips * tile_columns * len).max(packed.len()), 0.0);
                // Whole strips of neighbouring columns are laid out by the first tile that multiplies them.
                let on_the_way = |s: usize| in_rows.filter(|_| columns.start + (s + 1) * tile_columns <= columns.end);
                let whole = if together { columns.len() / tile_columns } else { 0 };
                if whole > 0 {
                    let columns = columns.start..columns.start + whole * tile_columns;
                    pack_rows::<8>(self.b, depth..depth + len, columns, packed, room);
                }
                for s in (whole..strips).filter(|&s| on_the_way(s).is_none()) {
                    let first = columns.start + s * tile_columns;
                    let strip = &mut packed[s * tile_columns * len..(s + 1) * tile_columns * len];
                    let width = tile_columns.min(columns.end - first);
                    pack_operand(self.tile, self.b, depth..depth + len, first..first + width, strip, room);
                }
                for row in rows.clone().step_by(tile_rows) {
                    // The strips of the left operand lie one after the other, each `[k, rows]`.
                    let left = &self.left[row * self.k + depth * tile_rows..][..len * tile_rows];
                    let height = tile_rows.min(rows.end - row);
                    for s in 0..strips {
                        let column = columns.start + s * tile_columns;
                        let strip = &mut packed[s * tile_columns * len..(s + 1) * tile_columns * len];
                        let right = match on_the_way(s) {
                            Some(b) if row == rows.start => {
                                let from = &b.data[depth * b.row + column..];
                                assert!(from.len() >= (len - 1) * b.row + tile_columns);
                                let below = row + tile_rows < rows.end;
                                Right::Rows { at: from.as_ptr(), stride: b.row, to: strip.as_mut_ptr(), below }
                            }
                            _ => Right::Packed(strip.as_ptr()),
                        };
                        let size = [height, tile_columns.min(columns.end - column)];
                        let start = match (depth, self.bias) {
                            (0, Some(bias)) => Start::Row(bias[column..].as_ptr()),
                            (0, None) => Start::Zero,
                            _ => Start::Out,
                        };
                        // SAFETY: the tile lies in the result, and no other piece touches it.
                        unsafe { self.tile(size, left, right, self.out.add(row * self.n + column), start, &mut ahead) };
                    }
                    if let Some(finish) = self.finish.filter(|_| depth + len == self.k) {
                        for row in row..row + height {
                            let first = row * self.n + columns.start;
                            // SAFETY: these columns were just written, and no other piece touches them.
                            finish(first, unsafe {
                                std::slice::from_raw_parts_mut(self.out.add(first), columns.len())
                            });
                        }
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
        let (start, size) = self.b.place();
        let [row, column] = self.b.strides();
        let (lines, runs, stride) = match (column, row) {
            (1, stride) => ((width * size).div_ceil(LINE), len, stride * size),
            (stride, 1) => ((len * size).div_ceil(LINE), width, stride * size),
            _ => (0, 0, 0),
        };
        let at = start.wrapping_add((depth * row + columns.start * column) * size);
        Ahead { at, line: 0, lines, stride, left: lines * runs, each: (lines * runs).div_ceil(tiles.max(1)) }
    }

    /// One tile of the result, or the part of it that is there.
    ///
    /// # Safety
    /// `out` must be valid for `rows` rows of `columns` elements, `n` apart; with [`Start::Out`] they are initialised.
    /// `right` holds as many steps as `left`.
    unsafe fn tile(
        &self,
        [rows, columns]: [usize; 2],
        left: &[f32],
        right: Right,
        out: *mut f32,
        start: Start,
        ahead: &mut Ahead,
    ) {
        let (tile_rows, tile_columns) = (self.tile.rows(), self.tile.columns());
        let len = left.len() / tile_rows;
        if columns == tile_columns {
            // SAFETY: a whole tile; the operands hold `len` steps of it.
            return unsafe { run_tile(self.tile, rows, len, left.as_ptr(), right, out, self.n, start, ahead) };
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
            run_tile(self.tile, rows, len, left.as_ptr(), right, whole.as_mut_ptr(), tile_columns, start, ahead);
        }
        for r in 0..rows {
            // SAFETY: as promised by the caller.
            unsafe {
                std::ptr::copy_nonoverlapping(whole[r * tile_columns..].as_ptr(), out.add(r * self.n), columns);
            }
        }
    }
}

/// Runs the kernel of a tile with so many rows.
///
/// # Safety
/// `left` holds `len` times the tile's rows, `right` `len` times its columns, and there is as much room where it is to be
/// laid out; `out` is valid for `rows` rows of the tile's columns, `stride` apart, and initialised with [`Start::Out`].
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
pub(super) unsafe fn run_tile(
    tile: Tile,
    rows: usize,
    len: usize,
    left: *const f32,
    right: Right,
    out: *mut f32,
    stride: usize,
    start: Start,
    ahead: &mut Ahead,
) {
    // With what else the kernel of an architecture takes.
    macro_rules! by_rows {
        ($module:ident $kernel:ident, $more:tt, $($rows:literal)*) => {
            match (rows, right) {
                $(($rows, Right::Packed(right)) => by_rows!(@ $module $kernel, $more, $rows, false, right, 0, std::ptr::null_mut(), 0),
                ($rows, Right::Rows { at, stride: apart, to, below }) => {
                    let room = if below { tile.columns() } else { 0 };
                    by_rows!(@ $module $kernel, $more, $rows, true, at, apart, to, room)
                })*
                _ => {}
            }
        };
        (@ $module:ident $kernel:ident, ($($more:expr)?), $rows:literal, $lay_out:literal, $right:expr, $apart:expr, $to:expr, $room:expr) => {
            // SAFETY: passed on; the instructions were detected when the tile was chosen.
            unsafe {
                $module::$kernel::<$rows, $lay_out>(len, left, $right, $apart, $to, $room, out, stride, start $(, $more)?)
            }
        };
    }
    match tile {
        #[cfg(target_arch = "x86_64")]
        Tile::Avx512 => by_rows!(x86 avx512, (ahead), 1 2 3 4 5 6 7 8 9 10 11 12),
        #[cfg(target_arch = "x86_64")]
        Tile::Avx2 => by_rows!(x86 avx2, (ahead), 1 2 3 4 5 6),
        #[cfg(all(target_family = "wasm", target_feature = "simd128"))]
        Tile::Simd128 => by_rows!(simd128 tile, (), 1 2 3 4),
        // Never chosen here.
        _ => _ = (rows, len, left, right, out, stride, start, ahead),
    }
}

//! Attention in one pass: scores, softmax and weighted values of a few queries while they are in the cache.
//!
//! A head's keys and values are laid out once for the tiles of [`super::product`], from whatever they are stored in;
//! queries then go through a tile's rows at a time. Keys that none of those rows sees are neither multiplied nor
//! weighted. For a few queries (a token after many) nothing is laid out: keys and values are read once, as they are. All sums
//! are in the same order, so that a token's result does not depend on how many come with it.

use super::attention::{Sight, softmax_row};
use super::halves::Half;
use super::math::sum;
use super::operand::Strided;
use super::product::{Ahead, Right, Start, TILE, Tile, inner_products, pack_right, pack_strip, run_tile};
use super::vectors::scaled_sum;
use super::{Kernel, run};
use crate::threads::share;
use half::{bf16, f16};
use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// What keys, queries and values are stored in.
pub trait Stored: Copy + Sync {
    /// The rows as `f32`, read in place where they are that, otherwise converted into `room`.
    fn rows<'a>(from: Rows<'a, Self>, rows: Range<usize>, room: &'a mut Vec<f32>) -> (&'a [f32], usize);

    /// Writes what every query gets from the values that it sees. `head` gives each head and where in the results its first
    /// query's are.
    ///
    /// # Safety
    /// The results must have room for every head's rows, and these must not overlap.
    unsafe fn attend<'a>(shape: Shape, head: Heads<'_, 'a, Self>, results: &Results);
}

/// Gives a head by its number, and where in the results its first query's are.
pub type Heads<'f, 'a, T> = &'f (dyn Fn(usize) -> (Head<'a, T>, usize) + Sync);

/// What is the same for everything that keys, queries and values are stored in.
macro_rules! attend {
    () => {
        unsafe fn attend<'a>(shape: Shape, head: Heads<'_, 'a, Self>, results: &Results) {
            // SAFETY: as promised by the caller.
            unsafe { attend(shape, head, results) }
        }
    };
}

impl Stored for f32 {
    attend!();

    fn rows<'a>(from: Rows<'a, f32>, rows: Range<usize>, _: &'a mut Vec<f32>) -> (&'a [f32], usize) {
        (&from.data[(rows.start * from.stride).min(from.data.len())..], from.stride)
    }
}

/// Converts rows one by one.
fn widened<'a, T: Half>(from: Rows<'a, T>, rows: Range<usize>, room: &'a mut Vec<f32>) -> (&'a [f32], usize) {
    room.clear();
    room.resize(rows.len() * from.width, 0.0);
    for (row, out) in rows.zip(room.chunks_exact_mut(from.width.max(1))) {
        T::widen(&from.data[row * from.stride..][..from.width], out);
    }
    (room, from.width)
}

impl Stored for f16 {
    attend!();

    fn rows<'a>(from: Rows<'a, f16>, rows: Range<usize>, room: &'a mut Vec<f32>) -> (&'a [f32], usize) {
        widened(from, rows, room)
    }
}

impl Stored for bf16 {
    attend!();

    fn rows<'a>(from: Rows<'a, bf16>, rows: Range<usize>, room: &'a mut Vec<f32>) -> (&'a [f32], usize) {
        widened(from, rows, room)
    }
}

/// Rows of `width` neighbouring elements, `stride` apart.
#[derive(Clone, Copy)]
pub struct Rows<'a, T> {
    /// The first row comes first.
    pub data: &'a [T],
    /// How far apart rows are.
    pub stride: usize,
    /// Elements of a row.
    pub width: usize,
}

/// What is added to the scores of a head.
#[derive(Clone, Copy)]
pub struct Mask<'a> {
    /// The first score's comes first.
    pub data: &'a [f32],
    /// How far apart those of queries are, and of keys.
    pub strides: [usize; 2],
}

/// One head's attention.
pub struct Head<'a, T> {
    /// `[queries, d]`.
    pub q: Rows<'a, T>,
    /// `[keys, d]`.
    pub k: Rows<'a, T>,
    /// `[keys, d_v]`.
    pub v: Rows<'a, T>,
    /// `[queries, keys]`.
    pub mask: Option<Mask<'a>>,
}

/// What all heads share.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How many there are.
    pub heads: usize,
    /// Queries of a head.
    pub queries: usize,
    /// Keys of a head.
    pub keys: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which keys a query sees.
    pub sight: Sight,
    /// Whether a row of `-inf` alone sees nothing; otherwise it is NaN.
    pub or_zeros: bool,
}

/// Where results go: `[queries, d_v]` for each head.
pub struct Results {
    /// Of the first head.
    pub at: *mut f32,
    /// How far apart the rows of a head are.
    pub stride: usize,
}

// SAFETY: the runs of queries that threads write do not overlap.
unsafe impl Sync for Results {}

/// What a thread needs for a head.
#[derive(Default)]
struct Room {
    wide: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    strip: Vec<f32>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Up to so many queries are not worth laying out keys and values for.
const FEW: usize = 3;
/// Keys that are converted and multiplied at a time where there are few queries.
const BLOCK: usize = 128;

/// Whether the machine has the instructions for it.
pub fn attends() -> bool {
    Tile::chosen().is_some()
}

/// See [`Stored::attend`].
///
/// # Safety
/// As there.
#[inline(never)]
unsafe fn attend<T: Stored>(shape: Shape, head: Heads<'_, '_, T>, results: &Results) {
    let Some(tile) = Tile::chosen() else { return };
    let (heads, queries) = (shape.heads, shape.queries);
    if heads == 0 || queries == 0 {
        return;
    }
    let work = head(0).0.k.width.max(1) * shape.keys.max(1) * queries * heads;
    let threads = if work >= PARALLEL { rayon::current_num_threads() } else { 1 };
    // Enough pieces for all threads; whole heads if possible, for each piece lays out the keys again.
    let parts = if heads >= 2 * threads { 1 } else { (2 * threads).div_ceil(heads) };
    let part = queries.div_ceil(parts).next_multiple_of(tile.rows());
    let parts = queries.div_ceil(part);
    share(heads * parts, threads, |i| {
        let (head, first) = head(i / parts);
        let rows = i % parts * part..queries.min((i % parts + 1) * part);
        ROOM.with_borrow_mut(|room| {
            let piece = Piece { shape, head, rows, out: results.at.wrapping_add(first), stride: results.stride };
            // SAFETY: as promised by the caller.
            unsafe { if piece.rows.len() <= FEW { piece.few(room) } else { piece.tiles(tile, room) } }
        });
    });
}

/// Below this many multiplications a second thread costs more than it gains.
const PARALLEL: usize = 1 << 20;

/// Some queries of a head.
struct Piece<'a, T> {
    shape: Shape,
    head: Head<'a, T>,
    rows: Range<usize>,
    /// Of the head's first query.
    out: *mut f32,
    stride: usize,
}

impl<T: Stored> Piece<'_, T> {
    fn seen(&self, query: usize) -> Range<usize> {
        self.shape.sight.of(query, self.shape.keys)
    }

    /// The keys that any of these queries sees.
    fn seen_by(&self, rows: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.seen(rows.start), self.seen(rows.end - 1));
        first.start.min(last.start)..first.end.max(last.end)
    }

    /// Whether values that no query sees may be left out: where all are finite, a weight of zero makes them vanish.
    fn may_skip(&self, room: &mut Vec<f32>) -> bool {
        let (keys, width) = (self.shape.keys, self.head.v.width);
        self.shape.sight.is_full(self.shape.queries, keys)
            || (0..keys).step_by(BLOCK).all(|first| {
                let block = first..keys.min(first + BLOCK);
                let count = block.len();
                let (values, stride) = T::rows(self.head.v, block, room);
                (0..count).all(|i| is_finite(&values[i * stride..][..width]))
            })
    }

    /// The keys whose values count for these queries.
    fn weighed(&self, rows: &Range<usize>, skip: bool) -> Range<usize> {
        if skip { self.seen_by(rows) } else { 0..self.shape.keys }
    }

    /// Adds the mask to a row of scores of the keys from `first` on, and makes a pattern of it: zeros for what is not seen.
    fn pattern(&self, query: usize, first: usize, scores: &mut [f32]) {
        let seen = self.seen(query);
        let (start, end) = (seen.start - first, seen.end - first);
        scores[..start].fill(0.0);
        scores[end..].fill(0.0);
        let row = &mut scores[start..end];
        if let Some(Mask { data, strides: [apart, step] }) = self.head.mask {
            let mask = &data[query * apart..];
            if step == 1 {
                row.iter_mut().zip(&mask[seen]).for_each(|(x, m)| *x += m);
            } else {
                row.iter_mut().zip(seen).for_each(|(x, key)| *x += mask[key * step]);
            }
        }
        run(Softmax { row, or_zeros: self.shape.or_zeros });
    }

    /// Queries one by one, with the sums in the order of [`Self::tiles`].
    ///
    /// # Safety
    /// As of [`Stored::attend`].
    unsafe fn few(self, room: &mut Room) {
        let Room { wide, scores, strip, .. } = room;
        let skip = self.may_skip(wide);
        let weighed = self.weighed(&self.rows, skip);
        let (first, keys, width) = (weighed.start, weighed.len(), self.head.v.width);
        scores.clear();
        scores.resize(self.rows.len() * keys, 0.0);
        let count = self.rows.len();
        let d = self.head.q.width;
        let queries = {
            let (q, stride) = T::rows(self.head.q, self.rows.clone(), wide);
            strip.clear();
            (0..count).for_each(|i| strip.extend(q[i * stride..][..d].iter().map(|x| x * self.shape.scale)));
            &*strip
        };
        for at in (0..keys).step_by(BLOCK) {
            let block = at..keys.min(at + BLOCK);
            let (data, column) = T::rows(self.head.k, first + block.start..first + block.end, wide);
            let k = Strided { data, row: 1, column };
            for i in 0..count {
                inner_products(&queries[i * d..][..d], d, k, &mut scores[i * keys..][block.clone()]);
            }
        }
        for (i, row) in self.rows.clone().enumerate() {
            self.pattern(row, first, &mut scores[i * keys..][..keys]);
            // SAFETY: as promised by the caller.
            unsafe { std::ptr::write_bytes(self.out.add(row * self.stride), 0, width) };
        }
        for at in (0..keys).step_by(BLOCK) {
            let block = at..keys.min(at + BLOCK);
            let (v, stride) = T::rows(self.head.v, first + block.start..first + block.end, wide);
            for (i, row) in self.rows.clone().enumerate() {
                // SAFETY: as promised by the caller; the row was just written.
                let out = unsafe { std::slice::from_raw_parts_mut(self.out.add(row * self.stride), width) };
                scaled_sum(&scores[i * keys..][block.clone()], v, stride, out);
            }
        }
    }

    /// A tile's rows at a time.
    ///
    /// # Safety
    /// As of [`Stored::attend`].
    unsafe fn tiles(self, tile: Tile, room: &mut Room) {
        let Room { wide, keys, values, scores, strip } = room;
        let (lanes, height) = (tile.columns(), tile.rows());
        let (d, width) = (self.head.q.width, self.head.v.width);
        let skip = self.may_skip(wide);
        let weighed = self.weighed(&self.rows, skip);
        let (first, count) = (weighed.start, weighed.len());
        let strips = count.div_ceil(lanes);
        grow(keys, strips * lanes * d);
        grow(values, width.div_ceil(lanes) * lanes * count);
        grow(scores, strips * lanes * height);
        grow(strip, d.max(count) * height);
        {
            let (data, stride) = T::rows(self.head.k, first..first + count, wide);
            // Keys are columns here.
            let k = Strided { data, row: 1, column: stride };
            for s in 0..strips {
                let columns = s * lanes..count.min((s + 1) * lanes);
                pack_right(tile, k, 0..d, columns, &mut keys[s * lanes * d..(s + 1) * lanes * d]);
            }
        }
        {
            let (data, row) = T::rows(self.head.v, first..first + count, wide);
            let v = Strided { data, row, column: 1 };
            for s in 0..width.div_ceil(lanes) {
                let columns = s * lanes..width.min((s + 1) * lanes);
                pack_right(tile, v, 0..count, columns, &mut values[s * lanes * count..(s + 1) * lanes * count]);
            }
        }
        let apart = strips * lanes;
        for top in self.rows.clone().step_by(height) {
            let rows = top..self.rows.end.min(top + height);
            let seen = self.weighed(&rows, skip);
            // Where among the keys that were laid out the tile begins and ends.
            let (begin, end) = (seen.start - first, seen.end - first);
            {
                let (data, row) = T::rows(self.head.q, rows.clone(), wide);
                pack_strip(
                    height,
                    d,
                    Strided { data, row, column: 1 },
                    0..rows.len(),
                    uninit(&mut strip[..d * height]),
                );
                strip[..d * height].iter_mut().for_each(|x| *x *= self.shape.scale);
            }
            for s in begin / lanes..end.div_ceil(lanes) {
                let right = Right::Packed(keys[s * lanes * d..(s + 1) * lanes * d].as_ptr());
                let out = scores[s * lanes..].as_mut_ptr();
                // SAFETY: the strips were laid out above with `d` steps each; the scores have room for a tile's rows of
                // whole strips.
                unsafe {
                    run_tile(tile, rows.len(), d, strip.as_ptr(), right, out, apart, Start::Zero, &mut Ahead::none());
                }
            }
            for (i, query) in rows.clone().enumerate() {
                self.pattern(query, seen.start, &mut scores[i * apart..][begin..end]);
            }
            let len = end - begin;
            if len > 0 {
                let pattern = Strided { data: &scores[begin..], row: apart, column: 1 };
                pack_strip(height, len, pattern, 0..rows.len(), uninit(&mut strip[..len * height]));
            }
            for s in 0..width.div_ceil(lanes) {
                let right = Right::Packed(values[(s * count + begin) * lanes..].as_ptr());
                let mut whole = [0f32; TILE];
                // SAFETY: both operands hold `len` steps, and `whole` has room for the largest tile; the results have
                // room for these rows, as promised by the caller.
                unsafe {
                    let out = whole.as_mut_ptr();
                    run_tile(tile, rows.len(), len, strip.as_ptr(), right, out, lanes, Start::Zero, &mut Ahead::none());
                    for (i, row) in rows.clone().enumerate() {
                        let to = self.out.add(row * self.stride + s * lanes);
                        std::ptr::copy_nonoverlapping(whole[i * lanes..].as_ptr(), to, lanes.min(width - s * lanes));
                    }
                }
            }
        }
    }
}

/// Makes room for so many elements; what they are does not matter.
fn grow(room: &mut Vec<f32>, len: usize) {
    if room.len() < len {
        room.resize(len, 0.0);
    }
}

fn uninit(slice: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: whoever gets it writes floats only.
    unsafe { &mut *(std::ptr::from_mut(slice) as *mut [MaybeUninit<f32>]) }
}

fn is_finite(x: &[f32]) -> bool {
    let mut total = 0.0;
    run(Zeros { x, total: &mut total });
    total == 0.0
}

/// `Σ 0 x`: zero where all is finite, otherwise NaN.
struct Zeros<'a> {
    x: &'a [f32],
    total: &'a mut f32,
}

impl Kernel for Zeros<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        *self.total = sum([self.x], |[x]| x * 0.0);
    }
}

struct Softmax<'a> {
    row: &'a mut [f32],
    or_zeros: bool,
}

impl Kernel for Softmax<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        softmax_row::<FMA>(self.row, self.or_zeros);
    }
}

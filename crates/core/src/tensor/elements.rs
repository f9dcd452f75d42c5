//! Element-wise work on the host, for every dtype and any device.
//!
//! Floats are computed in `f64` whatever their dtype and rounded once at the end, integers in `i64`, so that an
//! operation is written once and neither half precision nor wide integers lose anything on the way. Data go through
//! in pieces that fit the cache. Tensors on other devices are copied to the host and the result is copied back; the
//! operations that models spend their time in have faster ways ([`super::kernels`]).

use super::CT;
use super::cells;
use super::host::contiguous;
use crate::error::{Error, Result};
use crate::ops::Scalar;
use candle_core::{CpuStorage, DType, Device, Layout, Storage, WithDType};
use half::{bf16, f16};
use hooklens_kernels::threads::share_pieces;
use std::mem::MaybeUninit;

/// Elements that one closure call sees: small enough for the cache, large enough to hide the call.
const PIECE: usize = 2048;
/// Below this many elements a second thread costs more than it brings.
const PARALLEL: usize = 1 << 15;

/// A type that tensors are made of.
pub(crate) trait Element: WithDType + Default + Sync {
    /// Rounded from a float; integers wrap as in torch.
    fn from_float(x: f64) -> Self;
    /// Rounded from an integer; narrower integers wrap.
    fn from_int(x: i64) -> Self;
    /// Exact.
    fn to_float(self) -> f64;
    /// Towards zero.
    fn to_int(self) -> i64;
}

macro_rules! element {
    ($($ty:ty, $from_float:expr, $from_int:expr, $to_float:expr, $to_int:expr;)*) => { $(
        impl Element for $ty {
            #[inline(always)]
            fn from_float(x: f64) -> Self { $from_float(x) }
            #[inline(always)]
            fn from_int(x: i64) -> Self { $from_int(x) }
            #[inline(always)]
            fn to_float(self) -> f64 { $to_float(self) }
            #[inline(always)]
            fn to_int(self) -> i64 { $to_int(self) }
        }
    )* };
}

element! {
    f32, |x| x as f32, |x| x as f32, f64::from, |x| x as i64;
    f64, |x| x, |x| x as f64, |x| x, |x| x as i64;
    f16, f16::from_f64, |x| f16::from_f64(x as f64), f64::from, |x| f64::from(x) as i64;
    bf16, bf16::from_f64, |x| bf16::from_f64(x as f64), f64::from, |x| f64::from(x) as i64;
    u8, |x| x as i64 as u8, |x| x as u8, f64::from, i64::from;
    u32, |x| x as i64 as u32, |x| x as u32, f64::from, i64::from;
    i64, |x| x as i64, |x| x, |x| x as f64, |x| x;
}

/// What is computed in: `f64` for floats, `i64` for integers and truth values.
pub(crate) trait Carrier: Copy + Default + Send + Sync {
    /// From an element.
    fn widen<T: Element>(x: T) -> Self;
    /// To an element.
    fn narrow<T: Element>(self) -> T;
    /// From a number beside a tensor.
    fn number(x: Scalar) -> Self;
}

impl Carrier for f64 {
    #[inline(always)]
    fn widen<T: Element>(x: T) -> Self {
        x.to_float()
    }
    #[inline(always)]
    fn narrow<T: Element>(self) -> T {
        T::from_float(self)
    }
    fn number(x: Scalar) -> Self {
        x.as_f64()
    }
}

impl Carrier for i64 {
    #[inline(always)]
    fn widen<T: Element>(x: T) -> Self {
        x.to_int()
    }
    #[inline(always)]
    fn narrow<T: Element>(self) -> T {
        T::from_int(self)
    }
    fn number(x: Scalar) -> Self {
        match x {
            Scalar::Bool(b) => Self::from(b),
            Scalar::Int(i) => i,
            Scalar::Float(x) => x as Self,
        }
    }
}

/// Calls a block with the slice behind CPU storage.
macro_rules! with_slice {
    ($storage:expr, $range:expr, |$slice:ident| $body:expr) => {
        match $storage {
            CpuStorage::F32(v) => {
                let $slice = &v[$range];
                $body
            }
            CpuStorage::F64(v) => {
                let $slice = &v[$range];
                $body
            }
            CpuStorage::F16(v) => {
                let $slice = &v[$range];
                $body
            }
            CpuStorage::BF16(v) => {
                let $slice = &v[$range];
                $body
            }
            CpuStorage::U8(v) => {
                let $slice = &v[$range];
                $body
            }
            CpuStorage::U32(v) => {
                let $slice = &v[$range];
                $body
            }
            CpuStorage::I64(v) => {
                let $slice = &v[$range];
                $body
            }
            // Tensor::constant lets no other dtype in.
            _ => {}
        }
    };
}

/// The elements of a tensor on the host, row-major.
pub(crate) struct View<'a> {
    storage: &'a CpuStorage,
    start: usize,
    len: usize,
}

impl<'a> View<'a> {
    /// Of a tensor that [`to_host`] made.
    pub(crate) fn new(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        match (storage, layout.contiguous_offsets()) {
            (Storage::Cpu(storage), Some((start, end))) => Ok(Self { storage, start, len: end - start }),
            _ => Err(Error::Internal { detail: "a host view of a tensor that is elsewhere".into() }),
        }
    }

    /// Copies the elements from `start` on.
    pub(crate) fn load<C: Carrier>(&self, start: usize, out: &mut [C]) {
        let from = self.start + start;
        with_slice!(self.storage, from..from + out.len(), |slice| {
            for (o, x) in out.iter_mut().zip(slice) {
                *o = C::widen(*x);
            }
        });
    }

    /// Adds the elements from `start` on to `sums`.
    pub(crate) fn add_into(&self, start: usize, sums: &mut [f64]) {
        let from = self.start + start;
        with_slice!(self.storage, from..from + sums.len(), |slice| {
            for (sum, x) in sums.iter_mut().zip(slice) {
                *sum += x.to_float();
            }
        });
    }

    /// The sum of `len` elements from `start` on, in several lanes.
    pub(crate) fn sum(&self, start: usize, len: usize) -> f64 {
        let from = self.start + start;
        let mut total = 0.0;
        with_slice!(self.storage, from..from + len, |slice| {
            let mut lanes = [0f64; 16];
            let (blocks, rest) = slice.as_chunks::<16>();
            for block in blocks {
                for (lane, x) in lanes.iter_mut().zip(block) {
                    *lane += x.to_float();
                }
            }
            total = lanes.iter().sum::<f64>() + rest.iter().map(|x| x.to_float()).sum::<f64>();
        });
        total
    }

    /// All elements.
    pub(crate) fn to_vec<C: Carrier>(&self) -> Vec<C> {
        let mut out = vec![C::default(); self.len];
        self.load(0, &mut out);
        out
    }
}

/// The tensor in row-major order on the host; shares storage where it is there already.
pub(crate) fn to_host(x: &CT) -> Result<CT> {
    contiguous(&x.to_device(&Device::Cpu)?)
}

/// All elements, row-major.
pub(crate) fn to_vec<C: Carrier>(x: &CT) -> Result<Vec<C>> {
    let host = to_host(x)?;
    let (storage, layout) = host.storage_and_layout();
    Ok(View::new(&storage, layout)?.to_vec())
}

/// Writes `n` elements in pieces of about `piece`, whole multiples of `unit`; `write` gets each piece zeroed, with
/// the number of its first element. Several threads share the work from `parallel` elements on.
pub(crate) fn fill<T: Copy + Default + Send>(
    n: usize,
    unit: usize,
    piece: usize,
    parallel: usize,
    write: &(dyn Fn(usize, &mut [T]) + Sync),
) -> Vec<T> {
    let mut out = Vec::with_capacity(n);
    let at: *mut MaybeUninit<u8> = out.spare_capacity_mut().as_mut_ptr().cast();
    // SAFETY: that is the room for `n` elements, and bytes need not be initialised to be written.
    let place = unsafe { std::slice::from_raw_parts_mut(at, n * size_of::<T>()) };
    pieces(place, Pieces { size: size_of::<T>(), unit, piece, parallel }, &|start, place| {
        // SAFETY: pieces are whole elements of a vector of them.
        let slots = unsafe { typed::<T>(place) };
        for slot in slots.iter_mut() {
            slot.write(T::default());
        }
        // SAFETY: the loop above has written every slot.
        write(start, unsafe { slots.assume_init_mut() });
    });
    // SAFETY: the capacity is n, and the pieces cover all n slots, each written above.
    unsafe { out.set_len(n) };
    out
}

/// How elements are written in pieces.
#[derive(Clone, Copy)]
struct Pieces {
    /// Bytes of an element.
    size: usize,
    /// Pieces are whole multiples of so many elements.
    unit: usize,
    /// Elements of a piece, about.
    piece: usize,
    /// From so many elements on several threads share the work.
    parallel: usize,
}

/// Gives `write` each piece of the room for elements, and the number of its first.
fn pieces(place: &mut [MaybeUninit<u8>], of: Pieces, write: &(dyn Fn(usize, &mut [MaybeUninit<u8>]) + Sync)) {
    let n = place.len() / of.size;
    let unit = of.unit.max(1);
    let piece = unit * (of.piece / unit).max(1);
    let several = |first: usize, place: &mut [MaybeUninit<u8>]| {
        for (i, place) in place.chunks_mut(piece.saturating_mul(of.size)).enumerate() {
            write(first + i * piece, place);
        }
    };
    let threads = rayon::current_num_threads();
    if n >= of.parallel && threads > 1 && n > piece {
        let share = piece * n.div_ceil(piece).div_ceil(threads * 4);
        share_pieces(place, share * of.size, threads, |i, place| several(i * share, place));
    } else {
        several(0, place);
    }
}

/// Room for bytes as room for elements.
///
/// # Safety
/// It must lie as elements of that type do.
unsafe fn typed<T>(place: &mut [MaybeUninit<u8>]) -> &mut [MaybeUninit<T>] {
    // SAFETY: the caller promises alignment, and what need not be initialised has no invalid values.
    unsafe { std::slice::from_raw_parts_mut(place.as_mut_ptr().cast(), place.len() / size_of::<T>()) }
}

/// Writes carriers as elements of a dtype.
///
/// # Safety
/// The place must lie as elements of that dtype do, and have room for as many.
unsafe fn narrow<C: Carrier>(dtype: DType, from: &[C], place: &mut [MaybeUninit<u8>]) {
    unsafe fn all<C: Carrier, T: Element>(from: &[C], place: &mut [MaybeUninit<u8>]) {
        // SAFETY: as the caller promises.
        for (to, x) in unsafe { typed::<T>(place) }.iter_mut().zip(from) {
            to.write(x.narrow());
        }
    }
    // SAFETY: as the caller promises.
    unsafe {
        match dtype {
            DType::F32 => all::<C, f32>(from, place),
            DType::F64 => all::<C, f64>(from, place),
            DType::F16 => all::<C, f16>(from, place),
            DType::BF16 => all::<C, bf16>(from, place),
            DType::U32 => all::<C, u32>(from, place),
            DType::I64 => all::<C, i64>(from, place),
            _ => all::<C, u8>(from, place),
        }
    }
}

/// Makes a tensor from carriers that `write` gives piece by piece (whole multiples of `unit`).
pub(crate) fn store<C: Carrier>(
    dtype: DType,
    dims: &[usize],
    device: &Device,
    unit: usize,
    write: &(dyn Fn(usize, &mut [C]) + Sync),
) -> Result<CT> {
    let size = dtype.size_in_bytes();
    crate::memory::require_tensor("broadcast", dims, size)?;
    let all = &mut |place: &mut [MaybeUninit<u8>]| {
        pieces(place, Pieces { size, unit, piece: PIECE, parallel: PARALLEL }, &|start, place| {
            let mut wide = vec![C::default(); place.len() / size];
            write(start, &mut wide);
            // SAFETY: pieces are whole elements of a vector of that dtype.
            unsafe { narrow(dtype, &wide, place) };
        });
        Ok(())
    };
    // SAFETY: the pieces cover everything, and each is written.
    let out = unsafe { cells::written(dtype, dims.iter().product(), all) }?;
    cells::tensor(out, dims, device)
}

/// An operand: a tensor that broadcasts, or a number.
#[derive(Clone)]
pub(crate) enum Term {
    /// A tensor.
    Tensor(CT),
    /// The same number everywhere.
    Number(Scalar),
}

impl From<&CT> for Term {
    fn from(x: &CT) -> Self {
        Self::Tensor(x.clone())
    }
}

/// How the elements of an operand repeat over the broadcast shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pattern {
    /// One for each.
    Whole,
    /// This many, over and over: a bias.
    Cycle(usize),
    /// Each this many times in a row: a norm of rows.
    Repeat(usize),
}

impl Pattern {
    /// How `dims` spreads over `full`; `None` if it needs to be spelled out.
    pub(crate) fn find(dims: &[usize], full: &[usize]) -> Option<Self> {
        if dims == full {
            return Some(Self::Whole);
        }
        if dims.iter().product::<usize>() == 1 {
            return Some(Self::Repeat(usize::MAX));
        }
        let ones = dims.iter().take_while(|&&d| d == 1).count();
        if full.ends_with(&dims[ones..]) {
            return Some(Self::Cycle(dims.iter().product()));
        }
        let trailing = dims.iter().rev().take_while(|&&d| d == 1).count();
        let kept = full.len() - trailing;
        let padded = full.len() - dims.len();
        let same = (0..kept).all(|i| full[i] == if i < padded { 1 } else { dims[i - padded] });
        same.then(|| Self::Repeat(full[kept..].iter().product()))
    }
}

enum Source<'a, C> {
    Number(C),
    View(View<'a>, Pattern),
}

impl<C: Carrier> Source<'_, C> {
    fn load(&self, start: usize, out: &mut [C]) {
        match self {
            Self::Number(x) => out.fill(*x),
            Self::View(view, Pattern::Whole) => view.load(start, out),
            Self::View(view, Pattern::Cycle(period)) => {
                let (mut at, mut rest) = (start % period, out);
                while !rest.is_empty() {
                    let (now, later) = rest.split_at_mut(rest.len().min(period - at));
                    view.load(at, now);
                    (at, rest) = (0, later);
                }
            }
            Self::View(view, Pattern::Repeat(times)) => {
                let (mut at, mut rest) = (start, out);
                while !rest.is_empty() {
                    let (now, later) = rest.split_at_mut(rest.len().min(times - at % times));
                    let mut one = [C::default()];
                    view.load(at / times, &mut one);
                    now.fill(one[0]);
                    at += now.len();
                    rest = later;
                }
            }
        }
    }
}

/// What is done with a piece of each operand.
type PieceFn<'a, C, O> = dyn Fn(&[Vec<C>], &mut [O]) + Sync + 'a;

/// Those operands that are tensors, on the host, and how they spread over `dims`.
fn on_host(dims: &[usize], terms: &[Term]) -> Result<Vec<Option<(CT, Pattern)>>> {
    let host = |term: &Term| {
        let Term::Tensor(x) = term else { return Ok(None) };
        Ok(Some(match Pattern::find(x.dims(), dims) {
            Some(pattern) => (to_host(x)?, pattern),
            None => (to_host(&x.broadcast_as(dims)?)?, Pattern::Whole),
        }))
    };
    terms.iter().map(host).collect()
}

/// Where the operands are.
fn device(terms: &[Term]) -> Device {
    let tensor = terms.iter().find_map(|term| match term {
        Term::Tensor(x) => Some(x.device().clone()),
        Term::Number(_) => None,
    });
    tensor.unwrap_or(Device::Cpu)
}

/// The heart of this file: gives each piece of the operands, spread over `dims`, to `f`.
pub(crate) fn combine<C: Carrier, O: Carrier>(
    dtype: DType,
    dims: &[usize],
    terms: &[Term],
    f: &PieceFn<'_, C, O>,
) -> Result<CT> {
    let hosts = on_host(dims, terms)?;
    let guards: Vec<_> =
        hosts.iter().map(|h| h.as_ref().map(|(x, pattern)| (x.storage_and_layout(), *pattern))).collect();
    let mut sources = Vec::with_capacity(terms.len());
    for (term, guard) in terms.iter().zip(&guards) {
        sources.push(match (term, guard) {
            (Term::Tensor(_), Some(((storage, layout), pattern))) => {
                Source::View(View::new(storage, layout)?, *pattern)
            }
            (Term::Number(x), _) => Source::Number(C::number(*x)),
            (Term::Tensor(_), None) => return Err(Error::Internal { detail: "an operand was lost".into() }),
        });
    }
    store(dtype, dims, &device(terms), 1, &|start, out: &mut [O]| {
        let mut inputs = vec![vec![C::default(); out.len()]; sources.len()];
        for (input, source) in inputs.iter_mut().zip(&sources) {
            source.load(start, input);
        }
        f(&inputs, out);
    })
}

/// `f` of each element.
pub(crate) fn map<C: Carrier, O: Carrier>(dtype: DType, x: &CT, f: impl Fn(C) -> O + Sync) -> Result<CT> {
    combine(dtype, x.dims(), &[x.into()], &|inputs: &[Vec<C>], out: &mut [O]| {
        if let [x] = inputs {
            for (o, x) in out.iter_mut().zip(x) {
                *o = f(*x);
            }
        }
    })
}

/// `f` of each pair of elements of two operands, spread over `dims`.
pub(crate) fn zip<C: Carrier, O: Carrier>(
    dtype: DType,
    dims: &[usize],
    terms: [Term; 2],
    f: impl Fn(C, C) -> O + Sync,
) -> Result<CT> {
    combine(dtype, dims, &terms, &|inputs: &[Vec<C>], out: &mut [O]| {
        if let [a, b] = inputs {
            for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
                *o = f(*a, *b);
            }
        }
    })
}

/// `f` of each triple of elements of three operands, spread over `dims`.
pub(crate) fn zip3<C: Carrier, O: Carrier>(
    dtype: DType,
    dims: &[usize],
    terms: [Term; 3],
    f: impl Fn(C, C, C) -> O + Sync,
) -> Result<CT> {
    combine(dtype, dims, &terms, &|inputs: &[Vec<C>], out: &mut [O]| {
        if let [a, b, c] = inputs {
            for (((o, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
                *o = f(*a, *b, *c);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_broadcasting() {
        assert_eq!(Pattern::find(&[2, 3], &[2, 3]), Some(Pattern::Whole));
        assert_eq!(Pattern::find(&[1, 3], &[4, 3]), Some(Pattern::Cycle(3)));
        assert_eq!(Pattern::find(&[3], &[4, 3]), Some(Pattern::Cycle(3)));
        assert_eq!(Pattern::find(&[4, 1], &[4, 3]), Some(Pattern::Repeat(3)));
        assert_eq!(Pattern::find(&[4, 1], &[2, 4, 3]), None);
        assert_eq!(Pattern::find(&[2, 1, 3], &[2, 4, 3]), None);
        assert_eq!(Pattern::find(&[1, 1], &[4, 3]), Some(Pattern::Repeat(usize::MAX)));
    }

    #[test]
    fn pieces_cover_everything_on_several_threads() {
        let n = 100_003;
        let out = fill(n, 1, 1000, 1, &|start, out: &mut [u32]| {
            for (i, o) in out.iter_mut().enumerate() {
                *o = (start + i) as u32;
            }
        });
        assert!(out.iter().enumerate().all(|(i, &x)| x == i as u32) && out.len() == n);
    }
}

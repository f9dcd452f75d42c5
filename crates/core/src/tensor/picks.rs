//! Reading and writing at computed places: the mechanism below indexing, gathering and scattering.
//!
//! Every place is checked once, on the host, before anything is read or written: candle's own kernels read out of
//! bounds as zero, or wrap around, depending on the operation.

use super::cells::{self, Row};
use super::host::moved;
use super::{CT, Tensor};
use crate::device::{DType, on_host};
use crate::error::{Error, Result};
use candle_core::CpuStorage;
use hooklens_kernels::cells::{Runs, put, take};
use std::mem::MaybeUninit;
use std::sync::Arc;

/// The entries of an integer tensor, in row-major order.
pub(super) fn indices(op: &'static str, t: &Tensor) -> Result<Vec<i64>> {
    match t.dtype() {
        DType::I64 | DType::U32 => t.to_vec::<i64>(),
        other => Err(Error::WrongDtype { op, expected: "int64 indices".into(), got: other.name().into() }),
    }
}

/// The entries of an integer tensor as places in an axis of `size`; none may be negative.
pub(super) fn places(op: &'static str, t: &Tensor, size: usize) -> Result<Vec<usize>> {
    indices(op, t)?
        .into_iter()
        .map(|i| match usize::try_from(i) {
            Ok(at) if at < size => Ok(at),
            _ => Err(Error::IndexOutOfRange { op, index: i, size }),
        })
        .collect()
}

/// Blocks of consecutive elements of a row-major tensor, in the order in which a result takes them.
pub(super) struct Picks {
    /// The shape of the tensor that is picked from.
    pub(super) source: Vec<usize>,
    /// The shape of what is picked: as many elements as there are blocks times their length.
    pub(super) dims: Vec<usize>,
    /// Where each block starts.
    pub(super) starts: Vec<usize>,
    /// The length of each block.
    pub(super) block: usize,
}

impl Picks {
    /// The entries `places` of axis `axis`.
    pub(super) fn entries(source: &[usize], axis: usize, places: &[usize]) -> Self {
        let outer: usize = source[..axis].iter().product();
        let block: usize = source[axis + 1..].iter().product();
        let mut dims = source.to_vec();
        dims[axis] = places.len();
        let mut starts = Vec::with_capacity(outer * places.len());
        for o in 0..outer {
            starts.extend(places.iter().map(|&i| (o * source[axis] + i) * block));
        }
        Self { source: source.to_vec(), dims, starts, block }
    }

    /// The elements at `places` along `axis`, one for each element of a tensor of shape `dims`, whose other
    /// coordinates are the element's own.
    pub(super) fn along(source: &[usize], axis: usize, dims: &[usize], places: &[usize]) -> Self {
        let strides = super::host::Window::row_major(source).strides;
        let mut at = vec![0usize; dims.len()];
        let mut starts = Vec::with_capacity(places.len());
        for &place in places {
            let own: usize = (0..dims.len()).map(|d| if d == axis { place } else { at[d] } * strides[d] as usize).sum();
            starts.push(own);
            for d in (0..dims.len()).rev() {
                at[d] += 1;
                if at[d] < dims[d] {
                    break;
                }
                at[d] = 0;
            }
        }
        Self { source: source.to_vec(), dims: dims.to_vec(), starts, block: 1 }
    }

    /// What is picked.
    pub(super) fn take(&self, t: &CT) -> Result<CT> {
        crate::memory::require_tensor("index", &self.dims, t.dtype().size_in_bytes())?;
        let size = t.dtype().size_in_bytes();
        let out = Row::of(t)?.bytes(|from| {
            let write = &mut |to: &mut [MaybeUninit<u8>]| {
                take(size, from, self.runs(), to);
                Ok(())
            };
            // SAFETY: `take` writes everything, or panics.
            unsafe { cells::written(t.dtype(), self.dims.iter().product(), write) }
        });
        cells::tensor(out?, &self.dims, t.device())
    }

    fn runs(&self) -> Runs<'_> {
        Runs { starts: &self.starts, len: self.block, stride: 1 }
    }

    /// `base` (zeros if there is none) with `values` added where they would be picked from, in order: places that occur
    /// several times receive all of theirs, with the same result on every run.
    pub(super) fn add(&self, base: Option<&CT>, values: &CT) -> Result<CT> {
        use candle_core::DType as D;
        if matches!(values.dtype(), D::F16 | D::BF16) {
            let base = base.map(|b| b.to_dtype(D::F32)).transpose()?;
            return Ok(self.add(base.as_ref(), &values.to_dtype(D::F32)?)?.to_dtype(values.dtype())?);
        }
        let mut out = self.base(base, values)?;
        Row::of(values)?.add_to(&mut out, self.runs(), 0)?;
        cells::tensor(out, &self.source, values.device())
    }

    /// `base` (zeros if there is none) with `values` in the picked places; where a place occurs twice, the last wins.
    pub(super) fn set(&self, base: Option<&CT>, values: &CT) -> Result<CT> {
        let mut out = self.base(base, values)?;
        let to = cells::bytes_mut(&mut out)?;
        Row::of(values)?.bytes(|from| {
            put(values.dtype().size_in_bytes(), to, self.runs(), from);
            Ok(())
        })?;
        cells::tensor(out, &self.source, values.device())
    }

    fn base(&self, base: Option<&CT>, values: &CT) -> Result<CpuStorage> {
        crate::memory::require_tensor("index", &self.source, values.dtype().size_in_bytes())?;
        match base {
            Some(base) => Row::of(base)?.copied(),
            None => cells::zeros(values.dtype(), self.source.iter().product()),
        }
    }

    /// For each picked element in turn, whether a later one overwrites it when writing.
    pub(super) fn overwritten(&self) -> Vec<bool> {
        let mut last = std::collections::HashMap::with_capacity(self.starts.len());
        for (i, &at) in self.starts.iter().enumerate() {
            last.insert(at, i);
        }
        self.starts.iter().enumerate().map(|(i, at)| last.get(at) != Some(&i)).collect()
    }
}

/// The entries `places` of `axis`, which must be in range, without a record of it.
pub(crate) fn entries(x: &CT, axis: usize, places: &[u32]) -> Result<CT> {
    if on_host(x) {
        let places: Vec<usize> = places.iter().map(|&i| i as usize).collect();
        return Picks::entries(x.dims(), axis, &places).take(x);
    }
    let ids = CT::from_slice(places, places.len(), x.device())?;
    Ok(super::host::contiguous(x)?.index_select(&ids, axis)?)
}

impl Tensor {
    /// What `picks` takes of this tensor; the gradient is added back to the same places.
    pub(super) fn pick(&self, op: &'static str, picks: Picks) -> Result<Self> {
        let picks = Arc::new(picks);
        moved(op, picks.take(self.data())?, self, move |g| picks.add(None, g))
    }

    /// The entries `places` of `axis`, which must be in range.
    pub(super) fn select_entries(&self, op: &'static str, axis: usize, places: Vec<usize>) -> Result<Self> {
        if on_host(self.data()) {
            let outer: usize = self.dims()[..axis].iter().product();
            crate::memory::require_tensor(op, &[outer, places.len()], size_of::<usize>())?;
            return self.pick(op, Picks::entries(self.dims(), axis, &places));
        }
        let ids: Vec<u32> = places.iter().map(|&i| i as u32).collect();
        let ids = CT::from_vec(ids, places.len(), self.data().device())?;
        let out = super::host::contiguous(self.data())?.index_select(&ids, axis)?;
        let dims = self.dims().to_vec();
        moved(op, out, self, move |g| {
            let g = g.contiguous()?;
            Ok(CT::zeros(dims.as_slice(), g.dtype(), g.device())?.index_add(&ids, &g, axis)?)
        })
    }
}

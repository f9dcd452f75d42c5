//! Order: sorting, the largest few, distinct values, places in a sorted sequence.

use super::host::{read_all, upload, with_element_type};
use super::picks::Picks;
use super::{CT, Tensor};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::WithDType;
use std::cmp::Ordering;

/// Ascending, NaN above everything, as torch sorts.
fn order<T: WithDType>(a: &T, b: &T) -> Ordering {
    let is_nan = |x: &T| x.partial_cmp(x).is_none();
    a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

/// The order of the first `keep` elements of each row of `[rows, n]`; equal elements stay in the order they came.
fn sorted_places<T: WithDType>(rows: &[T], n: usize, keep: usize, descending: bool) -> Vec<usize> {
    let mut out = Vec::with_capacity(rows.len().checked_div(n).unwrap_or(0) * keep);
    for row in rows.chunks_exact(n.max(1)) {
        out.extend(first_places(n, keep, &|a, b| {
            let by_value = order(&row[a], &row[b]);
            (if descending { by_value.reverse() } else { by_value }).then(a.cmp(&b))
        }));
    }
    out
}

/// The first `keep` of `n` places in that order. The library's sorts are large: they are compiled once, not for each
/// dtype.
fn first_places(n: usize, keep: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..n).collect();
    if keep > 0 && keep < n {
        places.select_nth_unstable_by(keep - 1, |a, b| compare(*a, *b));
    }
    places.truncate(keep);
    places.sort_unstable_by(|a, b| compare(*a, *b));
    places
}

impl Tensor {
    /// The elements of axis `dim` in order, and the places where they were (`int64`). Stable; NaN counts as largest.
    pub fn sort(&self, dim: i64, descending: bool) -> Result<(Self, Self)> {
        let axis = self.dim_index("sort", dim)?;
        let n = self.dims().get(axis).copied().unwrap_or(1);
        self.first_in_order("sort", axis, n, descending)
    }

    /// The places of [`Tensor::sort`] alone.
    pub fn argsort(&self, dim: i64, descending: bool) -> Result<Self> {
        Ok(self.untracked().sort(dim, descending)?.1)
    }

    /// The `k` largest (or smallest) elements of axis `dim`, in order, and their places (`int64`).
    pub fn topk(&self, k: usize, dim: i64, largest: bool) -> Result<(Self, Self)> {
        const OP: &str = "topk";
        let axis = self.dim_index(OP, dim)?;
        let n = self.dims().get(axis).copied().unwrap_or(1);
        if k > n {
            return Err(Error::InvalidArgument { op: OP, detail: format!("k = {k} of an axis of {n}") });
        }
        self.first_in_order(OP, axis, k, largest)
    }

    fn first_in_order(&self, op: &'static str, axis: usize, keep: usize, descending: bool) -> Result<(Self, Self)> {
        if self.rank() == 0 {
            let (values, places) = self.unsqueeze(0)?.first_in_order(op, 0, keep, descending)?;
            if keep == 1 {
                return Ok((values.reshape(&[])?, places.reshape(&[])?));
            }
            return Ok((values, places));
        }
        let (rank, n) = (self.rank(), self.dims()[axis]);
        let rows = self.data().transpose(axis, rank - 1)?;
        let places = with_element_type!(rows.dtype(), T => {
            read_all::<T, _>(&rows, |rows| Ok(sorted_places(rows, n, keep, descending)))
        })?;
        let mut dims = rows.dims().to_vec();
        dims[rank - 1] = keep;
        let places: Vec<i64> = places.into_iter().map(|at| at as i64).collect();
        let places = upload(places, &dims, self.data().device())?.transpose(axis, rank - 1)?;
        let places = super::host::contiguous(&places)?;
        let along = read_all::<i64, _>(&places, |p| Ok(p.iter().map(|&at| at as usize).collect::<Vec<_>>()))?;
        let values = self.pick(op, Picks::along(self.dims(), axis, places.dims(), &along))?;
        Ok((values, Self::constant(places)?))
    }

    /// The distinct elements in ascending order, for each element the place of its value among them, and how often
    /// each occurs. Every NaN is distinct from the others.
    pub fn unique(&self) -> Result<(Self, Self, Self)> {
        let flat = super::host::reshape(self.data(), &[self.elem_count()])?;
        let (values, inverse, counts) = with_element_type!(flat.dtype(), T => {
            let (values, inverse, counts) = read_all::<T, _>(&flat, |data| {
                let mut values: Vec<T> = Vec::new();
                let mut inverse = vec![0i64; data.len()];
                let mut counts: Vec<i64> = Vec::new();
                for at in sorted_places(data, data.len(), data.len(), false) {
                    match counts.last_mut() {
                        Some(count) if values.last() == Some(&data[at]) => *count += 1,
                        _ => {
                            values.push(data[at]);
                            counts.push(1);
                        }
                    }
                    inverse[at] = values.len() as i64 - 1;
                }
                Ok((values, inverse, counts))
            })?;
            let n = values.len();
            upload(values, &[n], flat.device()).map(|values| (values, inverse, counts))
        })?;
        let n = counts.len();
        Ok((
            Self::constant_as(values, self.dtype())?,
            Self::constant(upload(inverse, self.dims(), flat.device())?)?,
            Self::constant(upload(counts, &[n], flat.device())?)?,
        ))
    }

    /// For each of `values`, the first place of this ascending sequence (last axis) where it could be inserted in
    /// order; with `right`, the last such place. A sequence of rank 1 serves values of any shape; otherwise all axes
    /// but the last must agree.
    pub fn searchsorted(&self, values: &Self, right: bool) -> Result<Self> {
        const OP: &str = "searchsorted";
        let Some((&n, lead)) = self.dims().split_last() else {
            return Err(Error::RankMismatch { op: OP, detail: "the sequence needs an axis, got a 0-d tensor".into() });
        };
        let per_row = match values.dims().split_last() {
            _ if lead.is_empty() => values.elem_count(),
            Some((&m, others)) if others == lead => m,
            _ => {
                return Err(Error::ShapeMismatch {
                    op: OP,
                    detail: format!("values {:?} for sequences {:?}", values.dims(), self.dims()),
                });
            }
        };
        let dtype = super::promote(self.dtype(), values.dtype());
        if dtype == DType::Bool {
            return Err(Error::WrongDtype { op: OP, expected: "numbers".into(), got: "bool".into() });
        }
        let (sequence, wanted): (CT, CT) =
            (self.data().to_dtype(dtype.storage())?, values.data().to_dtype(dtype.storage())?);
        let places: Vec<i64> = with_element_type!(sequence.dtype(), T => {
            read_all::<T, _>(&sequence, |sequence| read_all::<T, _>(&wanted, |wanted| {
                let before = |x: &T, v: &T| match order(x, v) {
                    Ordering::Less => true,
                    Ordering::Equal => right,
                    Ordering::Greater => false,
                };
                Ok(wanted.iter().enumerate().map(|(i, v)| {
                    let row = i.checked_div(per_row).unwrap_or(0) * n;
                    sequence[row..row + n].partition_point(|x| before(x, v)) as i64
                }).collect())
            }))
        })?;
        Self::constant(upload(places, values.dims(), values.data().device())?)
    }
}

pub(super) const OPS: &[Op] = op_table! {
    sort(x; dim: Option<i64>, descending: Option<bool>) => x.sort(dim.unwrap_or(-1), descending.unwrap_or(false));
    argsort(x; dim: Option<i64>, descending: Option<bool>) => x.argsort(dim.unwrap_or(-1), descending.unwrap_or(false));
    topk(x; k: i64, dim: Option<i64>, largest: Option<bool>) => {
        let k = usize::try_from(k).map_err(|_| Error::InvalidArgument { op: "topk", detail: format!("k = {k}") })?;
        x.topk(k, dim.unwrap_or(-1), largest.unwrap_or(true))
    };
    unique(x) => x.unique();
    searchsorted(sequence, values; right: Option<bool>) => sequence.searchsorted(values, right.unwrap_or(false));
};

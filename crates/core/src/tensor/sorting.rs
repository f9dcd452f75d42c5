//! Order: sorting, the largest few, distinct values, places in a sorted sequence.

use super::elements::to_vec;
use super::host::upload;
use super::picks::Picks;
use super::{CT, Tensor};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use crate::order::{float_key, int_key, smallest};
use candle_core::DType as Storage;

/// The key of every NaN: above all other floats, as torch sorts.
const NAN: u64 = u64::MAX;

/// Keys that order the elements of a tensor, row-major: for floats, zeros of both signs are equal, and so are NaNs.
fn keys(x: &CT) -> Result<Vec<u64>> {
    if matches!(x.dtype(), Storage::U8 | Storage::U32 | Storage::I64) {
        return Ok(to_vec::<i64>(x)?.into_iter().map(int_key).collect());
    }
    let key = |x: f64| if x.is_nan() { NAN } else { float_key(if x == 0.0 { 0.0 } else { x }) };
    Ok(to_vec::<f64>(x)?.into_iter().map(key).collect())
}

/// The order of the first `keep` elements of each row of `n`; equal elements stay in the order they came.
fn sorted_places(keys: &[u64], n: usize, keep: usize, descending: bool) -> Vec<usize> {
    let flip = if descending { u64::MAX } else { 0 };
    keys.chunks_exact(n.max(1)).flat_map(|row| smallest(row.iter().map(|key| key ^ flip), keep)).collect()
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
        let places = sorted_places(&keys(&rows)?, n, keep, descending);
        let mut dims = rows.dims().to_vec();
        dims[rank - 1] = keep;
        let places: Vec<i64> = places.into_iter().map(|at| at as i64).collect();
        let places = upload(places, &dims, self.data().device())?.transpose(axis, rank - 1)?;
        let places = super::host::contiguous(&places)?;
        let along: Vec<usize> = to_vec::<i64>(&places)?.into_iter().map(|at| at as usize).collect();
        let values = self.pick(op, Picks::along(self.dims(), axis, places.dims(), &along))?;
        Ok((values, Self::constant(places)?))
    }

    /// The distinct elements in ascending order, for each element the place of its value among them, and how often
    /// each occurs. Every NaN is distinct from the others.
    pub fn unique(&self) -> Result<(Self, Self, Self)> {
        let flat = super::host::reshape(self.data(), &[self.elem_count()])?;
        let keys = keys(&flat)?;
        let mut firsts: Vec<usize> = Vec::new();
        let mut inverse = vec![0i64; keys.len()];
        let mut counts: Vec<i64> = Vec::new();
        for at in sorted_places(&keys, keys.len(), keys.len(), false) {
            let distinct = self.dtype().is_float() && keys[at] == NAN;
            match (counts.last_mut(), firsts.last()) {
                (Some(count), Some(&first)) if keys[first] == keys[at] && !distinct => *count += 1,
                _ => {
                    firsts.push(at);
                    counts.push(1);
                }
            }
            inverse[at] = firsts.len() as i64 - 1;
        }
        let n = counts.len();
        Ok((
            Self::constant_as(Picks::entries(flat.dims(), 0, &firsts).take(&flat)?, self.dtype())?,
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
        let (sequence, wanted) = (keys(&sequence)?, keys(&wanted)?);
        let place = |(i, value): (usize, &u64)| {
            let row = i.checked_div(per_row).unwrap_or(0) * n;
            sequence[row..row + n].partition_point(|key| key < value || right && key == value) as i64
        };
        let places: Vec<i64> = wanted.iter().enumerate().map(place).collect();
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

//! Parts of a tensor, picked by position along axes.

use super::host::{Window, moved, windowed};
use super::{CT, Tensor, saturated};
use crate::autograd::record_many;
use crate::error::{Error, Result};
use crate::ops::{Arg, Op, op_table};

/// What a Python-style slice picks of an axis: start, length.
pub(super) fn slice_bounds(size: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> (usize, usize) {
    let clamp = |i: i64| (if i < 0 { i.saturating_add(size as i64) } else { i }).clamp(0, size as i64) as usize;
    let (start, stop) = (clamp(start.unwrap_or(0)), clamp(stop.unwrap_or(i64::MAX)));
    (start, stop.saturating_sub(start).div_ceil(saturated(step)))
}

/// `index` counted from the front; negative numbers count from the back.
pub(super) fn resolve_index(op: &'static str, index: i64, size: usize) -> Result<usize> {
    let at = if index < 0 { index.saturating_add(size as i64) } else { index };
    if (0..size as i64).contains(&at) { Ok(at as usize) } else { Err(Error::IndexOutOfRange { op, index, size }) }
}

/// Fails where so many tensors could not be held, however small they are.
fn require_parts(op: &'static str, count: usize) -> Result<()> {
    /// Bytes that a tensor takes beside its elements, roughly.
    const HANDLE: usize = 512;
    crate::memory::require_tensor(op, &[count], HANDLE)
}

impl Tensor {
    /// An axis that a tensor must have: 0-d tensors have none to pick from.
    pub(super) fn axis(&self, op: &'static str, dim: i64) -> Result<usize> {
        if self.rank() == 0 {
            return Err(Error::RankMismatch { op, detail: "needs at least one axis, got a 0-d tensor".into() });
        }
        self.dim_index(op, dim)
    }

    /// `length` elements of axis `dim` from `start` on (negative: from the back); a view.
    pub fn narrow(&self, dim: i64, start: i64, length: usize) -> Result<Self> {
        const OP: &str = "narrow";
        let axis = self.axis(OP, dim)?;
        let size = self.dims()[axis];
        let from = if start < 0 { start.saturating_add(size as i64) } else { start };
        match usize::try_from(from) {
            Err(_) => Err(Error::IndexOutOfRange { op: OP, index: start, size }),
            Ok(from) if from.checked_add(length).is_none_or(|end| end > size) => {
                Err(Error::IndexOutOfRange { op: OP, index: start.saturating_add(length as i64), size })
            }
            Ok(from) => self.part(OP, axis, from, length),
        }
    }

    /// [`Tensor::narrow`] with bounds that are known to fit.
    pub(super) fn part(&self, op: &'static str, axis: usize, start: usize, len: usize) -> Result<Self> {
        if len == self.dims()[axis] {
            return Ok(self.clone());
        }
        let dims = self.dims().to_vec();
        moved(op, self.data().narrow(axis, start, len)?, self, move |g| {
            super::host::add_through(&Window::row_major(&dims).stepped(axis, start, len, 1), g, &dims)
        })
    }

    /// The part of axis `dim` that a Python slice `start:stop:step` picks; `step` is at least 1.
    pub fn slice(&self, dim: i64, start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Result<Self> {
        const OP: &str = "slice";
        let axis = self.axis(OP, dim)?;
        let step = step.unwrap_or(1);
        if step < 1 {
            return Err(Error::InvalidArgument { op: OP, detail: format!("step must be 1 or more, got {step}") });
        }
        let (start, len) = slice_bounds(self.dims()[axis], start, stop, step);
        if step == 1 {
            return self.part(OP, axis, start, len);
        }
        windowed(OP, self, move |w| w.stepped(axis, start, len, step as isize))
    }

    /// Entry `index` of axis `dim`, without that axis; a view.
    pub fn select(&self, dim: i64, index: i64) -> Result<Self> {
        const OP: &str = "select";
        let axis = self.axis(OP, dim)?;
        let at = resolve_index(OP, index, self.dims()[axis])?;
        self.select_at(OP, axis, at)
    }

    /// [`Tensor::select`] with numbers that are known to fit.
    pub(super) fn select_at(&self, op: &'static str, axis: usize, at: usize) -> Result<Self> {
        let dims = self.dims().to_vec();
        moved(op, self.data().narrow(axis, at, 1)?.squeeze(axis)?, self, move |g| {
            super::host::add_through(&Window::row_major(&dims).stepped(axis, at, 1, 1), g, &dims)
        })
    }

    /// Consecutive pieces of axis `dim` of these sizes, which must add up to the axis.
    pub fn split_sections(&self, sections: &[usize], dim: i64) -> Result<Vec<Self>> {
        const OP: &str = "split";
        let axis = self.axis(OP, dim)?;
        let size = self.dims()[axis];
        if sections.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)) != Some(size) {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("sections {sections:?} do not add up to {size}, the size of dim {dim}"),
            });
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(sections.len());
        for &len in sections {
            parts.push(self.data().narrow(axis, start, len)?);
            start += len;
        }
        if !self.dtype().is_float() {
            return parts.into_iter().map(|p| Self::constant_as(p, self.dtype())).collect();
        }
        let shapes: Vec<Vec<usize>> = parts.iter().map(|p| p.dims().to_vec()).collect();
        let (dtype, device) = (self.data().dtype(), self.data().device().clone());
        record_many(OP, parts, &[self], move |grads, _| {
            let grads = grads
                .iter()
                .zip(&shapes)
                .map(|(g, shape)| g.clone().map_or_else(|| CT::zeros(shape.as_slice(), dtype, &device), Ok))
                .collect::<candle_core::Result<Vec<_>>>()?;
            Ok(vec![Some(super::joins::cat(&grads, axis)?)])
        })
    }

    /// Consecutive pieces of axis `dim` of `size` each; the last may be smaller.
    pub fn split(&self, size: usize, dim: i64) -> Result<Vec<Self>> {
        const OP: &str = "split";
        let total = self.dims()[self.axis(OP, dim)?];
        if size == 0 && total > 0 {
            return Err(Error::InvalidArgument { op: OP, detail: format!("pieces of size 0 cannot cover {total}") });
        }
        if total == 0 {
            return self.split_sections(&[0], dim);
        }
        require_parts(OP, total.div_ceil(size))?;
        let sections: Vec<usize> = (0..total).step_by(size).map(|at| size.min(total - at)).collect();
        self.split_sections(&sections, dim)
    }

    /// At most `chunks` pieces of axis `dim`, each of `ceil(size / chunks)`; the last may be smaller.
    pub fn chunk(&self, chunks: usize, dim: i64) -> Result<Vec<Self>> {
        const OP: &str = "chunk";
        let total = self.dims()[self.axis(OP, dim)?];
        match chunks {
            0 => Err(Error::InvalidArgument { op: OP, detail: "the number of chunks must be 1 or more".into() }),
            _ if total == 0 => require_parts(OP, chunks).and_then(|()| self.split_sections(&vec![0; chunks], dim)),
            _ => self.split(total.div_ceil(chunks), dim),
        }
    }

    /// The named axes in reverse order.
    pub fn flip(&self, dims: &[i64]) -> Result<Self> {
        let axes = super::shape::distinct_dims("flip", dims, self.rank())?;
        if self.rank() == 0 {
            return Ok(self.clone());
        }
        windowed("flip", self, move |w| {
            axes.iter().fold(w, |w, &axis| {
                let n = w.dims[axis];
                w.stepped(axis, n.saturating_sub(1), n, -1)
            })
        })
    }

    /// The elements of each named axis moved on by its shift, those that fall off the end coming back at the start;
    /// without `dims`, of the flattened tensor.
    pub fn roll(&self, shifts: &[i64], dims: &[i64]) -> Result<Self> {
        const OP: &str = "roll";
        if dims.is_empty() && shifts.len() == 1 {
            let shape: Vec<i64> = self.dims().iter().map(|&n| n as i64).collect();
            return self.flatten(0, -1)?.roll(shifts, &[0])?.reshape(&shape);
        }
        if shifts.len() != dims.len() || shifts.is_empty() {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("needs one shift a dim, got shifts {shifts:?} and dims {dims:?}"),
            });
        }
        shifts.iter().zip(dims).try_fold(self.clone(), |x, (&shift, &dim)| {
            let axis = x.axis(OP, dim)?;
            let size = x.dims()[axis];
            let shift = if size == 0 { 0 } else { shift.rem_euclid(size as i64) as usize };
            if shift == 0 {
                return Ok(x);
            }
            let (head, tail) = (x.part(OP, axis, 0, size - shift)?, x.part(OP, axis, size - shift, shift)?);
            Self::cat(&[tail, head], axis as i64)
        })
    }

    /// The diagonal of the axes `dim1` and `dim2`, `offset` to the right of the main one, as a new last axis.
    pub fn diagonal(&self, offset: i64, dim1: i64, dim2: i64) -> Result<Self> {
        const OP: &str = "diagonal";
        let (a, b) = (self.axis(OP, dim1)?, self.axis(OP, dim2)?);
        if a == b {
            return Err(Error::InvalidArgument { op: OP, detail: format!("dims {dim1} and {dim2} are the same") });
        }
        let (rows, columns) = (self.dims()[a], self.dims()[b]);
        let skip = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
        let (row, column) = if offset < 0 { (skip, 0) } else { (0, skip) };
        let len = rows.saturating_sub(row).min(columns.saturating_sub(column));
        windowed(OP, self, move |mut w| {
            if len > 0 {
                w.offset = w.offset.wrapping_add_signed(w.strides[a] * row as isize + w.strides[b] * column as isize);
            }
            let stride = w.strides[a] + w.strides[b];
            for axis in [a.max(b), a.min(b)] {
                w.dims.remove(axis);
                w.strides.remove(axis);
            }
            w.dims.push(len);
            w.strides.push(stride);
            w
        })
    }

    /// All stretches of `size` along `dim`, `step` apart, as a new last axis: `[.., n, ..] -> [.., count, .., size]`.
    pub fn unfold(&self, dim: i64, size: usize, step: usize) -> Result<Self> {
        const OP: &str = "unfold";
        let axis = self.axis(OP, dim)?;
        let n = self.dims()[axis];
        if step == 0 || size > n {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("size {size} must fit the axis of {n}, and step {step} must be 1 or more"),
            });
        }
        windowed(OP, self, move |mut w| {
            let stride = w.strides[axis];
            w.dims[axis] = (n - size) / step + 1;
            w.strides[axis] = stride * step as isize;
            w.dims.push(size);
            w.strides.push(stride);
            w
        })
    }
}

fn split_op(x: &Tensor, sizes: &Arg, dim: i64) -> Result<Vec<Tensor>> {
    use crate::ops::FromArg;
    let misfit =
        || Error::InvalidArgument { op: "split", detail: "takes a size, or a list of sizes, 0 or more".into() };
    match sizes {
        Arg::List(_) => x.split_sections(&Vec::<usize>::from_arg(sizes).ok_or_else(misfit)?, dim),
        one => x.split(usize::from_arg(one).ok_or_else(misfit)?, dim),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] narrow(x; dim: i64, start: i64, length: usize) => x.narrow(dim, start, length);
    #[own] slice(x; dim: Option<i64>, start: Option<i64>, stop: Option<i64>, step: Option<i64>)
        => x.slice(dim.unwrap_or(0), start, stop, step);
    #[own] select(x; dim: i64, index: i64) => x.select(dim, index);
    #[own] split(x; split_size_or_sections: Arg, dim: Option<i64>) => split_op(x, &split_size_or_sections, dim.unwrap_or(0));
    #[own] chunk(x; chunks: usize, dim: Option<i64>) => x.chunk(chunks, dim.unwrap_or(0));
    #[own] flip(x; dims: Vec<i64>) => x.flip(&dims);
    #[own] roll(x; shifts: Vec<i64>, dims: Option<Vec<i64>>) => x.roll(&shifts, dims.as_deref().unwrap_or(&[]));
    #[own] diagonal(x; offset: Option<i64>, dim1: Option<i64>, dim2: Option<i64>)
        => x.diagonal(offset.unwrap_or(0), dim1.unwrap_or(0), dim2.unwrap_or(1));
    #[own] unfold(x; dim: i64, size: usize, step: usize) => x.unfold(dim, size, step);
};

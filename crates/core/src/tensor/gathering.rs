//! Elements gathered from, and scattered to, places given by index tensors.

use super::picks::{Picks, indices, places};
use super::{CT, Tensor, broadcast_dims, cells};
use crate::autograd::record;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};
use std::sync::Arc;

/// Fails unless `index` has the rank of `x` and is, outside `axis`, at most as large.
fn require_inside(op: &'static str, x: &[usize], index: &[usize], axis: usize) -> Result<()> {
    if x.len() != index.len() {
        return Err(Error::RankMismatch { op, detail: format!("index {index:?} for a tensor of shape {x:?}") });
    }
    if (0..x.len()).any(|d| d != axis && index[d] > x[d]) {
        return Err(Error::ShapeMismatch {
            op,
            detail: format!("index {index:?} is larger than {x:?} outside dim {axis}"),
        });
    }
    Ok(())
}

/// What a scatter writes.
enum Source<'a> {
    Tensor(&'a Tensor),
    Number(Scalar),
}

impl Tensor {
    /// The entries of axis `dim` that a 0-d or 1-d `index` names, in that order.
    pub fn index_select(&self, dim: i64, index: &Self) -> Result<Self> {
        const OP: &str = "index_select";
        let axis = self.axis(OP, dim)?;
        if index.rank() > 1 {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("index must be a vector, got {:?}", index.dims()),
            });
        }
        self.select_entries(OP, axis, places(OP, index, self.dims()[axis])?)
    }

    /// Rows of this table for each id: `[n, d]` and ids of any shape give `[.., d]`.
    pub fn embedding(&self, ids: &Self) -> Result<Self> {
        const OP: &str = "embedding";
        let &[n, d] = self.dims() else {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("the table must be [n, d], got {:?}", self.dims()),
            });
        };
        let rows = self.select_entries(OP, 0, places(OP, ids, n)?)?;
        let dims: Vec<i64> = ids.dims().iter().chain(&[d]).map(|&n| n as i64).collect();
        rows.reshape(&dims)
    }

    /// For each element of `index`, the element of this tensor at that place of axis `dim` and otherwise the same
    /// coordinates. `index` has the same rank and is, outside `dim`, at most as large.
    pub fn gather(&self, dim: i64, index: &Self) -> Result<Self> {
        self.gather_as("gather", dim, index)
    }

    fn gather_as(&self, op: &'static str, dim: i64, index: &Self) -> Result<Self> {
        if self.rank() == 0 && index.rank() == 0 {
            return self.unsqueeze(0)?.gather_as(op, dim, &index.unsqueeze(0)?)?.reshape(&[]);
        }
        let axis = self.axis(op, dim)?;
        require_inside(op, self.dims(), index.dims(), axis)?;
        let places = places(op, index, self.dims()[axis])?;
        self.pick(op, Picks::along(self.dims(), axis, index.dims(), &places))
    }

    /// [`Tensor::gather`] with both tensors broadcast against each other outside `dim`; negative indices count from
    /// the back.
    pub fn take_along_dim(&self, index: &Self, dim: i64) -> Result<Self> {
        const OP: &str = "take_along_dim";
        let axis = self.axis(OP, dim)?;
        if index.rank() != self.rank() {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("index {:?} for a tensor of shape {:?}", index.dims(), self.dims()),
            });
        }
        let with = |dims: &[usize], n: usize| {
            let mut dims = dims.to_vec();
            dims[axis] = n;
            dims
        };
        let shared = broadcast_dims(OP, &with(self.dims(), 1), &with(index.dims(), 1))?;
        let x = self.expand_to(OP, &with(&shared, self.dims()[axis]))?;
        let index = index.expand_to(OP, &with(&shared, index.dims()[axis]))?;
        let size = x.dims()[axis];
        let places = indices(OP, &index)?
            .into_iter()
            .map(|i| super::slices::resolve_index(OP, i, size))
            .collect::<Result<Vec<_>>>()?;
        x.pick(OP, Picks::along(x.dims(), axis, index.dims(), &places))
    }

    /// A copy in which, for each element of `index`, the element at that place of axis `dim` is that of `source` with
    /// the same coordinates. Where a place is named twice, the last wins.
    pub fn scatter(&self, dim: i64, index: &Self, source: &Self) -> Result<Self> {
        self.write_along("scatter", dim, index, Source::Tensor(source), false)
    }

    /// [`Tensor::scatter`] of a number.
    pub fn scatter_value(&self, dim: i64, index: &Self, value: Scalar) -> Result<Self> {
        self.write_along("scatter", dim, index, Source::Number(value), false)
    }

    /// Like [`Tensor::scatter`], but adds; places named twice receive both. The order of additions is fixed.
    pub fn scatter_add(&self, dim: i64, index: &Self, source: &Self) -> Result<Self> {
        self.write_along("scatter_add", dim, index, Source::Tensor(source), true)
    }

    fn write_along(&self, op: &'static str, dim: i64, index: &Self, source: Source<'_>, add: bool) -> Result<Self> {
        if self.rank() == 0 && index.rank() == 0 {
            let lifted = match source {
                Source::Tensor(t) => Some(t.unsqueeze(0)?),
                Source::Number(_) => None,
            };
            let source = lifted.as_ref().map_or(source, Source::Tensor);
            return self.unsqueeze(0)?.write_along(op, dim, &index.unsqueeze(0)?, source, add)?.reshape(&[]);
        }
        let axis = self.axis(op, dim)?;
        require_inside(op, self.dims(), index.dims(), axis)?;
        let source = match source {
            Source::Number(value) => Self::filled(index.dims(), self, value)?,
            Source::Tensor(source) => {
                if source.dtype() != self.dtype() {
                    return Err(Error::WrongDtype {
                        op,
                        expected: self.dtype().name().into(),
                        got: source.dtype().name().into(),
                    });
                }
                if source.rank() != index.rank() {
                    return Err(Error::RankMismatch {
                        op,
                        detail: format!("source {:?} for index {:?}", source.dims(), index.dims()),
                    });
                }
                (0..index.rank()).try_fold(source.clone(), |source, d| {
                    if source.dims()[d] < index.dims()[d] {
                        return Err(Error::ShapeMismatch {
                            op,
                            detail: format!("source {:?} is smaller than index {:?}", source.dims(), index.dims()),
                        });
                    }
                    source.part(op, d, 0, index.dims()[d])
                })?
            }
        };
        let places = places(op, index, self.dims()[axis])?;
        self.write(op, Picks::along(self.dims(), axis, index.dims(), &places), &source, add)
    }

    /// A copy with `values` written (or added) where `picks` would read.
    pub(super) fn write(&self, op: &'static str, picks: Picks, values: &Self, add: bool) -> Result<Self> {
        let out = if add {
            picks.add(Some(self.data()), values.data())?
        } else {
            picks.set(Some(self.data()), values.data())?
        };
        if !self.dtype().is_float() {
            return Self::constant_as(out, self.dtype());
        }
        let picks = Arc::new(picks);
        record(op, out, &[self, values], move |g, needs| {
            if add {
                return Ok(vec![Some(g.clone()), needs[1].then(|| picks.take(g)).transpose()?]);
            }
            let blocks = [picks.starts.len(), picks.block];
            let base = needs[0].then(|| -> Result<CT> {
                picks.set(Some(g), &CT::zeros(picks.dims.as_slice(), g.dtype(), g.device())?)
            });
            let written = needs[1].then(|| -> Result<CT> {
                let taken = picks.take(g)?;
                let lost = picks.overwritten();
                if !lost.contains(&true) {
                    return Ok(taken);
                }
                // What was overwritten has no influence, so no gradient either.
                let kept: Vec<u8> = lost.into_iter().map(|lost| u8::from(!lost)).collect();
                let kept = CT::from_vec(kept, (blocks[0], 1), g.device())?.broadcast_as(blocks.as_slice())?;
                let taken = taken.reshape(blocks.as_slice())?;
                Ok(super::select::chosen(&kept, &taken, &taken.zeros_like()?)?.reshape(picks.dims.as_slice())?)
            });
            Ok(vec![base.transpose()?, written.transpose()?])
        })
    }

    /// A constant tensor of that shape, full of `value`, with the dtype and device of `like`.
    pub(super) fn filled(dims: &[usize], like: &Self, value: Scalar) -> Result<Self> {
        let value = match like.dtype() {
            DType::Bool => Scalar::Bool(value.as_f64() != 0.0),
            _ => value,
        };
        crate::memory::require_tensor("full", dims, like.data().dtype().size_in_bytes())?;
        let data = cells::filled(like.data().dtype(), dims.iter().product(), value)?;
        let data = cells::tensor(data, dims, like.data().device())?;
        Self::constant_as(data, like.dtype())
    }
}

fn scatter_op(inputs: &[Tensor], dim: i64, value: Option<Scalar>) -> Result<Tensor> {
    match (inputs, value) {
        ([x, index, source], None) => x.scatter(dim, index, source),
        ([x, index], Some(value)) => x.scatter_value(dim, index, value),
        _ => Err(Error::InvalidArgument {
            op: "scatter",
            detail: "takes a tensor, an index and either a source tensor or 'value'".into(),
        }),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    index_select(x, index; dim: i64) => x.index_select(dim, index);
    embedding(table, ids) => table.embedding(ids);
    gather(x, index; dim: i64) => x.gather(dim, index);
    take_along_dim(x, index; dim: i64) => x.take_along_dim(index, dim);
    scatter[inputs](; dim: i64, value: Option<Scalar>) => scatter_op(inputs, dim, value);
    scatter_add(x, index, source; dim: i64) => x.scatter_add(dim, index, source);
};

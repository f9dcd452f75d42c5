//! Tensors joined, repeated and padded.

use super::host::{Window, moved};
use super::{CT, Tensor, cells, promote, saturated};
use crate::autograd::record;
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};

/// Joins tensors of one dtype, whose shapes are known to fit, along `axis`.
pub(super) fn cat(parts: &[CT], axis: usize) -> Result<CT> {
    let Some(first) = parts.first() else {
        return Err(Error::InvalidArgument { op: "cat", detail: "needs at least one tensor".into() });
    };
    if !crate::device::on_host(first) {
        return Ok(CT::cat(parts, axis)?);
    }
    let mut dims = first.dims().to_vec();
    dims[axis] = parts.iter().fold(0usize, |sum, p| sum.saturating_add(p.dims()[axis]));
    crate::memory::require_tensor("cat", &dims, first.dtype().size_in_bytes())?;
    let out = cells::side_by_side(parts, dims[..axis].iter().product())?;
    cells::tensor(out, &dims, first.device())
}

/// How many elements [`Tensor::pad`] adds (or with negative numbers cuts) before and after each axis.
fn pad_amounts(pad: &[i64], rank: usize) -> Result<Vec<(i64, i64)>> {
    let (pairs, odd) = pad.as_chunks::<2>();
    if !odd.is_empty() || pairs.len() > rank {
        return Err(Error::InvalidArgument {
            op: "pad",
            detail: format!("needs a before and an after amount for at most {rank} axes, last axis first, got {pad:?}"),
        });
    }
    let mut amounts = vec![(0, 0); rank];
    for (amount, pair) in amounts.iter_mut().rev().zip(pairs) {
        *amount = (pair[0], pair[1]);
    }
    Ok(amounts)
}

impl Tensor {
    /// The tensors one after another along `dim`; all other sizes must agree. Dtypes are promoted.
    pub fn cat(tensors: &[Self], dim: i64) -> Result<Self> {
        const OP: &str = "cat";
        // Like torch, let a vector of no elements stand for "nothing yet", whatever the others' rank.
        let nothing = |t: &&Self| t.dims() == [0];
        let model = tensors.iter().find(|t| !nothing(t)).or(tensors.first());
        let Some(model) = model else {
            return Err(Error::InvalidArgument { op: OP, detail: "needs at least one tensor".into() });
        };
        let axis = model.axis(OP, dim)?;
        let dtype = tensors.iter().fold(model.dtype(), |dtype, t| promote(dtype, t.dtype()));
        let mut parts = Vec::with_capacity(tensors.len());
        for t in tensors.iter().filter(|t| !nothing(t) || model.rank() == 1) {
            if t.rank() != model.rank() {
                return Err(Error::RankMismatch {
                    op: OP,
                    detail: format!("shapes {:?} and {:?} have different ranks", model.dims(), t.dims()),
                });
            }
            if (0..t.rank()).any(|d| d != axis && t.dims()[d] != model.dims()[d]) {
                return Err(Error::ShapeMismatch {
                    op: OP,
                    detail: format!("shapes {:?} and {:?} differ outside dim {dim}", model.dims(), t.dims()),
                });
            }
            parts.push(t.cast(OP, dtype)?);
        }
        if let [only] = parts.as_slice() {
            return Ok(only.clone());
        }
        let data: Vec<CT> = parts.iter().map(|p| p.data().clone()).collect();
        let out = cat(&data, axis)?;
        if !dtype.is_float() {
            return Self::constant_as(out, dtype);
        }
        let sizes: Vec<usize> = parts.iter().map(|p| p.dims()[axis]).collect();
        record(OP, out, &parts.iter().collect::<Vec<_>>(), move |g, needs| {
            let mut start = 0;
            sizes
                .iter()
                .zip(needs)
                .map(|(&len, &needed)| {
                    let part = needed.then(|| g.narrow(axis, start, len)).transpose()?;
                    start += len;
                    Ok(part)
                })
                .collect()
        })
    }

    /// Tensors of one shape as the entries of a new axis `dim`.
    pub fn stack(tensors: &[Self], dim: i64) -> Result<Self> {
        const OP: &str = "stack";
        let Some(first) = tensors.first() else {
            return Err(Error::InvalidArgument { op: OP, detail: "needs at least one tensor".into() });
        };
        if let Some(other) = tensors.iter().find(|t| t.dims() != first.dims()) {
            return Err(Error::ShapeMismatch {
                op: OP,
                detail: format!("all shapes must be equal, got {:?} and {:?}", first.dims(), other.dims()),
            });
        }
        let axis = super::resolve_dim(OP, dim, first.rank() + 1)? as i64;
        let lifted = tensors.iter().map(|t| t.unsqueeze(axis)).collect::<Result<Vec<_>>>()?;
        Self::cat(&lifted, axis)
    }

    /// The tensor laid beside itself `repeats[d]` times along each axis; extra repeats make new leading axes.
    pub fn repeat(&self, repeats: &[i64]) -> Result<Self> {
        const OP: &str = "repeat";
        if let Some(n) = repeats.iter().find(|&&n| n < 0) {
            return Err(Error::InvalidArgument { op: OP, detail: format!("cannot repeat {n} times") });
        }
        let Some(lead) = repeats.len().checked_sub(self.rank()) else {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("needs a number for each of the {} dims, got {repeats:?}", self.rank()),
            });
        };
        let own: Vec<i64> = std::iter::repeat_n(1, lead).chain(self.dims().iter().map(|&n| n as i64)).collect();
        let apart: Vec<i64> = own.iter().flat_map(|&n| [1, n]).collect();
        let grown: Vec<i64> = own.iter().zip(repeats).flat_map(|(&n, &r)| [r, n]).collect();
        let joined: Vec<i64> = own.iter().zip(repeats).map(|(n, r)| n.saturating_mul(*r)).collect();
        self.reshape(&apart)?.expand(&grown)?.reshape(&joined)
    }

    /// Each entry of axis `dim` `counts[i]` times in a row (a single count holds for all); without `dim`, of the
    /// flattened tensor.
    pub fn repeat_interleave(&self, counts: &[i64], dim: Option<i64>) -> Result<Self> {
        const OP: &str = "repeat_interleave";
        let Some(dim) = dim else {
            return self.flatten(0, -1)?.repeat_interleave(counts, Some(0));
        };
        let axis = self.axis(OP, dim)?;
        let size = self.dims()[axis];
        if let Some(n) = counts.iter().find(|&&n| n < 0) {
            return Err(Error::InvalidArgument { op: OP, detail: format!("cannot repeat {n} times") });
        }
        if counts.len() != 1 && counts.len() != size {
            return Err(Error::ShapeMismatch {
                op: OP,
                detail: format!("{} counts for an axis of {size}", counts.len()),
            });
        }
        let count = |i: usize| counts.get(i).or(counts.first()).map_or(0, |&n| saturated(n));
        crate::memory::require_tensor(
            OP,
            &[(0..size).fold(0usize, |sum, i| sum.saturating_add(count(i)))],
            size_of::<usize>(),
        )?;
        let indices: Vec<usize> = (0..size).flat_map(|i| std::iter::repeat_n(i, count(i))).collect();
        self.select_entries(OP, axis, indices)
    }

    /// `value` added before and after axes: pairs of amounts from the last axis on; negative amounts cut.
    pub fn pad(&self, pad: &[i64], value: Scalar) -> Result<Self> {
        const OP: &str = "pad";
        let amounts = pad_amounts(pad, self.rank())?;
        let mut x = self.clone();
        for (axis, &(before, after)) in amounts.iter().enumerate() {
            let size = x.dims()[axis] as i64;
            let (cut_before, cut_after) = (before.min(0).saturating_neg(), after.min(0).saturating_neg());
            if cut_before.saturating_add(cut_after) > size {
                return Err(Error::InvalidArgument {
                    op: OP,
                    detail: format!("cutting {pad:?} from {:?}", self.dims()),
                });
            }
            x = x.part(OP, axis, cut_before as usize, (size - cut_before - cut_after) as usize)?;
        }
        let (from, inner) = (amounts, x.dims().to_vec());
        let dims: Vec<usize> = inner
            .iter()
            .zip(&from)
            .map(|(n, (b, a))| [b, a].iter().fold(*n, |n, &&by| n.saturating_add(saturated(by))))
            .collect();
        if dims == inner {
            return Ok(x);
        }
        let starts: Vec<usize> = from.iter().map(|(b, _)| saturated(*b)).collect();
        let window = starts
            .iter()
            .zip(&inner)
            .enumerate()
            .fold(Window::row_major(&dims), |w, (axis, (&start, &len))| w.stepped(axis, start, len, 1));
        crate::memory::require_tensor(OP, &dims, x.data().dtype().size_in_bytes())?;
        let mut out = cells::filled(x.data().dtype(), dims.iter().product(), value)?;
        window.set(&mut out, x.data())?;
        let out = cells::tensor(out, &dims, x.data().device())?;
        moved(OP, out, &x, move |g| {
            starts
                .iter()
                .zip(&inner)
                .enumerate()
                .try_fold(g.clone(), |g, (axis, (&start, &len))| Ok(g.narrow(axis, start, len)?))
        })
    }
}

fn repeat_interleave_op(inputs: &[Tensor], repeats: Option<Vec<i64>>, dim: Option<i64>) -> Result<Tensor> {
    match (inputs, repeats) {
        ([x], Some(counts)) => x.repeat_interleave(&counts, dim),
        ([x, counts], None) => x.repeat_interleave(&super::picks::indices("repeat_interleave", counts)?, dim),
        _ => Err(Error::InvalidArgument {
            op: "repeat_interleave",
            detail: "takes a tensor and either 'repeats' or a tensor of counts".into(),
        }),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    cat[inputs](; dim: Option<i64>) => Tensor::cat(inputs, dim.unwrap_or(0));
    stack[inputs](; dim: Option<i64>) => Tensor::stack(inputs, dim.unwrap_or(0));
    #[own] repeat(x; repeats: Vec<i64>) => x.repeat(&repeats);
    repeat_interleave[inputs](; repeats: Option<Vec<i64>>, dim: Option<i64>) => repeat_interleave_op(inputs, repeats, dim);
    pad(x; pad: Vec<i64>, value: Option<Scalar>) => x.pad(&pad, value.unwrap_or(Scalar::Int(0)));
};

//! Operations that change how elements are arranged, not what they are.

use super::host::{contiguous, moved, reshape};
use super::{CT, Tensor, resolve_dim, saturated, unbroadcast};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};

/// A shape as users write it: at most one -1, whose size follows from the number of elements.
fn infer_shape(op: &'static str, shape: &[i64], count: usize) -> Result<Vec<usize>> {
    if shape.iter().filter(|&&n| n == -1).count() > 1 {
        return Err(Error::InvalidArgument { op, detail: format!("only one size of {shape:?} may be -1") });
    }
    if let Some(n) = shape.iter().find(|&&n| n < -1) {
        return Err(Error::InvalidArgument { op, detail: format!("size {n} in {shape:?} is negative") });
    }
    let mismatch = || Error::ElementCount { op, detail: format!("{count} elements do not fit shape {shape:?}") };
    let known = shape
        .iter()
        .filter(|&&n| n >= 0)
        .try_fold(1usize, |product, &n| product.checked_mul(saturated(n)))
        .ok_or_else(mismatch)?;
    let inferred = match count.checked_div(known) {
        _ if !shape.contains(&-1) => 0,
        Some(n) => n,
        None if count > 0 => return Err(mismatch()),
        None => {
            return Err(Error::InvalidArgument {
                op,
                detail: format!("-1 in {shape:?} could be any size: 0 elements"),
            });
        }
    };
    let dims: Vec<usize> = shape.iter().map(|&n| if n == -1 { inferred } else { saturated(n) }).collect();
    if dims.iter().product::<usize>() == count { Ok(dims) } else { Err(mismatch()) }
}

/// Whether the elements of this layout, in order, can be addressed with shape `to` and some strides.
fn is_viewable(dims: &[usize], strides: &[usize], to: &[usize]) -> bool {
    if dims.iter().product::<usize>() == 0 {
        return true;
    }
    let mut to = to.iter().copied().filter(|&n| n != 1).rev().peekable();
    let mut axes = dims.iter().zip(strides).filter(|&(&n, _)| n != 1).rev().peekable();
    while let Some((&n, &stride)) = axes.next() {
        let (mut chunk, mut next) = (n, stride * n);
        while let Some((&n, _)) = axes.next_if(|&(_, &s)| s == next) {
            chunk *= n;
            next *= n;
        }
        let mut covered = 1;
        while covered < chunk {
            match to.next() {
                Some(n) => covered *= n,
                None => return false,
            }
        }
        if covered != chunk {
            return false;
        }
    }
    to.peek().is_none()
}

/// All of `dims` as axis numbers, each at most once.
pub(super) fn distinct_dims(op: &'static str, dims: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut seen = vec![false; rank.max(1)];
    dims.iter()
        .map(|&d| {
            let at = resolve_dim(op, d, rank)?;
            if std::mem::replace(&mut seen[at], true) {
                return Err(Error::InvalidArgument { op, detail: format!("dim {d} is named twice in {dims:?}") });
            }
            Ok(at)
        })
        .collect()
}

impl Tensor {
    /// The elements in row-major order under another shape; one size may be -1.
    pub fn reshape(&self, shape: &[i64]) -> Result<Self> {
        let dims = infer_shape("reshape", shape, self.elem_count())?;
        self.reshape_to("reshape", &dims)
    }

    fn reshape_to(&self, op: &'static str, dims: &[usize]) -> Result<Self> {
        if dims == self.dims() {
            return Ok(self.clone());
        }
        let own = self.dims().to_vec();
        moved(op, reshape(self.data(), dims)?, self, move |g| reshape(g, &own))
    }

    /// Like [`Tensor::reshape`], but fails with `needs_copy` where the layout would force a copy.
    pub fn view(&self, shape: &[i64]) -> Result<Self> {
        let dims = infer_shape("view", shape, self.elem_count())?;
        if !is_viewable(self.dims(), self.data().stride(), &dims) {
            return Err(Error::NeedsCopy {
                op: "view",
                detail: format!(
                    "a tensor of shape {:?} and strides {:?} cannot be seen as {dims:?} without copying; use reshape",
                    self.dims(),
                    self.data().stride()
                ),
            });
        }
        self.reshape_to("view", &dims)
    }

    /// The axes from `start` to `end`, both included, as one.
    pub fn flatten(&self, start: i64, end: i64) -> Result<Self> {
        let (first, last) = (self.dim_index("flatten", start)?, self.dim_index("flatten", end)?);
        if first > last {
            return Err(Error::InvalidArgument {
                op: "flatten",
                detail: format!("start dim {start} comes after end dim {end}"),
            });
        }
        if self.rank() == 0 {
            return self.reshape_to("flatten", &[1]);
        }
        let mut dims = self.dims().to_vec();
        let joined = dims[first..=last].iter().product();
        dims.splice(first..=last, [joined]);
        self.reshape_to("flatten", &dims)
    }

    /// Two axes exchanged.
    pub fn transpose(&self, dim0: i64, dim1: i64) -> Result<Self> {
        let (a, b) = (self.dim_index("transpose", dim0)?, self.dim_index("transpose", dim1)?);
        if a == b {
            return Ok(self.clone());
        }
        moved("transpose", self.data().transpose(a, b)?, self, move |g| Ok(g.transpose(a, b)?))
    }

    /// The axes in another order: axis `i` of the result is axis `dims[i]` of this tensor.
    pub fn permute(&self, dims: &[i64]) -> Result<Self> {
        const OP: &str = "permute";
        if dims.len() != self.rank() {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("{dims:?} must name each of the {} dims once", self.rank()),
            });
        }
        let order = distinct_dims(OP, dims, self.rank())?;
        if order.iter().enumerate().all(|(i, &d)| i == d) {
            return Ok(self.clone());
        }
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, &d)| back[d] = i);
        moved(OP, self.data().permute(order)?, self, move |g| Ok(g.permute(back.as_slice())?))
    }

    /// Without the axes of size 1 (all, or those of `dims` whose size is 1).
    pub fn squeeze(&self, dims: Option<&[i64]>) -> Result<Self> {
        const OP: &str = "squeeze";
        let chosen: Vec<usize> = match dims {
            None => (0..self.rank()).collect(),
            Some(dims) => distinct_dims(OP, dims, self.rank())?,
        };
        let gone: Vec<usize> = chosen.into_iter().filter(|&d| self.dims().get(d) == Some(&1)).collect();
        self.edit_axes(OP, &gone, &[])
    }

    /// With a new axis of size 1 before `dim`.
    pub fn unsqueeze(&self, dim: i64) -> Result<Self> {
        let at = resolve_dim("unsqueeze", dim, self.rank() + 1)?;
        self.edit_axes("unsqueeze", &[], &[at])
    }

    /// Drops the size-1 axes `gone`, then inserts one before axis `new`: a view in both directions.
    fn edit_axes(&self, op: &'static str, gone: &[usize], new: &[usize]) -> Result<Self> {
        let drop = |t: &CT, axes: &[usize]| -> Result<CT> {
            let mut axes = axes.to_vec();
            crate::order::sort_by_key(&mut axes, |&axis| axis as u64);
            Ok(axes.iter().rev().try_fold(t.clone(), |t, &d| t.squeeze(d))?)
        };
        let insert = |t: &CT, axes: &[usize]| -> Result<CT> {
            let mut axes = axes.to_vec();
            crate::order::sort_by_key(&mut axes, |&axis| axis as u64);
            Ok(axes.iter().try_fold(t.clone(), |t, &d| t.unsqueeze(d))?)
        };
        if gone.is_empty() && new.is_empty() {
            return Ok(self.clone());
        }
        let out = insert(&drop(self.data(), gone)?, new)?;
        let (gone, new) = (gone.to_vec(), new.to_vec());
        moved(op, out, self, move |g| insert(&drop(g, &new)?, &gone))
    }

    /// Axes of size 1 repeated without copying to the sizes of `size` (-1: as it is); new axes may come first.
    pub fn expand(&self, size: &[i64]) -> Result<Self> {
        const OP: &str = "expand";
        let own = self.dims();
        let misfit = || Error::ShapeMismatch {
            op: OP,
            detail: format!("{own:?} cannot be expanded to {size:?}: only axes of size 1 grow, new axes come first"),
        };
        if size.len() < own.len() {
            return Err(misfit());
        }
        let lead = size.len() - own.len();
        let dims = size
            .iter()
            .enumerate()
            .map(|(i, &n)| match (n, i.checked_sub(lead).map(|i| own[i])) {
                (-1, Some(have)) => Ok(have),
                (n, _) if n < 0 => Err(misfit()),
                (n, Some(have)) if have == saturated(n) || have == 1 => Ok(saturated(n)),
                (n, None) => Ok(saturated(n)),
                _ => Err(misfit()),
            })
            .collect::<Result<Vec<_>>>()?;
        self.expand_to(OP, &dims)
    }

    /// [`Tensor::expand`] to a shape that is known to fit.
    pub(super) fn expand_to(&self, op: &'static str, dims: &[usize]) -> Result<Self> {
        if dims == self.dims() {
            return Ok(self.clone());
        }
        let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count.is_none_or(|n| isize::try_from(n).is_err()) {
            return Err(Error::InvalidArgument {
                op,
                detail: format!("{dims:?} has more elements than can be counted"),
            });
        }
        let own = self.dims().to_vec();
        moved(op, self.data().broadcast_as(dims)?, self, move |g| unbroadcast(g, &own))
    }

    /// The same tensor, laid out in row-major order.
    pub fn contiguous(&self) -> Result<Self> {
        if self.data().is_contiguous() {
            return Ok(self.clone());
        }
        moved("contiguous", contiguous(self.data())?, self, |g| Ok(g.clone()))
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] reshape(x; shape: Vec<i64>) => x.reshape(&shape);
    #[own] view(x; shape: Vec<i64>) => x.view(&shape);
    #[own] flatten(x; start_dim: Option<i64>, end_dim: Option<i64>) => x.flatten(start_dim.unwrap_or(0), end_dim.unwrap_or(-1));
    #[own] transpose(x; dim0: i64, dim1: i64) => x.transpose(dim0, dim1);
    #[own] permute(x; dims: Vec<i64>) => x.permute(&dims);
    #[own] squeeze(x; dim: Option<Vec<i64>>) => x.squeeze(dim.as_deref());
    #[own] unsqueeze(x; dim: i64) => x.unsqueeze(dim);
    #[own] expand(x; size: Vec<i64>) => x.expand(&size);
    #[own] contiguous(x) => x.contiguous();
    #[own] detach(x) => x.detach();
};

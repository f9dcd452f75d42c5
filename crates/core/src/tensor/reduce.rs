//! Sums, means, products and truth of whole tensors or along dims.
//!
//! `dims` of `None` (or none) means all of them; `keepdim` keeps them with size 1.

use super::rows::Rows;
use super::{CT, Tensor, require_float};
use crate::autograd::record_unary;
use crate::device::DType;
use crate::error::Result;
use crate::ops::{Op, op_table};
use candle_core::DType as Storage;

/// Sums of integers and truth values are counted in `int64`.
fn counted(x: &Tensor) -> bool {
    !x.dtype().is_float()
}

impl Tensor {
    /// The sum over `dims`, accumulated in `f64`; integers and truth values give `int64`.
    pub fn sum(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        let rows = Rows::new("sum", self.dims(), dims)?;
        if counted(self) {
            let sum = |row: &[i64]| row.iter().fold(0i64, |sum, x| sum.wrapping_add(*x));
            return Self::constant(rows.reduce(Storage::I64, self.data(), keepdim, sum)?);
        }
        let y = rows.sum(self.data(), keepdim)?;
        record_unary("sum", y, self, move |g| rows.spread(g))
    }

    /// The mean over `dims`, accumulated in `f64`. Floats only; NaN over no elements.
    pub fn mean(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        require_float("mean", self.dtype())?;
        let rows = Rows::new("mean", self.dims(), dims)?;
        let scale = 1.0 / rows.len() as f64;
        let y = if rows.len() == 0 {
            rows.reduce(self.data().dtype(), self.data(), keepdim, |_: &[f64]| f64::NAN)?
        } else {
            rows.sum_scaled(self.data(), keepdim, scale)?
        };
        record_unary("mean", y, self, move |g: &CT| rows.spread(&(g * scale)?))
    }

    /// The sum over `dims`, NaN counting as zero.
    pub fn nansum(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        if counted(self) {
            return self.sum(dims, keepdim);
        }
        self.masked_fill(&self.isnan()?, crate::ops::Scalar::Float(0.0))?.sum(dims, keepdim)
    }

    /// The product over `dim` (`None`: all); integers give `int64`. With one zero, only that element has a gradient.
    pub fn prod(&self, dim: Option<i64>, keepdim: bool) -> Result<Self> {
        let dims = dim.map(|d| vec![d]);
        let rows = Rows::new("prod", self.dims(), dims.as_deref())?;
        if counted(self) {
            let product = |row: &[i64]| row.iter().fold(1i64, |p, x| p.wrapping_mul(*x));
            return Self::constant(rows.reduce(Storage::I64, self.data(), keepdim, product)?);
        }
        let dtype = self.data().dtype();
        let y = rows.reduce(dtype, self.data(), keepdim, |row: &[f64]| row.iter().product::<f64>())?;
        let saved = self.data().clone();
        record_unary("prod", y, self, move |g| {
            rows.map(dtype, &[&saved], &[g], |full, single, out| {
                if let ([x], [g]) = (full, single) {
                    product_of_others(x, *g, out);
                }
            })
        })
    }

    /// Whether any element along `dims` is true (not zero).
    pub fn any(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        self.truth("any", dims, keepdim, |row| row.iter().any(|x| *x != 0))
    }

    /// Whether all elements along `dims` are true (not zero).
    pub fn all(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        self.truth("all", dims, keepdim, |row| row.iter().all(|x| *x != 0))
    }

    fn truth(
        &self,
        op: &'static str,
        dims: Option<&[i64]>,
        keepdim: bool,
        f: impl Fn(&[i64]) -> bool + Sync,
    ) -> Result<Self> {
        let rows = Rows::new(op, self.dims(), dims)?;
        let truth = self.untracked().to_dtype(DType::Bool)?;
        Self::mask(rows.reduce(Storage::U8, truth.data(), keepdim, |row: &[i64]| i64::from(f(row)))?)
    }

    /// How many elements along `dims` are not zero.
    pub fn count_nonzero(&self, dims: Option<&[i64]>) -> Result<Self> {
        self.untracked().to_dtype(DType::Bool)?.sum(dims, false)
    }

    /// `ln Σ e^x` over `dims`, exact however large `x` is.
    pub fn logsumexp(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        let x = self.to_float()?;
        let rows = Rows::new("logsumexp", x.dims(), dims)?;
        let dtype = x.data().dtype();
        let y = rows.reduce(dtype, x.data(), keepdim, |row: &[f64]| {
            let top = row.iter().copied().fold(f64::NEG_INFINITY, |m, x| if m.is_nan() || m > x { m } else { x });
            if top.is_infinite() {
                return top;
            }
            top + row.iter().map(|x| (x - top).exp()).sum::<f64>().ln()
        })?;
        let (saved, result) = (x.data().clone(), y.clone());
        record_unary("logsumexp", y, &x, move |g| {
            rows.map(dtype, &[&saved], &[g, &result], |full, single, out| {
                if let ([x], [g, y]) = (full, single) {
                    for (o, x) in out.iter_mut().zip(x) {
                        *o = g * (x - y).exp();
                    }
                }
            })
        })
    }
}

/// `g` times the product of all elements but one, for each: from the products before and after it, so that zeros
/// need no division.
fn product_of_others(x: &[f64], g: f64, out: &mut [f64]) {
    let mut before = g;
    for (o, x) in out.iter_mut().zip(x) {
        *o = before;
        before *= x;
    }
    let mut after = 1.0;
    for (o, x) in out.iter_mut().zip(x).rev() {
        *o *= after;
        after *= x;
    }
}

pub(super) const OPS: &[Op] = op_table! {
    sum(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.sum(dim.as_deref(), keepdim.unwrap_or(false));
    mean(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.mean(dim.as_deref(), keepdim.unwrap_or(false));
    nansum(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.nansum(dim.as_deref(), keepdim.unwrap_or(false));
    prod(x; dim: Option<i64>, keepdim: Option<bool>) => x.prod(dim, keepdim.unwrap_or(false));
    any(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.any(dim.as_deref(), keepdim.unwrap_or(false));
    all(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.all(dim.as_deref(), keepdim.unwrap_or(false));
    count_nonzero(x; dim: Option<Vec<i64>>) => x.count_nonzero(dim.as_deref());
    logsumexp(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.logsumexp(dim.as_deref(), keepdim.unwrap_or(false));
};

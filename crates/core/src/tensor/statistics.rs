//! Variance, standard deviation and vector norms.

use super::rows::Rows;
use super::{CT, Tensor, require_float};
use crate::autograd::record_unary;
use crate::error::Result;
use crate::ops::{Op, Scalar, op_table};

/// Mean and sum of squared distances from it, in two passes: one pass would cancel for large means.
fn spread(row: &[f64]) -> (f64, f64) {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    (mean, row.iter().map(|x| (x - mean) * (x - mean)).sum())
}

/// The degrees of freedom; none or fewer give NaN or infinity, as in torch.
fn freedom(len: usize, correction: f64) -> f64 {
    (len as f64 - correction).max(0.0)
}

/// The gradient of a variance or (`root`) a standard deviation from `(g, y)` of each row.
fn spread_gradient(rows: &Rows, x: &CT, g: &CT, y: &CT, correction: f64, root: bool) -> Result<CT> {
    rows.map(x.dtype(), &[x], &[g, y], |full, single, out| {
        if let ([x], [g, y]) = (full, single) {
            let (mean, _) = spread(x);
            let outer = match root {
                false => 2.0 * g,
                // The slope of the root is infinite at 0; torch takes it for 0.
                true if *y == 0.0 => 0.0,
                true => g / y,
            };
            let freedom = freedom(x.len(), correction);
            for (o, x) in out.iter_mut().zip(x) {
                *o = outer * (x - mean) / freedom;
            }
        }
    })
}

/// The `p`-norm of a row.
fn norm_row(row: &[f64], p: f64) -> f64 {
    if p == f64::INFINITY {
        row.iter().fold(0.0, |m: f64, x| if m.is_nan() || m > x.abs() { m } else { x.abs() })
    } else if p == f64::NEG_INFINITY {
        row.iter().fold(f64::INFINITY, |m, x| if m.is_nan() || m < x.abs() { m } else { x.abs() })
    } else if p == 0.0 {
        row.iter().filter(|x| **x != 0.0).count() as f64
    } else if p == 1.0 {
        row.iter().map(|x| x.abs()).sum()
    } else if p == 2.0 {
        row.iter().map(|x| x * x).sum::<f64>().sqrt()
    } else {
        row.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p)
    }
}

/// -1, 0 or 1.
fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// `g` times the slope of the norm `y` of row `x`; 0 at the zero vector.
fn norm_gradient(x: &[f64], g: f64, y: f64, p: f64, out: &mut [f64]) {
    if p.is_infinite() {
        let count = x.iter().filter(|x| x.abs() == y).count() as f64;
        for (o, x) in out.iter_mut().zip(x) {
            *o = if x.abs() == y { g * sign(*x) / count } else { 0.0 };
        }
        return;
    }
    for (o, x) in out.iter_mut().zip(x) {
        *o = if p == 0.0 || (p != 1.0 && y == 0.0) {
            0.0
        } else if p == 1.0 {
            g * sign(*x)
        } else if p == 2.0 {
            g * (x / y)
        } else if *x == 0.0 {
            0.0
        } else {
            g * sign(*x) * (x.abs() / y).powf(p - 1.0)
        };
    }
}

impl Tensor {
    /// The variance over `dims`: squared distances from the mean, over their number less `correction` (1: the
    /// unbiased estimate). NaN where too few elements are left.
    pub fn var(&self, dims: Option<&[i64]>, correction: f64, keepdim: bool) -> Result<Self> {
        self.spread_of("var", dims, correction, keepdim, false)
    }

    /// The root of [`Tensor::var`].
    pub fn std(&self, dims: Option<&[i64]>, correction: f64, keepdim: bool) -> Result<Self> {
        self.spread_of("std", dims, correction, keepdim, true)
    }

    fn spread_of(
        &self,
        op: &'static str,
        dims: Option<&[i64]>,
        correction: f64,
        keepdim: bool,
        root: bool,
    ) -> Result<Self> {
        require_float(op, self.dtype())?;
        let rows = Rows::new(op, self.dims(), dims)?;
        let y = rows.reduce(self.data().dtype(), self.data(), keepdim, |row: &[f64]| {
            let variance = spread(row).1 / freedom(row.len(), correction);
            if root { variance.sqrt() } else { variance }
        })?;
        let (saved, result) = (self.data().clone(), y.clone());
        record_unary(op, y, self, move |g| spread_gradient(&rows, &saved, g, &result, correction, root))
    }

    /// The `p`-norm over `dims`: `(Σ |x|^p)^(1/p)`; infinity gives the largest magnitude, 0 counts what is not zero.
    pub fn norm(&self, p: f64, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        require_float("norm", self.dtype())?;
        let rows = Rows::new("norm", self.dims(), dims)?;
        if p.is_infinite() {
            rows.require_elements("norm")?;
        }
        let dtype = self.data().dtype();
        let y = rows.reduce(dtype, self.data(), keepdim, |row: &[f64]| norm_row(row, p))?;
        let (saved, result) = (self.data().clone(), y.clone());
        record_unary("norm", y, self, move |g| {
            rows.map(dtype, &[&saved], &[g, &result], |full, single, out| {
                if let ([x], [g, y]) = (full, single) {
                    norm_gradient(x, *g, *y, p, out);
                }
            })
        })
    }

    /// Divided by its `p`-norm along `dim`, or by `eps` where that is larger.
    pub fn normalize(&self, p: f64, dim: i64, eps: f64) -> Result<Self> {
        self.div(&self.norm(p, Some(&[dim]), true)?.clamp(Some(Scalar::Float(eps)), None)?)
    }

    /// The cosine of the angle between the vectors along `dim`; lengths below `eps` count as `eps`.
    pub fn cosine_similarity(&self, other: &Tensor, dim: i64, eps: f64) -> Result<Self> {
        let unit = self.normalize(2.0, dim, eps)?;
        unit.mul(&other.normalize(2.0, dim, eps)?)?.sum(Some(&[dim]), false)
    }
}

pub(super) const OPS: &[Op] = op_table! {
    var(x; dim: Option<Vec<i64>>, correction: Option<f64>, keepdim: Option<bool>) => x.var(dim.as_deref(), correction.unwrap_or(1.0), keepdim.unwrap_or(false));
    std(x; dim: Option<Vec<i64>>, correction: Option<f64>, keepdim: Option<bool>) => x.std(dim.as_deref(), correction.unwrap_or(1.0), keepdim.unwrap_or(false));
    normalize(x; p: Option<f64>, dim: Option<i64>, eps: Option<f64>) => x.normalize(p.unwrap_or(2.0), dim.unwrap_or(1), eps.unwrap_or(1e-12));
    #[broadcast] cosine_similarity(a, b; dim: Option<i64>, eps: Option<f64>) => a.cosine_similarity(b, dim.unwrap_or(1), eps.unwrap_or(1e-8));
    norm(x; p: Option<f64>, dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.norm(p.unwrap_or(2.0), dim.as_deref(), keepdim.unwrap_or(false));
};

//! Running sums, products and extremes along one dim.

use super::rows::Rows;
use super::{CT, Tensor};
use crate::autograd::record_unary;
use crate::error::Result;
use crate::ops::{Op, op_table};
use candle_core::DType as Storage;

/// Sums from the end of each row.
fn sums_from_end(rows: &Rows, g: &CT) -> Result<CT> {
    rows.map(g.dtype(), &[g], &[], |full, _, out| {
        if let [g] = full {
            let mut sum = 0.0;
            for (o, g) in out.iter_mut().zip(g).rev() {
                sum += g;
                *o = sum;
            }
        }
    })
}

/// Scans integers, whose results are `int64`.
fn integers(x: &Tensor, rows: &Rows, f: fn(i64, i64) -> i64, start: i64) -> Result<Tensor> {
    let y = rows.map_as::<i64>(Storage::I64, &[x.data()], &[], &|full: &[Vec<i64>], _: &[i64], out: &mut [i64]| {
        if let [x] = full {
            let mut state = start;
            for (o, x) in out.iter_mut().zip(x) {
                state = f(state, *x);
                *o = state;
            }
        }
    })?;
    Tensor::constant(y)
}

/// Scans floats.
fn floats(x: &CT, rows: &Rows, f: fn(f64, f64) -> f64, start: f64) -> Result<CT> {
    rows.map(x.dtype(), &[x], &[], |full, _, out| {
        if let [x] = full {
            let mut state = start;
            for (o, x) in out.iter_mut().zip(x) {
                state = f(state, *x);
                *o = state;
            }
        }
    })
}

/// The gradient of running products `x₀ … xᵢ`: for each `k`, the sum over `i ≥ k` of `gᵢ` times the product of the
/// others up to `i`. Without zeros that is a sum of `gᵢ yᵢ` over `xₖ`; from the first zero on, products are rebuilt.
fn product_gradient(x: &[f64], g: &[f64], out: &mut [f64]) {
    let mut before = 1.0;
    for k in 0..x.len() {
        let (mut product, mut sum) = (before, 0.0);
        sum += g[k] * product;
        for i in k + 1..x.len() {
            product *= x[i];
            if product == 0.0 {
                break;
            }
            sum += g[i] * product;
        }
        out[k] = sum;
        before *= x[k];
    }
}

impl Tensor {
    /// Running sums along `dim`; integers and truth values give `int64`.
    pub fn cumsum(&self, dim: i64) -> Result<Self> {
        let rows = Rows::new("cumsum", self.dims(), Some(&[dim]))?;
        if !self.dtype().is_float() {
            return integers(self, &rows, i64::wrapping_add, 0);
        }
        let y = floats(self.data(), &rows, |a, b| a + b, 0.0)?;
        record_unary("cumsum", y, self, move |g| sums_from_end(&rows, g))
    }

    /// Running products along `dim`; integers and truth values give `int64`. The gradient takes a time quadratic in the
    /// length of the dim, so that zeros are exact.
    pub fn cumprod(&self, dim: i64) -> Result<Self> {
        let rows = Rows::new("cumprod", self.dims(), Some(&[dim]))?;
        if !self.dtype().is_float() {
            return integers(self, &rows, i64::wrapping_mul, 1);
        }
        let y = floats(self.data(), &rows, |a, b| a * b, 1.0)?;
        let saved = self.data().clone();
        record_unary("cumprod", y, self, move |g| {
            rows.map(g.dtype(), &[&saved, g], &[], |full, _, out| {
                if let [x, g] = full {
                    product_gradient(x, g, out);
                }
            })
        })
    }

    /// `ln Σ e^x` of what has come so far along `dim`, exact however large `x` is.
    pub fn logcumsumexp(&self, dim: i64) -> Result<Self> {
        super::require_float("logcumsumexp", self.dtype())?;
        let rows = Rows::new("logcumsumexp", self.dims(), Some(&[dim]))?;
        let join = |a: f64, b: f64| {
            let top = a.max(b);
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else if top.is_infinite() {
                top
            } else {
                top + ((a - top).exp() + (b - top).exp()).ln()
            }
        };
        let y = floats(self.data(), &rows, join, f64::NEG_INFINITY)?;
        let (saved, result) = (self.data().clone(), y.clone());
        record_unary("logcumsumexp", y, self, move |g| {
            rows.map(g.dtype(), &[&saved, &result, g], &[], |full, _, out| {
                let [x, y, g] = full else { return };
                // Σ over i ≥ k of gᵢ e^(xₖ - yᵢ), where e^(xₖ - yᵢ) ≤ 1 never overflows.
                for (k, o) in out.iter_mut().enumerate() {
                    *o = (k..x.len()).map(|i| g[i] * (x[k] - y[i]).exp()).sum();
                }
            })
        })
    }
}

pub(super) const OPS: &[Op] = op_table! {
    cumsum(x; dim: i64) => x.cumsum(dim);
    cumprod(x; dim: i64) => x.cumprod(dim);
    logcumsumexp(x; dim: i64) => x.logcumsumexp(dim);
};

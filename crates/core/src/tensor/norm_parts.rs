//! A norm in three steps, for models whose hooks look at what lies between them: what is divided by, the quotient, and
//! what weight and bias make of it. [`Tensor::layer_norm`] and [`Tensor::rms_norm`] are the three in one.
//!
//! Rows of `f32` on the host go through kernels, everything else is composed of other operations.

use super::rows::unbroadcast;
use super::{Tensor, kernels};
use crate::autograd::{record, record_unary};
use crate::error::{Error, Result};
use crate::ops::Scalar;

fn without_gradient(op: &'static str) -> Error {
    Error::Internal { detail: format!("{op} ran in a kernel and has no gradient there") }
}

impl Tensor {
    /// `√(mean((x - mean x)²) + eps)` over the last axis, `[.., n] -> [.., 1]`; without the mean unless `centred`.
    pub(crate) fn norm_scale(&self, centred: bool, eps: f64) -> Result<Self> {
        const OP: &str = "norm_scale";
        let width = self.dims().last().copied().unwrap_or(0);
        let mut dims = self.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = 1;
        }
        let fast = if width > 0 { kernels::norm_scale(self.data(), &dims, width, centred, eps)? } else { None };
        let Some(scale) = fast else {
            let x = if centred { self.sub(&self.mean(Some(&[-1]), true)?)? } else { self.clone() };
            return x.square()?.mean(Some(&[-1]), true)?.add_scalar(Scalar::Float(eps))?.sqrt();
        };
        let (x, saved) = (self.data().clone(), scale.clone());
        record_unary(OP, scale, self, move |g| {
            kernels::norm_scale_gradient(&x, &saved, g, width, centred)?.ok_or_else(|| without_gradient(OP))
        })
    }

    /// `(x - mean x) / scale` over the last axis, `[.., n], [.., 1] -> [.., n]`; without the mean unless `centred`.
    pub(crate) fn over_scale(&self, scale: &Self, centred: bool) -> Result<Self> {
        const OP: &str = "over_scale";
        let width = self.dims().last().copied().unwrap_or(0);
        // A hook may have given the scale another shape, which then broadcasts.
        let one_a_row = self.dims().split_last().map(|(_, rows)| [rows, &[1]].concat());
        let fits = width > 0 && one_a_row.is_some_and(|dims| scale.dims() == dims);
        let fast = if fits { kernels::over_scale(self.data(), scale.data(), width, centred)? } else { None };
        let Some(y) = fast else {
            let x = if centred { self.sub(&self.mean(Some(&[-1]), true)?)? } else { self.clone() };
            return x.div(scale);
        };
        let (saved, by) = (y.clone(), scale.data().clone());
        record(OP, y, &[self, scale], move |g, needs| {
            let input = || kernels::over_scale(g, &by, width, centred)?.ok_or_else(|| without_gradient(OP));
            let scale = || kernels::over_scale_slope(&saved, &by, g, width)?.ok_or_else(|| without_gradient(OP));
            Ok(vec![needs[0].then(input).transpose()?, needs[1].then(scale).transpose()?])
        })
    }

    /// `x * weight + bias`, `[.., n], [n], [n] -> [.., n]`.
    pub(crate) fn scale_shift(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        const OP: &str = "scale_shift";
        let last = self.dims().last().copied().unwrap_or(0);
        let fits = last > 0 && weight.dims() == [last] && bias.is_none_or(|bias| bias.dims() == [last]);
        let fast = if fits { kernels::scale_shift(self.data(), weight.data(), bias.map(Self::data))? } else { None };
        let Some(y) = fast else {
            let y = self.mul(weight)?;
            return bias.map_or(Ok(y.clone()), |bias| y.add(bias));
        };
        let (x, w) = (self.data().clone(), weight.data().clone());
        let parents: Vec<&Self> = [self, weight].into_iter().chain(bias).collect();
        record(OP, y, &parents, move |g, needs| {
            let mut grads = vec![None; needs.len()];
            if needs[0] {
                grads[0] = Some(kernels::scale_shift(g, &w, None)?.ok_or_else(|| without_gradient(OP))?);
            }
            if needs[1] {
                grads[1] = Some(unbroadcast(&g.mul(&x)?, &[last])?);
            }
            if needs.get(2) == Some(&true) {
                grads[2] = Some(unbroadcast(g, &[last])?);
            }
            Ok(grads)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing test panics")]

    use super::*;
    use crate::device::DType;
    use crate::{BackwardOptions, Result};

    /// A norm in three steps, and the gradients of everything that went in and lay between.
    fn run(dtype: DType, centred: bool, learned: bool) -> Result<Vec<Vec<f64>>> {
        let (rows, width) = (70, 259);
        let numbers = |n: usize, seed: f64| -> Vec<f64> {
            (0..n).map(|i| ((i as f64 + seed) * 0.618_033_988_75).fract() * 4.0 - 1.5).collect()
        };
        let leaf = |dims: &[usize], seed| {
            Tensor::from_slice(&numbers(dims.iter().product(), seed), dims)?.to_dtype(dtype)?.requiring_grad()
        };
        let (x, w, b) = (leaf(&[2, rows, width], 0.3)?, leaf(&[width], 0.1)?, leaf(&[width], 0.7)?);
        let scale = x.norm_scale(centred, 1e-5)?;
        // As a hook would change it.
        let changed = scale.mul_scalar(Scalar::Float(1.5))?;
        let normalised = x.over_scale(&changed, centred)?;
        let y = if learned { normalised.scale_shift(&w, Some(&b))? } else { normalised.scale_shift(&w, None)? };
        let seed = Tensor::from_slice(&numbers(y.elem_count(), 0.9), y.dims())?.to_dtype(dtype)?;
        y.backward(Some(&seed), BackwardOptions::default())?;
        let mut results = vec![scale.to_vec()?, normalised.to_vec()?, y.to_vec()?];
        for leaf in [&x, &w, &b] {
            results.extend(leaf.grad()?.map(|g| g.to_vec()).transpose()?);
        }
        Ok(results)
    }

    #[test]
    fn kernels_agree_with_what_is_composed() {
        for centred in [false, true] {
            for learned in [false, true] {
                let (fast, composed) =
                    (run(DType::F32, centred, learned).unwrap(), run(DType::F64, centred, learned).unwrap());
                assert_eq!(fast.len(), composed.len());
                for (which, (fast, composed)) in fast.iter().zip(&composed).enumerate() {
                    let largest = composed.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
                    for (a, b) in fast.iter().zip(composed) {
                        assert!((a - b).abs() <= 5e-6 * largest, "result {which}: {a}, expected {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_steps_together_are_the_norm() {
        let x = Tensor::from_slice(&(0..600).map(|i| ((i * 37) % 101) as f32).collect::<Vec<_>>(), &[3, 200]).unwrap();
        for (centred, whole) in [(true, x.layer_norm(1, None, None, 1e-5)), (false, x.rms_norm(1, None, 1e-5))] {
            let parts = x.over_scale(&x.norm_scale(centred, 1e-5).unwrap(), centred).unwrap();
            let (parts, whole) = (parts.to_vec::<f32>().unwrap(), whole.unwrap().to_vec::<f32>().unwrap());
            assert!(parts.iter().zip(whole).all(|(a, b)| (a - b).abs() < 1e-6 * b.abs().max(1.0)));
        }
    }
}

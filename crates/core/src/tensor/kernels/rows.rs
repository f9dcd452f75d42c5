//! Softmax and normalisation of rows, and their gradients.

use super::math::{exp, fma, max, sum};
use super::{Kernel, PARALLEL_HEAVY, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Rows of softmax, or of its logarithm.
struct Softmax<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    log: bool,
}

impl Kernel for Softmax<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width)) {
            // A row of -inf alone gives -inf - -inf = NaN throughout, as in torch.
            let top = max(x);
            for (o, &x) in out.iter_mut().zip(x) {
                *o = exp::<FMA>(x - top);
            }
            let total = sum([out], |[y]| y);
            if self.log {
                let shift = total.ln();
                for (o, &x) in out.iter_mut().zip(x) {
                    *o = (x - top) - shift;
                }
            } else {
                let scale = 1.0 / total;
                for o in out.iter_mut() {
                    *o *= scale;
                }
            }
        }
    }
}

/// The gradient of softmax rows `y`: `y (g - Σ g y)`; of their logarithm: `g - e^y Σ g`.
struct SoftmaxGradient<'a> {
    y: &'a [f32],
    g: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    log: bool,
}

impl Kernel for SoftmaxGradient<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let rows = self.y.chunks_exact(self.width).zip(self.g.chunks_exact(self.width));
        for ((y, g), out) in rows.zip(self.out.chunks_exact_mut(self.width)) {
            if self.log {
                let total = sum([g], |[g]| g);
                for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
                    *o = fma::<FMA>(-exp::<FMA>(y), total, g);
                }
            } else {
                let total = sum([y, g], |[y, g]| y * g);
                for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
                    *o = y * (g - total);
                }
            }
        }
    }
}

fn softmax_rows(x: &CT, width: usize, log: bool) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            run(Softmax { x: &values[start..start + out.len()], out, width, log });
        })
    })?
    .transpose()
}

fn softmax_gradient_rows(y: &CT, g: &CT, width: usize, log: bool) -> Result<Option<CT>> {
    with_slices([y, g], |[ys, gs]| {
        tensor(y.dims(), width, PARALLEL_HEAVY, |start, out| {
            let range = start..start + out.len();
            run(SoftmaxGradient { y: &ys[range.clone()], g: &gs[range], out, width, log });
        })
    })?
    .transpose()
}

/// Softmax over the last axis, of size `width`.
pub(crate) fn softmax(x: &CT, width: usize) -> Result<Option<CT>> {
    softmax_rows(x, width, false)
}

/// Its gradient, from its result `y`.
pub(crate) fn softmax_gradient(y: &CT, g: &CT, width: usize) -> Result<Option<CT>> {
    softmax_gradient_rows(y, g, width, false)
}

/// The logarithm of softmax over the last axis, of size `width`.
pub(crate) fn log_softmax(x: &CT, width: usize) -> Result<Option<CT>> {
    softmax_rows(x, width, true)
}

/// Its gradient, from its result `y`.
pub(crate) fn log_softmax_gradient(y: &CT, g: &CT, width: usize) -> Result<Option<CT>> {
    softmax_gradient_rows(y, g, width, true)
}

/// Mean (zero unless `centred`) and reciprocal of the root mean square around it.
#[inline(always)]
fn moments(x: &[f32], centred: bool, eps: f32) -> (f32, f32) {
    let n = 1.0 / x.len() as f32;
    let mean = if centred { sum([x], |[x]| x) * n } else { 0.0 };
    let variance = sum([x], |[x]| (x - mean) * (x - mean)) * n;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Rows of layer norm (`centred`) or RMS norm.
struct Norm<'a> {
    x: &'a [f32],
    weight: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
    width: usize,
    centred: bool,
    eps: f32,
}

impl Kernel for Norm<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width)) {
            let (mean, scale) = moments(x, self.centred, self.eps);
            for (o, &x) in out.iter_mut().zip(x) {
                *o = (x - mean) * scale;
            }
            if let Some(weight) = self.weight {
                for (o, &w) in out.iter_mut().zip(weight) {
                    *o *= w;
                }
            }
            if let Some(bias) = self.bias {
                for (o, &b) in out.iter_mut().zip(bias) {
                    *o += b;
                }
            }
        }
    }
}

/// The gradient of such rows with respect to `x`; adds that of the weight to `weight_sum`.
struct NormGradient<'a> {
    x: &'a [f32],
    g: &'a [f32],
    weight: Option<&'a [f32]>,
    out: &'a mut [f32],
    weight_sum: Option<&'a mut [f32]>,
    width: usize,
    centred: bool,
    eps: f32,
}

impl Kernel for NormGradient<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(mut self) {
        let n = 1.0 / self.width as f32;
        let rows = self.x.chunks_exact(self.width).zip(self.g.chunks_exact(self.width));
        for ((x, g), out) in rows.zip(self.out.chunks_exact_mut(self.width)) {
            let (mean, scale) = moments(x, self.centred, self.eps);
            match self.weight {
                Some(weight) => {
                    for ((o, &g), &w) in out.iter_mut().zip(g).zip(weight) {
                        *o = g * w;
                    }
                }
                None => out.copy_from_slice(g),
            }
            let average = if self.centred { sum([out], |[o]| o) * n } else { 0.0 };
            let slope = sum([out, x], |[o, x]| o * (x - mean)) * scale * scale * n;
            for (o, &x) in out.iter_mut().zip(x) {
                *o = scale * (*o - average - (x - mean) * slope);
            }
            if let Some(sums) = self.weight_sum.as_deref_mut() {
                for ((s, &x), &g) in sums.iter_mut().zip(x).zip(g) {
                    *s = fma::<FMA>(g * scale, x - mean, *s);
                }
            }
        }
    }
}

/// Layer norm (`centred`) or RMS norm of the last `width` elements; `weight` and `bias` have `width` elements.
pub(crate) fn layer_norm(
    x: &CT,
    weight: Option<&CT>,
    bias: Option<&CT>,
    width: usize,
    centred: bool,
    eps: f64,
) -> Result<Option<CT>> {
    with_slices([x, weight.unwrap_or(x), bias.unwrap_or(x)], |[values, weights, biases]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            run(Norm {
                x: &values[start..start + out.len()],
                weight: weight.map(|_| weights),
                bias: bias.map(|_| biases),
                out,
                width,
                centred,
                eps: eps as f32,
            });
        })
    })?
    .transpose()
}

/// Gradients with respect to the input and, where asked for, the weight (`[width]`).
pub(crate) struct NormGradients {
    /// Shaped as the input.
    pub(crate) x: CT,
    /// Shaped `[width]`.
    pub(crate) weight: Option<CT>,
}

/// The gradients of [`layer_norm`]; the bias's is a plain sum.
pub(crate) fn layer_norm_gradients(
    x: &CT,
    weight: Option<&CT>,
    g: &CT,
    width: usize,
    centred: bool,
    eps: f64,
    wants_weight: bool,
) -> Result<Option<NormGradients>> {
    with_slices([x, weight.unwrap_or(x), g], |[values, weights, gs]| {
        // Kept apart by where they start and added in that order, so that threads cannot change the result.
        let parts = Mutex::new(BTreeMap::new());
        let dx = tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let range = start..start + out.len();
            let mut sums = wants_weight.then(|| vec![0f32; width]);
            run(NormGradient {
                x: &values[range.clone()],
                g: &gs[range],
                weight: weight.map(|_| weights),
                out,
                weight_sum: sums.as_deref_mut(),
                width,
                centred,
                eps: eps as f32,
            });
            if let Some(sums) = sums {
                parts.lock().unwrap_or_else(PoisonError::into_inner).insert(start, sums);
            }
        })?;
        let mut dw = vec![0f64; width];
        for sums in parts.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
            for (total, part) in dw.iter_mut().zip(sums) {
                *total += f64::from(part);
            }
        }
        let dw: Vec<f32> = dw.into_iter().map(|x| x as f32).collect();
        let weight = if wants_weight { Some(CT::from_vec(dw, width, x.device())?) } else { None };
        Ok(NormGradients { x: dx, weight })
    })?
    .transpose()
}

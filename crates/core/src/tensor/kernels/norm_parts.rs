//! Norms in the steps between which hook points lie.

use super::math::{fma, sum};
use super::{Kernel, PARALLEL_HEAVY, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;

/// The mean of a row, or zero unless `centred`.
#[inline(always)]
fn mean(x: &[f32], centred: bool) -> f32 {
    if centred { sum([x], |[x]| x) / x.len() as f32 } else { 0.0 }
}

struct Scale<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    centred: bool,
    eps: f32,
}

impl Kernel for Scale<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out) {
            let mean = mean(x, self.centred);
            let variance = sum([x], |[x]| (x - mean) * (x - mean)) / self.width as f32;
            *out = (variance + self.eps).sqrt();
        }
    }
}

/// `√(mean((x - mean x)²) + eps)` of rows of `width`, as `dims`, which end in 1; without the mean unless `centred`.
pub(crate) fn norm_scale(x: &CT, dims: &[usize], width: usize, centred: bool, eps: f64) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(dims, 1, PARALLEL_HEAVY.div_ceil(width), |start, out| {
            let x = &values[start * width..(start + out.len()) * width];
            run(Scale { x, out, width, centred, eps: eps as f32 });
        })
    })?
    .transpose()
}

/// For each row, `(x - mean) * factor`, where `factor` is `g / (width * scale)` for the scale's gradient.
struct ScaleGradient<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    g: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    centred: bool,
}

impl Kernel for ScaleGradient<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width));
        for ((x, out), (&scale, &g)) in rows.zip(self.scale.iter().zip(self.g)) {
            let mean = mean(x, self.centred);
            let factor = g / (self.width as f32 * scale);
            for (o, &x) in out.iter_mut().zip(x) {
                *o = (x - mean) * factor;
            }
        }
    }
}

/// The gradient of [`norm_scale`] with respect to `x`, from its result.
pub(crate) fn norm_scale_gradient(x: &CT, scale: &CT, g: &CT, width: usize, centred: bool) -> Result<Option<CT>> {
    with_slices([x, scale, g], |[xs, scales, gs]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let (first, rows) = (start / width, out.len() / width);
            run(ScaleGradient {
                x: &xs[start..start + out.len()],
                scale: &scales[first..first + rows],
                g: &gs[first..first + rows],
                out,
                width,
                centred,
            });
        })
    })?
    .transpose()
}

struct Divide<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    centred: bool,
}

impl Kernel for Divide<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width));
        for ((x, out), &scale) in rows.zip(self.scale) {
            let mean = mean(x, self.centred);
            for (o, &x) in out.iter_mut().zip(x) {
                *o = (x - mean) / scale;
            }
        }
    }
}

/// `(x - mean x) / scale` of rows of `width`; without the mean unless `centred`. Also the gradient of itself with
/// respect to `x`, since taking off the mean is its own transpose.
pub(crate) fn over_scale(x: &CT, scale: &CT, width: usize, centred: bool) -> Result<Option<CT>> {
    with_slices([x, scale], |[xs, scales]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let scale = &scales[start / width..];
            run(Divide { x: &xs[start..start + out.len()], scale, out, width, centred });
        })
    })?
    .transpose()
}

struct ScaleSlope<'a> {
    y: &'a [f32],
    scale: &'a [f32],
    g: &'a [f32],
    out: &'a mut [f32],
    width: usize,
}

impl Kernel for ScaleSlope<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let rows = self.y.chunks_exact(self.width).zip(self.g.chunks_exact(self.width));
        for ((y, g), (out, &scale)) in rows.zip(self.out.iter_mut().zip(self.scale)) {
            *out = -sum([y, g], |[y, g]| y * g) / scale;
        }
    }
}

/// The gradient of [`over_scale`], whose result is `y`, with respect to `scale`: `-Σ g y / scale`.
pub(crate) fn over_scale_slope(y: &CT, scale: &CT, g: &CT, width: usize) -> Result<Option<CT>> {
    with_slices([y, scale, g], |[ys, scales, gs]| {
        tensor(scale.dims(), 1, PARALLEL_HEAVY.div_ceil(width), |start, out| {
            let range = start * width..(start + out.len()) * width;
            run(ScaleSlope { y: &ys[range.clone()], scale: &scales[start..], g: &gs[range], out, width });
        })
    })?
    .transpose()
}

struct ScaleShift<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl Kernel for ScaleShift<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let width = self.weight.len();
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            match self.bias {
                Some(bias) => {
                    for ((o, &x), (&w, &b)) in out.iter_mut().zip(x).zip(self.weight.iter().zip(bias)) {
                        *o = fma::<FMA>(x, w, b);
                    }
                }
                None => {
                    for ((o, &x), &w) in out.iter_mut().zip(x).zip(self.weight) {
                        *o = x * w;
                    }
                }
            }
        }
    }
}

/// `x * weight + bias` with a weight and a bias for each element of the last axis, which is not empty.
pub(crate) fn scale_shift(x: &CT, weight: &CT, bias: Option<&CT>) -> Result<Option<CT>> {
    with_slices([x, weight, bias.unwrap_or(weight)], |[values, weights, biases]| {
        tensor(x.dims(), weights.len(), PARALLEL_HEAVY, |start, out| {
            let x = &values[start..start + out.len()];
            run(ScaleShift { x, weight: weights, bias: bias.map(|_| biases), out });
        })
    })?
    .transpose()
}

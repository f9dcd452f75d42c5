//! Norms in the steps between which hook points lie.

use super::math::{fma, sum};
use super::{Kernel, run};

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

/// `√(mean((x - mean x)²) + eps)` of each row of `width` elements; without the mean unless `centred`.
pub fn norm_scale(x: &[f32], out: &mut [f32], width: usize, centred: bool, eps: f32) {
    run(Scale { x, out, width, centred, eps });
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

/// The gradient of [`norm_scale`] with respect to `x`, from its result `scale` and that result's gradient `g`.
pub fn norm_scale_gradient(x: &[f32], scale: &[f32], g: &[f32], out: &mut [f32], width: usize, centred: bool) {
    run(ScaleGradient { x, scale, g, out, width, centred });
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

/// `(x - mean x) / scale` of each row of `width` elements; without the mean unless `centred`.
pub fn over_scale(x: &[f32], scale: &[f32], out: &mut [f32], width: usize, centred: bool) {
    run(Divide { x, scale, out, width, centred });
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

/// `-Σ g y / scale` of each row: the gradient of [`over_scale`], whose result is `y`, with respect to `scale`.
pub fn over_scale_slope(y: &[f32], scale: &[f32], g: &[f32], out: &mut [f32], width: usize) {
    run(ScaleSlope { y, scale, g, out, width });
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

/// `x * weight + bias` of rows as long as `weight`.
pub fn scale_shift(x: &[f32], weight: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    run(ScaleShift { x, weight, bias, out });
}

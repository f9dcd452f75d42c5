//! Softmax and normalisation of rows, and their gradients.

use super::math::{exp, fma, max, sum};
use super::{Kernel, run};

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

/// Softmax of rows of `width` elements of `x`, or its logarithm.
pub fn softmax(x: &[f32], out: &mut [f32], width: usize, log: bool) {
    run(Softmax { x, out, width, log });
}

/// The gradient of [`softmax`] from its result `y` and that result's gradient `g`.
pub fn softmax_gradient(y: &[f32], g: &[f32], out: &mut [f32], width: usize, log: bool) {
    run(SoftmaxGradient { y, g, out, width, log });
}

/// What kind of norm of rows it is.
#[derive(Clone, Copy)]
pub struct RowNorm {
    /// Elements of a row.
    pub width: usize,
    /// Whether the mean is taken off: layer norm, otherwise RMS norm.
    pub centred: bool,
    /// Added to the variance.
    pub eps: f32,
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
    form: RowNorm,
}

impl Kernel for Norm<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let RowNorm { width, centred, eps } = self.form;
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (mean, scale) = moments(x, centred, eps);
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
    form: RowNorm,
}

impl Kernel for NormGradient<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(mut self) {
        let RowNorm { width, centred, eps } = self.form;
        let n = 1.0 / width as f32;
        let rows = self.x.chunks_exact(width).zip(self.g.chunks_exact(width));
        for ((x, g), out) in rows.zip(self.out.chunks_exact_mut(width)) {
            let (mean, scale) = moments(x, centred, eps);
            match self.weight {
                Some(weight) => {
                    for ((o, &g), &w) in out.iter_mut().zip(g).zip(weight) {
                        *o = g * w;
                    }
                }
                None => out.copy_from_slice(g),
            }
            let average = if centred { sum([out], |[o]| o) * n } else { 0.0 };
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

impl RowNorm {
    /// Normalises rows of `x`; `weight` and `bias` have an element for each of a row.
    pub fn apply(self, x: &[f32], weight: Option<&[f32]>, bias: Option<&[f32]>, out: &mut [f32]) {
        run(Norm { x, weight, bias, out, form: self });
    }

    /// The gradient with respect to `x` from that of the result, `g`; adds that of the weight to `weight_sum`.
    pub fn gradient(
        self,
        x: &[f32],
        g: &[f32],
        weight: Option<&[f32]>,
        out: &mut [f32],
        weight_sum: Option<&mut [f32]>,
    ) {
        run(NormGradient { x, g, weight, out, weight_sum, form: self });
    }
}

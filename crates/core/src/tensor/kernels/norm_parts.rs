//! Norms in the steps between which hook points lie.

use super::{PARALLEL_HEAVY, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use hooklens_kernels::norm_parts as loops;

/// `√(mean((x - mean x)²) + eps)` of rows of `width`, as `dims`, which end in 1; without the mean unless `centred`.
pub(crate) fn norm_scale(x: &CT, dims: &[usize], width: usize, centred: bool, eps: f64) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(dims, 1, PARALLEL_HEAVY.div_ceil(width), |start, out| {
            let x = &values[start * width..(start + out.len()) * width];
            loops::norm_scale(x, out, width, centred, eps as f32);
        })
    })?
    .transpose()
}

/// The gradient of [`norm_scale`] with respect to `x`, from its result.
pub(crate) fn norm_scale_gradient(x: &CT, scale: &CT, g: &CT, width: usize, centred: bool) -> Result<Option<CT>> {
    with_slices([x, scale, g], |[xs, scales, gs]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let (first, rows) = (start / width, out.len() / width);
            let (x, rows) = (&xs[start..start + out.len()], first..first + rows);
            loops::norm_scale_gradient(x, &scales[rows.clone()], &gs[rows], out, width, centred);
        })
    })?
    .transpose()
}

/// `(x - mean x) / scale` of rows of `width`; without the mean unless `centred`. Also the gradient of itself with
/// respect to `x`, since taking off the mean is its own transpose.
pub(crate) fn over_scale(x: &CT, scale: &CT, width: usize, centred: bool) -> Result<Option<CT>> {
    with_slices([x, scale], |[xs, scales]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let scale = &scales[start / width..];
            loops::over_scale(&xs[start..start + out.len()], scale, out, width, centred);
        })
    })?
    .transpose()
}

/// The gradient of [`over_scale`], whose result is `y`, with respect to `scale`: `-Σ g y / scale`.
pub(crate) fn over_scale_slope(y: &CT, scale: &CT, g: &CT, width: usize) -> Result<Option<CT>> {
    with_slices([y, scale, g], |[ys, scales, gs]| {
        tensor(scale.dims(), 1, PARALLEL_HEAVY.div_ceil(width), |start, out| {
            let range = start * width..(start + out.len()) * width;
            loops::over_scale_slope(&ys[range.clone()], &scales[start..], &gs[range], out, width);
        })
    })?
    .transpose()
}

/// `x * weight + bias` with a weight and a bias for each element of the last axis, which is not empty.
pub(crate) fn scale_shift(x: &CT, weight: &CT, bias: Option<&CT>) -> Result<Option<CT>> {
    with_slices([x, weight, bias.unwrap_or(weight)], |[values, weights, biases]| {
        tensor(x.dims(), weights.len(), PARALLEL_HEAVY, |start, out| {
            let x = &values[start..start + out.len()];
            loops::scale_shift(x, weights, bias.map(|_| biases), out);
        })
    })?
    .transpose()
}

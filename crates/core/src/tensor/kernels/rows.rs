//! Softmax and normalisation of rows, and their gradients.

use super::{PARALLEL_HEAVY, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use hooklens_kernels::rows as loops;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

fn softmax_rows(x: &CT, width: usize, log: bool) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            loops::softmax(&values[start..start + out.len()], out, width, log);
        })
    })?
    .transpose()
}

fn softmax_gradient_rows(y: &CT, g: &CT, width: usize, log: bool) -> Result<Option<CT>> {
    with_slices([y, g], |[ys, gs]| {
        tensor(y.dims(), width, PARALLEL_HEAVY, |start, out| {
            let range = start..start + out.len();
            loops::softmax_gradient(&ys[range.clone()], &gs[range], out, width, log);
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

/// Layer norm (`centred`) or RMS norm of the last `width` elements; `weight` and `bias` have `width` elements.
pub(crate) fn layer_norm(
    x: &CT,
    weight: Option<&CT>,
    bias: Option<&CT>,
    width: usize,
    centred: bool,
    eps: f64,
) -> Result<Option<CT>> {
    let form = loops::RowNorm { width, centred, eps: eps as f32 };
    with_slices([x, weight.unwrap_or(x), bias.unwrap_or(x)], |[values, weights, biases]| {
        tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let x = &values[start..start + out.len()];
            form.apply(x, weight.map(|_| weights), bias.map(|_| biases), out);
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
    let form = loops::RowNorm { width, centred, eps: eps as f32 };
    with_slices([x, weight.unwrap_or(x), g], |[values, weights, gs]| {
        // Kept apart by where they start and added in that order, so that threads cannot change the result.
        let parts = Mutex::new(BTreeMap::new());
        let dx = tensor(x.dims(), width, PARALLEL_HEAVY, |start, out| {
            let range = start..start + out.len();
            let mut sums = wants_weight.then(|| vec![0f32; width]);
            let weight = weight.map(|_| weights);
            form.gradient(&values[range.clone()], &gs[range], weight, out, sums.as_deref_mut());
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

//! Activation functions and their slopes.

use super::{PARALLEL_HEAVY, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use hooklens_kernels::pointwise::ElementKernel;

/// The function of each element.
pub(crate) fn map_value(function: ElementKernel, x: &CT) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(x.dims(), 1, PARALLEL_HEAVY, |start, out| function.value(&values[start..start + out.len()], out))
    })?
    .transpose()
}

/// The gradient `g` times the function's slope, from what [`ElementKernel::saves_output`] says.
pub(crate) fn map_slope(function: ElementKernel, saved: &CT, g: &CT) -> Result<Option<CT>> {
    with_slices([saved, g], |[values, gs]| {
        tensor(saved.dims(), 1, PARALLEL_HEAVY, |start, out| {
            let range = start..start + out.len();
            function.slope(&values[range.clone()], &gs[range], out);
        })
    })?
    .transpose()
}

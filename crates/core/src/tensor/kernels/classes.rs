//! Cross entropy of rows of scores against one class each.

use super::{PARALLEL_HEAVY, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::fill;
use hooklens_kernels::classes::{self as loops, ClassRow, LogSum};

/// [`LogSum`]s of rows of `classes` elements.
pub(crate) fn log_sums(x: &CT, classes: usize) -> Result<Option<Vec<LogSum>>> {
    with_slices([x], |[values]| {
        fill(values.len() / classes, 1, 1, PARALLEL_HEAVY.div_ceil(classes), &|start, out: &mut [LogSum]| {
            loops::log_sums(&values[start * classes..(start + out.len()) * classes], out, classes);
        })
    })
}

/// `weight (softmax(x) - wanted)` of each row, where `1 - smoothing` is wanted of the target and `smoothing` spread over
/// all classes.
pub(crate) fn class_gradient(x: &CT, rows: &[ClassRow], classes: usize, smoothing: f32) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(x.dims(), classes, PARALLEL_HEAVY, |start, out| {
            let first = start / classes;
            let rows = &rows[first..first + out.len() / classes];
            loops::class_gradient(&values[start..start + out.len()], rows, out, classes, smoothing);
        })
    })?
    .transpose()
}

//! Cross entropy of rows of scores against one class each.

use super::math::{exp, max, sum};
use super::{Kernel, PARALLEL_HEAVY, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::fill;

/// The logarithm of a row's sum of exponentials, in two parts so that neither loses digits: the row's maximum and the
/// logarithm of the sum relative to it.
pub(crate) type LogSum = [f32; 2];

struct LogSums<'a> {
    x: &'a [f32],
    out: &'a mut [LogSum],
    classes: usize,
}

impl Kernel for LogSums<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for (x, out) in self.x.chunks_exact(self.classes).zip(self.out) {
            let top = max(x);
            let total = sum([x], |[x]| exp::<FMA>(x - top));
            *out = [top, total.ln()];
        }
    }
}

/// [`LogSum`]s of rows of `classes` elements.
pub(crate) fn log_sums(x: &CT, classes: usize) -> Result<Option<Vec<LogSum>>> {
    with_slices([x], |[values]| {
        fill(values.len() / classes, 1, 1, PARALLEL_HEAVY.div_ceil(classes), |start, out| {
            run(LogSums { x: &values[start * classes..(start + out.len()) * classes], out, classes });
        })
    })
}

/// What the gradient of a row's scores is made of.
#[derive(Clone, Copy)]
pub(crate) struct ClassRow {
    /// Of the row's scores.
    pub(crate) log_sum: LogSum,
    /// The class that is right; `None` for a row that counts for nothing, whose gradient is zero whatever it holds.
    pub(crate) target: Option<usize>,
    /// How much the row counts.
    pub(crate) weight: f32,
}

struct Gradient<'a> {
    x: &'a [f32],
    rows: &'a [ClassRow],
    out: &'a mut [f32],
    classes: usize,
    smoothing: f32,
}

impl Kernel for Gradient<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let shared = self.smoothing / self.classes as f32;
        let rows = self.x.chunks_exact(self.classes).zip(self.out.chunks_exact_mut(self.classes));
        for ((x, out), row) in rows.zip(self.rows) {
            let Some(target) = row.target else {
                out.fill(0.0);
                continue;
            };
            let ([top, shift], weight) = (row.log_sum, row.weight);
            for (o, &x) in out.iter_mut().zip(x) {
                *o = weight * (exp::<FMA>((x - top) - shift) - shared);
            }
            out[target] -= weight * (1.0 - self.smoothing);
        }
    }
}

/// `weight (softmax(x) - wanted)` of each row, where `1 - smoothing` is wanted of the target and `smoothing` spread over
/// all classes.
pub(crate) fn class_gradient(x: &CT, rows: &[ClassRow], classes: usize, smoothing: f32) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(x.dims(), classes, PARALLEL_HEAVY, |start, out| {
            let first = start / classes;
            let rows = &rows[first..first + out.len() / classes];
            run(Gradient { x: &values[start..start + out.len()], rows, out, classes, smoothing });
        })
    })?
    .transpose()
}

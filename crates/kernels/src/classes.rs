//! Cross entropy of rows of scores against one class each.

use super::math::{exp, max, sum};
use super::{Kernel, run};

/// The logarithm of a row's sum of exponentials, in two parts so that neither loses digits: the row's maximum and the
/// logarithm of the sum relative to it.
pub type LogSum = [f32; 2];

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
pub fn log_sums(x: &[f32], out: &mut [LogSum], classes: usize) {
    run(LogSums { x, out, classes });
}

/// What the gradient of a row's scores is made of.
#[derive(Clone, Copy)]
pub struct ClassRow {
    /// Of the row's scores.
    pub log_sum: LogSum,
    /// The class that is right; `None` for a row that counts for nothing, whose gradient is zero whatever it holds.
    pub target: Option<usize>,
    /// How much the row counts.
    pub weight: f32,
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
pub fn class_gradient(x: &[f32], rows: &[ClassRow], out: &mut [f32], classes: usize, smoothing: f32) {
    run(Gradient { x, rows, out, classes, smoothing });
}

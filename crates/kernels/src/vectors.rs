//! Sums of scaled rows.

use super::math::fma;
use super::{Kernel, run};

struct ScaledSum<'a> {
    x: &'a [f32],
    rows: &'a [f32],
    stride: usize,
    out: &'a mut [f32],
}

impl Kernel for ScaledSum<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let n = self.out.len();
        let row = |l: usize| &self.rows[l * self.stride..][..n];
        let (eights, rest) = self.x.as_chunks::<8>();
        for (i, x) in eights.iter().enumerate() {
            let rows: [&[f32]; 8] = std::array::from_fn(|j| row(i * 8 + j));
            for (at, o) in self.out.iter_mut().enumerate() {
                let mut total = *o;
                for (x, row) in x.iter().zip(rows) {
                    total = fma::<FMA>(*x, row[at], total);
                }
                *o = total;
            }
        }
        for (l, x) in rest.iter().enumerate() {
            for (o, &y) in self.out.iter_mut().zip(row(eights.len() * 8 + l)) {
                *o = fma::<FMA>(*x, y, *o);
            }
        }
    }
}

/// Adds `Σ x[l] rows[l]` to `out`, one row after the other; row `l` starts at element `l * stride` and has at least as many elements as `out`.
pub(super) fn scaled_sum(x: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    run(ScaledSum { x, rows, stride, out });
}

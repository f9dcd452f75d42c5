//! The four basic operations, with the broadcasting that models use.

use super::lanes::{Operand, on_host};
use super::{PARALLEL_LIGHT, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::Term;
use hooklens_kernels::arithmetic::{self as loops, Arithmetic};

/// `a op b` spread over `dims`.
pub(crate) fn arithmetic(op: Arithmetic, a: &Term, b: &Term, dims: &[usize]) -> Result<Option<CT>> {
    let (Some((a, a_pattern)), Some((b, b_pattern))) = (on_host(a, dims)?, on_host(b, dims)?) else { return Ok(None) };
    with_slices([&a, &b], |[a, b]| {
        let (a, b) = (Operand { values: a, pattern: a_pattern }, Operand { values: b, pattern: b_pattern });
        tensor(dims, 1, PARALLEL_LIGHT, |mut start, mut out| {
            while !out.is_empty() {
                let (a, a_len) = a.at(start, out.len());
                let (b, b_len) = b.at(start, out.len());
                let len = a_len.min(b_len);
                let (now, later) = out.split_at_mut(len);
                loops::arithmetic(op, a, b, now);
                (start, out) = (start + len, later);
            }
        })
    })?
    .transpose()
}

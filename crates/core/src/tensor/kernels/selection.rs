//! Choosing between two operands by a mask.

use super::lanes::{Operand, on_host};
use super::{PARALLEL_LIGHT, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::{Pattern, Term};
use crate::tensor::host::contiguous;
use candle_core::{CpuStorage, Storage};
use hooklens_kernels::selection as loops;

/// `a` where `mask` is not 0, `b` elsewhere, spread over `dims`.
pub(crate) fn select(mask: &CT, a: &Term, b: &Term, dims: &[usize]) -> Result<Option<CT>> {
    let Some(mask_pattern) = Pattern::find(mask.dims(), dims) else { return Ok(None) };
    let (Some((a, a_pattern)), Some((b, b_pattern))) = (on_host(a, dims)?, on_host(b, dims)?) else {
        return Ok(None);
    };
    let mask = contiguous(mask)?;
    let (storage, layout) = mask.storage_and_layout();
    let (Storage::Cpu(CpuStorage::U8(values)), Some((from, to))) = (&*storage, layout.contiguous_offsets()) else {
        return Ok(None);
    };
    let mask = Operand { values: &values[from..to], pattern: mask_pattern };
    with_slices([&a, &b], |[a, b]| {
        let (a, b) = (Operand { values: a, pattern: a_pattern }, Operand { values: b, pattern: b_pattern });
        tensor(dims, 1, PARALLEL_LIGHT, |mut start, mut out| {
            while !out.is_empty() {
                let (mask, mask_len) = mask.at(start, out.len());
                let (a, a_len) = a.at(start, mask_len);
                let (b, len) = b.at(start, a_len);
                let (now, later) = out.split_at_mut(len);
                loops::select(mask.first(len), a.first(len), b.first(len), now);
                (start, out) = (start + len, later);
            }
        })
    })?
    .transpose()
}

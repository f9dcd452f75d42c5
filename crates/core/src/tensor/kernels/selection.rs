//! Choosing between two operands by a mask.

use super::lanes::{Lane, Operand, on_host};
use super::{Kernel, PARALLEL_LIGHT, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;
use crate::tensor::elements::{Pattern, Term};
use crate::tensor::host::contiguous;
use candle_core::{CpuStorage, Storage};

struct Loop<'a> {
    mask: Lane<'a, u8>,
    a: Lane<'a, f32>,
    b: Lane<'a, f32>,
    out: &'a mut [f32],
}

impl Kernel for Loop<'_> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        let (a, b, out) = (self.a, self.b, self.out);
        let mask = match self.mask {
            Lane::Each(mask) => mask,
            Lane::All(chosen) => {
                return match if chosen != 0 { a } else { b } {
                    Lane::Each(x) => out.copy_from_slice(x),
                    Lane::All(x) => out.fill(x),
                };
            }
        };
        match (a, b) {
            (Lane::Each(a), Lane::Each(b)) => {
                for (((o, &m), &a), &b) in out.iter_mut().zip(mask).zip(a).zip(b) {
                    *o = if m != 0 { a } else { b };
                }
            }
            (Lane::Each(a), Lane::All(b)) => {
                for ((o, &m), &a) in out.iter_mut().zip(mask).zip(a) {
                    *o = if m != 0 { a } else { b };
                }
            }
            (Lane::All(a), Lane::Each(b)) => {
                for ((o, &m), &b) in out.iter_mut().zip(mask).zip(b) {
                    *o = if m != 0 { a } else { b };
                }
            }
            (Lane::All(a), Lane::All(b)) => {
                for (o, &m) in out.iter_mut().zip(mask) {
                    *o = if m != 0 { a } else { b };
                }
            }
        }
    }
}

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
                run(Loop { mask: mask.first(len), a: a.first(len), b: b.first(len), out: now });
                (start, out) = (start + len, later);
            }
        })
    })?
    .transpose()
}

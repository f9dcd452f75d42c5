//! A matrix of weights that is rewritten where it lies.

use super::wide;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::{CT, Tensor, product};

/// How many elements are in higher precision at a time.
const CHUNK: usize = 1 << 18;

/// A matrix `W` `[in, out]` of a model, and what is to become of it: `W'[i][j] = s[i] W[i][j] - a[i] - b[j]`.
///
/// All that folding and centring do has this form. The three vectors are found first and the matrix is rewritten once,
/// a piece at a time: it is rounded once, and never there twice. What is read of it is `W'`.
pub(super) struct Matrix {
    /// As it lies in memory: contiguous, `[in, out]`, or `[out, in]` if `turned`.
    stored: CT,
    turned: bool,
    /// Nobody else sees this memory.
    exclusive: bool,
    /// `s`, `[in]`.
    scale: Option<CT>,
    /// `a`, `[in]`.
    input_shift: Option<CT>,
    /// `b`, `[out]`.
    output_shift: Option<CT>,
}

/// The two sides of a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    In,
    Out,
}

impl Matrix {
    /// A matrix `[in, out]`, in either layout. Unless it is `exclusive`, it is copied before it is written to.
    pub(super) fn new(tensor: &Tensor, exclusive: bool) -> Result<Self> {
        let data = tensor.data();
        let transposed = data.t()?;
        let (stored, turned, exclusive) = if data.is_contiguous() {
            (data.clone(), false, exclusive)
        } else if transposed.is_contiguous() {
            (transposed, true, exclusive)
        } else {
            (data.contiguous()?, false, true)
        };
        Ok(Self { stored, turned, exclusive, scale: None, input_shift: None, output_shift: None })
    }

    /// The matrix as it has become, `[in, out]`.
    pub(super) fn finish(mut self) -> Result<Tensor> {
        self.rewrite()?;
        Tensor::constant(if self.turned { self.stored.t()? } else { self.stored })
    }

    /// Multiplies the rows by `w` `[in]`. If `center`, each column has mean 0 afterwards.
    pub(super) fn scale_inputs(&mut self, w: &CT, center: bool) -> Result<()> {
        self.rewrite()?;
        self.scale = Some(w.clone());
        if center {
            let inputs = w.elem_count();
            self.output_shift = Some(self.combined(&w.ones_like()?.affine(1.0 / inputs as f64, 0.0)?)?);
        }
        Ok(())
    }

    /// Subtracts from each row its mean.
    pub(super) fn center_outputs(&mut self) -> Result<()> {
        let mut means = self.stored_row_means()?;
        if let Some(scale) = &self.scale {
            means = (means * scale)?;
        }
        if let Some(shift) = &self.output_shift {
            means = means.broadcast_sub(&shift.mean_keepdim(0)?)?;
        }
        self.input_shift = Some(means);
        Ok(())
    }

    /// `v W'` `[out]`, for `v` `[in]`.
    pub(super) fn combined(&self, v: &CT) -> Result<CT> {
        let scaled = match &self.scale {
            Some(scale) => (v * scale)?,
            None => v.clone(),
        };
        let mut sum = self.stored_combined(&scaled)?;
        if let Some(shift) = &self.input_shift {
            sum = sum.broadcast_sub(&(v * shift)?.sum_keepdim(0)?)?;
        }
        if let Some(shift) = &self.output_shift {
            sum = (sum - shift.broadcast_mul(&v.sum_keepdim(0)?)?)?;
        }
        Ok(sum)
    }

    /// `count` columns (or rows, of the side `In`) from `first` on, in higher precision, `[in, out]`.
    pub(super) fn slice(&mut self, side: Side, first: usize, count: usize) -> Result<CT> {
        self.rewrite()?;
        let slice = self.stored.narrow(self.axis(side), first, count)?.to_dtype(self.wide()?)?;
        Ok(if self.turned { slice.t()? } else { slice })
    }

    /// Overwrites columns (or rows) from `first` on.
    pub(super) fn set_slice(&mut self, side: Side, first: usize, values: &CT) -> Result<()> {
        self.rewrite()?;
        self.make_exclusive()?;
        let values = if self.turned { values.t()? } else { values.clone() };
        let values = values.to_dtype(self.stored.dtype())?.force_contiguous()?;
        Ok(self.stored.slice_set(&values, self.axis(side), first)?)
    }

    fn axis(&self, side: Side) -> usize {
        usize::from((side == Side::Out) != self.turned)
    }

    fn wide(&self) -> Result<candle_core::DType> {
        Ok(wide(DType::of_storage(self.stored.dtype())?))
    }

    fn make_exclusive(&mut self) -> Result<()> {
        if !self.exclusive {
            memory::require(self.stored.elem_count() * self.stored.dtype().size_in_bytes())?;
            self.stored = self.stored.force_contiguous()?;
            self.exclusive = true;
        }
        Ok(())
    }

    /// Does what was decided.
    fn rewrite(&mut self) -> Result<()> {
        let (scale, input_shift, output_shift) = (self.scale.take(), self.input_shift.take(), self.output_shift.take());
        if scale.is_none() && input_shift.is_none() && output_shift.is_none() {
            return Ok(());
        }
        self.make_exclusive()?;
        let turned = self.turned;
        let at = |side| move |vector| Along { vector, axis: usize::from((side == Side::Out) != turned) };
        let scale = scale.map(at(Side::In));
        let shifts = [input_shift.map(at(Side::In)), output_shift.map(at(Side::Out))];
        for piece in self.pieces()? {
            let (first, mut x) = piece?;
            if let Some(scale) = &scale {
                x = x.broadcast_mul(&scale.of_rows(first, x.dim(0)?)?)?;
            }
            for shift in shifts.iter().flatten() {
                x = x.broadcast_sub(&shift.of_rows(first, x.dim(0)?)?)?;
            }
            self.stored.slice_set(&x.to_dtype(self.stored.dtype())?, 0, first)?;
        }
        Ok(())
    }

    /// What is stored, some rows at a time in higher precision, with the number of the first.
    fn pieces(&self) -> Result<impl Iterator<Item = Result<(usize, CT)>> + '_> {
        let (rows, width) = self.stored.dims2()?;
        let (step, wide) = ((CHUNK / width.max(1)).max(1), self.wide()?);
        Ok((0..rows).step_by(step).map(move |first| {
            let rows = self.stored.narrow(0, first, step.min(rows - first))?;
            Ok((first, rows.to_dtype(wide)?))
        }))
    }

    /// [`Matrix::combined`] of what is stored.
    fn stored_combined(&self, v: &CT) -> Result<CT> {
        let times = |a: &CT, b: &CT| product("combined", a, b, None);
        if self.turned {
            let column = v.unsqueeze(1)?;
            return end_to_end(self.pieces()?.map(|piece| Ok(times(&piece?.1, &column)?.squeeze(1)?)));
        }
        sum(self.pieces()?.map(|piece| {
            let (first, x) = piece?;
            Ok(times(&v.narrow(0, first, x.dim(0)?)?.unsqueeze(0)?, &x)?.squeeze(0)?)
        }))
    }

    /// The mean of each row of what is stored, `[in]`.
    fn stored_row_means(&self) -> Result<CT> {
        if !self.turned {
            return end_to_end(self.pieces()?.map(|piece| Ok(piece?.1.mean(1)?)));
        }
        let outputs = self.stored.dim(0)?;
        Ok((sum(self.pieces()?.map(|piece| Ok(piece?.1.sum(0)?)))? * (1.0 / outputs as f64))?)
    }
}

/// A vector of numbers for the rows or columns of a stored matrix.
struct Along {
    vector: CT,
    axis: usize,
}

impl Along {
    /// What concerns `count` rows from `first` on, to broadcast over them.
    fn of_rows(&self, first: usize, count: usize) -> Result<CT> {
        match self.axis {
            0 => Ok(self.vector.narrow(0, first, count)?.unsqueeze(1)?),
            _ => Ok(self.vector.unsqueeze(0)?),
        }
    }
}

fn end_to_end(parts: impl Iterator<Item = Result<CT>>) -> Result<CT> {
    Ok(CT::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
}

fn sum(mut parts: impl Iterator<Item = Result<CT>>) -> Result<CT> {
    let first = parts.next().ok_or_else(|| Error::Internal { detail: "a weight without elements".into() })??;
    parts.try_fold(first, |sum, part| Ok((sum + part?)?))
}

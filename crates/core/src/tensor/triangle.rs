//! The lower and upper triangles of matrices.

use super::host::{check_size, moved};
use super::{CT, Tensor};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};

impl Tensor {
    /// `[.., m, n]` with zeros above the diagonal that lies `diagonal` to the right of the main one.
    pub fn tril(&self, diagonal: i64) -> Result<Self> {
        self.triangle("tril", move |row, column| column - row <= diagonal)
    }

    /// `[.., m, n]` with zeros below the diagonal that lies `diagonal` to the right of the main one.
    pub fn triu(&self, diagonal: i64) -> Result<Self> {
        self.triangle("triu", move |row, column| column - row >= diagonal)
    }

    fn triangle(&self, op: &'static str, keep: impl Fn(i64, i64) -> bool) -> Result<Self> {
        let &[.., rows, columns] = self.dims() else {
            return Err(Error::RankMismatch { op, detail: format!("needs matrices, got shape {:?}", self.dims()) });
        };
        check_size(op, self.dims())?;
        let mask: Vec<u8> = (0..rows as i64)
            .flat_map(|r| (0..columns as i64).map(move |c| (r, c)))
            .map(|(r, c)| u8::from(keep(r, c)))
            .collect();
        let mask = CT::from_vec(mask, (rows, columns), self.data().device())?;
        // A select, not a product: what is dropped becomes 0 even where it was infinite or NaN.
        let cut = move |x: &CT| -> Result<CT> {
            if x.elem_count() == 0 {
                return Ok(x.clone());
            }
            super::select::chosen(&mask.broadcast_as(x.dims())?, x, &x.zeros_like()?)
        };
        moved(op, cut(self.data())?, self, cut)
    }
}

pub(super) const OPS: &[Op] = op_table! {
    tril(x; diagonal: Option<i64>) => x.tril(diagonal.unwrap_or(0));
    triu(x; diagonal: Option<i64>) => x.triu(diagonal.unwrap_or(0));
};

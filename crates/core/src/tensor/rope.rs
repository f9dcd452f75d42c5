//! Rotary position embedding (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).

use super::host::{read_all, upload};
use super::picks::indices;
use super::{CT, Tensor, require_float};
use crate::autograd::record_unary;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::{DType, WithDType};
use std::sync::Arc;

/// Which entries of a vector form the pairs that are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairs {
    /// Entry `i` with entry `i + n/2`, as in LLaMA and GPT-NeoX.
    Halves,
    /// Entry `2i` with entry `2i + 1`, as in GPT-J.
    Neighbours,
}

/// Cosines and sines of `[positions, frequencies]`, row-major.
#[derive(Clone)]
struct Angles {
    cos_sin: Arc<Vec<(f64, f64)>>,
    frequencies: usize,
}

impl Angles {
    /// In `f64`: at large positions a `f32` angle has lost the digits that decide where in the circle it points.
    fn new(positions: &[i64], frequencies: &[f64]) -> Self {
        let cos_sin = positions
            .iter()
            .flat_map(|&p| frequencies.iter().map(move |f| (p as f64 * f).sin_cos()))
            .map(|(sin, cos)| (cos, sin))
            .collect();
        Self { cos_sin: Arc::new(cos_sin), frequencies: frequencies.len() }
    }
}

/// Rotates the vectors of `x`, `[.., seq, d]`, forwards or (for the gradient) backwards.
fn rotate<T: WithDType>(x: &CT, angles: &Angles, pairs: RopePairs, backwards: bool) -> Result<CT> {
    let half = angles.frequencies;
    let d = x.dims().last().copied().unwrap_or(0);
    let sign = if backwards { -1.0 } else { 1.0 };
    let table: Vec<(T, T)> = angles.cos_sin.iter().map(|&(c, s)| (T::from_f64(c), T::from_f64(sign * s))).collect();
    let seq = table.len().checked_div(half).unwrap_or(0);
    crate::memory::require_tensor("rope", x.dims(), size_of::<T>())?;
    let mut out = read_all::<T, _>(x, |x| Ok(x.to_vec()))?;
    if d > 0 && half > 0 {
        for (row, out) in out.chunks_exact_mut(d).enumerate() {
            let angles = &table[row % seq * half..][..half];
            let turn = |u: T, v: T, (cos, sin): (T, T)| (u * cos - v * sin, v * cos + u * sin);
            match pairs {
                RopePairs::Halves => {
                    let (us, vs) = out.split_at_mut(half);
                    for ((u, v), &angle) in us.iter_mut().zip(vs).zip(angles) {
                        (*u, *v) = turn(*u, *v, angle);
                    }
                }
                RopePairs::Neighbours => {
                    for (pair, &angle) in out.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                        (pair[0], pair[1]) = turn(pair[0], pair[1], angle);
                    }
                }
            }
        }
    }
    upload(out, x.dims(), x.device())
}

fn rotate_any(x: &CT, angles: &Angles, pairs: RopePairs, backwards: bool) -> Result<CT> {
    match x.dtype() {
        DType::F64 => rotate::<f64>(x, angles, pairs, backwards),
        DType::F32 => rotate::<f32>(x, angles, pairs, backwards),
        narrow => Ok(rotate::<f32>(&x.to_dtype(DType::F32)?, angles, pairs, backwards)?.to_dtype(narrow)?),
    }
}

impl Tensor {
    /// Turns the pairs of each vector of `[.., seq, d]` by position times frequency: pair `i` by
    /// `positions[seq] · base^(-2i / rotary_dim)`. Entries from `rotary_dim` (default `d`) on stay as they are.
    pub fn rope(&self, positions: &Self, base: f64, rotary_dim: Option<usize>, pairs: RopePairs) -> Result<Self> {
        const OP: &str = "rope";
        let d = self.dims().last().copied().unwrap_or(0);
        let n = rotary_dim.unwrap_or(d);
        if !n.is_multiple_of(2) || n > d {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("rotary_dim must be even and at most {d}, got {n}"),
            });
        }
        if !(base > 0.0 && base.is_finite()) {
            return Err(Error::InvalidArgument { op: OP, detail: format!("base must be positive, got {base}") });
        }
        let frequencies: Vec<f64> = (0..n / 2).map(|i| base.powf(-2.0 * i as f64 / n as f64)).collect();
        self.rope_with(positions, &frequencies, 1.0, pairs)
    }

    /// [`Tensor::rope`] with frequencies of one's own (their number is half of what is rotated), for the scaled
    /// variants; the rotated entries are multiplied by `scale` too.
    pub fn rope_with(&self, positions: &Self, frequencies: &[f64], scale: f64, pairs: RopePairs) -> Result<Self> {
        const OP: &str = "rope";
        require_float(OP, self.dtype())?;
        let &[.., seq, d] = self.dims() else {
            return Err(Error::RankMismatch { op: OP, detail: format!("needs [.., seq, d], got {:?}", self.dims()) });
        };
        if 2 * frequencies.len() > d {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("{} frequencies for {d} entries", frequencies.len()),
            });
        }
        if positions.dims() != [seq] {
            return Err(Error::ShapeMismatch {
                op: OP,
                detail: format!("positions {:?} for a sequence of {seq}", positions.dims()),
            });
        }
        // A cosine and a sine of each pair, in `f64` and in the dtype of `x`.
        crate::memory::require_tensor(OP, &[seq, frequencies.len()], 2 * (size_of::<f64>() + self.dtype().size()))?;
        let mut angles = Angles::new(&indices(OP, positions)?, frequencies);
        if scale != 1.0 {
            angles.cos_sin = Arc::new(angles.cos_sin.iter().map(|(c, s)| (c * scale, s * scale)).collect());
        }
        let out = rotate_any(self.data(), &angles, pairs, false)?;
        // The transpose of a rotation is the rotation back.
        record_unary(OP, out, self, move |g| rotate_any(g, &angles, pairs, true))
    }
}

pub(super) const OPS: &[Op] = op_table! {
    rope_rotate_half(x, positions; base: Option<f64>, rotary_dim: Option<usize>)
        => x.rope(positions, base.unwrap_or(10000.0), rotary_dim, RopePairs::Halves);
    rope_interleaved(x, positions; base: Option<f64>, rotary_dim: Option<usize>)
        => x.rope(positions, base.unwrap_or(10000.0), rotary_dim, RopePairs::Neighbours);
};

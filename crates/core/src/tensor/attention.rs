//! Scaled dot-product attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>) as one operation.

use super::gemm::product;
use super::host::{contiguous, read_all, upload};
use super::{CT, Tensor, broadcast_dims, kernels, require_float, unbroadcast};
use crate::autograd::record;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::{DType as Storage, WithDType};
use rayon::prelude::*;

const OP: &str = "scaled_dot_product_attention";

/// Settings of [`Tensor::scaled_dot_product_attention`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AttentionOptions {
    /// Query `i` attends to key `j` only where `j <= i`.
    pub is_causal: bool,
    /// What scores are multiplied by; `1/√d` if left out.
    pub scale: Option<f64>,
    /// Fewer key and value heads than query heads: query head `h` uses key head `h / (query heads / key heads)`.
    pub enable_gqa: bool,
}

fn mismatch(detail: String) -> Error {
    Error::ShapeMismatch { op: OP, detail }
}

/// Below this many scores, a second thread costs more than it gains.
const SPLIT: usize = 1 << 15;

/// The floats that attention computes in.
trait Float: WithDType {
    fn exp(self) -> Self;
}
impl Float for f32 {
    fn exp(self) -> Self {
        self.exp()
    }
}
impl Float for f64 {
    fn exp(self) -> Self {
        self.exp()
    }
}

/// Softmax of each row of `[.., queries, keys]` in place; where `causal`, row `i` sees the keys up to `i` only. Where
/// there is a mask (`masked`) or causality, a row of -∞ is one that sees nothing; elsewhere it is 0/0.
fn softmax_rows<T: Float>(scores: &mut [T], queries: usize, keys: usize, causal: bool, masked: bool) {
    let zero = T::from_f64(0.0);
    let row = |(i, row): (usize, &mut [T])| {
        let seen = if causal { (i % queries + 1).min(keys) } else { keys };
        let (row, hidden) = row.split_at_mut(seen);
        hidden.fill(zero);
        // A NaN must win the maximum, else it would vanish from rows that hold it.
        let max = row.iter().copied().fold(T::from_f64(f64::NEG_INFINITY), |m, x| if x <= m { m } else { x });
        if (causal || masked) && max == T::from_f64(f64::NEG_INFINITY) {
            // Nothing may be attended to: torch gives zeros here, not 0/0.
            return row.fill(zero);
        }
        let mut sum = zero;
        for x in row.iter_mut() {
            *x = (*x - max).exp();
            sum += *x;
        }
        row.iter_mut().for_each(|x| *x /= sum);
    };
    if scores.len() < SPLIT {
        scores.chunks_mut(keys.max(1)).enumerate().for_each(row);
    } else {
        scores.par_chunks_mut(keys.max(1)).enumerate().for_each(row);
    }
}

fn pattern(scores: &CT, causal: bool, masked: bool) -> Result<CT> {
    let &[.., queries, keys] = scores.dims() else {
        return Err(Error::Internal { detail: "attention scores without two axes".into() });
    };
    let fast = match keys {
        0 => None,
        _ if causal || masked => kernels::attention_pattern(scores, queries, keys, causal)?,
        _ => kernels::softmax(scores, keys)?,
    };
    if let Some(pattern) = fast {
        return Ok(pattern);
    }
    if scores.dtype() == Storage::F64 {
        let mut data = read_all::<f64, _>(scores, |scores| Ok(scores.to_vec()))?;
        softmax_rows(&mut data, queries, keys, causal, masked);
        return upload(data, scores.dims(), scores.device());
    }
    let mut data = read_all::<f32, _>(scores, |scores| Ok(scores.to_vec()))?;
    softmax_rows(&mut data, queries, keys, causal, masked);
    upload(data, scores.dims(), scores.device())
}

/// The gradient of the scores from that of their softmax: `p · (g - Σ g·p)`.
fn softmax_gradient<T: WithDType>(pattern: &CT, g: &CT) -> Result<CT> {
    let keys = pattern.dims().last().copied().unwrap_or(1).max(1);
    read_all::<T, _>(pattern, |p| {
        let mut out = read_all::<T, _>(g, |g| Ok(g.to_vec()))?;
        let row = |(g, p): (&mut [T], &[T])| {
            let mut dot = T::from_f64(0.0);
            g.iter().zip(p).for_each(|(&g, &p)| dot += g * p);
            g.iter_mut().zip(p).for_each(|(g, &p)| *g = p * (*g - dot));
        };
        if out.len() < SPLIT {
            out.chunks_mut(keys).zip(p.chunks(keys)).for_each(row);
        } else {
            out.par_chunks_mut(keys).zip(p.par_chunks(keys)).for_each(row);
        }
        upload(out, pattern.dims(), pattern.device())
    })
}

fn t(x: &CT) -> Result<CT> {
    Ok(x.transpose(x.rank() - 2, x.rank() - 1)?)
}

/// A mask as numbers to add to the scores: truth values become 0 and -∞.
fn additive(mask: &Tensor, dtype: Storage) -> Result<CT> {
    if mask.dtype() != DType::Bool {
        require_float(OP, mask.dtype())?;
        return Ok(mask.data().to_dtype(dtype)?);
    }
    let attend = CT::zeros(mask.dims(), dtype, mask.data().device())?;
    let hidden = CT::full(f32::NEG_INFINITY, mask.dims(), mask.data().device())?.to_dtype(dtype)?;
    Ok(mask.data().where_cond(&attend, &hidden)?)
}

impl Tensor {
    /// `softmax(q kᵀ · scale + mask) v`, where this tensor is `q`: `[.., heads, query, d]`, `[.., heads, key, d]` and
    /// `[.., heads, key, d_v]` give `[.., heads, query, d_v]`; leading axes broadcast.
    ///
    /// The mask broadcasts to `[.., heads, query, key]`: truth values say who may attend, numbers are added to the
    /// scores. A query that may attend to nothing gets zeros.
    pub fn scaled_dot_product_attention(
        &self,
        key: &Self,
        value: &Self,
        mask: Option<&Self>,
        options: AttentionOptions,
    ) -> Result<Self> {
        require_float(OP, self.dtype())?;
        for other in [key, value] {
            if other.dtype() != self.dtype() {
                return Err(Error::WrongDtype {
                    op: OP,
                    expected: self.dtype().name().into(),
                    got: other.dtype().name().into(),
                });
            }
        }
        let (q, k, v) = (self.dims(), key.dims(), value.dims());
        let (&[ref lead @ .., queries, d], &[.., keys, key_d], &[.., values, _]) = (q, k, v) else {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("needs rank 2 or more, got {q:?}, {k:?}, {v:?}"),
            });
        };
        if d != key_d {
            return Err(mismatch(format!("head sizes differ: queries {q:?}, keys {k:?}")));
        }
        if keys != values {
            return Err(mismatch(format!("numbers of keys and values differ: {k:?}, {v:?}")));
        }
        if options.is_causal && mask.is_some() {
            return Err(Error::InvalidArgument { op: OP, detail: "takes a mask or is_causal, not both".into() });
        }
        let scale = options.scale.unwrap_or(1.0 / (d as f64).sqrt());
        if !options.enable_gqa {
            return self.attend(key, value, mask, options.is_causal, scale);
        }
        // The query heads that share a key head become a batch axis over which keys and values are stretched.
        let (&[.., heads, _, _], &[.., key_heads, _, _], &[.., value_heads, _, _]) = (q, k, v) else {
            return Err(Error::RankMismatch { op: OP, detail: format!("needs a head axis, got {q:?}, {k:?}, {v:?}") });
        };
        if key_heads != value_heads || key_heads == 0 || heads % key_heads != 0 {
            return Err(mismatch(format!("{heads} query heads over {key_heads} key and {value_heads} value heads")));
        }
        let group = heads / key_heads;
        let split = |dims: &[usize]| -> Vec<i64> {
            let (lead, rest) = dims.split_at(dims.len() - 3);
            lead.iter().chain(&[key_heads, group]).chain(&rest[1..]).map(|&n| n as i64).collect()
        };
        let mask = match mask {
            Some(mask) => {
                let full = broadcast_dims(OP, mask.dims(), &[lead, &[queries, keys]].concat())?;
                Some(mask.expand_to(OP, &full)?.reshape(&split(&full))?)
            }
            None => None,
        };
        let out = self.reshape(&split(q))?.attend(
            &key.unsqueeze(-3)?,
            &value.unsqueeze(-3)?,
            mask.as_ref(),
            options.is_causal,
            scale,
        )?;
        let mut dims: Vec<i64> = out.dims().iter().map(|&n| n as i64).collect();
        let at = dims.len() - 4;
        dims.splice(at..at + 2, [heads as i64]);
        out.reshape(&dims)
    }

    fn attend(&self, key: &Self, value: &Self, mask: Option<&Self>, causal: bool, scale: f64) -> Result<Self> {
        let own = self.data().dtype();
        let wide = if own == Storage::F64 { Storage::F64 } else { Storage::F32 };
        let (q, k, v) = (self.data().to_dtype(wide)?, key.data().to_dtype(wide)?, value.data().to_dtype(wide)?);
        // Scaling the queries is cheaper than scaling the scores.
        let q = (q * scale)?;
        let mut scores = product(OP, &q, &t(&k)?, None)?;
        if let Some(mask) = mask {
            let dims = broadcast_dims(OP, mask.dims(), scores.dims())?;
            if dims != scores.dims() {
                return Err(mismatch(format!("mask {:?} for scores {:?}", mask.dims(), scores.dims())));
            }
            scores = scores.broadcast_add(&additive(mask, wide)?)?;
        }
        let pattern = pattern(&scores, causal, mask.is_some())?;
        let out = product(OP, &pattern, &v, None)?.to_dtype(own)?;
        let mask_dims = mask.filter(|m| m.dtype().is_float()).map(|m| (m.dims().to_vec(), m.data().dtype()));
        let parents: Vec<&Self> = [self, key, value].into_iter().chain(mask.filter(|m| m.dtype().is_float())).collect();
        record(OP, out, &parents, move |g, needs| {
            let g = contiguous(&g.to_dtype(wide)?)?;
            let mut grads = vec![None; needs.len()];
            if needs[2] {
                let to_value = product(OP, &t(&pattern)?, &g, None)?;
                grads[2] = Some(unbroadcast(&to_value, v.dims())?.to_dtype(own)?);
            }
            if !needs[0] && !needs[1] && needs.get(3) != Some(&true) {
                return Ok(grads);
            }
            let to_pattern = product(OP, &g, &t(&v)?, None)?;
            let keys = pattern.dims().last().copied().unwrap_or(0);
            let to_scores = match kernels::softmax_gradient(&pattern, &to_pattern, keys)? {
                Some(to_scores) => to_scores,
                None if wide == Storage::F64 => softmax_gradient::<f64>(&pattern, &to_pattern)?,
                None => softmax_gradient::<f32>(&pattern, &to_pattern)?,
            };
            if needs[0] {
                let to_query = (unbroadcast(&product(OP, &to_scores, &k, None)?, q.dims())? * scale)?;
                grads[0] = Some(to_query.to_dtype(own)?);
            }
            if needs[1] {
                let to_key = product(OP, &t(&to_scores)?, &q, None)?;
                grads[1] = Some(unbroadcast(&to_key, k.dims())?.to_dtype(own)?);
            }
            if let (Some(true), Some((dims, dtype))) = (needs.get(3), &mask_dims) {
                grads[3] = Some(unbroadcast(&to_scores, dims)?.to_dtype(*dtype)?);
            }
            Ok(grads)
        })
    }
}

fn attention_op(inputs: &[Tensor], options: AttentionOptions) -> Result<Tensor> {
    match inputs {
        [q, k, v] => q.scaled_dot_product_attention(k, v, None, options),
        [q, k, v, mask] => q.scaled_dot_product_attention(k, v, Some(mask), options),
        _ => Err(Error::InvalidArgument {
            op: OP,
            detail: format!("takes query, key, value and maybe a mask, got {} tensors", inputs.len()),
        }),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    scaled_dot_product_attention[inputs](; is_causal: Option<bool>, scale: Option<f64>, enable_gqa: Option<bool>)
        => attention_op(inputs, AttentionOptions {
            is_causal: is_causal.unwrap_or(false),
            scale,
            enable_gqa: enable_gqa.unwrap_or(false),
        });
};

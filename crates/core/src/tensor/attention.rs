//! Scaled dot-product attention (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>) as one operation.

use super::gemm::product;
use super::host::{contiguous, read};
use super::kernels::{self, Head, Mask, Results, Rows, Shape, Sight, Stored};
use super::{CT, Tensor, broadcast_dims, chosen, require_float, unbroadcast};
use crate::autograd::{grad_enabled, record, record_unary};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::{D, DType as Storage, Layout, WithDType};

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

/// Softmax of scores `[.., queries, keys]` over the keys that each query sees, zeros for the others. A row of `-inf` alone
/// is a query that sees nothing, and gives zeros too, where `or_zeros`; elsewhere it is 0/0.
fn pattern(scores: &CT, sight: Sight, or_zeros: bool) -> Result<CT> {
    let &[.., queries, keys] = scores.dims() else {
        return Err(Error::Internal { detail: "attention scores without two axes".into() });
    };
    if scores.elem_count() == 0 {
        return Ok(scores.clone());
    }
    let fast = match or_zeros {
        true => kernels::attention_pattern(scores, queries, keys, sight)?,
        false => kernels::softmax(scores, keys)?,
    };
    if let Some(pattern) = fast {
        return Ok(pattern);
    }
    let lowest = scores.zeros_like()?.affine(0.0, f64::NEG_INFINITY)?;
    let scores = match sight.is_full(queries, keys) {
        true => scores.clone(),
        false => {
            let seen = (0..queries).flat_map(|i| {
                let seen = sight.of(i, keys);
                (0..keys).map(move |j| u8::from(seen.contains(&j)))
            });
            let seen = CT::from_vec(seen.collect::<Vec<_>>(), (queries, keys), scores.device())?;
            chosen(&seen.broadcast_as(scores.dims())?, scores, &lowest)?
        }
    };
    let mut top = scores.max_keepdim(D::Minus1)?;
    if or_zeros {
        top = chosen(&top.eq(f64::NEG_INFINITY)?, &top.zeros_like()?, &top)?;
    }
    let shares = scores.broadcast_sub(&top)?.exp()?;
    let mut total = shares.sum_keepdim(D::Minus1)?;
    if or_zeros {
        total = chosen(&total.eq(0.0)?, &total.ones_like()?, &total)?;
    }
    Ok(shares.broadcast_div(&total)?)
}

/// The gradient of the scores from that of their softmax: `p · (g - Σ g·p)`.
fn softmax_gradient(pattern: &CT, g: &CT) -> Result<CT> {
    let keys = pattern.dims().last().copied().unwrap_or(0);
    if keys > 0
        && let Some(gradient) = kernels::softmax_gradient(pattern, g, keys)?
    {
        return Ok(gradient);
    }
    let total = g.mul(pattern)?.sum_keepdim(D::Minus1)?;
    Ok(g.broadcast_sub(&total)?.mul(pattern)?)
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
    chosen(mask.data(), &attend, &hidden)
}

/// Attention in one pass, where there are kernels for it: `None` elsewhere, and for heads that neither match nor share
/// keys and values evenly.
fn in_one_pass(q: &CT, k: &CT, v: &CT, mask: Option<&CT>, sight: Sight, scale: f64) -> Result<Option<CT>> {
    if !q.device().is_cpu() || !kernels::attends() {
        return Ok(None);
    }
    match q.dtype() {
        Storage::F32 => heads::<f32>(q, k, v, mask, sight, scale),
        Storage::F16 => heads::<half::f16>(q, k, v, mask, sight, scale),
        Storage::BF16 => heads::<half::bf16>(q, k, v, mask, sight, scale),
        _ => Ok(None),
    }
}

fn heads<T: Stored + WithDType>(
    q: &CT,
    k: &CT,
    v: &CT,
    mask: Option<&CT>,
    sight: Sight,
    scale: f64,
) -> Result<Option<CT>> {
    let (
        &[ref lead @ .., heads, queries, d],
        &[ref k_lead @ .., kv_heads, keys, _],
        &[ref v_lead @ .., v_heads, _, d_v],
    ) = (q.dims(), k.dims(), v.dims())
    else {
        return Ok(None);
    };
    let even = kv_heads == v_heads && kv_heads > 0 && heads % kv_heads == 0;
    if !even || lead != k_lead || lead != v_lead || q.elem_count() == 0 || keys == 0 || d_v == 0 {
        return Ok(None);
    }
    let scores = [lead, &[heads, queries, keys]].concat();
    let mask = match mask {
        Some(mask) if broadcast_dims(OP, mask.dims(), &scores)? == scores => {
            Some(mask.to_dtype(Storage::F32)?.broadcast_as(scores.as_slice())?)
        }
        Some(_) => return Ok(None),
        None => None,
    };
    // Laid out [.., query, head, d_v], as what follows wants it.
    let dims = [lead, &[queries, heads, d_v]].concat();
    let total: usize = dims.iter().product();
    crate::memory::require_tensor(OP, &dims, size_of::<f32>())?;
    let batches: usize = lead.iter().product();
    let or_zeros = mask.is_some() || sight != Sight::default();
    let shape = Shape { heads: batches * heads, queries, keys, scale: scale as f32, sight, or_zeros };
    let in_rows = |t: &CT| t.dims().last() == Some(&1) || t.stride().last() == Some(&1);
    if ![q, k, v].into_iter().all(in_rows) {
        return Ok(None);
    }
    let mut out: Vec<f32> = Vec::with_capacity(total);
    let at = out.spare_capacity_mut().as_mut_ptr().cast();
    let sizes = Sizes { shape, heads, kv_heads, d, d_v };
    read::<T, _>(q, |q, q_layout| {
        read::<T, _>(k, |k, k_layout| {
            read::<T, _>(v, |v, v_layout| {
                let operands = [(q, q_layout), (k, k_layout), (v, v_layout)];
                match &mask {
                    Some(mask) => read::<f32, _>(mask, |mask, layout| {
                        // SAFETY: there is room for every row of every head.
                        unsafe { sizes.attend(operands, Some((mask, layout)), at) };
                        Ok(())
                    }),
                    None => {
                        // SAFETY: as above.
                        unsafe { sizes.attend(operands, None, at) };
                        Ok(())
                    }
                }
            })
        })
    })?;
    // SAFETY: every head has written all of its rows.
    unsafe { out.set_len(total) };
    let out = CT::from_vec(out, dims, q.device())?.to_dtype(T::DTYPE)?;
    let rank = out.rank();
    Ok(Some(out.transpose(rank - 3, rank - 2)?))
}

/// The sizes of a batch of heads.
struct Sizes {
    shape: Shape,
    heads: usize,
    kv_heads: usize,
    d: usize,
    d_v: usize,
}

impl Sizes {
    /// Attention of all heads into `[batch, query, head, d_v]`.
    ///
    /// # Safety
    /// There must be room for all of that.
    unsafe fn attend<T: Stored>(&self, [q, k, v]: [(&[T], &Layout); 3], mask: Option<(&[f32], &Layout)>, at: *mut f32) {
        let [q_starts, k_starts, v_starts] = [q.1, k.1, v.1].map(starts);
        let mask = mask.map(|(data, layout)| (data, layout, starts(layout)));
        let group = self.heads / self.kv_heads;
        let results = Results { at, stride: self.heads * self.d_v };
        let head = |i: usize| {
            let (batch, head) = (i / self.heads, i % self.heads);
            let shared = batch * self.kv_heads + head / group;
            let mask = mask.as_ref().map(|(data, layout, starts)| {
                let stride = layout.stride();
                Mask { data: &data[starts[i]..], strides: [stride[stride.len() - 2], stride[stride.len() - 1]] }
            });
            let head_rows = Head {
                q: rows(q, q_starts[i], self.d),
                k: rows(k, k_starts[shared], self.d),
                v: rows(v, v_starts[shared], self.d_v),
                mask,
            };
            (head_rows, (batch * self.shape.queries * self.heads + head) * self.d_v)
        };
        // SAFETY: as promised by the caller; each head writes its own rows.
        unsafe { T::attend(self.shape, &head, &results) };
    }
}

/// The rows of the matrix that starts at `start`.
fn rows<'a, T>((data, layout): (&'a [T], &Layout), start: usize, width: usize) -> Rows<'a, T> {
    let stride = layout.stride();
    Rows { data: &data[start..], stride: stride[stride.len() - 2], width }
}

/// Where each matrix of a batch starts, the last axis of the batch fastest.
fn starts(layout: &Layout) -> Vec<usize> {
    let axes = layout.dims().len() - 2;
    let mut starts = vec![layout.start_offset()];
    for (&n, &stride) in layout.dims()[..axes].iter().zip(layout.stride()) {
        starts = starts.iter().flat_map(|&start| (0..n).map(move |i| start + i * stride)).collect();
    }
    starts
}

impl Tensor {
    /// [`Tensor::softmax`] along the last axis, but zeros for a row of `-inf` alone: attention to nothing.
    pub(crate) fn softmax_or_zeros(&self) -> Result<Self> {
        let y = pattern(self.data(), Sight::default(), true)?;
        let saved = y.clone();
        record_unary("softmax", y, self, move |g| softmax_gradient(&saved, g))
    }

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
        if options.is_causal && mask.is_some() {
            return Err(Error::InvalidArgument { op: OP, detail: "takes a mask or is_causal, not both".into() });
        }
        let sight = Sight { causal: options.is_causal, ..Sight::default() };
        self.attention(key, value, mask, sight, options)
    }

    /// [`Tensor::scaled_dot_product_attention`] to what each query sees by its position, less what a mask hides.
    /// `is_causal` of the options does not matter.
    pub(crate) fn attention(
        &self,
        key: &Self,
        value: &Self,
        mask: Option<&Self>,
        sight: Sight,
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
        let scale = options.scale.unwrap_or(1.0 / (d as f64).sqrt());
        let parents = [Some(self), Some(key), Some(value), mask];
        let recorded = grad_enabled() && parents.into_iter().flatten().any(Self::requires_grad);
        let heads = |x: &Self| x.rank().checked_sub(3).map(|axis| x.dims()[axis]);
        if !recorded && (options.enable_gqa || heads(self) == heads(key)) {
            let mask = mask.map(|mask| additive(mask, Storage::F32)).transpose()?;
            let (q, k, v) = (self.data(), key.data(), value.data());
            if let Some(out) = in_one_pass(q, k, v, mask.as_ref(), sight, scale)? {
                return Self::constant(out);
            }
        }
        if !options.enable_gqa {
            return self.attend(key, value, mask, sight, scale);
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
        let out =
            self.reshape(&split(q))?.attend(&key.unsqueeze(-3)?, &value.unsqueeze(-3)?, mask.as_ref(), sight, scale)?;
        let mut dims: Vec<i64> = out.dims().iter().map(|&n| n as i64).collect();
        let at = dims.len() - 4;
        dims.splice(at..at + 2, [heads as i64]);
        out.reshape(&dims)
    }

    /// The same with a pattern of its own, which gradients need.
    fn attend(&self, key: &Self, value: &Self, mask: Option<&Self>, sight: Sight, scale: f64) -> Result<Self> {
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
        let pattern = pattern(&scores, sight, mask.is_some() || sight != Sight::default())?;
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
            let to_scores = softmax_gradient(&pattern, &to_pattern)?;
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

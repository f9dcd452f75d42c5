//! The weights of an attention layer, by name and packed.
//!
//! Frozen models hold queries', keys' and values' matrices side by side in one, so that they are one product; the
//! named weights are then views into it. Trainable models hold a leaf for each name instead, and lay them side by side
//! in each forward, so that gradients reach the leaves and an optimiser can overwrite them.

use super::weights::affine;
use crate::error::{Error, Result};
use crate::models::ModelConfig;
use crate::tensor::{CT, Tensor};

/// A linear map: a matrix `[in, out]` and a bias `[out]`, if it has one.
pub(crate) type Affine = (Tensor, Option<Tensor>);

/// An attention layer's weights as matrices.
#[derive(Clone)]
pub(crate) struct PackedAttn {
    /// `[d_model, (n_heads + 2 n_key_value_heads) * d_head]`: queries, keys, values.
    pub(crate) qkv: Tensor,
    /// `[(n_heads + 2 n_key_value_heads) * d_head]`.
    pub(crate) qkv_bias: Option<Tensor>,
    /// `[n_heads * d_head, d_model]`.
    pub(crate) o: Tensor,
}

impl PackedAttn {
    /// Lays the maps that make queries, keys and values, `[d_model, heads * d_head]`, side by side. One without a bias
    /// gets zeros if another has one.
    pub(crate) fn new(qkv: &[Affine; 3], o: Tensor) -> Result<Self> {
        let (qkv, qkv_bias) = side_by_side(qkv)?;
        Ok(Self { qkv, qkv_bias, o })
    }

    /// The named weights of a layer as views into the matrices.
    pub(crate) fn views(&self, config: &ModelConfig, layer: usize) -> Result<Vec<(String, Tensor)>> {
        let (heads, kv_heads) = (config.n_heads, config.n_key_value_heads);
        let grouped = if heads == kv_heads { "" } else { "_" };
        let mut views = Vec::with_capacity(7);
        let parts = [("", "Q", 0, heads), (grouped, "K", heads, kv_heads), (grouped, "V", heads + kv_heads, kv_heads)];
        for (prefix, part, first, count) in parts {
            let w = head_view(self.qkv.data(), first, count, config.d_head)?;
            views.push((format!("blocks.{layer}.attn.{prefix}W_{part}"), Tensor::constant(w)?));
            if let Some(bias) = &self.qkv_bias {
                let b = bias.data().narrow(0, first * config.d_head, count * config.d_head)?;
                let b = b.reshape((count, config.d_head))?;
                views.push((format!("blocks.{layer}.attn.{prefix}b_{part}"), Tensor::constant(b)?));
            }
        }
        let o = self.o.data();
        let o = if o.is_contiguous() {
            o.reshape((heads, config.d_head, config.d_model))?
        } else {
            o.t()?.reshape((config.d_model, heads, config.d_head))?.permute((1, 2, 0))?
        };
        views.push((format!("blocks.{layer}.attn.W_O"), Tensor::constant(o)?));
        Ok(views)
    }
}

/// One map that gives what each of several gives of the same input, one after the other. Matrices that are all stored
/// `[out, in]` stay so: they are copied as they lie.
fn side_by_side(maps: &[Affine; 3]) -> Result<Affine> {
    let turned = |w: &Tensor| !w.data().is_contiguous() && w.data().t().is_ok_and(|stored| stored.is_contiguous());
    let matrix = if maps.iter().all(|(w, _)| turned(w)) {
        let stored = maps.iter().map(|(w, _)| w.transpose(0, 1)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&stored, 0)?.transpose(0, 1)?
    } else {
        Tensor::cat(&maps.each_ref().map(|(w, _)| w.clone()), 1)?
    };
    if maps.iter().all(|(_, b)| b.is_none()) {
        return Ok((matrix, None));
    }
    let or_zeros = |(w, b): &Affine| match b {
        Some(b) => Ok(b.clone()),
        None => Tensor::zeros(&w.dims()[1..], w.dtype(), w.data().device()),
    };
    let biases = maps.iter().map(or_zeros).collect::<Result<Vec<_>>>()?;
    Ok((matrix, Some(Tensor::cat(&biases, 0)?)))
}

/// [`side_by_side`] of maps whose weights `[head, in, d_head]` and biases `[head, d_head]` have an axis of heads, of which
/// there are `heads` in all. A map is taken when its turn comes and let go of when it was copied, so that no more than one
/// exists beside the whole.
pub(crate) fn heads_side_by_side(heads: usize, maps: impl Iterator<Item = Result<Affine>>) -> Result<Affine> {
    let mut matrix: Option<Tensor> = None;
    let mut biases = Vec::with_capacity(3);
    let mut first = 0;
    for map in maps {
        let (w, b) = map?;
        let (count, input, d_head) = w.data().dims3()?;
        let whole = match &matrix {
            Some(whole) => whole,
            None => matrix.insert(Tensor::zeros(&[input, heads, d_head], w.dtype(), w.data().device())?),
        };
        for head in 0..count {
            let column = w.data().narrow(0, head, 1)?.transpose(0, 1)?.contiguous()?;
            whole.data().slice_set(&column, 1, first + head)?;
        }
        first += count;
        biases.push((count * d_head, b.map(|b| b.flatten(0, 1)).transpose()?));
    }
    let whole = matrix.ok_or_else(|| Error::Internal { detail: "there are no maps to lay side by side".into() })?;
    let matrix = whole.flatten(1, 2)?;
    if biases.iter().all(|(_, b)| b.is_none()) {
        return Ok((matrix, None));
    }
    let or_zeros = |(width, b): (usize, Option<Tensor>)| {
        b.map_or_else(|| Tensor::zeros(&[width], whole.dtype(), whole.data().device()), Ok)
    };
    let biases = biases.into_iter().map(or_zeros).collect::<Result<Vec<_>>>()?;
    Ok((matrix, Some(Tensor::cat(&biases, 0)?)))
}

/// `count` heads from `first` on, `[count, d_model, d_head]`, of a matrix `[d_model, heads * d_head]` in either layout.
fn head_view(matrix: &CT, first: usize, count: usize, d_head: usize) -> Result<CT> {
    let (d_model, columns) = matrix.dims2()?;
    let heads = columns / d_head;
    if matrix.is_contiguous() {
        return Ok(matrix.reshape((d_model, heads, d_head))?.narrow(1, first, count)?.transpose(0, 1)?);
    }
    let rows = matrix.t()?.contiguous()?;
    Ok(rows.reshape((heads, d_head, d_model))?.narrow(0, first, count)?.transpose(1, 2)?)
}

/// `w_q` `[head, d_model, d_head]`, `w_k` and `w_v` the same with key heads, `w_o` `[head, d_head, d_model]`.
pub(crate) struct AttnWeights {
    pub(crate) w_q: Tensor,
    pub(crate) w_k: Tensor,
    pub(crate) w_v: Tensor,
    pub(crate) w_o: Tensor,
    pub(crate) b_q: Option<Tensor>,
    pub(crate) b_k: Option<Tensor>,
    pub(crate) b_v: Option<Tensor>,
    pub(crate) b_o: Option<Tensor>,
    /// Absent while the model is trainable: the named weights are then the truth.
    pub(super) packed: Option<PackedAttn>,
}

impl AttnWeights {
    /// Queries `[batch, pos, head, d_head]`, keys and values (with key heads) from one input `[batch, pos, d_model]`.
    pub(crate) fn project_shared(&self, config: &ModelConfig, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let y = match &self.packed {
            Some(packed) => affine(x, &packed.qkv, packed.qkv_bias.as_ref())?,
            None => {
                let (w, b) = side_by_side(&self.maps()?)?;
                affine(x, &w, b.as_ref())?
            }
        };
        let (heads, kv_heads) = (config.n_heads, config.n_key_value_heads);
        let y =
            y.reshape(&[x.dims()[0] as i64, x.dims()[1] as i64, (heads + 2 * kv_heads) as i64, config.d_head as i64])?;
        match <[Tensor; 3]>::try_from(y.split_sections(&[heads, kv_heads, kv_heads], 2)?) {
            Ok([q, k, v]) => Ok((q, k, v)),
            Err(_) => Err(Error::Internal { detail: "a split into three gave another number".into() }),
        }
    }

    /// The maps that make queries, keys and values, each `[d_model, heads * d_head]`.
    fn maps(&self) -> Result<[Affine; 3]> {
        let map = |w: &Tensor, b: &Option<Tensor>| -> Result<Affine> {
            Ok((w.transpose(0, 1)?.flatten(1, 2)?, b.as_ref().map(|b| b.flatten(0, 1)).transpose()?))
        };
        Ok([map(&self.w_q, &self.b_q)?, map(&self.w_k, &self.b_k)?, map(&self.w_v, &self.b_v)?])
    }

    /// `[n_heads * d_head, d_model]`.
    pub(crate) fn flat_o(&self) -> Result<Tensor> {
        match &self.packed {
            Some(packed) => Ok(packed.o.clone()),
            None => self.w_o.flatten(0, 1),
        }
    }

    /// The matrices, made if there are none.
    pub(super) fn to_packed(&self) -> Result<PackedAttn> {
        match &self.packed {
            Some(packed) => Ok(packed.clone()),
            None => {
                let parts = [(&self.w_q, &self.b_q), (&self.w_k, &self.b_k), (&self.w_v, &self.b_v)];
                let heads = parts.iter().map(|(w, _)| w.dims().first().unwrap_or(&0)).sum();
                let parts = parts.into_iter().map(|(w, b)| Ok((w.clone(), b.clone())));
                let (qkv, qkv_bias) = heads_side_by_side(heads, parts)?;
                Ok(PackedAttn { qkv, qkv_bias, o: self.w_o.flatten(0, 1)? })
            }
        }
    }
}

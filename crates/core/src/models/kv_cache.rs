//! Keys and values of tokens that were seen, so that going on costs the new tokens only.
//!
//! Each layer has a tensor of keys and one of values, `[batch, kv_head, capacity, d_head]`. A forward writes its rows in
//! place behind those that count, and attends over a view of both: nothing that was seen is copied again. Rows begin to
//! count when the forward has finished, so one that fails, is abandoned or runs on a frozen cache leaves no trace.
//!
//! Keys are kept as attention uses them: rotated, where positions rotate them. Hooks on keys and values see the new
//! rows, and what they return is what is kept; a hook on rotated keys sees old and new ones, and what it returns is used
//! once. Where the rotation of old positions changes with the length of the sequence, everything after it changes too: a
//! forward across such a border is refused, and needs an empty cache and all tokens.

use super::ModelConfig;
use crate::autograd::{grad_enabled, lock};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::nn::Weights;
use crate::tensor::{CT, Tensor};
use candle_core::Device;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

const OP: &str = "KV cache";
/// Room that a cache without a fixed capacity begins with.
const FIRST_CAPACITY: usize = 64;

/// The keys and values of a batch of sequences in one model. Clones share all of it.
#[derive(Clone)]
pub struct KvCache(Arc<Mutex<State>>);

struct State {
    shape: Shape,
    /// Positions that fit; `None` grows by doubling, up to the model's context.
    capacity: Option<usize>,
    layers: Vec<Layer>,
    /// For each row, which cached positions hold a token rather than padding; empty before the first forward, whose
    /// input shows that so many rows exist.
    keep: Vec<Vec<bool>>,
    frozen: bool,
    /// Whether a forward is writing.
    leased: bool,
    /// The weights that made what is held.
    weights: Weak<Weights>,
}

/// What all layers share.
#[derive(Clone)]
struct Shape {
    batch: usize,
    kv_heads: usize,
    d_head: usize,
    n_ctx: usize,
    dtype: DType,
    device: Device,
}

#[derive(Default)]
struct Layer {
    /// Keys and values, once there are any.
    rows: Option<(CT, CT)>,
    /// How many positions count.
    len: usize,
}

impl KvCache {
    /// An empty cache for `batch` sequences. With a `capacity` it holds that many positions, taken at the first use;
    /// without, it grows as it is used (copying what it holds each time its size doubles).
    ///
    /// # Errors
    /// `invalid_argument` for a batch or capacity of 0, a batch of which not even one position could be held
    /// (`memory_limit`, where a limit says so), or a model whose tokens see later ones; `context_length` for a capacity
    /// beyond the model's context.
    pub(super) fn new(
        config: &ModelConfig,
        dtype: DType,
        device: &Device,
        batch: usize,
        capacity: Option<usize>,
    ) -> Result<Self> {
        let invalid = |detail: &str| Err(Error::InvalidArgument { op: OP, detail: detail.into() });
        if batch == 0 {
            return invalid("the batch must be 1 or more, got 0");
        }
        if !config.causal {
            return invalid("the model's tokens see later ones, so that what came first changes with what comes next");
        }
        match capacity {
            Some(0) => return invalid("the capacity must be 1 or more, got 0"),
            Some(n) => config.check_context(n)?,
            None => {}
        }
        let shape = Shape {
            batch,
            kv_heads: config.n_key_value_heads,
            d_head: config.d_head,
            n_ctx: config.context_limit(),
            dtype,
            device: device.clone(),
        };
        crate::memory::require_tensor(OP, &[batch, shape.kv_heads, 1, shape.d_head], 2 * dtype.size())?;
        let layers = (0..config.n_layers).map(|_| Layer::default()).collect();
        let state =
            State { shape, capacity, layers, keep: Vec::new(), frozen: false, leased: false, weights: Weak::new() };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Sequences.
    pub fn batch(&self) -> usize {
        self.state().shape.batch
    }

    /// Positions that are cached in every layer.
    pub fn len(&self) -> usize {
        self.state().layers.iter().map(|layer| layer.len).min().unwrap_or(0)
    }

    /// Whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most positions that it can come to hold.
    pub fn capacity(&self) -> usize {
        let state = self.state();
        state.capacity.unwrap_or(state.shape.n_ctx)
    }

    /// Bytes that keys and values take now, room for later ones included.
    pub fn byte_size(&self) -> usize {
        let state = self.state();
        let rows = state.layers.iter().filter_map(|layer| layer.rows.as_ref());
        rows.map(|(k, v)| (k.elem_count() + v.elem_count()) * state.shape.dtype.size()).sum()
    }

    /// Whether forwards leave it as it is.
    pub fn is_frozen(&self) -> bool {
        self.state().frozen
    }

    /// Lets forwards use a frozen cache without adding to it: one prompt, continued in many ways.
    pub fn set_frozen(&self, frozen: bool) {
        self.state().frozen = frozen;
    }

    /// Forgets everything and gives the memory back.
    ///
    /// # Errors
    /// `invalid_argument` while a forward writes to it.
    pub fn clear(&self) -> Result<()> {
        let mut state = self.state();
        state.check_free()?;
        state.layers.iter_mut().for_each(|layer| *layer = Layer::default());
        state.keep.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Copies of a layer's keys (rotated, where positions rotate them) and values, each `[batch, pos, kv_head, d_head]`.
    ///
    /// # Errors
    /// `index_out_of_range` for a layer that the model does not have.
    pub fn layer(&self, layer: usize) -> Result<(Tensor, Tensor)> {
        let state = self.state();
        let size = state.layers.len();
        let Some(Layer { rows, len }) = state.layers.get(layer) else {
            return Err(Error::IndexOutOfRange { op: OP, index: layer as i64, size });
        };
        let copy = |rows: Option<&CT>| match rows {
            Some(rows) => Tensor::constant(rows.narrow(2, 0, *len)?.transpose(1, 2)?.force_contiguous()?),
            None => {
                let Shape { batch, kv_heads, d_head, dtype, ref device, .. } = state.shape;
                Tensor::zeros(&[batch, 0, kv_heads, d_head], dtype, device)
            }
        };
        Ok((copy(rows.as_ref().map(|(k, _)| k))?, copy(rows.as_ref().map(|(_, v)| v))?))
    }

    /// Which cached positions hold tokens (1) and which padding (0): `[batch, pos]`, `int64`.
    pub fn attention_mask(&self) -> Result<Tensor> {
        let (len, state) = (self.len(), self.state());
        let values: Vec<i64> = state.keep.iter().flat_map(|row| row.iter().take(len).map(|&k| i64::from(k))).collect();
        Tensor::from_slice(&values, &[state.shape.batch, len])
    }

    /// Lets a forward of these layers read the cache and write `new` positions a row behind those that count.
    ///
    /// # Errors
    /// `shape_mismatch` for another batch or a cache of another model; `invalid_argument` if another forward is writing,
    /// if what it holds was made by other weights, if the layers hold different numbers of positions, or if there is no
    /// room; `context_length`.
    pub(super) fn lease(
        &self,
        config: &ModelConfig,
        weights: &Arc<Weights>,
        layers: Range<usize>,
        [batch, new]: [usize; 2],
    ) -> Result<CacheLease> {
        let mut state = self.state();
        state.check_free()?;
        let Shape { batch: own, kv_heads, d_head, n_ctx, dtype: stored, .. } = state.shape;
        let model =
            (config.n_layers, config.n_key_value_heads, config.d_head, config.context_limit(), weights.embed.dtype());
        if model != (state.layers.len(), kv_heads, d_head, n_ctx, stored) {
            return Err(Error::ShapeMismatch { op: OP, detail: "it was made for another model".into() });
        }
        if batch != own {
            let detail = format!("it was made for a batch of {own}, the input has {batch} rows");
            return Err(Error::ShapeMismatch { op: OP, detail });
        }
        let empty = state.keep_len() == 0 && state.layers.iter().all(|layer| layer.len == 0);
        if !empty && !Weak::ptr_eq(&state.weights, &Arc::downgrade(weights)) {
            let detail = "its keys and values were made by other weights (of another model, or before this one's were \
                          processed, loaded or made trainable); clear it";
            return Err(Error::InvalidArgument { op: OP, detail: detail.into() });
        }
        let used = state.layers.get(layers.clone()).unwrap_or_default();
        let past = used.first().or(state.layers.get(layers.start)).map_or(state.keep_len(), |layer| layer.len);
        if let Some(i) = used.iter().position(|layer| layer.len != past) {
            let detail = format!(
                "layer {} holds {past} positions and layer {} holds {}; clear it, or run the same layers as before",
                layers.start,
                layers.start + i,
                used[i].len
            );
            return Err(Error::InvalidArgument { op: OP, detail });
        }
        let required = past + new;
        if required > n_ctx {
            return Err(Error::ContextLength { required, n_ctx });
        }
        if let Some(capacity) = state.capacity.filter(|&capacity| required > capacity) {
            let detail =
                format!("it has room for {capacity} positions, {past} are held and {new} come; make it larger");
            return Err(Error::InvalidArgument { op: OP, detail });
        }
        state.keep.resize_with(batch, Vec::new);
        state.leased = true;
        state.weights = Arc::downgrade(weights);
        Ok(CacheLease { cache: self.clone(), first: layers.start, past, new, keep: Vec::new() })
    }
}

impl State {
    fn check_free(&self) -> Result<()> {
        if !self.leased {
            return Ok(());
        }
        let detail = "another forward is using it; wait for that, or use one cache for each".into();
        Err(Error::InvalidArgument { op: OP, detail })
    }

    fn keep_len(&self) -> usize {
        self.keep.first().map_or(0, Vec::len)
    }

    /// Makes room for `required` positions in a layer; what counts stays.
    fn reserve(&mut self, layer: usize, required: usize) -> Result<()> {
        let Shape { batch, kv_heads, d_head, n_ctx, dtype, ref device } = self.shape;
        let Some(layer) = self.layers.get_mut(layer) else {
            return Err(Error::Internal { detail: format!("the cache has no layer {layer}") });
        };
        let room = layer.rows.as_ref().map_or(0, |(keys, _)| keys.dims()[2]);
        if room >= required {
            return Ok(());
        }
        let grown = required.max(2 * room).max(FIRST_CAPACITY).min(n_ctx);
        let dims = [batch, kv_heads, self.capacity.unwrap_or(grown), d_head];
        crate::memory::require_tensor(OP, &dims, 2 * dtype.size())?;
        let zeros = || CT::zeros(&dims, dtype.storage(), device);
        let (keys, values) = (zeros()?, zeros()?);
        if let Some((old_keys, old_values)) = &layer.rows {
            keys.slice_set(old_keys, 2, 0)?;
            values.slice_set(old_values, 2, 0)?;
        }
        layer.rows = Some((keys, values));
        Ok(())
    }
}

/// A forward's hold on a cache; given back when dropped.
pub(crate) struct CacheLease {
    cache: KvCache,
    first: usize,
    /// Positions that count already.
    pub(super) past: usize,
    new: usize,
    /// The mask of the new positions, by row.
    keep: Vec<Vec<bool>>,
}

impl CacheLease {
    /// Takes the mask of the input, `[batch, new]` or `[batch, past + new]` row-major (`None`: all are tokens), and gives
    /// that of old and new positions, `[batch, past + new]`.
    ///
    /// # Errors
    /// `invalid_argument` for a mask of all positions that disagrees about the old ones.
    pub(super) fn set_mask(&mut self, mask: Option<Vec<bool>>) -> Result<Vec<bool>> {
        let state = self.cache.state();
        let (past, total) = (self.past, self.past + self.new);
        let width = mask.as_ref().map_or(0, |mask| mask.len() / state.shape.batch);
        let mut full = Vec::with_capacity(state.shape.batch * total);
        for (row, known) in state.keep.iter().enumerate() {
            let held = known.get(..past).unwrap_or_default();
            let new = match &mask {
                Some(mask) => {
                    let (old, new) = mask[row * width..(row + 1) * width].split_at(width - self.new);
                    if !old.is_empty() && old != held {
                        let detail =
                            format!("the mask differs in row {row} from the one that earlier tokens came with");
                        return Err(Error::InvalidArgument { op: OP, detail });
                    }
                    new.to_vec()
                }
                // Layers below may have run already.
                None => known.get(past..total).map_or_else(|| vec![true; self.new], <[bool]>::to_vec),
            };
            full.extend_from_slice(held);
            full.extend_from_slice(&new);
            self.keep.push(new);
        }
        Ok(full)
    }

    /// Writes the keys and values `[batch, new, kv_head, d_head]` of a layer; gives old and new ones together,
    /// `[batch, past + new, kv_head, d_head]`: views that hold until the next forward on this cache, or copies where
    /// operations are recorded, which may be asked for gradients after that.
    ///
    /// # Errors
    /// `autograd` if gradients would have to flow into them.
    pub(crate) fn append(&self, layer: usize, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)> {
        if k.requires_grad() || v.requires_grad() {
            let detail = "cached keys and values carry no gradients; run under noGrad, or without the cache".into();
            return Err(Error::Autograd { op: OP, detail });
        }
        let mut state = self.cache.state();
        let total = self.past + self.new;
        state.reserve(layer, total)?;
        let Some((keys, values)) = state.layers.get(layer).and_then(|layer| layer.rows.as_ref()) else {
            return Err(Error::Internal { detail: format!("no room was made in layer {layer} of the cache") });
        };
        let write = |rows: &CT, new: &Tensor| -> Result<Tensor> {
            rows.slice_set(&new.data().transpose(1, 2)?.contiguous()?, 2, self.past)?;
            let view = rows.narrow(2, 0, total)?;
            Tensor::constant(if grad_enabled() { view.force_contiguous()? } else { view }.transpose(1, 2)?)
        };
        Ok((write(keys, k)?, write(values, v)?))
    }

    /// Makes the rows of these layers count, unless the cache is frozen.
    pub(super) fn commit(self, end: usize) {
        let mut state = self.cache.state();
        if state.frozen {
            return;
        }
        let total = self.past + self.new;
        state.layers.iter_mut().take(end).skip(self.first).for_each(|layer| layer.len = total);
        for (row, new) in state.keep.iter_mut().zip(&self.keep) {
            // Other layers may hold more.
            let beyond = row.split_off(total.min(row.len()));
            row.truncate(self.past);
            row.extend(new.iter().chain(&beyond));
        }
    }
}

impl Drop for CacheLease {
    fn drop(&mut self) {
        self.cache.state().leased = false;
    }
}

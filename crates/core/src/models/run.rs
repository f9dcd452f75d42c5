//! One forward in progress.

use super::inputs::{self, Tokens};
use super::loss::next_token_loss;
use super::{CacheLease, KvCache, Model, Positions};
use crate::device::DType;
use crate::error::{Error, Result, nearest};
use crate::hooks::HookPointId;
use crate::nn::{AttentionMask, Pass, Rotations, Weights, affine, block, norm, soft_cap};
use crate::ops::Scalar;
use crate::tensor::{CT, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// What a forward gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReturnType {
    /// `[batch, pos, d_vocab_out]`.
    #[default]
    Logits,
    /// The next-token loss.
    Loss,
    /// Both.
    Both,
    /// Nothing: only the hooks matter, and the forward ends after the last point that anyone observes.
    None,
}

impl ReturnType {
    const ALL: [(&'static str, Self); 4] =
        [("logits", Self::Logits), ("loss", Self::Loss), ("both", Self::Both), ("none", Self::None)];

    /// The type of that name: `logits`, `loss`, `both` or `none`.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, t)| *t).ok_or_else(|| Error::InvalidArgument {
            op: "forward",
            detail: format!(
                "returnType '{name}' is not logits, loss, both or none; nearest: {:?}",
                nearest(name, Self::ALL.iter().map(|(n, _)| *n))
            ),
        })
    }
}

/// What a forward is asked for.
#[derive(Clone)]
pub struct ForwardRequest {
    /// Token ids `[batch, pos]` or `[pos]`; with `start_at_layer`, a residual stream `[batch, pos, d_model]`.
    pub input: Tensor,
    /// What comes out.
    pub return_type: ReturnType,
    /// The loss of each prediction `[batch, pos - 1]` instead of their mean.
    pub loss_per_token: bool,
    /// Start at this block (negative: from the end) from a residual stream.
    pub start_at_layer: Option<i64>,
    /// Stop before this block and give the residual stream, whatever `return_type` says.
    pub stop_at_layer: Option<i64>,
    /// Token ids for the loss of a forward that starts from a residual stream.
    pub tokens: Option<Tensor>,
    /// `[batch, pos]` of ones (keep) and zeros (padding, on either side); with a cache, that of the cached positions may
    /// come first.
    pub attention_mask: Option<Tensor>,
    /// What came before the input. The input is added to it when the forward has finished.
    pub cache: Option<KvCache>,
    /// Logits of the last position only, `[batch, 1, d_vocab_out]`. Nothing else is computed at the end, unless someone
    /// looks there.
    pub last_position_only: bool,
}

impl ForwardRequest {
    /// The logits of these tokens.
    pub fn new(input: Tensor) -> Self {
        Self {
            input,
            return_type: ReturnType::Logits,
            loss_per_token: false,
            start_at_layer: None,
            stop_at_layer: None,
            tokens: None,
            attention_mask: None,
            cache: None,
            last_position_only: false,
        }
    }
}

/// What a forward gave.
pub struct ForwardResult {
    /// `[batch, pos, d_vocab_out]`, if asked for.
    pub logits: Option<Tensor>,
    /// 0-d, or `[batch, pos - 1]`, if asked for.
    pub loss: Option<Tensor>,
    /// `[batch, pos, d_model]`, if it stopped at a layer.
    pub residual: Option<Tensor>,
}

/// A forward, between two of its blocks.
pub struct Run {
    model: Model,
    weights: Arc<Weights>,
    request: ForwardRequest,
    tokens: Option<Vec<i64>>,
    /// The mask of the input, `[batch, pos]`, if there is padding there or in the cache.
    keep: Option<Vec<bool>>,
    mask: AttentionMask,
    cache: Option<CacheLease>,
    /// Positions before the input.
    past: usize,
    rotary: Option<Rotations>,
    shortformer: Option<Tensor>,
    /// The residual stream before `next`.
    resid: Tensor,
    next: usize,
    end: usize,
}

impl Run {
    pub(super) fn start(model: Model, request: ForwardRequest) -> Result<Self> {
        let weights = model.weights();
        let config = model.config();
        let (next, end) = inputs::layer_range(request.start_at_layer, request.stop_at_layer, config.n_layers);
        let wants_loss =
            request.stop_at_layer.is_none() && matches!(request.return_type, ReturnType::Loss | ReturnType::Both);
        let from_residual = request.start_at_layer.is_some();
        let (tokens, given) = if from_residual {
            let resid = inputs::residual(&request.input, config, weights.embed.dtype())?;
            let tokens = request.tokens.as_ref().map(|t| Tokens::new(t, config, config.d_vocab)).transpose()?;
            (tokens, Some(resid))
        } else {
            (Some(Tokens::new(&request.input, config, config.d_vocab)?), None)
        };
        let (batch, pos) = match (&given, &tokens) {
            (Some(resid), Some(tokens)) if resid.dims()[..2] != [tokens.batch, tokens.pos] => {
                return Err(Error::ShapeMismatch {
                    op: "forward",
                    detail: format!(
                        "tokens [{}, {}] do not fit a residual of shape {:?}",
                        tokens.batch,
                        tokens.pos,
                        resid.dims()
                    ),
                });
            }
            (Some(resid), _) => (resid.dims()[0], resid.dims()[1]),
            (None, Some(tokens)) => (tokens.batch, tokens.pos),
            (None, None) => return Err(Error::Internal { detail: "a forward without input".into() }),
        };
        if wants_loss {
            check_loss(&tokens, pos, config)?;
        }
        let lease = |cache: &KvCache| cache.lease(config, &weights, next..end, [batch, pos]);
        let mut cache = request.cache.as_ref().map(lease).transpose()?;
        let past = cache.as_ref().map_or(0, |cache| cache.past);
        let mask = request.attention_mask.as_ref().map(|m| inputs::attention_mask(m, batch, pos, past)).transpose()?;
        let mask = match &mut cache {
            Some(cache) => Some(cache.set_mask(mask)?),
            None => mask,
        };
        // A mask without padding is no mask: the same numbers, less work.
        let mask = mask.filter(|keep| keep.contains(&false));
        let positions = inputs::positions(mask.as_deref(), past, pos);
        let device = weights.device().clone();
        let padding = mask.iter().flatten().map(|&kept| !kept).collect();
        if let Positions::Rotary(rotary) = &config.positions {
            inputs::check_rotation(rotary, &inputs::positions(mask.as_deref(), 0, past + pos), past, past + pos)?;
        }
        let rotary = Rotations::new(config, &positions, &[if mask.is_some() { batch } else { 1 }, pos], &device)?;
        let of_input = |mask: Vec<bool>| mask.chunks(past + pos).flat_map(|row| row[past..].to_vec()).collect();
        let mut run = Self {
            mask: AttentionMask::new(config.causal, [batch, pos, past + pos], padding, &device),
            resid: given.clone().unwrap_or_else(|| weights.embed.clone()),
            tokens: tokens.as_ref().map(|t| t.ids.clone()),
            keep: mask.map(of_input),
            cache,
            past,
            rotary,
            shortformer: None,
            weights,
            request,
            next,
            end,
            model,
        };
        run.embed(tokens, given.is_none(), &positions)?;
        Ok(run)
    }

    /// Turns tokens into the residual stream, and looks up positions.
    fn embed(&mut self, tokens: Option<Tokens>, embed: bool, positions: &[u32]) -> Result<()> {
        let (registry, points) = (self.model.registry(), self.model.points());
        let shortformer = self.model.config().positions == Positions::Shortformer;
        if let (true, Some(tokens)) = (embed, tokens) {
            let mut ids = tokens.tensor.to_dtype(DType::I64)?.to_device(self.weights.device())?;
            if registry.observed(points.tokens) {
                ids = registry.fire(points.tokens, ids)?;
                // Edited tokens are tokens: what a hook puts here must be in the vocabulary too.
                inputs::check_ids(&ids.to_vec::<i64>()?, self.model.config().d_vocab)?;
            }
            self.resid = registry.fire(points.embed, self.weights.embed.embedding(&ids)?)?;
        } else if !shortformer {
            return Ok(());
        }
        let (Some(table), Some(point)) = (&self.weights.pos, points.pos_embed) else {
            return Ok(());
        };
        let rows = self.position_rows(table, positions)?;
        let rows = rows.expand(&[self.resid.dims()[0] as i64, -1, -1])?;
        let rows = if embed { registry.fire(point, rows)? } else { rows };
        if shortformer {
            self.shortformer = Some(rows);
        } else {
            self.resid = self.resid.add(&rows)?;
        }
        Ok(())
    }

    /// Rows of the table of positions, `[batch or 1, pos, d_model]`; zeros for padding.
    fn position_rows(&self, table: &Tensor, positions: &[u32]) -> Result<Tensor> {
        let pos = self.resid.dims()[1];
        let Some(keep) = &self.keep else {
            return table.narrow(0, self.past as i64, pos)?.unsqueeze(0);
        };
        let device = self.weights.device();
        let batch = positions.len() / pos;
        let ids: Vec<i64> = positions.iter().map(|&p| i64::from(p)).collect();
        let rows = table.embedding(&Tensor::constant(CT::from_vec(ids, (batch, pos), device)?)?)?;
        let padding: Vec<u8> = keep.iter().map(|&kept| u8::from(!kept)).collect();
        let padding = Tensor::mask(CT::from_vec(padding, (batch, pos, 1), device)?)?;
        rows.masked_fill(&padding, Scalar::Float(0.0))
    }

    /// Runs the next block; false when none is left to run.
    ///
    /// # Errors
    /// What hooks fail with. The run must not be carried on then.
    pub fn step(&mut self) -> Result<bool> {
        if self.next >= self.end || self.may_stop() {
            return Ok(false);
        }
        let layer = self.next;
        let pass = self.pass();
        let (Some(points), Some(weights)) = (self.model.points().blocks.get(layer), self.weights.blocks.get(layer))
        else {
            return Err(Error::Internal { detail: format!("there is no block {layer}") });
        };
        self.resid = block(&pass, layer, points, weights, self.resid.clone())?;
        self.next += 1;
        Ok(self.next < self.end && !self.may_stop())
    }

    /// The block that [`Run::step`] runs next.
    pub fn next_layer(&self) -> usize {
        self.next
    }

    /// How many blocks are left to run. Fewer do where nobody asks for what comes later.
    pub fn blocks_left(&self) -> usize {
        self.end - self.next
    }

    /// Whether the blocks that are left need not run. A cache must hold every layer.
    fn may_stop(&self) -> bool {
        self.cache.is_none() && self.nobody_cares()
    }

    /// Whether nothing that is still to come is observed or asked for.
    fn nobody_cares(&self) -> bool {
        if self.request.return_type != ReturnType::None || self.request.stop_at_layer.is_some() {
            return false;
        }
        let points = self.model.points();
        let observed = |range: &Range<u32>| range.clone().any(|i| self.model.registry().observed(HookPointId(i)));
        let blocks = points.blocks.get(self.next..self.end).unwrap_or_default();
        !blocks.iter().any(|block| observed(&block.all)) && !observed(&points.final_norm)
    }

    fn pass(&self) -> Pass<'_> {
        Pass {
            config: self.model.config(),
            registry: self.model.registry(),
            mask: &self.mask,
            rotary: self.rotary.as_ref(),
            shortformer: self.shortformer.as_ref(),
            cache: self.cache.as_ref(),
        }
    }

    /// What comes after the last block. From here on a cache counts what was added to it.
    ///
    /// # Errors
    /// What hooks fail with.
    pub fn finish(self) -> Result<ForwardResult> {
        self.finish_with(Ok)
    }

    /// [`Run::finish`], and what `use_result` makes of the result. If that fails, nothing is added to a cache.
    pub(super) fn finish_with<T>(mut self, use_result: impl FnOnce(ForwardResult) -> Result<T>) -> Result<T> {
        let made = use_result(self.outcome()?)?;
        if let Some(cache) = self.cache.take() {
            cache.commit(self.next);
        }
        Ok(made)
    }

    fn outcome(&self) -> Result<ForwardResult> {
        let mut result = ForwardResult { logits: None, loss: None, residual: None };
        if self.request.stop_at_layer.is_some() {
            result.residual = Some(self.resid.clone());
            return Ok(result);
        }
        if self.nobody_cares() {
            return Ok(result);
        }
        let (config, points) = (self.model.config(), self.model.points());
        let mut x = if self.only_last() { last_position(&self.resid)? } else { self.resid.clone() };
        if let (Some(kind), Some(ln)) = (config.final_norm(), points.ln_final) {
            x = norm(&self.pass(), kind, ln, &self.weights.ln_final, &x)?;
        }
        if self.request.return_type == ReturnType::None {
            return Ok(result);
        }
        let registry = self.model.registry();
        let x = registry.fire(points.unembed_in, x)?;
        let logits = affine(&x, &self.weights.unembed, self.weights.unembed_bias.as_ref())?;
        let mut logits = registry.fire(points.unembed_out, logits)?;
        if let Some(cap) = config.output_logits_soft_cap {
            logits = soft_cap(&logits, cap)?;
        }
        if matches!(self.request.return_type, ReturnType::Loss | ReturnType::Both) {
            let tokens = self.tokens.as_deref().unwrap_or_default();
            let loss = next_token_loss(&logits, tokens, self.keep.as_deref(), self.request.loss_per_token)?;
            result.loss = Some(loss);
        }
        if self.request.return_type != ReturnType::Loss {
            result.logits = Some(if self.request.last_position_only { last_position(&logits)? } else { logits });
        }
        Ok(result)
    }

    /// Whether earlier positions may be left out after the last block.
    fn only_last(&self) -> bool {
        let points = self.model.points();
        let observed = |point| self.model.registry().observed(point);
        self.request.last_position_only
            && self.request.return_type == ReturnType::Logits
            && !points.final_norm.clone().any(|i| observed(HookPointId(i)))
            && !observed(points.unembed_in)
            && !observed(points.unembed_out)
    }
}

/// `[batch, 1, width]` of `[batch, pos, width]`.
fn last_position(x: &Tensor) -> Result<Tensor> {
    x.narrow(1, -1, 1)
}

/// Fails if there is nothing to compute a next-token loss of.
fn check_loss(tokens: &Option<Tokens>, pos: usize, config: &super::ModelConfig) -> Result<()> {
    let invalid = |detail: String| Err(Error::InvalidArgument { op: "forward", detail });
    match tokens {
        None => invalid("the loss of a forward from a residual stream needs the token ids as 'tokens'".into()),
        Some(_) if pos < 2 => invalid("the next-token loss needs at least 2 tokens, got 1".into()),
        Some(tokens) => inputs::check_ids(&tokens.ids, config.d_vocab_out),
    }
}

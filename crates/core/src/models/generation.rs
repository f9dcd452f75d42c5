//! Writing on: a forward for each new token, its choice, and again.
//!
//! A [`Generation`] is advanced a block at a time, so that others may use the thread in between. Every step is a forward
//! like any other: hooks and interventions are live in each, embeddings and positions included. With a cache the first
//! step sees the prompt and every later one a single new position; without, each step sees the whole sequence again. So
//! does a step at which the rotation of old positions changes, as some scalings of it do at a certain length.
//!
//! Nothing is recorded for gradients.

use super::inputs::{self, Tokens};
use super::{ForwardRequest, KvCache, Model, Positions, Run};
use crate::autograd::no_grad;
use crate::error::{Error, Result};
use crate::tensor::{Sampler, SamplingOptions, Tensor};

const OP: &str = "generate";

/// What is to be written.
#[derive(Clone)]
pub struct GenerationRequest {
    /// Token ids `[batch, pos]` or `[pos]` to go on from.
    pub tokens: Tensor,
    /// `[batch, pos]` of ones and, for padding, zeros. Padding must lie before a row's last token.
    pub attention_mask: Option<Tensor>,
    /// How many tokens at most.
    pub max_new_tokens: usize,
    /// A row ends with the first of these.
    pub stop_ids: Vec<i64>,
    /// What rows that have ended are filled up with; by default the first of `stop_ids`, else 0.
    pub fill_id: Option<i64>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Where the random numbers start; without, the process-wide generator says.
    pub seed: Option<u64>,
    /// Keep keys and values between steps.
    pub use_cache: bool,
    /// Give each step's logits.
    pub keep_logits: bool,
}

impl GenerationRequest {
    /// The most probable tokens after these, with a cache.
    pub fn greedy(tokens: Tensor, max_new_tokens: usize) -> Self {
        Self {
            tokens,
            attention_mask: None,
            max_new_tokens,
            stop_ids: Vec::new(),
            fill_id: None,
            sampling: SamplingOptions { do_sample: false, ..SamplingOptions::default() },
            seed: None,
            use_cache: true,
            keep_logits: false,
        }
    }
}

/// Why a row has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// It wrote a stop id.
    Eos,
    /// There are as many tokens as were asked for.
    Length,
    /// The caller said so.
    Stopped,
}

impl FinishReason {
    /// `eos`, `length` or `stop`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Length => "length",
            Self::Stopped => "stop",
        }
    }
}

/// One more token for each row.
pub struct GenerationStep {
    /// By row; nothing for rows that had ended before.
    pub tokens: Vec<Option<i64>>,
    /// The rows that end with this token, and why.
    pub finished: Vec<Option<FinishReason>>,
    /// What the tokens were chosen from, `[batch, d_vocab_out]`, if asked for.
    pub logits: Option<Tensor>,
}

struct Row {
    /// Prompt, what was written, and filler behind the end.
    ids: Vec<i64>,
    /// Which of the prompt's positions hold a token.
    keep: Vec<bool>,
    finished: Option<FinishReason>,
}

impl Row {
    /// The tokens without padding.
    fn history(&self) -> Vec<i64> {
        self.ids.iter().enumerate().filter(|(i, _)| self.keep.get(*i) != Some(&false)).map(|(_, &id)| id).collect()
    }
}

/// A generation in progress.
pub struct Generation {
    model: Model,
    rows: Vec<Row>,
    made: usize,
    max_new_tokens: usize,
    stop_ids: Vec<i64>,
    fill_id: i64,
    sampler: Sampler,
    keep_logits: bool,
    padded: bool,
    /// Tokens of the longest row.
    length: usize,
    cache: Option<KvCache>,
    run: Option<Run>,
}

impl Generation {
    pub(super) fn start(model: Model, request: GenerationRequest) -> Result<Self> {
        let config = model.config();
        let prompt = Tokens::new(&request.tokens, config, config.d_vocab)?;
        let (batch, pos) = (prompt.batch, prompt.pos);
        let mask = request.attention_mask.as_ref().map(|m| inputs::attention_mask(m, batch, pos, 0)).transpose()?;
        let keep = mask.unwrap_or_else(|| vec![true; batch * pos]);
        let rows: Vec<Row> = prompt
            .ids
            .chunks(pos)
            .zip(keep.chunks(pos))
            .map(|(ids, keep)| Row { ids: ids.to_vec(), keep: keep.to_vec(), finished: None })
            .collect();
        if let Some(row) = rows.iter().position(|row| row.keep.last() != Some(&true)) {
            let detail = format!("row {row} ends with padding; rows go on from their last token, so pad on the left");
            return Err(Error::InvalidArgument { op: OP, detail });
        }
        // The last token is written, but nothing goes on from it.
        let required = pos.saturating_add(request.max_new_tokens.saturating_sub(1));
        config.check_context(required)?;
        let fill_id = request.fill_id.or(request.stop_ids.first().copied()).unwrap_or(0);
        inputs::check_ids(&[fill_id], config.d_vocab)?;
        Ok(Self {
            sampler: Sampler::new(request.sampling, batch, request.seed)?,
            cache: request.use_cache.then(|| model.new_cache(batch, Some(required))).transpose()?,
            padded: keep.contains(&false),
            length: keep.chunks(pos).map(|row| row.iter().filter(|&&kept| kept).count()).max().unwrap_or(pos),
            rows,
            made: 0,
            max_new_tokens: request.max_new_tokens,
            stop_ids: request.stop_ids,
            fill_id,
            keep_logits: request.keep_logits,
            run: None,
            model,
        })
    }

    /// Whether there is nothing more to write.
    pub fn is_done(&self) -> bool {
        self.made >= self.max_new_tokens || self.rows.iter().all(|row| row.finished.is_some())
    }

    /// Runs the next block. Gives a step where a token came out; nothing in the middle of one, or where
    /// [`Generation::is_done`] says that there is nothing to do.
    ///
    /// # Errors
    /// What hooks fail with; what [`Sampler::choose`] says of logits. The step can be tried again.
    pub fn advance(&mut self) -> Result<Option<GenerationStep>> {
        if self.is_done() {
            return Ok(None);
        }
        no_grad(|| {
            let mut run = match self.run.take() {
                Some(run) => run,
                None => self.model.start(self.next_forward()?)?,
            };
            if run.step()? {
                self.run = Some(run);
                return Ok(None);
            }
            // Logits that nothing can be chosen from leave the cache as it was, so that the step can be tried again.
            run.finish_with(|result| {
                let logits = result.logits.ok_or_else(|| Error::Internal { detail: "no logits came".into() })?;
                self.choose(&logits.squeeze(Some(&[1]))?).map(Some)
            })
        })
    }

    /// Ends a row after what it has written; the rest is filler.
    ///
    /// # Errors
    /// `index_out_of_range` for a row beyond the batch.
    pub fn stop(&mut self, row: usize) -> Result<()> {
        let size = self.rows.len();
        let row = self.rows.get_mut(row).ok_or(Error::IndexOutOfRange { op: OP, index: row as i64, size })?;
        row.finished.get_or_insert(FinishReason::Stopped);
        Ok(())
    }

    /// Ends the generation where it is, and frees what it keeps between steps.
    pub fn end(&mut self) {
        self.max_new_tokens = self.made;
        self.run = None;
        self.cache = None;
    }

    /// All tokens so far, prompt and filler included: `[batch, pos]`, `int64`, on the CPU.
    pub fn sequences(&self) -> Result<Tensor> {
        let ids: Vec<i64> = self.rows.iter().flat_map(|row| &row.ids).copied().collect();
        Tensor::from_slice(&ids, &[self.rows.len(), ids.len() / self.rows.len().max(1)])
    }

    fn next_forward(&self) -> Result<ForwardRequest> {
        let batch = self.rows.len();
        let len = self.rows.first().map_or(0, |row| row.ids.len());
        if let (Some(cache), Positions::Rotary(rotary)) = (&self.cache, &self.model.config().positions)
            && rotary.rotation_changes(self.length - 1, self.length)
        {
            cache.clear()?;
        }
        let past = self.cache.as_ref().map_or(0, KvCache::len);
        let ids: Vec<i64> = self.rows.iter().flat_map(|row| &row.ids[past..]).copied().collect();
        let mut request = ForwardRequest::new(Tensor::from_slice(&ids, &[batch, len - past])?);
        if self.padded {
            let kept = |row: &Row, i: usize| i64::from(row.keep.get(i) != Some(&false));
            let mask: Vec<i64> = self.rows.iter().flat_map(|row| (past..len).map(move |i| kept(row, i))).collect();
            request.attention_mask = Some(Tensor::from_slice(&mask, &[batch, len - past])?);
        }
        request.cache = self.cache.clone();
        request.last_position_only = true;
        Ok(request)
    }

    /// Chooses from logits `[batch, d_vocab_out]`.
    fn choose(&mut self, logits: &Tensor) -> Result<GenerationStep> {
        let values: Vec<f64> = logits.to_vec()?;
        let width = values.len() / self.rows.len().max(1);
        // Taken over only if every row's choice succeeds: trying again must draw what would have been drawn.
        let mut sampler = self.sampler.clone();
        let chosen = self
            .rows
            .iter()
            .zip(values.chunks(width.max(1)))
            .enumerate()
            .map(|(i, (row, logits))| match row.finished {
                Some(_) => Ok(None),
                None => sampler.choose(i, logits, &row.history()).map(|id| Some(id as i64)),
            })
            .collect::<Result<Vec<Option<i64>>>>()?;
        self.sampler = sampler;
        self.made += 1;
        self.length += 1;
        let full = self.made >= self.max_new_tokens;
        let finished = self.rows.iter_mut().zip(&chosen).map(|(row, id)| {
            row.ids.push(id.unwrap_or(self.fill_id));
            let reason = match id {
                Some(id) if self.stop_ids.contains(id) => Some(FinishReason::Eos),
                Some(_) if full => Some(FinishReason::Length),
                _ => None,
            };
            row.finished = row.finished.or(reason);
            reason
        });
        Ok(GenerationStep {
            finished: finished.collect(),
            tokens: chosen,
            logits: self.keep_logits.then(|| logits.clone()),
        })
    }
}

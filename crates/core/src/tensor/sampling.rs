//! Choosing the next token from logits.
//!
//! Everything is computed in `f64` by operations that are the same on every machine, so that equal logits and seeds give
//! equal tokens everywhere. Each row of a batch has random numbers of its own: what it gets does not depend on how many
//! rows there are beside it.

use super::random::{exp, row_generators, uniform};
use super::{Tensor, require_float};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use crate::order::{float_key, smallest};
use candle_core::Device;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

const OP: &str = "sampleLogits";
/// How far above the limit a sum of probabilities may lie and still count as not exceeding it: the rounding of `f32`.
const TOP_P_SLACK: f64 = 1e-6;

/// How a token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// Draw by probability; otherwise take the highest logit.
    pub do_sample: bool,
    /// Logits are divided by it; 0 takes the highest.
    pub temperature: f64,
    /// Draw among the so many highest (and what equals the last of them).
    pub top_k: Option<i64>,
    /// Draw among the most probable, up to the one that brings their sum over this
    /// (<https://arxiv.org/abs/1904.09751>). Ignored where `top_k` is given.
    pub top_p: Option<f64>,
    /// Logits of tokens that occurred are divided by it, or multiplied where negative
    /// (<https://arxiv.org/abs/1909.05858>).
    pub repetition_penalty: f64,
    /// Taken from a token's logit for each time that it occurred, when drawing.
    pub freq_penalty: f64,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self { do_sample: true, temperature: 1.0, top_k: None, top_p: None, repetition_penalty: 1.0, freq_penalty: 0.0 }
    }
}

impl SamplingOptions {
    /// # Errors
    /// `invalid_argument` naming the first option that makes no sense.
    pub fn check(&self) -> Result<()> {
        let refuse =
            |option: &str, wanted: &str, got: f64| invalid(format!("{option}: expected {wanted}, got {got:?}"));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(refuse("temperature", "a number of 0 or more", self.temperature));
        }
        if let Some(k) = self.top_k.filter(|&k| k <= 0) {
            return Err(invalid(format!("topK: expected a whole number above 0, got {k}")));
        }
        if let Some(p) = self.top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(refuse("topP", "a number above 0 and at most 1", p));
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return Err(refuse("repetitionPenalty", "a number above 0", self.repetition_penalty));
        }
        if !(self.freq_penalty >= 0.0 && self.freq_penalty.is_finite()) {
            return Err(refuse("freqPenalty", "a number of 0 or more", self.freq_penalty));
        }
        Ok(())
    }
}

fn invalid(detail: String) -> Error {
    Error::InvalidArgument { op: OP, detail }
}

/// Options, and the random numbers of each row.
#[derive(Clone)]
pub struct Sampler {
    options: SamplingOptions,
    rows: Vec<ChaCha8Rng>,
}

impl Sampler {
    /// For a batch of so many rows. Without a seed, the process-wide generator says how the random numbers start.
    ///
    /// # Errors
    /// As [`SamplingOptions::check`].
    pub fn new(options: SamplingOptions, rows: usize, seed: Option<u64>) -> Result<Self> {
        options.check()?;
        Ok(Self { options, rows: row_generators(seed, rows) })
    }

    /// The token of a row, from its logits and the tokens before (those without a logit are ignored).
    ///
    /// In this order: repetition penalty; the highest logit if nothing is to be drawn (the first of several); else
    /// temperature, frequency penalty, `top_k` or `top_p`, a draw.
    ///
    /// # Errors
    /// `invalid_argument` for logits that are NaN or +∞, or all -∞, or that the penalties make so; `index_out_of_range` for a row beyond the batch.
    pub fn choose(&mut self, row: usize, logits: &[f64], history: &[i64]) -> Result<usize> {
        let options = &self.options;
        check(row, logits)?;
        let mut logits = logits.to_vec();
        let mut counts: HashMap<usize, u32> = HashMap::new();
        if options.repetition_penalty != 1.0 || options.freq_penalty > 0.0 {
            for id in history.iter().filter_map(|&id| usize::try_from(id).ok()).filter(|&id| id < logits.len()) {
                *counts.entry(id).or_default() += 1;
            }
        }
        if options.repetition_penalty != 1.0 {
            for &id in counts.keys() {
                let penalty = options.repetition_penalty;
                logits[id] = if logits[id] > 0.0 { logits[id] / penalty } else { logits[id] * penalty };
            }
        }
        let best = argmax(&logits);
        check_penalties(row, logits[best])?;
        if !options.do_sample || options.temperature == 0.0 {
            return Ok(best);
        }
        let highest = logits[best];
        logits.iter_mut().for_each(|x| *x = (*x - highest) / options.temperature);
        if options.freq_penalty > 0.0 {
            counts.iter().for_each(|(&id, &count)| logits[id] -= options.freq_penalty * f64::from(count));
        }
        if let Some(k) = options.top_k {
            keep_highest(&mut logits, usize::try_from(k).unwrap_or(1));
        }
        let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        check_penalties(row, highest)?;
        let mut weights: Vec<f64> = logits.iter().map(|&x| exp(x - highest)).collect();
        if let (None, Some(p)) = (options.top_k, options.top_p) {
            keep_nucleus(&mut weights, p);
        }
        let size = self.rows.len();
        let rng = self.rows.get_mut(row).ok_or(Error::IndexOutOfRange { op: OP, index: row as i64, size })?;
        Ok(draw(&weights, uniform(rng, 53)))
    }
}

fn check(row: usize, logits: &[f64]) -> Result<()> {
    if let Some(at) = logits.iter().position(|x| x.is_nan() || *x == f64::INFINITY) {
        return Err(invalid(format!(
            "the logit of token {at} in row {row} is {}; a hook or a weight is off",
            logits[at]
        )));
    }
    if logits.iter().all(|&x| x == f64::NEG_INFINITY) {
        return Err(invalid(format!("row {row} has no token left to choose: all logits are -inf")));
    }
    Ok(())
}

/// Fails if penalties took the highest logit of a row out of the range of numbers, where nothing can be compared.
fn check_penalties(row: usize, highest: f64) -> Result<()> {
    if highest.is_finite() {
        return Ok(());
    }
    Err(invalid(format!(
        "the penalties make the highest logit in row {row} {highest}; bring repetitionPenalty nearer to 1 and \
         freqPenalty nearer to 0"
    )))
}

/// The first of the highest.
fn argmax(values: &[f64]) -> usize {
    values.iter().enumerate().fold(0, |best, (i, x)| if *x > values[best] { i } else { best })
}

/// Sets what lies below the `k` highest to -∞.
fn keep_highest(logits: &mut [f64], k: usize) {
    if k >= logits.len() {
        return;
    }
    let highest = smallest(logits.iter().map(|x| !float_key(*x)), k);
    let Some(&last) = highest.last() else { return };
    let least = logits[last];
    logits.iter_mut().filter(|x| **x < least).for_each(|x| *x = f64::NEG_INFINITY);
}

/// Sets all weights to zero but the largest, up to the first with which they make more than the share `p`.
fn keep_nucleus(weights: &mut [f64], p: f64) {
    let total: f64 = weights.iter().sum();
    let order = smallest(weights.iter().map(|x| !float_key(*x)), weights.len());
    let mut before = 0.0;
    for (place, &i) in order.iter().enumerate() {
        let weight = weights[i];
        if place > 0 && before > (p + TOP_P_SLACK) * total {
            weights[i] = 0.0;
        }
        before += weight;
    }
}

/// The index at a share of the sum, by weight.
fn draw(weights: &[f64], share: f64) -> usize {
    let aim = share * weights.iter().sum::<f64>();
    let mut sum = 0.0;
    let mut last = 0;
    for (i, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        sum += weight;
        last = i;
        if sum > aim {
            break;
        }
    }
    last
}

impl Tensor {
    /// A token for each row of logits `[batch, d_vocab]`: `[batch]`, `int64`; for `[d_vocab]` a 0-d tensor. `tokens`
    /// `[batch, pos]` are those before, for the penalties.
    ///
    /// # Errors
    /// `invalid_argument` for options or logits that make no sense, or penalties without `tokens`; `shape_mismatch`,
    /// `rank_mismatch`, `wrong_dtype`.
    pub fn sample_logits(&self, tokens: Option<&Self>, options: SamplingOptions, seed: Option<u64>) -> Result<Self> {
        require_float(OP, self.dtype())?;
        let &[.., width] = self.dims() else {
            return Err(Error::RankMismatch { op: OP, detail: "needs [batch, d_vocab], got a 0-d tensor".into() });
        };
        if self.rank() > 2 {
            let detail = format!("needs [batch, d_vocab], got {:?}; take one position's logits", self.dims());
            return Err(Error::RankMismatch { op: OP, detail });
        }
        if tokens.is_none() && (options.repetition_penalty != 1.0 || options.freq_penalty > 0.0) {
            return Err(invalid("repetitionPenalty and freqPenalty need the tokens before".into()));
        }
        let batch = if self.rank() == 2 { self.dims()[0] } else { 1 };
        let history = match tokens {
            Some(tokens) if !tokens.dtype().is_int() => {
                let got = tokens.dtype().name().into();
                return Err(Error::WrongDtype { op: OP, expected: "integer token ids".into(), got });
            }
            Some(tokens) if tokens.rank() != 2 && !(tokens.rank() == 1 && batch == 1) => {
                let detail = format!("tokens are [batch, pos], got {:?}", tokens.dims());
                return Err(Error::RankMismatch { op: OP, detail });
            }
            Some(tokens) if tokens.rank() == 2 && tokens.dims()[0] != batch => {
                let detail = format!("{} rows of tokens for {batch} rows of logits", tokens.dims()[0]);
                return Err(Error::ShapeMismatch { op: OP, detail });
            }
            Some(tokens) => tokens.to_vec::<i64>()?,
            None => Vec::new(),
        };
        let mut sampler = Sampler::new(options, batch, seed)?;
        let logits = self.to_vec::<f64>()?;
        let past = history.len().checked_div(batch).unwrap_or(0);
        let chosen = (0..batch)
            .map(|row| {
                let own = history.get(row * past..(row + 1) * past).unwrap_or_default();
                sampler.choose(row, &logits[row * width..(row + 1) * width], own).map(|id| id as i64)
            })
            .collect::<Result<Vec<i64>>>()?;
        let dims = &self.dims()[..self.rank() - 1];
        Self::constant(super::host::upload(chosen, dims, &Device::Cpu)?.to_device(self.data().device())?)
    }
}

fn sample(inputs: &[Tensor], options: SamplingOptions, seed: Option<i64>) -> Result<Tensor> {
    let seed = seed.map(i64::cast_unsigned);
    match inputs {
        [logits] => logits.sample_logits(None, options, seed),
        [logits, tokens] => logits.sample_logits(Some(tokens), options, seed),
        _ => Err(invalid(format!("takes logits and maybe tokens, got {} tensors", inputs.len()))),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    sample_logits[inputs](; do_sample: Option<bool>, temperature: Option<f64>, top_k: Option<i64>, top_p: Option<f64>,
        repetition_penalty: Option<f64>, freq_penalty: Option<f64>, seed: Option<i64>)
        => sample(inputs, SamplingOptions {
            do_sample: do_sample.unwrap_or(true),
            temperature: temperature.unwrap_or(1.0),
            top_k,
            top_p,
            repetition_penalty: repetition_penalty.unwrap_or(1.0),
            freq_penalty: freq_penalty.unwrap_or(0.0),
        }, seed);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(p: f64) -> usize {
        let mut weights = [0.05, 0.5, 0.15, 0.3];
        keep_nucleus(&mut weights, p);
        weights.iter().filter(|w| **w > 0.0).count()
    }

    #[test]
    fn the_nucleus_includes_the_token_that_crosses_the_limit() {
        for (p, count) in [(1e-9, 1), (0.3, 1), (0.5, 2), (0.79, 2), (0.8, 3), (0.95, 4), (1.0, 4)] {
            assert_eq!(kept(p), count, "p = {p}");
        }
    }

    #[test]
    fn the_highest_are_kept_with_what_equals_the_last_of_them() {
        for (k, expected) in [(1, 1), (2, 3), (3, 3), (4, 4), (9, 4)] {
            let mut logits = [2.0, 1.0, 3.0, 2.0];
            keep_highest(&mut logits, k);
            assert_eq!(logits.iter().filter(|x| x.is_finite()).count(), expected, "k = {k}");
        }
    }

    #[test]
    fn a_draw_never_lands_on_a_weight_of_zero() {
        for share in [0.0, 0.25, 0.5, 0.999_999_999_999_999_9] {
            assert!([1, 3].contains(&draw(&[0.0, 1.0, 0.0, 1.0, 0.0], share)));
        }
    }
}

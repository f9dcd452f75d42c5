//! Which keys a query may see.

use crate::autograd::lock;
use crate::error::Result;
use crate::tensor::{CT, Sight, Tensor};
use candle_core::Device;
use std::sync::Mutex;

/// The mask of one forward: causality, windows and padding. What takes memory is built when asked for, and once: for each
/// window size, not for each layer.
pub(crate) struct AttentionMask {
    causal: bool,
    batch: usize,
    queries: usize,
    keys: usize,
    /// `[batch, key]`: true where there is padding; empty if there is none.
    padding: Vec<bool>,
    device: Device,
    blocked: Mutex<Vec<(Option<usize>, Option<Tensor>)>>,
    hidden_keys: Mutex<Option<Tensor>>,
}

impl AttentionMask {
    /// `padding` is `[batch, key]`, true where a key must not be seen, or empty. Queries are the last of the keys.
    pub(crate) fn new(causal: bool, [batch, queries, keys]: [usize; 3], padding: Vec<bool>, device: &Device) -> Self {
        Self {
            causal,
            batch,
            queries,
            keys,
            padding,
            device: device.clone(),
            blocked: Default::default(),
            hidden_keys: Default::default(),
        }
    }

    /// Which keys queries see by their positions alone: all of the mask but padding.
    pub(crate) fn sight(&self, window: Option<usize>) -> Sight {
        Sight { causal: self.causal, window, offset: self.keys - self.queries }
    }

    /// What is added to scores to hide padding, 0 or -∞: `[batch, 1, 1, key]` in `f32`; `None` if there is none.
    pub(crate) fn hidden_keys(&self) -> Result<Option<Tensor>> {
        if self.padding.is_empty() {
            return Ok(None);
        }
        let mut hidden = lock(&self.hidden_keys);
        if let Some(hidden) = &*hidden {
            return Ok(Some(hidden.clone()));
        }
        let values: Vec<f32> =
            self.padding.iter().map(|&hidden| if hidden { f32::NEG_INFINITY } else { 0.0 }).collect();
        let built = Tensor::constant(CT::from_vec(values, (self.batch, 1, 1, self.keys), &self.device)?)?;
        Ok(Some(hidden.insert(built).clone()))
    }

    /// True where a score must be masked: `[batch or 1, 1, query, key]`; `None` if every key may be seen.
    pub(crate) fn blocked(&self, window: Option<usize>) -> Result<Option<Tensor>> {
        let mut all = lock(&self.blocked);
        if let Some((_, blocked)) = all.iter().find(|(w, _)| *w == window) {
            return Ok(blocked.clone());
        }
        let blocked = self.build(window)?;
        all.push((window, blocked.clone()));
        Ok(blocked)
    }

    fn build(&self, window: Option<usize>) -> Result<Option<Tensor>> {
        let (rows, keys, sight) = (self.queries, self.keys, self.sight(window));
        let batch = if self.padding.is_empty() { 1 } else { self.batch };
        crate::memory::require_tensor("attention", &[batch, rows, keys], 1)?;
        let mut blocked = Vec::with_capacity(batch * rows * keys);
        for b in 0..batch {
            let padding = self.padding.get(b * keys..(b + 1) * keys);
            for i in 0..rows {
                let seen = sight.of(i, keys);
                blocked.extend((0..keys).map(|j| u8::from(!seen.contains(&j) || padding.is_some_and(|p| p[j]))));
            }
        }
        if blocked.iter().all(|&hidden| hidden == 0) {
            return Ok(None);
        }
        Ok(Some(Tensor::mask(CT::from_vec(blocked, (batch, 1, rows, keys), &self.device)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of it, at one byte each, is more than a process can address.
    const LONG: usize = 1 << 24;

    #[test]
    fn a_mask_that_no_memory_could_hold_is_refused() {
        let padding = [vec![true], vec![false; LONG - 1]].concat();
        for (what, queries, padding, window) in [
            ("a window", LONG, Vec::new(), Some(4)),
            ("padding", LONG, padding, None),
            ("tokens after cached ones", LONG / 2, Vec::new(), None),
        ] {
            let mask = AttentionMask::new(true, [1, queries, LONG], padding, &Device::Cpu);
            let error = mask.blocked(window).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("too large"), "{what}: '{error}'");
        }
    }
}

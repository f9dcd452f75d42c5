//! Which keys a query may see.

use crate::error::Result;
use crate::tensor::{CT, Tensor};
use candle_core::Device;

/// The mask of one forward: causality, windows and padding. Built when asked for, once a window size.
pub(crate) struct AttentionMask {
    causal: bool,
    batch: usize,
    queries: usize,
    keys: usize,
    /// `[batch, key]`: true where there is padding; empty if there is none.
    padding: Vec<bool>,
    device: Device,
    built: std::sync::Mutex<Vec<(Option<usize>, Built)>>,
}

#[derive(Clone)]
struct Built {
    blocked: Option<Tensor>,
    empty_rows: Option<Tensor>,
}

impl AttentionMask {
    /// `padding` is `[batch, key]`, true where a key must not be seen, or empty. Queries are the last of the keys.
    pub(crate) fn new(causal: bool, [batch, queries, keys]: [usize; 3], padding: Vec<bool>, device: &Device) -> Self {
        Self { causal, batch, queries, keys, padding, device: device.clone(), built: Default::default() }
    }

    /// True where a score must be masked: `[batch or 1, 1, query, key]`; `None` if every key may be seen.
    pub(crate) fn blocked(&self, window: Option<usize>) -> Result<Option<Tensor>> {
        Ok(self.built(window)?.blocked)
    }

    /// The same for attention as one operation: whether plain causality says it all, or else which keys may be seen,
    /// `[batch or 1, 1, query, key]`, if not all.
    pub(crate) fn allowed(&self, window: Option<usize>) -> Result<(bool, Option<Tensor>)> {
        if self.causal && window.is_none() && self.padding.is_empty() && self.queries == self.keys {
            return Ok((true, None));
        }
        Ok((false, self.blocked(window)?.map(|blocked| blocked.logical_not()).transpose()?))
    }

    /// True for queries that may see no key: `[batch or 1, 1, query, 1]`; `None` if there are none.
    pub(crate) fn empty_rows(&self, window: Option<usize>) -> Result<Option<Tensor>> {
        Ok(self.built(window)?.empty_rows)
    }

    fn built(&self, window: Option<usize>) -> Result<Built> {
        let mut all = self.built.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, built)) = all.iter().find(|(w, _)| *w == window) {
            return Ok(built.clone());
        }
        let built = self.build(window)?;
        all.push((window, built.clone()));
        Ok(built)
    }

    fn build(&self, window: Option<usize>) -> Result<Built> {
        let (rows, keys, offset) = (self.queries, self.keys, self.keys - self.queries);
        let batch = if self.padding.is_empty() { 1 } else { self.batch };
        crate::memory::require_tensor("attention", &[batch, rows, keys], 1)?;
        let mut blocked = Vec::with_capacity(batch * rows * keys);
        for b in 0..batch {
            let padding = self.padding.get(b * keys..(b + 1) * keys);
            for i in 0..rows {
                let at = i + offset;
                blocked.extend((0..keys).map(|j| {
                    let hidden =
                        (self.causal && j > at) || window.is_some_and(|w| j + w <= at) || padding.is_some_and(|p| p[j]);
                    u8::from(hidden)
                }));
            }
        }
        let empty: Vec<u8> =
            blocked.chunks(keys.max(1)).map(|row| u8::from(row.iter().all(|&hidden| hidden == 1))).collect();
        let mask = |values: Vec<u8>, width: usize| -> Result<Option<Tensor>> {
            if values.iter().all(|&v| v == 0) {
                return Ok(None);
            }
            Ok(Some(Tensor::mask(CT::from_vec(values, (batch, 1, rows, width), &self.device)?)?))
        };
        Ok(Built { blocked: mask(blocked, keys)?, empty_rows: mask(empty, 1)? })
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
            let error = mask.allowed(window).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("too large"), "{what}: '{error}'");
        }
    }
}

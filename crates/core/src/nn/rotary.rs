//! Rotary positions: pairs of a query's or key's features turned by an angle that grows with the position
//! (<https://arxiv.org/abs/2104.09864>).

use crate::autograd::record_unary;
use crate::error::Result;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::tensor::{CT, Tensor};
use candle_core::{DType, Device};
use serde_json::{Map, Value, json};

/// Which features are rotated, how fast, and how the speeds are stretched for long contexts.
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryConfig {
    /// The first so many features of a head are rotated; the rest pass.
    pub dim: usize,
    /// Pair `m` turns by `base^(-2m/dim)` a position.
    pub base: f64,
    /// Pairs are features `(0,1), (2,3), …`; otherwise `(i, i + dim/2)`.
    pub adjacent_pairs: bool,
    /// Stretching.
    pub scaling: RotaryScaling,
}

/// How the rotation is slowed down beyond the context it was trained for.
#[derive(Clone, Debug, PartialEq)]
pub enum RotaryScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor (<https://arxiv.org/abs/2306.15595>).
    Linear(f64),
    /// Slow pairs divided by a factor, fast ones kept, a ramp between, as in Llama 3.1.
    ByParts {
        /// What slow pairs are divided by.
        factor: f64,
        /// Pairs of fewer turns within the original context count as slow.
        low_freq_factor: f64,
        /// Pairs of more turns count as fast.
        high_freq_factor: f64,
        /// The original context, in tokens.
        original_ctx: f64,
    },
}

impl RotaryConfig {
    /// Reads the reference's keys.
    pub(crate) fn read(read: &ConfigReader<'_>, d_head: usize) -> Result<Self> {
        let linear = read.positive("rotary_scaling_factor")?.unwrap_or(1.0);
        let parts = RotaryScaling::ByParts {
            factor: read.positive("NTK_by_parts_factor")?.unwrap_or(8.0),
            low_freq_factor: read.positive("NTK_by_parts_low_freq_factor")?.unwrap_or(1.0),
            high_freq_factor: read.positive("NTK_by_parts_high_freq_factor")?.unwrap_or(4.0),
            original_ctx: read.positive("NTK_original_ctx_len")?.unwrap_or(8192.0),
        };
        let by_parts = read.flag("use_NTK_by_parts_rope")?.unwrap_or(false);
        if let (true, RotaryScaling::ByParts { low_freq_factor: low, high_freq_factor: high, .. }) = (by_parts, &parts)
            && high <= low
        {
            let detail = format!("{high} must be above NTK_by_parts_low_freq_factor, which is {low}");
            return Err(unsupported("NTK_by_parts_high_freq_factor", &detail));
        }
        let scaling = match (by_parts, linear) {
            (true, 1.0) => parts,
            (true, _) => return Err(unsupported("rotary_scaling_factor", "cannot be combined with NTK by parts")),
            (false, 1.0) => RotaryScaling::None,
            (false, factor) => RotaryScaling::Linear(factor),
        };
        Ok(Self {
            dim: read.count("rotary_dim")?.unwrap_or(d_head),
            base: read.positive("rotary_base")?.unwrap_or(10_000.0),
            adjacent_pairs: read.flag("rotary_adjacent_pairs")?.unwrap_or(false),
            scaling,
        })
    }

    /// The reference's keys and their values.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        let mut set = |key: &str, value: Value| json.insert(key.to_owned(), value);
        set("rotary_dim", json!(self.dim));
        set("rotary_base", json!(self.base));
        set("rotary_adjacent_pairs", json!(self.adjacent_pairs));
        match self.scaling {
            RotaryScaling::None => {}
            RotaryScaling::Linear(factor) => {
                set("rotary_scaling_factor", json!(factor));
            }
            RotaryScaling::ByParts { factor, low_freq_factor, high_freq_factor, original_ctx } => {
                set("use_NTK_by_parts_rope", json!(true));
                set("NTK_by_parts_factor", json!(factor));
                set("NTK_by_parts_low_freq_factor", json!(low_freq_factor));
                set("NTK_by_parts_high_freq_factor", json!(high_freq_factor));
                set("NTK_original_ctx_len", json!(original_ctx));
            }
        }
        json
    }

    /// Radians a position, for each of the `dim / 2` pairs.
    pub fn speeds(&self) -> Vec<f64> {
        let speed = |m: usize| self.base.powf(-2.0 * m as f64 / self.dim as f64);
        (0..self.dim / 2).map(|m| self.scaled(speed(m))).collect()
    }

    fn scaled(&self, speed: f64) -> f64 {
        match self.scaling {
            RotaryScaling::None => speed,
            RotaryScaling::Linear(factor) => speed / factor,
            RotaryScaling::ByParts { factor, low_freq_factor, high_freq_factor, original_ctx } => {
                let turns = original_ctx * speed / std::f64::consts::TAU;
                if turns > high_freq_factor {
                    speed
                } else if turns < low_freq_factor {
                    speed / factor
                } else {
                    let fast = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    (1.0 - fast) * speed / factor + fast * speed
                }
            }
        }
    }

    /// Cosines and sines for these positions: `rows` of them, each for all pairs, as `[rows.., 1, dim / 2]`.
    pub(crate) fn table(&self, positions: &[u32], rows: &[usize], device: &Device) -> Result<RotaryTable> {
        let speeds = self.speeds();
        let shape: Vec<usize> = rows.iter().copied().chain([1, speeds.len()]).collect();
        let angles = || positions.iter().flat_map(|&p| speeds.iter().map(move |s| f64::from(p) * s));
        let table = |f: fn(f64) -> f64| -> Result<CT> {
            let values: Vec<f32> = angles().map(|a| f(a) as f32).collect();
            Ok(CT::from_vec(values, shape.as_slice(), device)?)
        };
        Ok(RotaryTable { cos: table(f64::cos)?, sin: table(f64::sin)?, adjacent: self.adjacent_pairs, dim: self.dim })
    }
}

/// The rotations of one forward's positions.
#[derive(Clone)]
pub(crate) struct RotaryTable {
    cos: CT,
    sin: CT,
    adjacent: bool,
    dim: usize,
}

impl RotaryTable {
    /// Rotates queries or keys `[batch, pos, head, d_head]`. Computed in at least `f32`.
    pub(crate) fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let table = self.clone();
        // A rotation's transpose turns the other way, so that is how gradients go back.
        record_unary("rotary", self.turn(x.data(), false)?, x, move |g| table.turn(g, true))
    }

    fn turn(&self, x: &CT, back: bool) -> Result<CT> {
        let (stored, wide) = (x.dtype(), if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 });
        let last = x.rank() - 1;
        let half = self.dim / 2;
        let turned = x.narrow(last, 0, self.dim)?.to_dtype(wide)?;
        let split_dims = |a: usize, b: usize| [&x.dims()[..last], &[a, b]].concat();
        // Both layouts as a pair axis of size 2 beside an axis of `half` pairs.
        let (pairs, pair_axis) = if self.adjacent {
            (turned.contiguous()?.reshape(split_dims(half, 2))?, last + 1)
        } else {
            (turned.contiguous()?.reshape(split_dims(2, half))?, last)
        };
        let (a, b) =
            (pairs.narrow(pair_axis, 0, 1)?.squeeze(pair_axis)?, pairs.narrow(pair_axis, 1, 1)?.squeeze(pair_axis)?);
        let (cos, sin) = (self.cos.to_dtype(wide)?, self.sin.to_dtype(wide)?);
        let sin = if back { sin.neg()? } else { sin };
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        let joined = CT::stack(&[first, second], pair_axis)?.flatten(last, last + 1)?.to_dtype(stored)?;
        let width = x.dims()[last];
        if width == self.dim {
            return Ok(joined);
        }
        Ok(CT::cat(&[&joined, &x.narrow(last, self.dim, width - self.dim)?], last)?)
    }
}

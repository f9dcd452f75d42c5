//! Rotary positions: pairs of a query's or key's features turned by an angle that grows with the position
//! (<https://arxiv.org/abs/2104.09864>).

use crate::autograd::record_unary;
use crate::error::Result;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::models::{MAX_POSITIONS, ModelConfig, Positions};
use crate::nn::{RopeContext, RotaryScaling};
use crate::tensor::{CT, Tensor};
use candle_core::{DType, Device};
use serde_json::{Map, Value, json};

/// Which features are rotated, how fast, and how the speeds are stretched for long contexts.
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryConfig {
    /// The first so many features of a head are rotated; the rest pass. Even.
    pub dim: usize,
    /// Pair `m` turns by `base^(-2m/period)` a position. It is `dim`, or one less where a share of the head's features
    /// came out odd, which rounds up what is rotated.
    pub period: usize,
    /// See `period`.
    pub base: f64,
    /// The base on layers whose queries see only a window; `None` for the same as on the others.
    pub base_local: Option<f64>,
    /// Pairs are features `(0,1), (2,3), …`; otherwise `(i, i + dim/2)`.
    pub adjacent_pairs: bool,
    /// Stretching.
    pub scaling: RotaryScaling,
}

impl RotaryConfig {
    /// Reads the reference's keys.
    pub(crate) fn read(read: &ConfigReader<'_>, d_head: usize, n_ctx: usize) -> Result<Self> {
        let dim = match read.number("rotary_dim")? {
            Some(0.0) => 0,
            _ => read.count("rotary_dim")?.unwrap_or(d_head),
        };
        let period = read.count("rotary_period")?.unwrap_or(dim);
        let base = read.positive("rotary_base")?.unwrap_or(10_000.0);
        let base_local = read.positive("rotary_base_local")?;
        let adjacent_pairs = read.flag("rotary_adjacent_pairs")?.unwrap_or(false);
        let scaling = reference_scaling(read, &RopeContext { d_head, period, base, n_ctx, original_ctx: None })?;
        if base_local == Some(1.0) && matches!(scaling, RotaryScaling::Yarn { .. }) {
            return Err(unsupported("rotary_base_local", "must not be 1 with YaRN"));
        }
        Ok(Self { dim, period, base, base_local, adjacent_pairs, scaling })
    }

    /// The reference's keys and their values.
    pub(crate) fn to_json(&self, d_head: usize) -> Map<String, Value> {
        let mut json = Map::new();
        let mut set = |key: &str, value: Value| json.insert(key.to_owned(), value);
        set("rotary_dim", json!(self.dim));
        set("rotary_base", json!(self.base));
        set("rotary_base_local", json!(self.base_local));
        set("rotary_adjacent_pairs", json!(self.adjacent_pairs));
        match &self.scaling {
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
            RotaryScaling::Yarn { factor, beta_fast, beta_slow, original_ctx, truncate, attention_factor } => {
                set("use_yarn_rope", json!(true));
                set("yarn_factor", json!(factor));
                set("yarn_attention_factor", json!(attention_factor));
                set("yarn_beta_fast", json!(beta_fast));
                set("yarn_beta_slow", json!(beta_slow));
                set("yarn_original_max_position_embeddings", json!(original_ctx));
                set("yarn_truncate", json!(truncate));
            }
            RotaryScaling::Dynamic { .. } | RotaryScaling::LongRope { .. } | RotaryScaling::Proportional { .. } => {}
        }
        if self.period != self.dim {
            set("rotary_period", json!(self.period));
        }
        if let Some(parameters) = self.scaling.to_parameters(d_head) {
            set("rope_parameters", json!(parameters));
        }
        json
    }

    /// The rotation of layers whose queries see only a window: they have a base of their own, if there is one, and
    /// positions that are divided for long contexts are not divided there. Other scalings hold on every layer.
    pub fn local(&self) -> Self {
        let scaling = match &self.scaling {
            RotaryScaling::Linear(_) => RotaryScaling::None,
            other => other.clone(),
        };
        Self { base: self.base_local.unwrap_or(self.base), base_local: None, scaling, ..self.clone() }
    }

    /// Radians a position, for each of the `dim / 2` pairs, in a sequence of `length` tokens. Layers whose queries see
    /// only a window have those of [`RotaryConfig::local`].
    pub fn speeds(&self, length: usize) -> Vec<f32> {
        self.scaling.speeds(self.base, self.period, self.dim / 2, length)
    }

    /// Fails if an angle would not be a number, on any layer, at some position that a sequence may have.
    pub(crate) fn check_angles(&self) -> Result<()> {
        let finite = |base: f64, scaling: &RotaryScaling, length: usize| {
            let speeds = scaling.speeds(base, self.period, self.dim / 2, length);
            speeds.iter().all(|speed| (speed * MAX_POSITIONS as f32).is_finite())
        };
        let (base, base_local) = (self.base, self.base_local.unwrap_or(self.base));
        for (key, base) in [("rotary_base", base), ("rotary_base_local", base_local)] {
            if !finite(base, &RotaryScaling::None, 1) {
                return Err(unsupported(key, format!("{base:e} makes angles that are too large to be numbers")));
            }
        }
        let scaled = |length| finite(base, &self.scaling, length) && finite(base_local, &self.scaling, length);
        if [1, MAX_POSITIONS].into_iter().all(scaled) {
            return Ok(());
        }
        Err(unsupported("rope_parameters", "the scaling makes angles that are too large to be numbers"))
    }

    /// Whether positions turn otherwise in a sequence of `to` tokens than in one of `from`, on any layer.
    pub(crate) fn rotation_changes(&self, from: usize, to: usize) -> bool {
        let changes = |rotary: &Self| rotary.speeds(from) != rotary.speeds(to);
        self.scaling.depends_on_length() && (changes(self) || changes(&self.local()))
    }

    /// Cosines and sines for these positions, the last of which says how long the sequence is: `rows` of them, each for
    /// all pairs, as `[rows.., 1, dim / 2]`.
    fn table(&self, positions: &[u32], rows: &[usize], device: &Device) -> Result<RotaryTable> {
        let length = positions.iter().max().map_or(0, |&last| last as usize + 1);
        let speeds = self.speeds(length);
        let scale = self.scaling.attention_factor() as f32;
        let shape: Vec<usize> = rows.iter().copied().chain([1, speeds.len()]).collect();
        let angles = || positions.iter().flat_map(|&p| speeds.iter().map(move |s| p as f32 * s));
        let table = |f: fn(f64) -> f64| -> Result<CT> {
            let values: Vec<f32> = angles().map(|a| f(f64::from(a)) as f32 * scale).collect();
            Ok(CT::from_vec(values, shape.as_slice(), device)?)
        };
        Ok(RotaryTable { cos: table(f64::cos)?, sin: table(f64::sin)?, adjacent: self.adjacent_pairs, dim: self.dim })
    }
}

/// The scaling that the reference's keys ask for: one at most.
fn reference_scaling(read: &ConfigReader<'_>, context: &RopeContext) -> Result<RotaryScaling> {
    let linear = read.positive("rotary_scaling_factor")?.unwrap_or(1.0);
    let (low_freq_factor, high_freq_factor) = (
        read.positive("NTK_by_parts_low_freq_factor")?.unwrap_or(1.0),
        read.positive("NTK_by_parts_high_freq_factor")?.unwrap_or(4.0),
    );
    let parts = RotaryScaling::ByParts {
        factor: read.positive("NTK_by_parts_factor")?.unwrap_or(8.0),
        low_freq_factor,
        high_freq_factor,
        original_ctx: read.positive("NTK_original_ctx_len")?.unwrap_or(8192.0),
    };
    let by_parts = read.flag("use_NTK_by_parts_rope")?.unwrap_or(false);
    if by_parts && high_freq_factor <= low_freq_factor {
        let detail =
            format!("{high_freq_factor} must be above NTK_by_parts_low_freq_factor, which is {low_freq_factor}");
        return Err(unsupported("NTK_by_parts_high_freq_factor", detail));
    }
    let yarn = RotaryScaling::Yarn {
        factor: read.positive("yarn_factor")?.unwrap_or(1.0),
        attention_factor: read.positive("yarn_attention_factor")?.unwrap_or(1.0),
        beta_fast: read.positive("yarn_beta_fast")?.unwrap_or(32.0),
        beta_slow: read.positive("yarn_beta_slow")?.unwrap_or(1.0),
        original_ctx: read.positive("yarn_original_max_position_embeddings")?.unwrap_or(4096.0),
        truncate: read.flag("yarn_truncate")?.unwrap_or(true),
    };
    let by_yarn = read.flag("use_yarn_rope")?.unwrap_or(false);
    if by_yarn && context.base == 1.0 {
        return Err(unsupported("rotary_base", "must not be 1 with use_yarn_rope"));
    }
    let parameters = match read.get("rope_parameters") {
        Some(parameters) => Some(RotaryScaling::from_parameters(&ConfigReader::new(parameters)?, context)?),
        None => None,
    };
    let asked = [
        ("use_NTK_by_parts_rope", by_parts.then_some(parts)),
        ("use_yarn_rope", by_yarn.then_some(yarn)),
        ("rotary_scaling_factor", (linear != 1.0).then_some(RotaryScaling::Linear(linear))),
        ("rope_parameters", parameters.filter(|scaling| *scaling != RotaryScaling::None)),
    ];
    let mut asked = asked.into_iter().filter_map(|(key, scaling)| Some((key, scaling?)));
    match (asked.next(), asked.next()) {
        (Some((first, _)), Some((second, _))) => Err(unsupported(second, format!("cannot be combined with {first}"))),
        (Some((_, scaling)), None) => Ok(scaling),
        _ => Ok(RotaryScaling::None),
    }
}

/// The rotations of one forward's positions on every layer.
pub(crate) struct Rotations {
    usual: RotaryTable,
    /// On layers whose queries see only a window, where those have another.
    local: Option<RotaryTable>,
}

impl Rotations {
    /// Those of `rows` of positions, the last of which says how long the sequence is.
    pub(crate) fn new(model: &ModelConfig, positions: &[u32], rows: &[usize], device: &Device) -> Result<Option<Self>> {
        let Positions::Rotary(rotary) = &model.positions else { return Ok(None) };
        let local = Some(rotary.local()).filter(|local| {
            let differs = (local.base, &local.scaling) != (rotary.base, &rotary.scaling);
            differs && (0..model.n_layers).any(|layer| model.window(layer).is_some())
        });
        let table = |rotary: &RotaryConfig| rotary.table(positions, rows, device);
        Ok(Some(Self { usual: table(rotary)?, local: local.as_ref().map(table).transpose()? }))
    }

    /// The rotations of a layer whose queries see only a window, if it has one.
    pub(crate) fn of(&self, window: Option<usize>) -> &RotaryTable {
        self.local.as_ref().filter(|_| window.is_some()).unwrap_or(&self.usual)
    }
}

/// The rotations of one forward's positions, on layers of one kind.
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
        if self.dim == 0 {
            return Ok(x.clone());
        }
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
        let rest = x.narrow(last, self.dim, width - self.dim)?;
        // In rows, as attention in one pass reads them; candle's own joins the last axis by turning it to the front.
        Ok(Tensor::cat(&[Tensor::constant(joined)?, Tensor::constant(rest)?], -1)?.data().clone())
    }
}

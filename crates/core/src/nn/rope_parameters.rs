//! Rotary scaling as Hugging Face's configurations describe it: `rope_parameters`, or `rope_scaling` in older ones.

use super::RotaryScaling;
use crate::error::{Result, nearest};
use crate::models::config_reader::{ConfigReader, fits_single_precision, unsupported};
use serde_json::{Map, Value, json};

const TYPES: [&str; 7] = ["default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional"];

/// What the meaning of some keys depends on.
pub(crate) struct RopeContext {
    /// Width of a head.
    pub(crate) d_head: usize,
    /// What the exponents of the speeds are divided by.
    pub(crate) period: usize,
    /// The base of the speeds.
    pub(crate) base: f64,
    /// `max_position_embeddings`.
    pub(crate) n_ctx: usize,
    /// `original_max_position_embeddings` beside the parameters instead of among them, where it wins.
    pub(crate) original_ctx: Option<f64>,
}

/// The name of the type: `rope_type`, or `type` as older files call it.
pub(crate) fn rope_type<'a>(read: &ConfigReader<'a>) -> Result<&'a str> {
    let name = match read.text("rope_type")? {
        Some(name) => name,
        None => read.text("type")?.unwrap_or("default"),
    };
    if TYPES.contains(&name) {
        return Ok(name);
    }
    let detail = format!("'{name}' is not one of {TYPES:?}; nearest: {:?}", nearest(name, TYPES));
    Err(unsupported("rope_type", detail))
}

impl RotaryScaling {
    /// Reads Hugging Face's parameters. What may be missing gets the default that transformers gives it.
    ///
    /// # Errors
    /// `unsupported_config` naming the key that is missing, makes no sense, or is an unknown type.
    pub(crate) fn from_parameters(read: &ConfigReader<'_>, context: &RopeContext) -> Result<Self> {
        let n_ctx = context.n_ctx as f64;
        let required =
            |key: &str| read.positive(key)?.ok_or_else(|| unsupported(key, "is required for this rope_type"));
        let own_original = read.positive("original_max_position_embeddings")?;
        let original_ctx = context.original_ctx.or(own_original).unwrap_or(n_ctx);
        let attention_factor = read.number("attention_factor")?;
        Ok(match rope_type(read)? {
            "linear" => Self::Linear(required("factor")?),
            "dynamic" => {
                if context.period == 2 {
                    return Err(unsupported("rope_type", "'dynamic' is not defined for 2 rotated features"));
                }
                Self::Dynamic { factor: required("factor")?, original_ctx: n_ctx }
            }
            "yarn" => {
                // Of three features transformers' ramp has one step, which holds for both pairs; with other odd numbers it
                // has as many steps as nothing else has, and transformers fails too.
                if context.base == 1.0 || !(context.period.is_multiple_of(2) || context.period == 3) {
                    let detail = format!("'yarn' needs an even number of features or three, got {}", context.period);
                    return Err(unsupported("rope_type", detail + ", and a rope_theta other than 1"));
                }
                let factor = match read.is_null("factor") {
                    true => n_ctx / original_ctx,
                    false => required("factor")?,
                };
                let mscales = (read.number("mscale")?.unwrap_or(0.0), read.number("mscale_all_dim")?.unwrap_or(0.0));
                let derived = match mscales {
                    (0.0, _) | (_, 0.0) => yarn_scale(factor, 1.0),
                    (one, all) => yarn_scale(factor, one) / yarn_scale(factor, all),
                };
                Self::Yarn {
                    factor,
                    beta_fast: read.number("beta_fast")?.filter(|&x| x != 0.0).unwrap_or(32.0),
                    beta_slow: read.number("beta_slow")?.filter(|&x| x != 0.0).unwrap_or(1.0),
                    original_ctx,
                    truncate: !read.is_null("truncate") && read.flag("truncate")?.unwrap_or(true),
                    attention_factor: moderate("attention_factor", attention_factor.unwrap_or(derived))?,
                }
                .with_positive_betas()?
            }
            "longrope" => {
                let factor = read.positive("factor")?.unwrap_or(n_ctx / original_ctx);
                let derived = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original_ctx.ln()).sqrt() };
                let pairs = context.period.div_ceil(2);
                Self::LongRope {
                    short: divisors(read, "short_factor", pairs)?,
                    long: divisors(read, "long_factor", pairs)?,
                    original_ctx,
                    attention_factor: moderate("attention_factor", attention_factor.unwrap_or(derived))?,
                }
            }
            "llama3" => Self::ByParts {
                factor: required("factor")?,
                low_freq_factor: required("low_freq_factor")?,
                high_freq_factor: required("high_freq_factor")?,
                original_ctx,
            },
            "proportional" => {
                let share = read.number("partial_rotary_factor")?.unwrap_or(1.0);
                if !(0.0..=1.0).contains(&share) {
                    return Err(unsupported("partial_rotary_factor", format!("must be from 0 to 1, got {share}")));
                }
                let pairs = (share * context.d_head as f64 / 2.0) as usize;
                Self::Proportional { factor: read.positive("factor")?.unwrap_or(1.0), pairs }
            }
            _ => Self::None,
        })
    }

    fn with_positive_betas(self) -> Result<Self> {
        let Self::Yarn { beta_fast, beta_slow, .. } = self else { return Ok(self) };
        match [("beta_fast", beta_fast), ("beta_slow", beta_slow)].into_iter().find(|(_, beta)| *beta < 0.0) {
            Some((key, beta)) => Err(unsupported(key, format!("must be above 0, got {beta}"))),
            None => Ok(self),
        }
    }

    /// The parameters of the types that the reference's own keys cannot say; [`Self::from_parameters`] reads them back.
    pub(crate) fn to_parameters(&self, d_head: usize) -> Option<Map<String, Value>> {
        let parameters = match self {
            Self::Dynamic { factor, .. } => json!({ "rope_type": "dynamic", "factor": factor }),
            Self::LongRope { short, long, original_ctx, attention_factor } => json!({
                "rope_type": "longrope",
                "short_factor": short,
                "long_factor": long,
                "original_max_position_embeddings": original_ctx,
                "attention_factor": attention_factor,
            }),
            // Half a pair more than there are, so that rounding down gives their number back.
            Self::Proportional { factor, pairs } => json!({
                "rope_type": "proportional",
                "factor": factor,
                "partial_rotary_factor": ((2 * pairs + 1) as f64 / d_head as f64).min(1.0),
            }),
            Self::None | Self::Linear(_) | Self::ByParts { .. } | Self::Yarn { .. } => return None,
        };
        parameters.as_object().cloned()
    }
}

/// YaRN's temperature, by how much the context was stretched.
fn yarn_scale(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

/// A factor on cosines and sines that leaves scores finite.
fn moderate(key: &str, value: f64) -> Result<f64> {
    const LARGEST: f64 = 1e6;
    if value.abs() <= LARGEST {
        return Ok(value);
    }
    Err(unsupported(key, format!("comes out as {value:e}, which is beyond {LARGEST:e}")))
}

/// A divisor for each pair, or a single one for all.
fn divisors(read: &ConfigReader<'_>, key: &str, pairs: usize) -> Result<Vec<f64>> {
    let wrong =
        || unsupported(key, format!("must list {pairs} numbers above 0, one for each pair of rotated features"));
    let list = read.get(key).and_then(Value::as_array).ok_or_else(wrong)?;
    if list.len() != pairs && list.len() != 1 {
        return Err(wrong());
    }
    list.iter().map(|x| x.as_f64().filter(|x| fits_single_precision(*x) && *x > 0.0).ok_or_else(wrong)).collect()
}

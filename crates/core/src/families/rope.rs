//! Rotary positions in Hugging Face's configurations, in every layout that they have had.
//!
//! Newer files keep all of it in `rope_parameters`. Older ones have the base beside it, under a name of the family's own,
//! and a scaling in `rope_scaling`, which wins if there are both.

use crate::error::Result;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::nn::{RopeContext, RotaryConfig, RotaryScaling, rope_type};
use serde_json::{Map, Value};

/// Where a family has what.
pub(super) struct RopeLayout {
    /// The key of the base outside `rope_parameters`.
    pub(super) base: &'static str,
    /// The key of the share of each head that is rotated, outside `rope_parameters`.
    pub(super) share: &'static str,
    /// That share where neither place says it.
    pub(super) default_share: f64,
    /// The family always rotates whole heads: without scaling the share is not looked at, with it another is refused.
    pub(super) whole_heads: bool,
}

/// Reads how heads of `d_head` features are rotated in a context of `n_ctx` tokens.
///
/// # Errors
/// `unsupported_config` naming the key that makes no sense.
pub(super) fn rotary(
    read: &ConfigReader<'_>,
    layout: &RopeLayout,
    d_head: usize,
    n_ctx: usize,
) -> Result<RotaryConfig> {
    let nothing = Value::Object(Map::new());
    let scaling = parameters(read, "rope_scaling")?;
    let chosen = match scaling {
        Some(scaling) => Some(scaling),
        None => parameters(read, "rope_parameters")?,
    };
    let rope = ConfigReader::new(chosen.unwrap_or(&nothing))?;
    let own_base = rope.positive("rope_theta")?;
    let base = own_base.or(read.positive(layout.base)?).unwrap_or(10_000.0);
    let kind = rope_type(&rope)?;
    let (share_key, share) = match (rope.number("partial_rotary_factor")?, read.number(layout.share)?) {
        (Some(share), _) => ("partial_rotary_factor", share),
        (None, Some(share)) => (layout.share, share),
        (None, None) => (layout.share, layout.default_share),
    };
    let ignored = kind == "proportional" || (kind == "default" && layout.whole_heads);
    let share = if ignored { 1.0 } else { share };
    if !(0.0..=1.0).contains(&share) {
        return Err(unsupported(share_key, format!("must be from 0 to 1, got {share}")));
    }
    let period = (d_head as f64 * share) as usize;
    let dim = if kind == "proportional" { period / 2 * 2 } else { period.next_multiple_of(2) };
    if dim > d_head || (layout.whole_heads && dim != d_head) {
        let key = if share == 1.0 { "head_dim" } else { share_key };
        let detail = format!("{dim} of the {d_head} features of a head would be rotated");
        return Err(unsupported(key, detail));
    }
    let original_ctx = read.positive("original_max_position_embeddings")?;
    let context = RopeContext { d_head, period, base, n_ctx, original_ctx };
    let scaling = RotaryScaling::from_parameters(&rope, &context)?;
    Ok(RotaryConfig { dim, period, base, base_local: None, adjacent_pairs: false, scaling })
}

/// An object of parameters, if it is there and not empty.
fn parameters<'a>(read: &ConfigReader<'a>, key: &str) -> Result<Option<&'a Value>> {
    match read.get(key) {
        None => Ok(None),
        Some(Value::Object(map)) if map.is_empty() => Ok(None),
        Some(value @ Value::Object(map)) => match map.values().any(Value::is_object) {
            true => Err(unsupported(key, "has parameters for each type of layer, which is not implemented")),
            false => Ok(Some(value)),
        },
        Some(other) => Err(unsupported(key, format!("must be an object, got {other}"))),
    }
}

/// Whether a tensor is one of the tables that old checkpoints carry and that follow from the configuration.
pub(super) fn is_rotation_table(name: &str) -> bool {
    ["rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached"].iter().any(|table| name.ends_with(table))
}

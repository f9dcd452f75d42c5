//! The reference's own form: `tl_config.json` beside weights under the reference's names and shapes.
//!
//! Quirks: old files also store each layer's causal mask and the value it masks with, as `attn.mask` and `attn.IGNORE`,
//! and tables of rotations.

use super::weight_reader::{check, read_float};
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::{Weights, weight_specs};
use indexmap::IndexMap;

const BUFFERS: [&str; 4] = [".attn.mask", ".attn.IGNORE", ".attn.rotary_sin", ".attn.rotary_cos"];

/// Reads every weight of a model. Biases may be missing: they are zero.
///
/// # Errors
/// `weight_mismatch` naming every weight that is missing, superfluous or of another shape.
pub(super) fn weights(config: &ModelConfig, source: &dyn WeightSource, options: &LoadOptions) -> Result<Weights> {
    let expected: IndexMap<String, Vec<usize>> = weight_specs(config)
        .into_iter()
        .filter(|spec| !spec.bias || source.contains(&spec.name))
        .map(|spec| (spec.name, spec.dims))
        .collect();
    check(source, &expected, |name| BUFFERS.iter().any(|buffer| name.ends_with(buffer)))?;
    let named = expected
        .into_keys()
        .map(|name| {
            let tensor = read_float(source, &name, options)?;
            Ok((name, tensor))
        })
        .collect::<Result<IndexMap<_, _>>>()?;
    Weights::new(config, named, None)?.packed(config)
}

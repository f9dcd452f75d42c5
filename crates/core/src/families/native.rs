//! The reference's own form: `tl_config.json` beside weights under the reference's names and shapes.
//!
//! Quirks: old files also store each layer's causal mask and the value it masks with, as `attn.mask` and `attn.IGNORE`,
//! and tables of rotations.

use super::weight_reader::{Reader, check};
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::{Weights, weight_specs};
use indexmap::IndexMap;

const BUFFERS: [&str; 4] = [".attn.mask", ".attn.IGNORE", ".attn.rotary_sin", ".attn.rotary_cos"];

/// Reads the weights that `config` asks for, of a checkpoint that `stored` describes. Biases may be missing: they are zero.
///
/// # Errors
/// `weight_mismatch` naming every weight that is missing, superfluous or of another shape.
pub(super) fn weights(
    stored: &ModelConfig,
    config: &ModelConfig,
    source: &dyn WeightSource,
    options: &LoadOptions,
) -> Result<Weights> {
    let present = |config: &ModelConfig| -> IndexMap<String, Vec<usize>> {
        let specs = weight_specs(config).into_iter();
        specs.filter(|spec| !spec.bias || source.contains(&spec.name)).map(|spec| (spec.name, spec.dims)).collect()
    };
    check(source, &present(stored), |name| BUFFERS.iter().any(|buffer| name.ends_with(buffer)))?;
    let wanted = present(config);
    options.begin(wanted.values().map(Vec::as_slice))?;
    let reader = Reader { source, options };
    let named = wanted
        .into_keys()
        .map(|name| {
            let tensor =
                if name == "pos_embed.W_pos" { reader.rows(&name, config.n_ctx)? } else { reader.read(&name)? };
            Ok((name, tensor))
        })
        .collect::<Result<IndexMap<_, _>>>()?;
    Weights::new(config, named, None)?.packed(config)
}

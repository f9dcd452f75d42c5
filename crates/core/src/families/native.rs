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

/// The weights that `config` asks for, with their shapes, of a checkpoint that `stored` describes. Biases may be missing:
/// they are zero.
///
/// # Errors
/// `weight_mismatch` naming every weight that is missing, superfluous or of another shape.
pub(super) fn wanted(
    stored: &ModelConfig,
    config: &ModelConfig,
    source: &dyn WeightSource,
) -> Result<IndexMap<String, Vec<usize>>> {
    check(source, &present(stored, source), |name| BUFFERS.iter().any(|buffer| name.ends_with(buffer)))?;
    Ok(present(config, source))
}

fn present(config: &ModelConfig, source: &dyn WeightSource) -> IndexMap<String, Vec<usize>> {
    let specs = weight_specs(config).into_iter();
    specs.filter(|spec| !spec.bias || source.contains(&spec.name)).map(|spec| (spec.name, spec.dims)).collect()
}

/// Reads the weights that `config` asks for, which are there.
///
/// # Errors
/// What reading fails with.
pub(super) fn read(config: &ModelConfig, source: &dyn WeightSource, options: &LoadOptions) -> Result<Weights> {
    let reader = Reader { source, options };
    let named = present(config, source)
        .into_keys()
        .map(|name| {
            let tensor =
                if name == "pos_embed.W_pos" { reader.rows(&name, config.n_ctx)? } else { reader.read(&name)? };
            Ok((name, tensor))
        })
        .collect::<Result<IndexMap<_, _>>>()?;
    Weights::new(config, named, None)?.packed(config)
}

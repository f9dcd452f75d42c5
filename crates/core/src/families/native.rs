//! The reference's own form: `tl_config.json` beside weights under the reference's names and shapes.
//!
//! Quirks: old files also store each layer's causal mask and the value it masks with, as `attn.mask` and `attn.IGNORE`,
//! and tables of rotations.

use super::weight_reader::{Reader, check};
use crate::error::{Error, Result};
use crate::load::WeightSource;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::{PackedAttn, Weights, heads_side_by_side, weight_specs};
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
    let mut left = present(config, source);
    let mut named = IndexMap::with_capacity(left.len());
    let mut packed = Vec::with_capacity(config.n_layers);
    // What is laid out anew exists twice meanwhile, so it comes first, while the rest does not exist at all.
    for layer in 0..config.n_layers {
        let attn = attention(&reader, config, layer, &mut left)?;
        named.extend(attn.views(config, layer)?);
        packed.push(attn);
    }
    for name in left.into_keys() {
        let tensor = if name == "pos_embed.W_pos" { reader.rows(&name, config.n_ctx)? } else { reader.read(&name)? };
        named.insert(name, tensor);
    }
    Weights::new(config, named, Some(packed))
}

/// Reads a layer's attention but for its output bias, and takes what was read off the list of what is `left`.
fn attention(
    reader: &Reader<'_>,
    config: &ModelConfig,
    layer: usize,
    left: &mut IndexMap<String, Vec<usize>>,
) -> Result<PackedAttn> {
    let (heads, kv_heads) = (config.n_heads, config.n_key_value_heads);
    let grouped = if heads == kv_heads { "" } else { "_" };
    let mut read = |name: String| {
        let name = format!("blocks.{layer}.attn.{name}");
        left.swap_remove(&name).map(|_| reader.read(&name)).transpose()
    };
    let missing = || Error::Internal { detail: format!("a matrix of layer {layer}'s attention is not on the list") };
    let maps = [("", "Q"), (grouped, "K"), (grouped, "V")].into_iter().map(|(prefix, part)| {
        let weight = read(format!("{prefix}W_{part}"))?.ok_or_else(missing)?;
        Ok((weight, read(format!("{prefix}b_{part}"))?))
    });
    let (qkv, qkv_bias) = heads_side_by_side(heads + 2 * kv_heads, maps)?;
    let output = read("W_O".into())?.ok_or_else(missing)?;
    Ok(PackedAttn { qkv, qkv_bias, o: output.flatten(0, 1)? })
}

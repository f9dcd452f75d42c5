//! GPT-2 (Radford et al. 2019), as in transformers' `GPT2LMHeadModel`.
//!
//! Quirks: matrices are stored `[in, out]`; the head is the embedding unless a `lm_head.weight` is stored (which then
//! wins, whatever `tie_word_embeddings` says); names may lack the prefix `transformer.`; old checkpoints carry causal
//! masks as `attn.bias` and `attn.masked_bias`; `reorder_and_upcast_attn` changes rounding only.

use super::Family;
use super::hugging_face::{Sizes, activation, decoder};
use super::weight_map::{BlockMap, Layout, LinearMap, MlpMap, NormMap, QkvMap, WeightMap, unembedding};
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::models::{ModelConfig, Positions, divided};
use serde_json::Value;

/// Our names of what is checked for all families, and this configuration's.
const KEYS: [(&str, &str); 7] = [
    ("d_head", "n_embd"),
    ("eps", "layer_norm_epsilon"),
    ("n_layers", "n_layer"),
    ("n_heads", "n_head"),
    ("d_mlp", "n_inner"),
    ("d_vocab", "vocab_size"),
    ("n_ctx", "n_positions"),
];

pub(super) struct Gpt2;

impl Family for Gpt2 {
    fn model_type(&self) -> &'static str {
        "gpt2"
    }

    fn architectures(&self) -> &'static [&'static str] {
        &["GPT2LMHeadModel"]
    }

    fn config(&self, json: &Value) -> Result<ModelConfig> {
        let read = ConfigReader::new(json)?;
        let d_model = aliased(&read, "n_embd", "hidden_size", 768)?;
        let n_heads = aliased(&read, "n_head", "num_attention_heads", 12)?;
        let sizes = Sizes {
            n_layers: aliased(&read, "n_layer", "num_hidden_layers", 12)?,
            d_model,
            n_ctx: aliased(&read, "n_positions", "max_position_embeddings", 1024)?,
            n_heads,
            d_head: divided("n_head", d_model, n_heads)?,
            d_vocab: read.count("vocab_size")?.unwrap_or(50257),
        };
        let base = decoder(&read, self, sizes)?;
        ModelConfig {
            d_mlp: Some(read.count("n_inner")?.unwrap_or(4 * d_model)),
            act_fn: activation(&read, "activation_function", "gelu_new")?,
            eps: read.not_negative("layer_norm_epsilon")?.unwrap_or(1e-5),
            positions: Positions::Standard,
            attn_scale: if read.flag("scale_attn_weights")?.unwrap_or(true) { base.attn_scale } else { 1.0 },
            scale_attn_by_inverse_layer_idx: read.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
            tie_word_embeddings: read.flag("tie_word_embeddings")?.unwrap_or(true),
            ..base
        }
        .validated_as(&KEYS)
    }

    fn weights(&self, _: &Value, config: &ModelConfig, source: &dyn WeightSource) -> Result<WeightMap> {
        let prefix = if source.contains("transformer.wte.weight") { "transformer." } else { "" };
        let block = |layer: usize| {
            let at = |name: &str| format!("{prefix}h.{layer}.{name}");
            let linear = |name: &str| LinearMap::new(&at(name), Layout::InOut, true);
            BlockMap {
                ln1: NormMap::new(&at("ln_1"), true),
                qkv: QkvMap::Fused(linear("attn.c_attn")),
                o: linear("attn.c_proj"),
                ln2: NormMap::new(&at("ln_2"), true),
                mlp: MlpMap { gate: None, up: linear("mlp.c_fc"), down: linear("mlp.c_proj") },
            }
        };
        Ok(WeightMap {
            embed: format!("{prefix}wte.weight"),
            pos: Some(format!("{prefix}wpe.weight")),
            blocks: (0..config.n_layers).map(block).collect(),
            ln_final: NormMap::new(&format!("{prefix}ln_f"), true),
            unembed: unembedding(source, &["lm_head.weight"], config.tie_word_embeddings),
            ignored: |name| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"),
        })
    }
}

/// A size that transformers knows by two names. The general one wins there, so two values that differ are refused.
fn aliased(read: &ConfigReader<'_>, key: &str, general: &str, default: usize) -> Result<usize> {
    match (read.count(key)?, read.count(general)?) {
        (Some(a), Some(b)) if a != b => Err(unsupported(key, format!("is {a}, but '{general}' is {b}"))),
        (own, other) => Ok(own.or(other).unwrap_or(default)),
    }
}

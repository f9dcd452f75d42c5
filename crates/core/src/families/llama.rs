//! LLaMA (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>) up to Llama 3, and what shares its architecture, as in
//! transformers' `LlamaForCausalLM`.
//!
//! Quirks: `head_dim` may differ from `hidden_size / num_attention_heads`; `attention_bias` gives all four projections a
//! bias, `mlp_bias` all three of the MLP, there inside the gated product; whole heads are rotated, so that a
//! `partial_rotary_factor` means nothing without scaling; a stored `lm_head.weight` wins over `tie_word_embeddings`;
//! `pretraining_tp` splits products without changing them, and `sliding_window` is not looked at; old checkpoints carry
//! tables of rotations.

use super::Family;
use super::hugging_face::{Sizes, activation, decoder};
use super::rope::{RopeLayout, is_rotation_table, rotary};
use super::weight_map::{BlockMap, Layout, LinearMap, MlpMap, NormMap, QkvMap, WeightMap, unembedding};
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::config_reader::ConfigReader;
use crate::models::{ModelConfig, NormKind, Positions, divided};
use serde_json::Value;

/// Our names of what is checked for all families, and this configuration's.
const KEYS: [(&str, &str); 10] = [
    ("d_head", "head_dim"),
    ("rotary_base", "rope_theta"),
    ("eps", "rms_norm_eps"),
    ("n_layers", "num_hidden_layers"),
    ("n_heads", "num_attention_heads"),
    ("n_key_value_heads", "num_key_value_heads"),
    ("d_mlp", "intermediate_size"),
    ("d_vocab", "vocab_size"),
    ("n_ctx", "max_position_embeddings"),
    ("rotary_dim", "head_dim"),
];

const ROPE: RopeLayout =
    RopeLayout { base: "rope_theta", share: "partial_rotary_factor", default_share: 1.0, whole_heads: true };

pub(super) struct Llama;

impl Family for Llama {
    fn model_type(&self) -> &'static str {
        "llama"
    }

    fn architectures(&self) -> &'static [&'static str] {
        &["LlamaForCausalLM"]
    }

    fn config(&self, json: &Value) -> Result<ModelConfig> {
        let read = ConfigReader::new(json)?;
        let d_model = read.count("hidden_size")?.unwrap_or(4096);
        let n_heads = read.count("num_attention_heads")?.unwrap_or(32);
        let d_head = match read.count("head_dim")? {
            Some(d_head) => d_head,
            None => divided("num_attention_heads", d_model, n_heads)?,
        };
        let n_ctx = read.count("max_position_embeddings")?.unwrap_or(2048);
        let sizes = Sizes {
            n_layers: read.count("num_hidden_layers")?.unwrap_or(32),
            d_model,
            n_ctx,
            n_heads,
            d_head,
            d_vocab: read.count("vocab_size")?.unwrap_or(32000),
        };
        ModelConfig {
            n_key_value_heads: read.count("num_key_value_heads")?.unwrap_or(n_heads),
            d_mlp: Some(read.count("intermediate_size")?.unwrap_or(11008)),
            act_fn: activation(&read, "hidden_act", "silu")?,
            gated_mlp: true,
            bias_before_gate: true,
            normalization: Some(NormKind { centered: false, learned: true }),
            eps: read.not_negative("rms_norm_eps")?.unwrap_or(1e-6),
            positions: Positions::Rotary(rotary(&read, &ROPE, d_head, n_ctx)?),
            ..decoder(&read, self, sizes)?
        }
        .validated_as(&KEYS)
    }

    fn weights(&self, json: &Value, config: &ModelConfig, source: &dyn WeightSource) -> Result<WeightMap> {
        let read = ConfigReader::new(json)?;
        let attention_bias = read.flag("attention_bias")?.unwrap_or(false);
        let mlp_bias = read.flag("mlp_bias")?.unwrap_or(false);
        let prefix = if source.contains("model.embed_tokens.weight") { "model." } else { "" };
        let block = |layer: usize| {
            let at = |name: &str| format!("{prefix}layers.{layer}.{name}");
            let attn =
                |name: &str| LinearMap::new(&at(&format!("self_attn.{name}_proj")), Layout::OutIn, attention_bias);
            let mlp = |name: &str| LinearMap::new(&at(&format!("mlp.{name}_proj")), Layout::OutIn, mlp_bias);
            BlockMap {
                ln1: NormMap::new(&at("input_layernorm"), false),
                qkv: QkvMap::Separate { q: attn("q"), k: attn("k"), v: attn("v") },
                o: attn("o"),
                ln2: NormMap::new(&at("post_attention_layernorm"), false),
                mlp: MlpMap { gate: Some(mlp("gate")), up: mlp("up"), down: mlp("down") },
            }
        };
        Ok(WeightMap {
            embed: format!("{prefix}embed_tokens.weight"),
            pos: None,
            blocks: (0..config.n_layers).map(block).collect(),
            ln_final: NormMap::new(&format!("{prefix}norm"), false),
            unembed: unembedding(source, &["lm_head.weight"], config.tie_word_embeddings),
            ignored: is_rotation_table,
        })
    }
}

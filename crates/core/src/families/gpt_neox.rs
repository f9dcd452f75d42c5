//! GPT-NeoX (Black et al. 2022, <https://arxiv.org/abs/2204.06745>) and with it Pythia (Biderman et al. 2023), as in
//! transformers' `GPTNeoXForCausalLM`.
//!
//! Quirks: queries, keys and values are one matrix whose rows are ordered (head, {q, k, v}, feature); a quarter of each
//! head is rotated unless the configuration says otherwise, and a `head_dim` changes nothing but that; attention and MLP
//! read the same residual stream through norms of their own unless `use_parallel_residual` is false; the base and the
//! share of the rotation are `rotary_emb_base` and `rotary_pct` outside `rope_parameters`, and other families' names for
//! them are not looked at; old checkpoints carry causal masks and tables of rotations.

use super::Family;
use super::hugging_face::{Sizes, activation, decoder};
use super::rope::{RopeLayout, is_rotation_table, rotary};
use super::weight_map::{BlockMap, Layout, LinearMap, MlpMap, NormMap, QkvMap, WeightMap, unembedding};
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::config_reader::ConfigReader;
use crate::models::{ModelConfig, Positions, divided};
use serde_json::Value;

/// Our names of what is checked for all families, and this configuration's.
const KEYS: [(&str, &str); 9] = [
    ("d_head", "hidden_size"),
    ("rotary_base", "rotary_emb_base"),
    ("eps", "layer_norm_eps"),
    ("n_layers", "num_hidden_layers"),
    ("n_heads", "num_attention_heads"),
    ("d_mlp", "intermediate_size"),
    ("d_vocab", "vocab_size"),
    ("n_ctx", "max_position_embeddings"),
    ("rotary_dim", "head_dim"),
];

const ROPE: RopeLayout =
    RopeLayout { base: "rotary_emb_base", share: "rotary_pct", default_share: 0.25, whole_heads: false };

/// The unembedding's names: as it is stored, and as the module is called in newer versions.
const HEADS: [&str; 2] = ["embed_out.weight", "lm_head.weight"];

pub(super) struct GptNeoX;

impl Family for GptNeoX {
    fn model_type(&self) -> &'static str {
        "gpt_neox"
    }

    fn architectures(&self) -> &'static [&'static str] {
        &["GPTNeoXForCausalLM"]
    }

    fn config(&self, json: &Value) -> Result<ModelConfig> {
        let read = ConfigReader::new(json)?;
        let d_model = read.count("hidden_size")?.unwrap_or(6144);
        let n_heads = read.count("num_attention_heads")?.unwrap_or(64);
        let d_head = divided("num_attention_heads", d_model, n_heads)?;
        // Only the rotation asks for it, so that another share of each head is rotated.
        let rope_head = read.count("head_dim")?.unwrap_or(d_head);
        let n_ctx = read.count("max_position_embeddings")?.unwrap_or(2048);
        let sizes = Sizes {
            n_layers: read.count("num_hidden_layers")?.unwrap_or(44),
            d_model,
            n_ctx,
            n_heads,
            d_head,
            d_vocab: read.count("vocab_size")?.unwrap_or(50432),
        };
        ModelConfig {
            d_mlp: Some(read.count("intermediate_size")?.unwrap_or(24576)),
            act_fn: activation(&read, "hidden_act", "gelu")?,
            parallel_attn_mlp: read.flag("use_parallel_residual")?.unwrap_or(true),
            eps: read.not_negative("layer_norm_eps")?.unwrap_or(1e-5),
            positions: Positions::Rotary(rotary(&read, &ROPE, rope_head, n_ctx)?),
            default_prepend_bos: false,
            ..decoder(&read, self, sizes)?
        }
        .validated_as(&KEYS)
    }

    fn weights(&self, json: &Value, config: &ModelConfig, source: &dyn WeightSource) -> Result<WeightMap> {
        let attention_bias = ConfigReader::new(json)?.flag("attention_bias")?.unwrap_or(true);
        let prefix = if source.contains("gpt_neox.embed_in.weight") { "gpt_neox." } else { "" };
        let block = |layer: usize| {
            let at = |name: &str| format!("{prefix}layers.{layer}.{name}");
            let linear = |name: &str, bias: bool| LinearMap::new(&at(name), Layout::OutIn, bias);
            BlockMap {
                ln1: NormMap::new(&at("input_layernorm"), true),
                qkv: QkvMap::FusedByHead(linear("attention.query_key_value", attention_bias)),
                o: linear("attention.dense", attention_bias),
                ln2: NormMap::new(&at("post_attention_layernorm"), true),
                mlp: MlpMap {
                    gate: None,
                    up: linear("mlp.dense_h_to_4h", true),
                    down: linear("mlp.dense_4h_to_h", true),
                },
            }
        };
        Ok(WeightMap {
            embed: format!("{prefix}embed_in.weight"),
            pos: None,
            blocks: (0..config.n_layers).map(block).collect(),
            ln_final: NormMap::new(&format!("{prefix}final_layer_norm"), true),
            unembed: unembedding(source, &HEADS, config.tie_word_embeddings),
            ignored: |name| {
                [".attention.bias", ".attention.masked_bias"].iter().any(|mask| name.ends_with(mask))
                    || is_rotation_table(name)
            },
        })
    }
}

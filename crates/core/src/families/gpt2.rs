//! GPT-2 (Radford et al. 2019), as in transformers' `GPT2LMHeadModel`.
//!
//! Quirks: matrices are stored `[in, out]`; the head is the embedding unless a `lm_head.weight` is stored (which then
//! wins, whatever `tie_word_embeddings` says); names may lack the prefix `transformer.`; old checkpoints carry causal
//! masks as `attn.bias` and `attn.masked_bias`; `reorder_and_upcast_attn` changes rounding only.

use super::Family;
use super::weight_map::{BlockMap, Layout, LinearMap, MlpMap, NormMap, QkvMap, WeightMap};
use crate::device::DType;
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::models::{DefaultPoints, InitConfig, InitMode, ModelConfig, NormKind, Positions, divided};
use crate::nn::Activation;
use serde_json::Value;

/// Our names of sizes, and this configuration's.
const KEYS: [(&str, &str); 5] = [
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
        read.refuse("add_cross_attention", "cross-attention is not implemented")?;
        read.refuse("quantization_config", "quantised checkpoints are not implemented")?;
        read.refuse("pruned_heads", "pruned heads are not implemented")?;
        let d_model = aliased(&read, "n_embd", "hidden_size", 768)?;
        let n_heads = aliased(&read, "n_head", "num_attention_heads", 12)?;
        let d_head = divided("n_head", d_model, n_heads)?;
        let activation = read.text("activation_function")?.unwrap_or("gelu_new");
        let scaled = read.flag("scale_attn_weights")?.unwrap_or(true);
        let d_vocab = read.count("vocab_size")?.unwrap_or(50257);
        ModelConfig {
            model_name: read.text("_name_or_path")?.filter(|name| !name.is_empty()).unwrap_or("gpt2").to_owned(),
            original_architecture: Some("GPT2LMHeadModel".into()),
            n_layers: aliased(&read, "n_layer", "num_hidden_layers", 12)?,
            d_model,
            n_ctx: aliased(&read, "n_positions", "max_position_embeddings", 1024)?,
            d_head,
            n_heads,
            n_key_value_heads: n_heads,
            d_mlp: Some(read.count("n_inner")?.unwrap_or(4 * d_model)),
            d_vocab,
            d_vocab_out: d_vocab,
            act_fn: Activation::from_hugging_face_name(activation)
                .ok_or_else(|| unsupported("activation_function", format!("'{activation}' is not implemented")))?,
            gated_mlp: false,
            parallel_attn_mlp: false,
            normalization: Some(NormKind { centered: true, learned: true }),
            final_rms: false,
            eps: read.positive("layer_norm_epsilon")?.unwrap_or(1e-5),
            positions: Positions::Standard,
            attn_scale: if scaled { (d_head as f64).sqrt() } else { 1.0 },
            scale_attn_by_inverse_layer_idx: read.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
            attn_scores_soft_cap: None,
            output_logits_soft_cap: None,
            causal: true,
            local_attention: None,
            tie_word_embeddings: read.flag("tie_word_embeddings")?.unwrap_or(true),
            default_prepend_bos: true,
            tokenizer_name: None,
            init: InitConfig { mode: InitMode::Gpt2, range: read.positive("initializer_range")?, seed: None },
            default_points: DefaultPoints::default(),
            dtype: DType::F32,
        }
        .validated_as(&KEYS)
    }

    fn weights(&self, config: &ModelConfig, source: &dyn WeightSource) -> WeightMap {
        let prefix = if source.contains("transformer.wte.weight") { "transformer." } else { "" };
        let block = |layer: usize| {
            let at = |name: &str| format!("{prefix}h.{layer}.{name}");
            BlockMap {
                ln1: norm(&at("ln_1")),
                qkv: QkvMap::Fused(linear(&at("attn.c_attn"))),
                o: linear(&at("attn.c_proj")),
                ln2: norm(&at("ln_2")),
                mlp: MlpMap { up: linear(&at("mlp.c_fc")), down: linear(&at("mlp.c_proj")) },
            }
        };
        let head = "lm_head.weight";
        let stored_head = source.contains(head) || !config.tie_word_embeddings;
        WeightMap {
            embed: format!("{prefix}wte.weight"),
            pos: Some(format!("{prefix}wpe.weight")),
            blocks: (0..config.n_layers).map(block).collect(),
            ln_final: norm(&format!("{prefix}ln_f")),
            unembed: stored_head.then(|| LinearMap { weight: head.into(), bias: None, layout: Layout::OutIn }),
            ignored: |name| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"),
        }
    }
}

/// A size that transformers knows by two names. The general one wins there, so two values that differ are refused.
fn aliased(read: &ConfigReader<'_>, key: &str, general: &str, default: usize) -> Result<usize> {
    match (read.count(key)?, read.count(general)?) {
        (Some(a), Some(b)) if a != b => Err(unsupported(key, format!("is {a}, but '{general}' is {b}"))),
        (own, other) => Ok(own.or(other).unwrap_or(default)),
    }
}

fn linear(module: &str) -> LinearMap {
    LinearMap { weight: format!("{module}.weight"), bias: Some(format!("{module}.bias")), layout: Layout::InOut }
}

fn norm(module: &str) -> NormMap {
    NormMap { weight: format!("{module}.weight"), bias: Some(format!("{module}.bias")) }
}

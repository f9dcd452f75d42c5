//! The reference's own form: `tl_config.json` beside weights under the reference's names and shapes.
//!
//! Quirks: old files also store each layer's causal mask and the value it masks with, as `attn.mask` and `attn.IGNORE`,
//! and tables of rotations.

use super::weight_reader::{Reader, check};
use crate::device::DType;
use crate::error::{Error, Result, nearest};
use crate::load::WeightSource;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::models::{DefaultPoints, InitConfig, InitMode, LoadOptions, ModelConfig, NormKind, Positions, divided};
use crate::nn::{Activation, PackedAttn, RotaryConfig, Weights, heads_side_by_side, weight_specs};
use indexmap::IndexMap;
use serde_json::{Value, json};

const BUFFERS: [&str; 4] = [".attn.mask", ".attn.IGNORE", ".attn.rotary_sin", ".attn.rotary_cos"];

/// Keys that say where a model comes from or where it ran, and change nothing that it computes.
const INFORMATIONAL: [&str; 16] = [
    "n_params",
    "device",
    "n_devices",
    "from_checkpoint",
    "checkpoint_index",
    "checkpoint_label_type",
    "checkpoint_value",
    "trust_remote_code",
    "tokenizer_prepends_bos",
    "init_weights",
    "uses_rms_norm",
    "layer_norm_folding",
    "train_seq_length",
    "decoder_start_token_id",
    "relative_attention_max_distance",
    "relative_attention_num_buckets",
];

impl ModelConfig {
    /// Reads a reference-style configuration, such as a `tl_config.json`.
    ///
    /// # Errors
    /// `unsupported_config` naming the key, for a value that makes no sense, a key that is not known, or one that asks
    /// for something that is not implemented and would change the numbers.
    pub fn from_json(json: &Value) -> Result<Self> {
        let read = ConfigReader::new(json)?;
        let d_model = read.required_count("d_model")?;
        let d_head = read.count_or_auto("d_head")?;
        let n_heads = read.count_or_auto("n_heads")?;
        let (n_heads, d_head) = match (n_heads, d_head) {
            (Some(heads), Some(width)) => (heads, width),
            (Some(heads), None) => (heads, divided("n_heads", d_model, heads)?),
            (None, Some(width)) => (divided("d_head", d_model, width)?, width),
            (None, None) => return Err(unsupported("d_head", "is required")),
        };
        let n_layers = read.required_count("n_layers")?;
        let n_ctx = read.required_count("n_ctx")?;
        let d_vocab = read
            .count_or_auto("d_vocab")?
            .ok_or_else(|| unsupported("d_vocab", "is required (it is not derived from a tokenizer here)"))?;
        let normalization = match read.json_text_or_null("normalization_type", "LN")? {
            None => None,
            Some(name) => Some(one_of("normalization_type", name, &NormKind::ALL)?),
        };
        let attn_only = read.flag("attn_only")?.unwrap_or(false);
        let act_fn = match read.text("act_fn")?.unwrap_or("relu") {
            _ if attn_only => Activation::Relu,
            name => Activation::from_reference_name(name).ok_or_else(|| {
                unsupported("act_fn", format!("'{name}' is not one of {:?}", Activation::REFERENCE_NAMES))
            })?,
        };
        let d_mlp = read.count("d_mlp")?;
        let causal = match read.text("attention_dir")?.unwrap_or("causal") {
            "causal" => true,
            "bidirectional" => false,
            other => return Err(unsupported("attention_dir", format!("'{other}' is not causal or bidirectional"))),
        };
        let scale = read.positive_or_none("attn_scale")?;
        let scaled = read.flag("use_attn_scale")?.unwrap_or(true);
        let config = Self {
            model_name: read.text("model_name")?.unwrap_or("custom").to_owned(),
            original_architecture: read.text("original_architecture")?.map(str::to_owned),
            n_layers,
            d_model,
            n_ctx,
            d_head,
            n_heads,
            n_key_value_heads: read.count("n_key_value_heads")?.unwrap_or(n_heads),
            d_mlp: (!attn_only).then(|| d_mlp.unwrap_or(4 * d_model)),
            d_vocab,
            d_vocab_out: read.count_or_auto("d_vocab_out")?.unwrap_or(d_vocab),
            act_fn,
            gated_mlp: read.flag("gated_mlp")?.unwrap_or(false) && !attn_only,
            bias_before_gate: read.flag("bias_before_gate")?.unwrap_or(false),
            parallel_attn_mlp: read.flag("parallel_attn_mlp")?.unwrap_or(false) && !attn_only,
            normalization,
            final_rms: read.flag("final_rms")?.unwrap_or(false),
            eps: read.not_negative("eps")?.unwrap_or(1e-5),
            positions: read_positions(&read, d_head, n_ctx)?,
            attn_scale: if scaled { scale.unwrap_or((d_head as f64).sqrt()) } else { 1.0 },
            scale_attn_by_inverse_layer_idx: read.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
            attn_scores_soft_cap: read.positive_or_none("attn_scores_soft_cap")?,
            output_logits_soft_cap: read.positive_or_none("output_logits_soft_cap")?,
            causal,
            local_attention: read_local_attention(&read, n_layers)?,
            // Here only informational in the reference: its embedding and unembedding are separate weights.
            tie_word_embeddings: {
                read.flag("tie_word_embeddings")?;
                false
            },
            default_prepend_bos: read.flag("default_prepend_bos")?.unwrap_or(true),
            tokenizer_name: read.text("tokenizer_name")?.map(str::to_owned),
            init: read_init(&read)?,
            default_points: DefaultPoints {
                attn_result: read.flag("use_attn_result")?.unwrap_or(false),
                split_qkv_input: read.flag("use_split_qkv_input")?.unwrap_or(false),
                mlp_in: read.flag("use_hook_mlp_in")?.unwrap_or(false),
                attn_in: read.flag("use_attn_in")?.unwrap_or(false),
                tokens: read.flag("use_hook_tokens")?.unwrap_or(false),
            },
            dtype: read_dtype(read.text("dtype")?.unwrap_or("float32"))?,
        };
        refuse_the_rest(&read)?;
        read.finish(&INFORMATIONAL)?;
        config.validated()
    }

    /// The configuration in the reference's form; [`ModelConfig::from_json`] reads it back.
    pub fn to_json(&self) -> Value {
        let (positions, rotary) = match &self.positions {
            Positions::Standard => ("standard", None),
            Positions::Shortformer => ("shortformer", None),
            Positions::Rotary(rotary) => ("rotary", Some(rotary)),
            Positions::None => ("none", None),
        };
        let points = &self.default_points;
        let mut json = json!({
            "model_name": self.model_name,
            "original_architecture": self.original_architecture,
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_ctx": self.n_ctx,
            "d_head": self.d_head,
            "n_heads": self.n_heads,
            "n_key_value_heads": (self.n_key_value_heads != self.n_heads).then_some(self.n_key_value_heads),
            "d_mlp": self.d_mlp,
            "d_vocab": self.d_vocab,
            "d_vocab_out": self.d_vocab_out,
            "act_fn": self.act_fn.name(),
            "attn_only": self.d_mlp.is_none(),
            "gated_mlp": self.gated_mlp,
            "parallel_attn_mlp": self.parallel_attn_mlp,
            "normalization_type": self.normalization.map(NormKind::name),
            "final_rms": self.final_rms,
            "eps": self.eps,
            "positional_embedding_type": positions,
            "attn_scale": self.attn_scale,
            "use_attn_scale": true,
            "scale_attn_by_inverse_layer_idx": self.scale_attn_by_inverse_layer_idx,
            "attn_scores_soft_cap": self.attn_scores_soft_cap.unwrap_or(-1.0),
            "output_logits_soft_cap": self.output_logits_soft_cap.unwrap_or(-1.0),
            "attention_dir": if self.causal { "causal" } else { "bidirectional" },
            "use_local_attn": self.local_attention.is_some(),
            "window_size": self.local_attention.as_ref().map(|(size, _)| size),
            "attn_types": self.local_attention.as_ref().map(|(_, local)| {
                local.iter().map(|&l| if l { "local" } else { "global" }).collect::<Vec<_>>()
            }),
            "tie_word_embeddings": self.tie_word_embeddings,
            "default_prepend_bos": self.default_prepend_bos,
            "tokenizer_name": self.tokenizer_name,
            "init_mode": InitMode::ALL.iter().find(|(_, m)| *m == self.init.mode).map(|(name, _)| name),
            "initializer_range": self.initializer_range(),
            "seed": self.init.seed,
            "use_attn_result": points.attn_result,
            "use_split_qkv_input": points.split_qkv_input,
            "use_hook_mlp_in": points.mlp_in,
            "use_attn_in": points.attn_in,
            "use_hook_tokens": points.tokens,
            "dtype": self.dtype.name(),
            "n_params": self.n_params(),
        });
        if let Some(json) = json.as_object_mut() {
            json.extend(rotary.map(|rotary| rotary.to_json(self.d_head)).into_iter().flatten());
            // Not the reference's: in its gated MLPs the bias always comes after the product.
            if self.bias_before_gate {
                json.insert("bias_before_gate".to_owned(), json!(true));
            }
        }
        json
    }
}

fn one_of<T: Copy>(key: &str, name: &str, table: &[(&str, T)]) -> Result<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(n, _)| *n).collect();
        unsupported(
            key,
            format!("'{name}' is not one of {names:?}; nearest: {:?}", nearest(name, names.iter().copied())),
        )
    })
}

fn read_dtype(name: &str) -> Result<DType> {
    let dtype = DType::from_name(name.strip_prefix("torch.").unwrap_or(name));
    dtype.ok().filter(|d| d.is_float()).ok_or_else(|| unsupported("dtype", format!("'{name}' is not a float dtype")))
}

fn read_positions(read: &ConfigReader<'_>, d_head: usize, n_ctx: usize) -> Result<Positions> {
    let kind = read.text("positional_embedding_type")?.unwrap_or("standard");
    let rotary = RotaryConfig::read(read, d_head, n_ctx)?;
    match kind {
        "standard" => Ok(Positions::Standard),
        "shortformer" => Ok(Positions::Shortformer),
        "rotary" => Ok(Positions::Rotary(rotary)),
        "none" => Ok(Positions::None),
        other => Err(unsupported(
            "positional_embedding_type",
            format!("'{other}' is not implemented; use one of standard, shortformer, rotary, none"),
        )),
    }
}

fn read_local_attention(read: &ConfigReader<'_>, n_layers: usize) -> Result<Option<(usize, Vec<bool>)>> {
    let (window, types) = (read.count("window_size")?, read.get("attn_types"));
    if !read.flag("use_local_attn")?.unwrap_or(false) {
        return Ok(None);
    }
    let window = window.ok_or_else(|| unsupported("window_size", "is required with use_local_attn"))?;
    let wrong = || unsupported("attn_types", format!("must list 'global' or 'local' for each of {n_layers} layers"));
    let types = types.and_then(Value::as_array).ok_or_else(wrong)?;
    let local = types
        .iter()
        .map(|t| match t.as_str() {
            Some("local") => Ok(true),
            Some("global") => Ok(false),
            _ => Err(wrong()),
        })
        .collect::<Result<Vec<_>>>()?;
    if local.len() == n_layers { Ok(Some((window, local))) } else { Err(wrong()) }
}

fn read_init(read: &ConfigReader<'_>) -> Result<InitConfig> {
    let seed = match read.get("seed") {
        None => None,
        Some(value) => {
            let wrong = || unsupported("seed", format!("must be a whole number, 0 or more, got {value}"));
            Some(value.as_u64().ok_or_else(wrong)?)
        }
    };
    Ok(InitConfig {
        mode: one_of("init_mode", read.text("init_mode")?.unwrap_or("gpt2"), &InitMode::ALL)?,
        range: read.not_negative_or_none("initializer_range")?,
        seed,
    })
}

/// Keys of the reference that change the numbers and that this decoder does not have.
fn refuse_the_rest(read: &ConfigReader<'_>) -> Result<()> {
    for key in [
        "use_normalization_before_and_after",
        "post_embedding_ln",
        "use_qk_norm",
        "ungroup_grouped_query_attention",
        "use_attention_sinks",
        "use_logn_attn",
        "use_dynamic_ntk_rope",
        "yarn_global_attn_only",
        "num_experts",
        "experts_per_token",
        "norm_topk_prob",
        "clip_qkv",
        "load_in_4bit",
        "quantization_method",
    ] {
        read.refuse(key, "is not implemented for reference-native models")?;
    }
    Ok(())
}

impl<'a> ConfigReader<'a> {
    /// A string that may be null: absent means `default`, null means none.
    fn json_text_or_null(&self, key: &str, default: &'a str) -> Result<Option<&'a str>> {
        if self.is_null(key) { Ok(None) } else { Ok(Some(self.text(key)?.unwrap_or(default))) }
    }
}

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

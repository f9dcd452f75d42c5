//! What the configurations of all families of transformers have in common.

use super::Family;
use crate::device::DType;
use crate::error::Result;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::models::{DefaultPoints, InitConfig, InitMode, ModelConfig, NormKind, Positions};
use crate::nn::Activation;

/// The sizes that every configuration has, under names of its own.
pub(super) struct Sizes {
    pub(super) n_layers: usize,
    pub(super) d_model: usize,
    pub(super) n_ctx: usize,
    pub(super) n_heads: usize,
    pub(super) d_head: usize,
    pub(super) d_vocab: usize,
}

/// A plain decoder of these sizes, with what all families read by the same keys: what a family's file starts from, and
/// changes where it differs.
///
/// # Errors
/// `unsupported_config` for what any configuration can ask for, that changes the numbers, and that is not implemented.
pub(super) fn decoder(read: &ConfigReader<'_>, family: &dyn Family, sizes: Sizes) -> Result<ModelConfig> {
    refuse_the_uncommon(read)?;
    let Sizes { n_layers, d_model, n_ctx, n_heads, d_head, d_vocab } = sizes;
    let name = read.text("_name_or_path")?.filter(|name| !name.is_empty());
    Ok(ModelConfig {
        model_name: name.unwrap_or(family.model_type()).to_owned(),
        original_architecture: family.architectures().first().map(|&class| class.to_owned()),
        n_layers,
        d_model,
        n_ctx,
        d_head,
        n_heads,
        n_key_value_heads: n_heads,
        d_mlp: Some(4 * d_model),
        d_vocab,
        d_vocab_out: d_vocab,
        act_fn: Activation::Gelu,
        gated_mlp: false,
        bias_before_gate: false,
        parallel_attn_mlp: false,
        normalization: Some(NormKind { centered: true, learned: true }),
        final_rms: false,
        eps: 1e-5,
        positions: Positions::None,
        attn_scale: (d_head as f64).sqrt(),
        scale_attn_by_inverse_layer_idx: false,
        attn_scores_soft_cap: None,
        output_logits_soft_cap: None,
        // transformers lets any decoder be made bidirectional.
        causal: read.flag("is_causal")?.unwrap_or(true),
        local_attention: None,
        tie_word_embeddings: read.flag("tie_word_embeddings")?.unwrap_or(false),
        default_prepend_bos: true,
        tokenizer_name: None,
        init: InitConfig { mode: InitMode::Gpt2, range: read.not_negative("initializer_range")?, seed: None },
        default_points: DefaultPoints::default(),
        dtype: DType::F32,
    })
}

fn refuse_the_uncommon(read: &ConfigReader<'_>) -> Result<()> {
    for (key, why) in [
        ("add_cross_attention", "cross-attention is not implemented"),
        ("is_encoder_decoder", "encoder-decoder models are not implemented"),
    ] {
        if read.flag(key)?.unwrap_or(false) {
            return Err(unsupported(key, why));
        }
    }
    read.refuse("quantization_config", "quantised checkpoints are not implemented")?;
    read.refuse("pruned_heads", "pruned heads are not implemented")?;
    read.refuse("per_layer_config", "layers that differ from one another are not implemented")
}

/// Activations that are layers with weights.
const LEARNED_ACTIVATIONS: [&str; 2] = ["prelu", "xielu"];

/// The activation of that key.
///
/// # Errors
/// `unsupported_config` naming the key, for a function that is not implemented.
pub(super) fn activation(read: &ConfigReader<'_>, key: &str, default: &str) -> Result<Activation> {
    let name = read.text(key)?.unwrap_or(default);
    if LEARNED_ACTIVATIONS.contains(&name) {
        return Err(unsupported(key, format!("'{name}' has learned parameters of its own, which is not implemented")));
    }
    Activation::from_hugging_face_name(name).ok_or_else(|| unsupported(key, format!("'{name}' is not implemented")))
}

//! What the configurations of all families of transformers have in common.

use crate::error::Result;
use crate::models::config_reader::{ConfigReader, unsupported};
use crate::nn::Activation;

/// The name of the model, or else the family's.
pub(super) fn model_name(read: &ConfigReader<'_>, family: &str) -> Result<String> {
    Ok(read.text("_name_or_path")?.filter(|name| !name.is_empty()).unwrap_or(family).to_owned())
}

/// Fails for what any configuration can ask for, that changes the numbers, and that is not implemented.
pub(super) fn refuse_the_uncommon(read: &ConfigReader<'_>) -> Result<()> {
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

/// The activation of that key.
///
/// # Errors
/// `unsupported_config` naming the key, for a function that is not implemented.
pub(super) fn activation(read: &ConfigReader<'_>, key: &str, default: &str) -> Result<Activation> {
    let name = read.text(key)?.unwrap_or(default);
    Activation::from_hugging_face_name(name).ok_or_else(|| unsupported(key, format!("'{name}' is not implemented")))
}

/// Whether queries see only what is before them. transformers lets any decoder be made bidirectional.
pub(super) fn is_causal(read: &ConfigReader<'_>) -> Result<bool> {
    Ok(read.flag("is_causal")?.unwrap_or(true))
}

//! Norms' weights and biases into the matrices that read what they give.

use super::part::Part;
use crate::error::Result;
use crate::models::{ModelConfig, NormKind};
use crate::nn::Activation;
use crate::tensor::CT;

/// Folds a block's norms into its attention and its MLP, and the norm over neurons into the MLP's output.
pub(super) fn fold_block(block: &mut Part, config: &ModelConfig) -> Result<()> {
    let Some(kind) = config.normalization.filter(|kind| kind.learned) else {
        return Ok(());
    };
    LearnedNorm::take(block, "ln1", kind)?.fold_into(block, "attn.W_QKV", "attn.b_QKV")?;
    if config.d_mlp.is_none() {
        return Ok(());
    }
    let norm = LearnedNorm::take(block, "ln2", kind)?;
    if config.gated_mlp {
        norm.fold_into(block, "mlp.W_gate", "mlp.b_gate")?;
        // The reference's `b_in` is added to the product, not to this factor of it.
        let bias = if config.bias_before_gate { "mlp.b_in" } else { "mlp.b_pre_linear" };
        norm.fold_into(block, "mlp.W_in", bias)?;
    } else {
        norm.fold_into(block, "mlp.W_in", "mlp.b_in")?;
    }
    if config.act_fn == Activation::SoluLn && config.mlp_norm().learned {
        let norm = LearnedNorm::take(block, "mlp.ln", config.mlp_norm())?;
        norm.fold_into(block, "mlp.W_out", "mlp.b_out")?;
    }
    Ok(())
}

/// Folds the last norm into the unembedding.
pub(super) fn fold_final(norm: &mut Part, unembed: &mut Part, config: &ModelConfig) -> Result<()> {
    let Some(kind) = config.final_norm().filter(|kind| kind.learned) else {
        return Ok(());
    };
    LearnedNorm::take_from(norm, "w", "b", kind)?.fold_into(unembed, "W_U", "b_U")
}

/// What a norm does after it has normalised: `x · w + b`.
struct LearnedNorm {
    /// `[width]`.
    w: CT,
    /// `[width]`.
    b: Option<CT>,
    /// What comes in has mean 0.
    centered: bool,
}

impl LearnedNorm {
    /// Takes a norm's weights out of a part.
    fn take(part: &mut Part, module: &str, kind: NormKind) -> Result<Self> {
        Self::take_from(part, &format!("{module}.w"), &format!("{module}.b"), kind)
    }

    fn take_from(part: &mut Part, w: &str, b: &str, kind: NormKind) -> Result<Self> {
        Ok(Self { w: part.take_vector(w)?, b: part.remove(b), centered: kind.centered })
    }

    /// `(x · w + b) W + bias` as `x W' + bias'`, for `W` `[width, out]`.
    fn fold_into(&self, part: &mut Part, weight: &str, bias: &str) -> Result<()> {
        let matrix = part.matrix(weight)?;
        let shift = self.b.as_ref().map(|b| matrix.combined(b)).transpose()?;
        matrix.scale_inputs(&self.w, self.centered)?;
        shift.map_or(Ok(()), |shift| part.add_bias(bias, shift))
    }
}

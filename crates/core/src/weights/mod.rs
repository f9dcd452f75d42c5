//! Rewriting weights so that they are easier to read, without changing what the model computes: log-probabilities stay
//! the same up to rounding (logits move by one number a position where the unembedding is centred).
//!
//! | step | what it does | why it changes nothing |
//! |---|---|---|
//! | [`Step::FoldLn`] | norms' weights and biases go into what reads from them | both are linear |
//! | [`Step::CenterWritingWeights`] | what is written to the residual stream has mean 0 | LayerNorm subtracts the mean |
//! | [`Step::CenterUnembed`] | the logits' weights have mean 0 over the vocabulary | softmax ignores a shift |
//! | [`Step::FoldValueBiases`] | values' biases go into the output bias | a pattern's rows sum to 1 |
//! | [`Step::RefactorFactoredAttnMatrices`] | heads' factors become orthogonal, by singular values | only their products matter |
//!
//! Each step is a function of named weights and lives in its own file. [`process`] decides which of those asked for
//! keep the function of this model. A matrix is rewritten where it lies, a piece at a time in higher precision; where the
//! memory is somebody else's too, it is copied first. The steps are those of the reference, `TransformerLens`; where it
//! would change what the model computes (gated MLPs after LayerNorm, a last norm that does not centre) this does not.

mod centering;
mod factoring;
mod layer_norm;
mod matrix;
mod part;
mod plan;
mod value_biases;

pub use plan::{Step, Steps};

use crate::device::DType;
use crate::error::Result;
use crate::models::{ModelConfig, NormKind};
use crate::nn::Weights;
use crate::tensor::Tensor;
use indexmap::IndexMap;
use part::Part;
use plan::Skipped;

/// Processed weights, and the configuration that they are for.
pub(crate) struct Processed {
    pub(crate) config: ModelConfig,
    pub(crate) weights: Weights,
    /// The steps that were done.
    pub(crate) done: Steps,
    /// Those that were asked for and would have changed what the model computes.
    pub(crate) skipped: Vec<Skipped>,
}

/// Who sees the memory that weights are in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever processes them, so that they can be rewritten where they are.
    Exclusive,
    /// Others too, so that what changes is copied first.
    Shared,
}

/// Does the steps that were asked for. Biases may be missing. After an error, weights that were processed with
/// [`Access::Exclusive`] are of no use any more.
///
/// # Errors
/// `not_supported_on_this_model` for a step that this model cannot have; `memory_limit` where copies would go over it.
pub(crate) fn process(config: &ModelConfig, weights: &Weights, asked: Steps, access: Access) -> Result<Processed> {
    let (steps, skipped) = plan::plan(config, asked)?;
    let dtype = config.dtype;
    let mut named = weights.named().clone();
    let mut packed = weights.packed_attention()?;
    for (layer, attn) in packed.iter_mut().enumerate() {
        let mut block = Part::take_block(&mut named, layer, attn, access)?;
        process_block(&mut block, config, steps)?;
        *attn = block.put_back_block(&mut named, layer, config)?;
    }

    // A tied unembedding is a view of the embedding: it is copied if it changes, and then they are two.
    let access_to_unembed = access_to_end(&named, access);
    let mut end = Part::take(&mut named, "unembed.", access_to_unembed)?;
    let mut last_norm = Part::take(&mut named, "ln_final.", access)?;
    if steps.contains(Step::FoldLn) {
        layer_norm::fold_final(&mut last_norm, &mut end, config)?;
    }
    if steps.contains(Step::CenterUnembed) {
        centering::center_unembed(&mut end)?;
    }
    last_norm.put_back(&mut named, dtype)?;
    end.put_back(&mut named, dtype)?;
    if steps.contains(Step::CenterWritingWeights) {
        let access_to_embed = access_to_end(&named, access);
        for (prefix, matrix, access) in [("embed.", "W_E", access_to_embed), ("pos_embed.", "W_pos", access)] {
            let mut table = Part::take(&mut named, prefix, access)?;
            centering::center_table(&mut table, matrix)?;
            table.put_back(&mut named, dtype)?;
        }
    }

    let mut config = config.clone();
    if steps.contains(Step::FoldLn) {
        config.normalization = config.normalization.map(|kind| NormKind { learned: false, ..kind });
    }
    // Embedding and unembedding are different matrices from here on.
    config.tie_word_embeddings &= steps.is_empty();
    let weights = Weights::new(&config, named, Some(packed))?;
    Ok(Processed { config, weights, done: steps, skipped })
}

/// The access to an embedding or an unembedding that may be the other one's view.
fn access_to_end(named: &IndexMap<String, Tensor>, access: Access) -> Access {
    match (named.get("embed.W_E"), named.get("unembed.W_U")) {
        (Some(embed), Some(unembed)) if embed.shares_memory(unembed.data()) => Access::Shared,
        _ => access,
    }
}

fn process_block(block: &mut Part, config: &ModelConfig, steps: Steps) -> Result<()> {
    if steps.contains(Step::FoldLn) {
        layer_norm::fold_block(block, config)?;
    }
    if steps.contains(Step::CenterWritingWeights) {
        centering::center_block(block)?;
    }
    if steps.contains(Step::FoldValueBiases) {
        value_biases::fold_block(block, config)?;
        if steps.contains(Step::CenterWritingWeights) {
            centering::center_bias(block, "attn.b_O")?;
        }
    }
    if steps.contains(Step::RefactorFactoredAttnMatrices) {
        factoring::refactor_block(block, config)?;
    }
    Ok(())
}

/// What weights of a dtype are processed in.
fn wide(dtype: DType) -> candle_core::DType {
    if dtype == DType::F64 { candle_core::DType::F64 } else { candle_core::DType::F32 }
}

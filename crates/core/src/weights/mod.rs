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
//! keep the function of this model, and runs them a block at a time, so that no more than one block exists in higher
//! precision. The steps are those of the reference, `TransformerLens`; where it would change what the model computes
//! (gated MLPs after LayerNorm, a last norm that does not centre) this does not.

mod centering;
mod factoring;
mod layer_norm;
mod part;
mod plan;
mod value_biases;

pub use plan::{Step, Steps};

use crate::device::DType;
use crate::error::Result;
use crate::models::{ModelConfig, NormKind};
use crate::tensor::Tensor;
use indexmap::IndexMap;
use part::Part;
use plan::Skipped;

/// Processed weights, and the configuration that they are for.
pub(crate) struct Processed {
    pub(crate) config: ModelConfig,
    pub(crate) named: IndexMap<String, Tensor>,
    /// The steps that were done.
    pub(crate) done: Steps,
    /// Those that were asked for and would have changed what the model computes.
    pub(crate) skipped: Vec<Skipped>,
}

/// Does the steps that were asked for, to weights under the reference's names. Biases may be missing.
///
/// # Errors
/// `not_supported_on_this_model` for a step that this model cannot have; `weight_mismatch` for a weight that is missing.
pub(crate) fn process(config: &ModelConfig, mut named: IndexMap<String, Tensor>, asked: Steps) -> Result<Processed> {
    let (steps, skipped) = plan::plan(config, asked)?;
    let dtype = config.dtype;
    for layer in 0..config.n_layers {
        let mut block = Part::take(&mut named, &format!("blocks.{layer}."))?;
        process_block(&mut block, config, steps)?;
        block.put_back(&mut named, dtype)?;
    }
    for prefix in ["embed.", "pos_embed."] {
        let mut table = Part::take(&mut named, prefix)?;
        if steps.contains(Step::CenterWritingWeights) {
            centering::center_table(&mut table)?;
        }
        table.put_back(&mut named, dtype)?;
    }
    let mut end = Part::take(&mut named, "unembed.")?;
    let mut last_norm = Part::take(&mut named, "ln_final.")?;
    if steps.contains(Step::FoldLn) {
        layer_norm::fold_final(&mut last_norm, &mut end, config)?;
    }
    if steps.contains(Step::CenterUnembed) {
        centering::center_unembed(&mut end)?;
    }
    last_norm.put_back(&mut named, dtype)?;
    end.put_back(&mut named, dtype)?;

    let mut config = config.clone();
    if steps.contains(Step::FoldLn) {
        config.normalization = config.normalization.map(|kind| NormKind { learned: false, ..kind });
    }
    // Embedding and unembedding are different matrices from here on.
    config.tie_word_embeddings &= steps.is_empty();
    Ok(Processed { config, named, done: steps, skipped })
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
            centering::center_output_bias(block)?;
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

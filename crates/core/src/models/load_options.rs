//! How a model is loaded.

use super::{ModelConfig, Positions};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::load::LoadProgress;
use crate::memory;
use crate::weights::Steps;
use candle_core::Device;
use std::sync::Arc;

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What weights are cast to.
    pub dtype: DType,
    /// Where they go.
    pub device: Device,
    /// How they are rewritten; nothing by default.
    pub process: Steps,
    /// Only so many blocks, from the first on.
    pub first_n_layers: Option<usize>,
    /// Another context than the checkpoint's, in tokens.
    pub n_ctx: Option<usize>,
    /// Where to look at how far it has come.
    pub progress: Arc<LoadProgress>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            dtype: DType::F32,
            device: Device::Cpu,
            process: Steps::default(),
            first_n_layers: None,
            n_ctx: None,
            progress: Arc::default(),
        }
    }
}

impl LoadOptions {
    /// What a checkpoint's configuration becomes: the dtype, fewer blocks, another context.
    ///
    /// # Errors
    /// `invalid_argument` for more blocks than there are, or a context beyond a learned table of positions.
    pub(crate) fn apply_to(&self, stored: &ModelConfig) -> Result<ModelConfig> {
        let mut config = stored.clone();
        config.dtype = self.dtype;
        if let Some(n) = self.first_n_layers {
            if n == 0 || n > stored.n_layers {
                return Err(invalid(format!("firstNLayers: {n} is not from 1 to {}, which it has", stored.n_layers)));
            }
            config.n_layers = n;
            if let Some((_, local)) = &mut config.local_attention {
                local.truncate(n);
            }
        }
        if let Some(n) = self.n_ctx {
            let learned = matches!(stored.positions, Positions::Standard | Positions::Shortformer);
            if n == 0 || (learned && n > stored.n_ctx) {
                let limit = format!("nCtx: {n} is not from 1 to {}, the positions that it has learned", stored.n_ctx);
                return Err(invalid(limit));
            }
            config.n_ctx = n;
        }
        config.validated()
    }

    /// What the caller should know of a configuration that [`LoadOptions::apply_to`] has made of `stored`.
    pub(crate) fn notices(&self, stored: &ModelConfig) -> Vec<String> {
        let longer = self.n_ctx.filter(|n| *n > stored.n_ctx);
        let notice = |n| {
            format!(
                "nCtx: {n} is beyond the {} tokens that the model was made for; expect it to do worse",
                stored.n_ctx
            )
        };
        longer.map(notice).into_iter().collect()
    }

    /// Begins to read tensors of these shapes.
    ///
    /// # Errors
    /// `memory_limit` if they would go over the limit on memory.
    pub(crate) fn begin<'a>(&self, shapes: impl IntoIterator<Item = &'a [usize]>) -> Result<()> {
        let elements = shapes.into_iter().map(|dims| dims.iter().fold(1usize, |n, &d| n.saturating_mul(d)));
        let bytes = elements.fold(0usize, usize::saturating_add).saturating_mul(self.dtype.size());
        self.progress.begin(bytes as u64);
        memory::require_for("weights", bytes)
    }
}

fn invalid(detail: String) -> Error {
    Error::InvalidArgument { op: "fromPretrained", detail }
}

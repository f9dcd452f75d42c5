//! Transformers assembled from [`crate::nn`].

mod config;
pub(crate) mod config_reader;
mod decoder;
mod generation;
mod init;
mod inputs;
mod kv_cache;
mod load_options;
mod loss;
mod run;
mod upload;

pub use crate::load::LoadProgress;
pub use config::{DefaultPoints, InitConfig, InitMode, ModelConfig, NormKind, Positions};
pub(crate) use config::{MAX_POSITIONS, divided};
pub use decoder::Model;
pub use generation::{FinishReason, Generation, GenerationRequest, GenerationStep};
pub(crate) use kv_cache::CacheLease;
pub use kv_cache::KvCache;
pub use load_options::LoadOptions;
pub use run::{ForwardRequest, ForwardResult, ReturnType, Run};
pub use upload::{Need, Upload};

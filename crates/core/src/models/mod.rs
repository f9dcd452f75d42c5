//! Transformers assembled from [`crate::nn`].

mod config;
pub(crate) mod config_reader;
mod decoder;
mod init;
mod inputs;
mod load_options;
mod loss;
mod run;

pub(crate) use config::divided;
pub use config::{DefaultPoints, InitConfig, InitMode, ModelConfig, NormKind, Positions};
pub use decoder::Model;
pub use load_options::{LoadOptions, LoadProgress};
pub use run::{ForwardRequest, ForwardResult, ReturnType, Run};

//! Transformers assembled from [`crate::nn`].

mod config;
pub(crate) mod config_reader;
mod decoder;
mod init;
mod inputs;
mod loss;
mod run;

pub(crate) use config::divided;
pub use config::{DefaultPoints, InitConfig, InitMode, ModelConfig, NormKind, Positions};
pub use decoder::{LoadOptions, Model};
pub use run::{ForwardRequest, ForwardResult, ReturnType, Run};

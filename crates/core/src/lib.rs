//! The engine of hooklens: tensors with gradients, a hook registry, and transformers that fire hooks, on candle.
//!
//! | module | what it holds |
//! |---|---|
//! | [`tensor`], [`ops`] | tensors and their operations, as methods and by name |
//! | [`autograd`] | the tape: recording, backward |
//! | [`hooks`] | hook points, who listens there, captures |
//! | [`models`], [`nn`] | transformers, and the parts that fire their hooks |
//! | [`load`] | weights on disk: safetensors, shards |
//! | [`weights`] | rewriting weights without changing what a model computes |
//! | [`device`] | dtypes and devices |
//! | [`error`] | everything that can go wrong, with stable codes |
//! | [`memory`] | how many bytes are held, and the limit on them |
//!
//! The crate knows nothing of JavaScript; the bindings in `crates/node` and `crates/wasm` convert and call.

pub mod autograd;
pub mod device;
pub mod error;
mod families;
pub mod hooks;
pub mod load;
pub mod memory;
pub mod models;
pub mod nn;
pub mod ops;
mod order;
pub mod tensor;
pub mod weights;

pub use autograd::{BackwardOptions, GradMode, no_grad};
pub use device::DType;
pub use error::{Error, Result};
pub use tensor::Tensor;

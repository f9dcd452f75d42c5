//! Decoders of every kind that a configuration can describe, with random weights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test panics")]

mod conformance;
mod families;
mod forward;
mod fused;
mod generation;
mod initialisation;
mod kv_cache;
mod padding;
mod processing;
mod rotary;
mod training;
mod variants;

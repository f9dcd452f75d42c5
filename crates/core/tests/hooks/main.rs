//! The hook registry on a toy of two points: `hook_a` on `2x`, `hook_b` on `hook_a + 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod captures;
mod firing;
mod gradients;
mod intervention_errors;
mod interventions;
mod model;
mod registry;
mod robustness;
mod selection;
mod semantics;
mod toy;

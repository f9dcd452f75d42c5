//! Files made to break a reader: whatever bytes come, the answer is an error with a code or a model that works. Nothing
//! panics, hangs, or allocates more than the file justifies.
//!
//! A hundred thousand cases in all, in seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test panics")]

mod allocations;
mod configs;
#[path = "../load/deliver.rs"]
mod deliver;
#[path = "../load/folder.rs"]
mod folder;
mod headers;
mod indices;
mod json;
mod loading;
mod numbers;
mod special_files;
mod uploads;

use proptest::prelude::ProptestConfig;

/// So many cases, or as many times more as `HOOKLENS_FUZZ` says, without files of failures beside the tests.
pub(crate) fn cases(n: u32) -> ProptestConfig {
    let times = std::env::var("HOOKLENS_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    ProptestConfig { cases: n * times, failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() }
}

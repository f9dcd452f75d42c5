//! How far a load has come.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// How far a load has come, for another thread to look at.
#[derive(Debug, Default)]
pub struct LoadProgress {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl LoadProgress {
    /// Bytes of weights that were read, and all that there are, in the dtype that they are loaded as. The total is 0 until
    /// it is known which weights these are.
    pub fn bytes(&self) -> (u64, u64) {
        (self.done.load(Relaxed), self.total.load(Relaxed))
    }

    /// Makes the load fail with `cancelled` after what it is reading.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Begins to read so many bytes of weights.
    pub(crate) fn begin(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// Counts bytes of weights that were read.
    ///
    /// # Errors
    /// `cancelled` if somebody has asked for that.
    pub(crate) fn advance(&self, bytes: usize) -> Result<()> {
        self.done.fetch_add(bytes as u64, Relaxed);
        self.check()
    }

    /// # Errors
    /// `cancelled` if somebody has asked for that.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancelled.load(Relaxed) { Err(Error::Cancelled { op: "fromPretrained" }) } else { Ok(()) }
    }
}

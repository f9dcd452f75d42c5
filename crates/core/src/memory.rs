//! How many bytes the engine holds, and the limit on them.
//!
//! Bytes are counted where they are allocated: a binding installs [`CountingAllocator`] as its global allocator, and
//! everything is covered without anybody's help (tensors, what the tape saves, caches, weights; views cost nothing).
//!
//! The limit is a promise to the user, not to the allocator, which cannot fail without ending the process. Whoever is
//! about to allocate much asks [`require`] first, and a binding asks again after every call.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use hooklens_kernels::bytes::{CountingAllocator, adopt, live_bytes, thread_bytes, unowned};

/// What nobody has set yet.
const UNSET: usize = usize::MAX;
static LIMIT: AtomicUsize = AtomicUsize::new(UNSET);
/// The limit where nobody sets one: none, or what leaves some of WebAssembly's 4 GiB to what is not counted.
const DEFAULT_LIMIT: usize = if cfg!(target_family = "wasm") { 0xf000_0000 } else { 0 };

/// Sets the limit on [`live_bytes`]; 0 means none.
pub fn set_limit(bytes: usize) {
    LIMIT.store(bytes.min(UNSET - 1), Relaxed);
}

/// [`set_limit`], unless it was called before.
pub fn propose_limit(bytes: usize) {
    // Losing the race means that somebody else's choice stands, which is what is wanted.
    let _ = LIMIT.compare_exchange(UNSET, bytes.min(UNSET - 1), Relaxed, Relaxed);
}

/// The limit on [`live_bytes`]; 0 means none. Where nobody has set one, there is none except in WebAssembly.
pub fn limit() -> usize {
    match LIMIT.load(Relaxed) {
        UNSET => DEFAULT_LIMIT,
        bytes => bytes,
    }
}

/// Fails with `memory_limit` if `requested` more bytes would go over the limit.
pub fn require(requested: usize) -> Result<()> {
    require_for("tensors", requested)
}

/// [`require`], with a name in the plural for what the bytes are for.
pub(crate) fn require_for(what: &str, requested: usize) -> Result<()> {
    let (live, limit) = (live_bytes(), limit());
    if limit != 0 && live.saturating_add(requested) > limit {
        return Err(too_much(what, requested, live, limit));
    }
    Ok(())
}

/// The error for `requested` bytes, asked of the system, that it did not give.
pub(crate) fn refused(what: &str, requested: usize) -> Error {
    let live = live_bytes();
    // What there is now is then all that there can be.
    too_much(what, requested, live, live)
}

fn too_much(what: &str, requested: usize, live: usize, limit: usize) -> Error {
    const MIB: f64 = 1048576.0;
    const GIB: f64 = 1024.0 * MIB;
    let size = match requested as f64 {
        bytes if bytes >= GIB => format!("{:.2} GiB", bytes / GIB),
        bytes if bytes >= MIB => format!("{:.1} MiB", bytes / MIB),
        bytes => format!("{bytes} bytes"),
    };
    Error::MemoryLimit { what: format!("{what} of {size}"), requested, live, limit }
}

/// Fails if a tensor of that shape, with elements of `element` bytes, could not be held: over the limit
/// (`memory_limit`), or more than the system gives at all (`invalid_argument`). A failing allocation would end the
/// process, so whatever makes a large tensor from small ones asks first.
pub fn require_tensor(op: &'static str, dims: &[usize], element: usize) -> Result<()> {
    /// Smaller requests are not worth a trial. WebAssembly's memory ends at 4 GiB, which models come near.
    const TRIAL: usize = if cfg!(target_family = "wasm") { 16 << 20 } else { 1 << 30 };
    let impossible = || Error::InvalidArgument { op, detail: format!("a tensor of shape {dims:?} is too large") };
    let bytes = dims.iter().try_fold(element, |n, d| n.checked_mul(*d)).ok_or_else(impossible)?;
    require(bytes)?;
    if bytes >= TRIAL {
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| impossible())?;
    }
    Ok(())
}

//! Telling V8 how much memory hangs on its small objects, and the allocator's settings.

use hooklens_core::memory;
use napi::sys;
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: memory::CountingAllocator = memory::CountingAllocator;

/// Changes below this many bytes are not worth a call.
const GRAIN: isize = 32 << 10;

/// More than any heap's limit, so that V8 collects at once.
const PRESSURE: i64 = 1 << 46;

thread_local! {
    /// What V8 believes that this thread holds.
    static REPORTED: Cell<isize> = const { Cell::new(0) };
}

fn adjust(env: sys::napi_env, bytes: i64) {
    let mut total = 0;
    // SAFETY: `env` is the live environment of the call or finalizer that we are in. The status is not looked at: V8's
    // count is a hint for its scheduling, and there is nothing to do about a refusal.
    unsafe { sys::napi_adjust_external_memory(env, bytes, &mut total) };
}

/// Tells V8 what changed since it last heard. May start a garbage collection.
pub(crate) fn report(env: sys::napi_env) {
    let now = memory::thread_bytes();
    let change = now - REPORTED.get();
    if change.abs() >= GRAIN {
        REPORTED.set(now);
        adjust(env, change as i64);
    }
}

/// [`report`] from inside a garbage collection, where only less may be reported.
pub(crate) fn report_freed(env: sys::napi_env) {
    let now = memory::thread_bytes();
    let change = now - REPORTED.get();
    if change <= -GRAIN {
        REPORTED.set(now);
        adjust(env, change as i64);
    }
}

/// Collects garbage.
pub(crate) fn collect(env: sys::napi_env) {
    adjust(env, PRESSURE);
    adjust(env, -PRESSURE);
}

/// glibc gives big blocks back to the system as soon as they are freed, and the page faults of taking them again then
/// cost more than the arithmetic on them. `HOOKLENS_MALLOPT=0` leaves its settings alone.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[napi_derive::module_init]
fn keep_freed_blocks() {
    if std::env::var_os("HOOKLENS_MALLOPT").is_some_and(|value| value == "0") {
        return;
    }
    // SAFETY: mallopt only sets numbers; it is called while the addon is being loaded.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 20);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

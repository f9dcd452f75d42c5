//! How many bytes are held, counted where they are allocated.
//!
//! A binding installs [`CountingAllocator`] as its global allocator. Each thread keeps its own sum and passes it on to
//! the shared one in steps, so that small allocations stay cheap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Bytes that a thread may gain or lose before the shared sum hears of it.
const STEP: isize = 64 << 10;

/// Where addresses have 32 bits, 2 GiB and more are held all the same.
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static HERE: Cell<isize> = const { Cell::new(0) };
    static PENDING: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // The thread may be ending, with its locals gone: then only the shared sum is left.
    let counted = PENDING.try_with(|pending| {
        let sum = pending.get() + bytes;
        if sum.abs() < STEP {
            pending.set(sum);
        } else {
            pending.set(0);
            LIVE.fetch_add(sum as i64, Relaxed);
        }
        HERE.with(|here| here.set(here.get() + bytes));
    });
    if counted.is_err() {
        LIVE.fetch_add(bytes as i64, Relaxed);
    }
}

/// Asks Linux to back a large block with huge pages: matrix products walk down columns of weights, and with small pages
/// each step is another page. Where the system has none or does not offer them, nothing changes.
#[cfg(target_os = "linux")]
fn advise_huge_pages(block: *mut u8, size: usize) {
    /// Smaller blocks hold too few whole huge pages to be worth the call.
    const LARGE: usize = 4 << 20;
    const HUGE_PAGE: usize = 2 << 20;
    const MADV_HUGEPAGE: i32 = 14;
    unsafe extern "C" {
        fn madvise(block: *mut u8, size: usize, advice: i32) -> i32;
    }
    if size < LARGE || block.is_null() {
        return;
    }
    let start = block.align_offset(HUGE_PAGE);
    let whole = size.saturating_sub(start) / HUGE_PAGE * HUGE_PAGE;
    // SAFETY: the pages lie within the block. The advice changes no content, and it does not matter if it is refused.
    unsafe { madvise(block.wrapping_add(start), whole, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: *mut u8, _: usize) {}

/// Has WebAssembly's memory grow by large steps. The allocator asks for 64 KiB at a time, and engines of JavaScript take each
/// growth for a reason to collect garbage: a program that makes many small tensors would do little else.
#[cfg(target_family = "wasm")]
fn grow_ahead() {
    /// Bytes of a page of memory.
    const PAGE: usize = 64 << 10;
    /// The size, in pages, that was seen last.
    static SEEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let pages = std::arch::wasm32::memory_size::<0>();
    if pages == SEEN.load(Relaxed) {
        return;
    }
    let step = (pages / 8 * PAGE).clamp(1 << 20, 64 << 20);
    if let Ok(layout) = Layout::from_size_align(step, 16) {
        // SAFETY: the layout has a size, and the block is given back as it came: the allocator keeps what it was made of.
        unsafe {
            let block = System.alloc(layout);
            if !block.is_null() {
                System.dealloc(block, layout);
            }
        }
    }
    SEEN.store(std::arch::wasm32::memory_size::<0>(), Relaxed);
}

#[cfg(not(target_family = "wasm"))]
fn grow_ahead() {}

/// The system's allocator, counting.
pub struct CountingAllocator;

// SAFETY: every method forwards to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises about `layout` are passed on.
        let block = unsafe { System.alloc(layout) };
        grow_ahead();
        advise_huge_pages(block, layout.size());
        if !block.is_null() {
            count(layout.size() as isize);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { System.alloc_zeroed(layout) };
        grow_ahead();
        advise_huge_pages(block, layout.size());
        if !block.is_null() {
            count(layout.size() as isize);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
        count(-(layout.size() as isize));
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { System.realloc(block, layout, new_size) };
        grow_ahead();
        if !moved.is_null() {
            count(new_size as isize - layout.size() as isize);
        }
        moved
    }
}

/// Bytes held by the whole process, to within 64 KiB a thread. Zero where no [`CountingAllocator`] is installed.
pub fn live_bytes() -> usize {
    let pending = PENDING.try_with(Cell::get).unwrap_or(0);
    (LIVE.load(Relaxed) + pending as i64).max(0) as usize
}

/// Bytes that this thread allocated less those it freed. Negative if it freed what others allocated.
pub fn thread_bytes() -> isize {
    HERE.try_with(Cell::get).unwrap_or(0)
}

/// Runs `work`; gives how many bytes it allocated on this thread and did not free. They count for no thread until one
/// takes them over with [`adopt`].
pub fn unowned<T>(work: impl FnOnce() -> T) -> (T, isize) {
    let before = thread_bytes();
    let value = work();
    let bytes = thread_bytes() - before;
    adopt(-bytes);
    (value, bytes)
}

/// Counts bytes of [`unowned`] work as this thread's.
pub fn adopt(bytes: isize) {
    // A thread that is ending has nothing to count for.
    let _ = HERE.try_with(|here| here.set(here.get() + bytes));
}

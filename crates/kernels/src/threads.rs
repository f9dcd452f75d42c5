//! Work shared among threads.
//!
//! The calling thread works too. It waits for others only while they are at work, never for one to wake up: on a busy
//! machine that may take longer than all of the work, and a forward shares work a hundred times.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// Calls `work` with each number below `count` once, on this thread and on as many of the pool's as make `threads`.
///
/// Each thread goes through a run of neighbouring numbers, then helps the others with theirs.
pub fn share(count: usize, threads: usize, work: impl Fn(usize) + Sync) {
    /// WebAssembly without shared memory has no threads, and its engine no code for them.
    const ALONE: bool = cfg!(all(target_family = "wasm", not(target_feature = "atomics")));
    let threads = threads.min(count);
    if ALONE || threads <= 1 {
        return (0..count).for_each(work);
    }
    let run = count.div_ceil(threads);
    let next: Vec<AtomicUsize> = (0..threads).map(|i| AtomicUsize::new(i * run)).collect();
    let part = |first: usize| {
        for i in 0..threads {
            let owner = (first + i) % threads;
            let end = count.min((owner + 1) * run);
            loop {
                let at = next[owner].fetch_add(1, Ordering::Relaxed);
                if at >= end {
                    break;
                }
                work(at);
            }
        }
    };
    // What is allocated here may be freed by another thread, and the other way round: it counts for none.
    let (region, _) = crate::bytes::unowned(|| {
        let region = Arc::new(Region::new(&part));
        for first in 1..threads {
            let region = region.clone();
            rayon::spawn(move || region.help(first));
        }
        region
    });
    let closing = Closing(&region);
    part(0);
    drop(closing);
    let panic = lock(&region.panic).take();
    crate::bytes::unowned(|| drop(region));
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}

/// Work that threads may join until it is closed.
struct Region {
    /// Its caller's; valid until the region is closed and everybody has left.
    part: *const (dyn Fn(usize) + Sync),
    /// Twice the number of threads that are in it, and one more once it is closed.
    state: AtomicUsize,
    caller: Thread,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `part` may be called from any thread, and is called only as `help` says.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn new<'a>(part: &'a (dyn Fn(usize) + Sync + 'a)) -> Self {
        let part: *const (dyn Fn(usize) + Sync + 'a) = part;
        // SAFETY: only the lifetime changes; `help` sees to it that nothing is called after its end.
        let part =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), *const (dyn Fn(usize) + Sync)>(part) };
        Self { part, state: AtomicUsize::new(0), caller: thread::current(), panic: Mutex::new(None) }
    }

    /// Does a part of the work, unless it is closed.
    fn help(&self, first: usize) {
        if self.state.fetch_add(2, Ordering::AcqRel) & 1 == 0 {
            // SAFETY: the region was open when this thread entered, and its caller waits until it has left.
            let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { (*self.part)(first) }));
            if let Err(panic) = outcome {
                *lock(&self.panic) = Some(panic);
            }
        }
        if self.state.fetch_sub(2, Ordering::AcqRel) == 3 {
            self.caller.unpark();
        }
    }
}

/// Closes a region and waits for those that are in it, also where the caller's own part panics.
struct Closing<'a>(&'a Region);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        /// Some microseconds: mostly the others are about to finish.
        const SPINS: usize = 1000;
        let state = &self.0.state;
        let mut inside = state.fetch_or(1, Ordering::AcqRel) > 1;
        for _ in 0..SPINS {
            if !inside {
                return;
            }
            std::hint::spin_loop();
            inside = state.load(Ordering::Acquire) > 1;
        }
        while state.load(Ordering::Acquire) > 1 {
            thread::park();
        }
    }
}

/// The value, also where a panic poisoned it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared<T>(*mut T);

// SAFETY: no two threads are given the same elements.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, first: usize) -> *mut T {
        self.0.wrapping_add(first)
    }
}

/// [`share`] of the pieces that a slice falls into, `size` elements each but for the last.
pub fn share_pieces<T: Send>(all: &mut [T], size: usize, threads: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let (len, size) = (all.len(), size.max(1));
    let shared = Shared(all.as_mut_ptr());
    share(len.div_ceil(size), threads, |i| {
        let first = i * size;
        // SAFETY: the pieces lie in the slice, do not overlap, and each is given away once.
        work(i, unsafe { std::slice::from_raw_parts_mut(shared.at(first), size.min(len - first)) });
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_whatever_the_numbers() {
        for count in [0, 1, 2, 3, 7, 100] {
            for threads in [0, 1, 2, 3, 4, 50] {
                let calls: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                share(count, threads, |i| _ = calls[i].fetch_add(1, Ordering::Relaxed));
                let once = calls.iter().all(|n| n.load(Ordering::Relaxed) == 1);
                assert!(once, "{count} among {threads}: {calls:?}");
            }
        }
    }

    #[test]
    fn regions_within_regions_end() {
        let calls = AtomicUsize::new(0);
        for _ in 0..200 {
            share(5, 4, |_| share(7, 3, |_| _ = calls.fetch_add(1, Ordering::Relaxed)));
        }
        assert_eq!(calls.into_inner(), 200 * 5 * 7);
    }

    #[test]
    fn a_panic_reaches_the_caller_wherever_it_happens() {
        for wrong in 0..8 {
            let outcome = catch_unwind(|| share(8, 4, |i| assert_ne!(i, wrong, "this one")));
            let message = outcome.unwrap_err();
            assert!(message.downcast_ref::<String>().is_some_and(|text| text.contains("this one")));
        }
    }

    #[test]
    fn pieces_are_all_there_is() {
        for (len, size) in [(0, 4), (1, 4), (10, 3), (12, 4), (5, 0)] {
            let mut all = vec![0; len];
            share_pieces(&mut all, size, 3, |i, piece| piece.iter_mut().for_each(|x| *x += i + 1));
            let wanted: Vec<usize> = (0..len).map(|at| at / size.max(1) + 1).collect();
            assert_eq!(all, wanted);
        }
    }
}

//! Small numbers for what this thread's JavaScript holds.
//!
//! An object carries its number and its class, so that an object of another library can never be taken for one of ours,
//! nor a registry for a tensor: a number that was not given out finds nothing.

use crate::boundary::{UNKNOWN_CALL, invalid};
use hooklens_core::{Error, Result};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::thread::LocalKey;

/// The number that an object stands for, among those of its class.
pub type Handle = u32;

/// The classes, by their place in [`classes`](crate::classes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassId {
    /// `EngineTensor`.
    Tensor,
    /// `EngineRegistry`.
    Registry,
    /// `EngineCache`.
    Cache,
    /// `EngineModel`.
    Model,
    /// `EngineRun`.
    Run,
    /// `EngineKvCache`.
    KvCache,
    /// `EngineGeneration`.
    Generation,
    /// `EngineLoading`.
    Loading,
    /// `EngineUpload`.
    Upload,
}

impl ClassId {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Tensor,
        Self::Registry,
        Self::Cache,
        Self::Model,
        Self::Run,
        Self::KvCache,
        Self::Generation,
        Self::Loading,
        Self::Upload,
    ];
}

/// Something that JavaScript holds by a number.
pub(crate) trait Held: Clone + 'static {
    /// What it is called in errors.
    const WHAT: &'static str;
    const CLASS: ClassId;
    /// Those of this thread.
    fn table() -> &'static LocalKey<RefCell<Table<Self>>>;
}

/// Implements [`Held`].
macro_rules! holds {
    ($type:ty, $class:ident, $what:literal) => {
        const _: () = {
            thread_local! {
                static TABLE: std::cell::RefCell<$crate::handles::Table<$type>> = std::cell::RefCell::default();
            }
            impl $crate::handles::Held for $type {
                const WHAT: &'static str = $what;
                const CLASS: $crate::handles::ClassId = $crate::handles::ClassId::$class;
                fn table() -> &'static std::thread::LocalKey<std::cell::RefCell<$crate::handles::Table<Self>>> {
                    &TABLE
                }
            }
        };
    };
}
pub(crate) use holds;

enum Slot<T> {
    Vacant,
    /// The value was given back; its object still lives.
    Disposed,
    /// The value was given to a hook and let go of after it: see [`passed`].
    Reclaimed,
    Held(T),
    /// Was given to a hook, which has returned; nobody has looked at it since. The number is that of its place in the queue.
    Passed(T, u64),
}

/// Values by number.
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    vacant: Vec<u32>,
    live: usize,
    /// What hooks were given, oldest first: handle, place and bytes. Some of it has been used or ended since.
    queue: VecDeque<(Handle, u64, usize)>,
    queued: usize,
    next: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: Vec::new(), live: 0, queue: VecDeque::new(), queued: 0, next: 0 }
    }
}

/// Stores a value until [`end`].
pub(crate) fn hold<T: Held>(value: T) -> Handle {
    T::table().with_borrow_mut(|Table { slots, vacant, live, .. }| {
        *live += 1;
        if let Some(at) = vacant.pop()
            && let Some(slot) = slots.get_mut(at as usize)
        {
            *slot = Slot::Held(value);
            return at;
        }
        slots.push(Slot::Held(value));
        (slots.len() - 1) as u32
    })
}

/// The value of a handle. What a hook was given is from then on held as everything else.
pub(crate) fn held<T: Held>(handle: Handle) -> Result<T> {
    T::table().with_borrow_mut(|Table { slots, .. }| match slots.get_mut(handle as usize) {
        Some(Slot::Held(value)) => Ok(value.clone()),
        Some(slot @ Slot::Passed(..)) => match std::mem::replace(slot, Slot::Vacant) {
            Slot::Passed(value, _) => {
                *slot = Slot::Held(value.clone());
                Ok(value)
            }
            _ => Err(not_ours::<T>("an object of another library")),
        },
        Some(Slot::Disposed) => Err(Error::Disposed { what: T::WHAT.into() }),
        Some(Slot::Reclaimed) => Err(Error::Disposed { what: reclaimed::<T>() }),
        Some(Slot::Vacant) | None => Err(not_ours::<T>("an object of another library")),
    })
}

fn reclaimed<T: Held>() -> String {
    let what = T::WHAT;
    format!(
        "{what} that was given to a hook and not used since (where garbage collection cannot be told of the engine's memory, \
         what hooks were given is freed before memory runs out; a hook keeps its {what} with share())"
    )
}

/// Notes that the hook has returned that was given a value of so many bytes. Where garbage collection is not told what hangs
/// on an object, a program that runs many forwards without a pause would run out of memory through values that its hooks only
/// looked at. So the oldest of them are let go of once all together have more than `most` bytes. What somebody has used since
/// its hook returned was kept on purpose and stays.
pub(crate) fn passed<T: Held>(handle: Handle, bytes: usize, most: usize) {
    T::table().with_borrow_mut(|table| {
        let place = table.next;
        let Some(slot) = table.slots.get_mut(handle as usize) else { return };
        match std::mem::replace(slot, Slot::Vacant) {
            Slot::Held(value) => *slot = Slot::Passed(value, place),
            // Disposed by the hook.
            other => {
                *slot = other;
                return;
            }
        }
        table.next += 1;
        table.queue.push_back((handle, place, bytes));
        table.queued += bytes;
    });
    reclaim::<T>(most);
}

/// Lets go of the oldest of what hooks were given until at most `most` bytes are left.
pub(crate) fn reclaim<T: Held>(most: usize) {
    loop {
        // Dropped after the table is given back.
        let oldest = T::table().with_borrow_mut(|table| {
            // Many small ones would make the queue long: most of what it names has been collected by then.
            if table.queued <= most && table.queue.len() <= MOST_QUEUED {
                return None;
            }
            let (handle, place, bytes) = table.queue.pop_front()?;
            table.queued -= bytes;
            let Some(slot) = table.slots.get_mut(handle as usize) else { return Some(None) };
            if !matches!(slot, Slot::Passed(_, at) if *at == place) {
                return Some(None);
            }
            table.live -= 1;
            Some(Some(std::mem::replace(slot, Slot::Reclaimed)))
        });
        if oldest.is_none() {
            return;
        }
    }
}

/// How many values the queue of [`passed`] names at most.
const MOST_QUEUED: usize = 1 << 20;

/// Values that are neither disposed nor collected.
pub(crate) fn live<T: Held>() -> usize {
    T::table().with_borrow(|table| table.live)
}

/// Whether the value was given back.
pub(crate) fn is_disposed<T: Held>(handle: Handle) -> bool {
    matches!(held::<T>(handle), Err(Error::Disposed { .. }))
}

/// Takes the value back before its object is collected. To be dropped by the caller: here the table is borrowed.
pub(crate) fn dispose<T: Held>(handle: Handle) -> Option<T> {
    replace(handle, Slot::Disposed)
}

/// Ends a handle: its number may be given out again.
pub(crate) fn end<T: Held>(handle: Handle) {
    drop(replace::<T>(handle, Slot::Vacant));
    // A thread that is ending has nothing left to reuse.
    let _ = T::table().try_with(|table| table.borrow_mut().vacant.push(handle));
}

/// Lets go of all that hooks were given and nobody has used since: what a host whose garbage collector knows nothing of our
/// memory can do when that runs out.
pub fn reclaim_all() {
    reclaim::<hooklens_core::Tensor>(0);
}

/// Ends a handle whose object was collected. To be called once for every [`instance`](crate::Js::instance), by the
/// thread that made it; runs no JavaScript.
pub fn release(class: ClassId, handle: Handle) {
    match class {
        ClassId::Tensor => end::<hooklens_core::Tensor>(handle),
        ClassId::Registry => end::<hooklens_core::hooks::HookRegistry>(handle),
        ClassId::Cache => end::<hooklens_core::hooks::CacheStore>(handle),
        ClassId::Model => end::<crate::model::HeldModel>(handle),
        ClassId::Run => end::<crate::run::HeldRun>(handle),
        ClassId::KvCache => end::<crate::kv_cache::HeldKvCache>(handle),
        ClassId::Generation => end::<crate::generation::HeldGeneration>(handle),
        ClassId::Loading => end::<crate::loading::HeldLoading>(handle),
        ClassId::Upload => end::<crate::upload::HeldUpload>(handle),
    }
}

fn replace<T: Held>(handle: Handle, by: Slot<T>) -> Option<T> {
    let before = T::table().try_with(|table| {
        let mut table = table.borrow_mut();
        let before = std::mem::replace(table.slots.get_mut(handle as usize)?, by);
        table.live -= usize::from(matches!(before, Slot::Held(_) | Slot::Passed(..)));
        Some(before)
    });
    match before {
        Ok(Some(Slot::Held(value) | Slot::Passed(value, _))) => Some(value),
        _ => None,
    }
}

/// A value that is not an object of this kind.
pub(crate) fn not_ours<T: Held>(got: &str) -> Error {
    invalid(UNKNOWN_CALL, format!("expected a {} of this engine, got {got}", T::WHAT))
}

//! Small numbers for what this thread's JavaScript holds.
//!
//! An object carries its number and its class, so that an object of another library can never be taken for one of ours,
//! nor a registry for a tensor: a number that was not given out finds nothing.

use crate::boundary::{UNKNOWN_CALL, invalid};
use hooklens_core::{Error, Result};
use std::cell::RefCell;
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
    Held(T),
}

/// Values by number.
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    vacant: Vec<u32>,
    live: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: Vec::new(), live: 0 }
    }
}

/// Stores a value until [`end`].
pub(crate) fn hold<T: Held>(value: T) -> Handle {
    T::table().with_borrow_mut(|Table { slots, vacant, live }| {
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

/// The value of a handle.
pub(crate) fn held<T: Held>(handle: Handle) -> Result<T> {
    T::table().with_borrow(|Table { slots, .. }| match slots.get(handle as usize) {
        Some(Slot::Held(value)) => Ok(value.clone()),
        Some(Slot::Disposed) => Err(Error::Disposed { what: T::WHAT.into() }),
        Some(Slot::Vacant) | None => Err(not_ours::<T>("an object of another library")),
    })
}

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
        table.live -= usize::from(matches!(before, Slot::Held(_)));
        Some(before)
    });
    match before {
        Ok(Some(Slot::Held(value))) => Some(value),
        _ => None,
    }
}

/// A value that is not an object of this kind.
pub(crate) fn not_ours<T: Held>(got: &str) -> Error {
    invalid(UNKNOWN_CALL, format!("expected a {} of this engine, got {got}", T::WHAT))
}

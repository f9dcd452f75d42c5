//! Small numbers for what this thread's JavaScript holds.
//!
//! A wrapper object carries its number where a pointer would be, so that an object of another addon, which carries a
//! pointer, can never be taken for one of ours, nor a registry for a tensor: a number that was not given out finds nothing.

use hooklens_core::{Error, Result};
use std::cell::RefCell;
use std::ffi::c_void;
use std::thread::LocalKey;

/// What a wrapper object carries.
pub(crate) type Word = *mut c_void;

/// Something that JavaScript holds by a number.
pub(crate) trait Held: Clone + 'static {
    /// What it is called in errors.
    const WHAT: &'static str;
    /// Upper half of its words, unlike that of any other and of any address.
    const MARK: u64;
    /// Those of this thread.
    fn table() -> &'static LocalKey<RefCell<Table<Self>>>;
}

enum Slot<T> {
    Vacant,
    /// The value was given back; its wrapper still lives.
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

fn index<T: Held>(word: Word) -> Option<usize> {
    let word = word as usize as u64;
    (word & !u64::from(u32::MAX) == T::MARK).then_some((word & u64::from(u32::MAX)) as usize)
}

/// Stores a value until [`release`].
pub(crate) fn hold<T: Held>(value: T) -> Word {
    let at = T::table().with_borrow_mut(|Table { slots, vacant, live }| {
        *live += 1;
        if let Some(at) = vacant.pop()
            && let Some(slot) = slots.get_mut(at as usize)
        {
            *slot = Slot::Held(value);
            return at;
        }
        slots.push(Slot::Held(value));
        (slots.len() - 1) as u32
    });
    (T::MARK | u64::from(at)) as usize as Word
}

/// The value of a wrapper.
pub(crate) fn held<T: Held>(word: Word) -> Result<T> {
    T::table().with_borrow(|Table { slots, .. }| match index::<T>(word).and_then(|at| slots.get(at)) {
        Some(Slot::Held(value)) => Ok(value.clone()),
        Some(Slot::Disposed) => Err(Error::Disposed { what: T::WHAT.into() }),
        Some(Slot::Vacant) | None => Err(not_ours::<T>("an object of another library")),
    })
}

/// Wrappers that are neither disposed nor collected.
pub(crate) fn live<T: Held>() -> usize {
    T::table().with_borrow(|table| table.live)
}

/// Whether the wrapper's value was given back.
pub(crate) fn is_disposed<T: Held>(word: Word) -> bool {
    matches!(held::<T>(word), Err(Error::Disposed { .. }))
}

/// Takes the value back before its wrapper is collected. To be dropped by the caller: here the table is borrowed.
pub(crate) fn dispose<T: Held>(word: Word) -> Option<T> {
    replace(word, Slot::Disposed)
}

/// Ends a wrapper: its number may be given out again.
pub(crate) fn release<T: Held>(word: Word) -> Option<T> {
    let value = replace(word, Slot::Vacant);
    if let Some(at) = index::<T>(word) {
        // A thread that is ending has nothing left to reuse.
        let _ = T::table().try_with(|table| table.borrow_mut().vacant.push(at as u32));
    }
    value
}

fn replace<T: Held>(word: Word, by: Slot<T>) -> Option<T> {
    let before = T::table().try_with(|table| {
        let mut table = table.borrow_mut();
        let before = std::mem::replace(table.slots.get_mut(index::<T>(word)?)?, by);
        table.live -= usize::from(matches!(before, Slot::Held(_)));
        Some(before)
    });
    match before {
        Ok(Some(Slot::Held(value))) => Some(value),
        _ => None,
    }
}

/// A value that is not a wrapper of this kind.
pub(crate) fn not_ours<T: Held>(got: &str) -> Error {
    Error::InvalidArgument { op: "engine", detail: format!("expected a {} of this engine, got {got}", T::WHAT) }
}

//! Small numbers for the tensors that this thread's JavaScript holds.
//!
//! A wrapper object carries its number where a pointer would be, so that an object of another addon, which carries a
//! pointer, can never be taken for one of ours: a number that was not given out finds nothing.

use hooklens_core::{Error, Result, Tensor};
use std::cell::RefCell;
use std::ffi::c_void;

/// What a wrapper object carries.
pub(crate) type Word = *mut c_void;

/// Upper half of our words. No address looks like that.
const MARK: u64 = 0x7e45_0000_0000_0000;

enum Slot {
    Vacant,
    /// The tensor was given back; its wrapper still lives.
    Disposed,
    Held(Tensor),
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    live: usize,
}

thread_local! {
    static SLOTS: RefCell<Slots> = RefCell::default();
}

fn index(word: Word) -> Option<usize> {
    let word = word as usize as u64;
    (word & !u64::from(u32::MAX) == MARK).then_some((word & u64::from(u32::MAX)) as usize)
}

/// Stores a tensor until [`release`].
pub(crate) fn hold(tensor: Tensor) -> Word {
    let at = SLOTS.with_borrow_mut(|Slots { slots, vacant, live }| {
        *live += 1;
        if let Some(at) = vacant.pop()
            && let Some(slot) = slots.get_mut(at as usize)
        {
            *slot = Slot::Held(tensor);
            return at;
        }
        slots.push(Slot::Held(tensor));
        (slots.len() - 1) as u32
    });
    (MARK | u64::from(at)) as usize as Word
}

/// The tensor of a wrapper.
pub(crate) fn held(word: Word) -> Result<Tensor> {
    SLOTS.with_borrow(|Slots { slots, .. }| match index(word).and_then(|at| slots.get(at)) {
        Some(Slot::Held(tensor)) => Ok(tensor.clone()),
        Some(Slot::Disposed) => Err(Error::Disposed { what: "tensor".into() }),
        Some(Slot::Vacant) | None => Err(not_ours("an object of another library")),
    })
}

/// Wrappers that are neither disposed nor collected.
pub(crate) fn live() -> usize {
    SLOTS.with_borrow(|slots| slots.live)
}

/// Whether the wrapper's tensor was given back.
pub(crate) fn is_disposed(word: Word) -> bool {
    matches!(held(word), Err(Error::Disposed { .. }))
}

/// Takes the tensor back before its wrapper is collected. To be dropped by the caller: here the slots are borrowed.
pub(crate) fn dispose(word: Word) -> Option<Tensor> {
    replace(word, Slot::Disposed)
}

/// Ends a wrapper: its number may be given out again.
pub(crate) fn release(word: Word) -> Option<Tensor> {
    let tensor = replace(word, Slot::Vacant);
    if let Some(at) = index(word) {
        // A thread that is ending has nothing left to reuse.
        let _ = SLOTS.try_with(|slots| slots.borrow_mut().vacant.push(at as u32));
    }
    tensor
}

fn replace(word: Word, by: Slot) -> Option<Tensor> {
    let before = SLOTS.try_with(|slots| {
        let mut slots = slots.borrow_mut();
        let before = std::mem::replace(slots.slots.get_mut(index(word)?)?, by);
        slots.live -= usize::from(matches!(before, Slot::Held(_)));
        Some(before)
    });
    match before {
        Ok(Some(Slot::Held(tensor))) => Some(tensor),
        _ => None,
    }
}

/// A value that is not a wrapper of ours.
pub(crate) fn not_ours(got: &str) -> Error {
    Error::InvalidArgument { op: "engine", detail: format!("expected a tensor of this engine, got {got}") }
}

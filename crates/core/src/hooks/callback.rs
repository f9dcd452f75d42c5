//! Functions that core cannot see: numbers that the binding turns into calls, and their lifetime.

use super::{Direction, HookPointId};
use crate::autograd::lock;
use crate::error::Result;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, Weak};

/// The binding's number for a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallbackId(pub u64);

/// Where a callback runs.
#[derive(Clone, Copy, Debug)]
pub struct CallSite<'a> {
    /// The point.
    pub point: HookPointId,
    /// Whether it gets an activation or a gradient.
    pub direction: Direction,
    /// The alias under which it runs, the firing's own name ([`super::HookRegistry::fire_as`]), or the point's.
    pub name: &'a str,
    /// Whether the name is the point's.
    pub is_own: bool,
}

/// How core calls a callback: bindings implement this, and look the number up in a table of their own.
pub trait Trampoline: Send + Sync {
    /// Runs `callback` on an activation (forward) or on its gradient (backward); gives the replacement, or `None` to
    /// leave the value alone.
    ///
    /// A number that is no longer known is not an error: give `None`. If the function fails, keep what it threw and give
    /// [`crate::Error::Callback`].
    fn call(&self, callback: CallbackId, site: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>>;
}

/// Held by everything that may still call a callback: handles and recorded graphs.
pub(super) struct CallbackToken {
    pub(super) id: CallbackId,
    released: Arc<Mutex<Vec<CallbackId>>>,
}

impl Drop for CallbackToken {
    fn drop(&mut self) {
        lock(&self.released).push(self.id);
    }
}

/// One token a callback, however many handles share it, and the queue of callbacks whose token is gone.
#[derive(Default)]
pub(super) struct CallbackTable {
    tokens: Mutex<HashMap<CallbackId, Weak<CallbackToken>>>,
    released: Arc<Mutex<Vec<CallbackId>>>,
}

impl CallbackTable {
    pub(super) fn token(&self, id: CallbackId) -> Arc<CallbackToken> {
        let mut tokens = lock(&self.tokens);
        let live = tokens.get(&id).and_then(Weak::upgrade);
        live.unwrap_or_else(|| {
            let token = Arc::new(CallbackToken { id, released: Arc::clone(&self.released) });
            tokens.insert(id, Arc::downgrade(&token));
            token
        })
    }

    /// Callbacks that nothing refers to any more. One that was released and added again since is not among them.
    pub(super) fn drain_released(&self) -> Vec<CallbackId> {
        let mut ids = std::mem::take(&mut *lock(&self.released));
        crate::order::sort_by_key(&mut ids, |id| id.0);
        ids.dedup();
        let mut tokens = lock(&self.tokens);
        ids.retain(|id| match tokens.entry(*id) {
            Entry::Occupied(entry) if entry.get().strong_count() == 0 => {
                entry.remove();
                true
            }
            Entry::Occupied(_) | Entry::Vacant(_) => false,
        });
        ids
    }
}

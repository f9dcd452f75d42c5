//! Captured activations by key.

use crate::autograd::lock;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use indexmap::IndexMap;
use std::sync::{Arc, Mutex};

/// An ordered map from keys to detached tensors, in the order in which the points fired. Clones share the content.
///
/// A key that is stored again keeps its place.
#[derive(Clone, Default)]
pub struct CacheStore(Arc<Mutex<IndexMap<Arc<str>, Slot>>>);

struct Slot {
    /// Nothing for a sum of gradients that have different shapes.
    value: Option<Tensor>,
    /// For gradients: which capture stored it in which backward walk. Firings of one walk add up, a later walk starts
    /// anew.
    sum_of: Option<SumId>,
}

/// A capture's number and the number of the backward walk in which it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SumId {
    pub(super) capture: u64,
    pub(super) walk: u64,
}

impl CacheStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys, in order.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.0).iter().filter(|(_, slot)| slot.value.is_some()).map(|(key, _)| String::from(&**key)).collect()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        lock(&self.0).values().filter(|slot| slot.value.is_some()).count()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor stored under that key.
    pub fn get(&self, key: &str) -> Option<Tensor> {
        lock(&self.0).get(key).and_then(|slot| slot.value.clone())
    }

    /// Stores a tensor without its history.
    pub fn set(&self, key: &str, value: &Tensor) -> Result<()> {
        self.store(&key.into(), value)
    }

    /// [`CacheStore::set`] under a key that is kept as it is.
    pub(super) fn store(&self, key: &Arc<str>, value: &Tensor) -> Result<()> {
        self.put(key, Slot { value: Some(value.detach()?), sum_of: None });
        Ok(())
    }

    /// Removes a key; false if it was not there.
    pub fn delete(&self, key: &str) -> bool {
        let removed = lock(&self.0).shift_remove(key);
        removed.is_some_and(|slot| slot.value.is_some())
    }

    /// Removes everything.
    pub fn clear(&self) {
        // Tensors may be large: they are freed after the lock is released.
        let removed = std::mem::take(&mut *lock(&self.0));
        drop(removed);
    }

    /// Bytes that the elements of all stored tensors take, counting shared storage once a tensor.
    pub fn byte_size(&self) -> usize {
        lock(&self.0).values().filter_map(|slot| slot.value.as_ref()).map(Tensor::byte_size).sum()
    }

    fn put(&self, key: &Arc<str>, slot: Slot) {
        let mut map = lock(&self.0);
        let replaced = match map.get_mut(&**key) {
            Some(old) => Some(std::mem::replace(old, slot)),
            None => map.insert(Arc::clone(key), slot),
        };
        drop(map);
        drop(replaced);
    }

    /// Adds `value` to what the same capture stored in the same backward walk; replaces anything else.
    ///
    /// Gradients of different shapes have no sum. That is an error, or, if they are `kept_apart` under keys of their own,
    /// leaves nothing under this one.
    pub(super) fn accumulate(&self, key: &Arc<str>, value: &Tensor, id: SumId, kept_apart: bool) -> Result<()> {
        let before = lock(&self.0).get(&**key).filter(|slot| slot.sum_of == Some(id)).map(|slot| slot.value.clone());
        let sum = match before {
            None => Some(value.detach()?),
            Some(Some(before)) if before.dims() == value.dims() => {
                Some(Tensor::constant(before.data().add(value.data())?)?)
            }
            Some(Some(before)) if !kept_apart => {
                return Err(Error::ShapeMismatch {
                    op: "capture",
                    detail: format!(
                        "the gradients of several firings under '{key}' have shapes {:?} and {:?} and cannot be summed",
                        before.dims(),
                        value.dims()
                    ),
                });
            }
            Some(_) => None,
        };
        self.put(key, Slot { value: sum, sum_of: Some(id) });
        Ok(())
    }
}

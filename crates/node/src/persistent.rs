//! JavaScript values kept for each environment of a thread: one, unless somebody uses several contexts.

use napi::{Env, check_status, sys};
use std::cell::RefCell;
use std::ptr::null_mut;

/// A value an environment. The references are never dropped with their thread: by then their environment is gone.
pub(crate) struct Persistent(RefCell<Vec<(sys::napi_env, sys::napi_ref)>>);

impl Persistent {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Keeps `value`, which must be of `env`, in place of what was kept before.
    pub(crate) fn set(&self, env: &Env, value: sys::napi_value) -> napi::Result<()> {
        let mut reference = null_mut();
        // SAFETY: the caller holds a live environment and a value of it.
        check_status!(unsafe { sys::napi_create_reference(env.raw(), value, 1, &mut reference) })?;
        let mut kept = self.0.borrow_mut();
        // The old reference is left alone: an environment that ended may have left its address to this one.
        kept.retain(|(of, _)| *of != env.raw());
        kept.push((env.raw(), reference));
        Ok(())
    }

    /// What is kept for `env`, if anything.
    pub(crate) fn get(&self, env: sys::napi_env) -> Option<sys::napi_value> {
        let (_, reference) = *self.0.borrow().iter().find(|(of, _)| *of == env)?;
        let mut value = null_mut();
        // SAFETY: callers are inside a call of `env`, in which the reference was made.
        let status = unsafe { sys::napi_get_reference_value(env, reference, &mut value) };
        (status == sys::Status::napi_ok && !value.is_null()).then_some(value)
    }
}

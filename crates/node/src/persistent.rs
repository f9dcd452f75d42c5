//! JavaScript values kept for each environment of a thread: one, unless somebody uses several contexts.

use napi::{check_status, sys};
use std::cell::RefCell;
use std::ptr::null_mut;

/// A value an environment. The references are never dropped with their thread: by then their environment is gone.
#[derive(Default)]
pub struct Persistent(RefCell<Vec<(sys::napi_env, sys::napi_ref)>>);

impl Persistent {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Keeps `value` in place of what was kept before.
    ///
    /// # Safety
    /// `env` must be live, and `value` a value of it.
    pub(crate) unsafe fn set(&self, env: sys::napi_env, value: sys::napi_value) -> napi::Result<()> {
        let mut reference = null_mut();
        // SAFETY: the caller's promise.
        check_status!(unsafe { sys::napi_create_reference(env, value, 1, &mut reference) })?;
        let mut kept = self.0.borrow_mut();
        // The old reference is left alone: an environment that ended may have left its address to this one.
        kept.retain(|(of, _)| *of != env);
        kept.push((env, reference));
        Ok(())
    }

    /// What is kept for `env`, if anything.
    ///
    /// # Safety
    /// `env` must be live, and its thread inside a call of it.
    pub(crate) unsafe fn get(&self, env: sys::napi_env) -> Option<sys::napi_value> {
        let (_, reference) = *self.0.borrow().iter().find(|(of, _)| *of == env)?;
        let mut value = null_mut();
        // SAFETY: the caller's promise; the reference was made in this environment.
        let status = unsafe { sys::napi_get_reference_value(env, reference, &mut value) };
        (status == sys::Status::napi_ok && !value.is_null()).then_some(value)
    }
}

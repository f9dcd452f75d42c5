//! Errors of the binding as JavaScript sees them, and exceptions of JavaScript on their way through Rust.

use hooklens_binding::error_data;
use hooklens_core::Error;
use napi::bindgen_prelude::Unknown;
use napi::{JsError, Status, sys};
use std::cell::RefCell;
use std::ptr::null_mut;

thread_local! {
    /// What JavaScript threw into a call from Rust. Hooks never do (`ts/engine/guard.ts`), unless the stack overflows in
    /// their own `catch`; arguments do if their properties are getters that throw.
    static ESCAPED: RefCell<Option<napi::Error>> = const { RefCell::new(None) };
}

/// Keeps the exception that is pending, until the error that it leads to leaves the addon.
///
/// # Safety
/// `env` must be live.
pub(crate) unsafe fn keep_pending(env: sys::napi_env) {
    let mut exception = null_mut();
    // SAFETY: the caller's promise; what is read was filled in by a call that succeeded.
    unsafe {
        if sys::napi_get_and_clear_last_exception(env, &mut exception) == sys::Status::napi_ok {
            let thrown = napi::Error::from_unknown_without_coercion(Unknown::from_raw_unchecked(env, exception));
            ESCAPED.set(Some(thrown));
        }
    }
}

/// An error of the binding as JavaScript will see it.
pub(crate) fn thrown(error: &Error) -> napi::Error {
    if let (Error::Callback { .. } | Error::Internal { .. }, Some(escaped)) = (error, ESCAPED.take()) {
        return escaped;
    }
    napi::Error::new(Status::GenericFailure, error_data(error))
}

/// Throws it.
///
/// # Safety
/// `env` must be live, with no exception pending.
pub(crate) unsafe fn throw(env: sys::napi_env, error: &Error) {
    // SAFETY: the caller's promise.
    unsafe { JsError::from(thrown(error)).throw_into(env) };
}

/// A failure of Node-API itself.
pub(crate) fn failed(error: napi::Error) -> Error {
    Error::Internal { detail: format!("Node-API: {error}") }
}

//! Errors of the binding as JavaScript sees them, and exceptions of JavaScript on their way through Rust.

use crate::host;
use hooklens_binding::error_data;
use hooklens_core::{Error, Result};
use std::cell::RefCell;
use wasm_bindgen::JsValue;

thread_local! {
    /// What JavaScript threw into a call from Rust. Hooks never do (`ts/engine/guard.ts`), unless the stack overflows in
    /// their own `catch`; arguments do if their properties are getters that throw.
    static ESCAPED: RefCell<Option<JsValue>> = const { RefCell::new(None) };
}

/// Keeps an exception until the error that it leads to leaves the engine.
pub(crate) fn keep(exception: JsValue) -> Error {
    ESCAPED.set(Some(exception));
    Error::Internal { detail: "an argument threw an exception".into() }
}

/// An error of the binding as JavaScript will see it.
pub(crate) fn thrown(error: &Error) -> JsValue {
    if let (Error::Callback { .. } | Error::Internal { .. }, Some(escaped)) = (error, ESCAPED.take()) {
        return escaped;
    }
    host::error(&error_data(error))
}

/// The result of a call. An error is handed over beside it: what comes out as an exception is then always the end of the
/// engine.
pub(crate) fn settled(result: Result<JsValue>) -> JsValue {
    result.unwrap_or_else(|error| {
        host::fail(&thrown(&error));
        JsValue::UNDEFINED
    })
}

//! What every call passes through. Errors leave as data: `hooklens:` and JSON, which TypeScript rebuilds.

use crate::js::Js;
use hooklens_core::{Error, Result, memory};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic is a failure, where panics can be caught.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(internal(payload.as_ref())))
}

fn internal(payload: &(dyn Any + Send)) -> Error {
    let detail = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    Error::Internal { detail: detail.to_owned() }
}

/// Collects garbage; gives whether `requested` bytes fit under the limit now.
pub(crate) fn collect<J: Js>(js: J, requested: usize) -> bool {
    // A collection that was under way already keeps what has died since it began: then one more finds that.
    (0..2).any(|_| {
        js.collect();
        memory::require(requested).is_ok()
    })
}

/// Fails if more is held than the limit allows, even after collecting garbage.
pub(crate) fn keep_limit<J: Js>(js: J) -> Result<()> {
    match memory::require(0) {
        Err(Error::MemoryLimit { .. }) if collect(js, 0) => Ok(()),
        result => result,
    }
}

/// Gives `work` a second chance if it ran into the memory limit and collecting garbage makes room.
pub(crate) fn with_second_chance<J: Js, T>(js: J, work: impl Fn() -> Result<T>) -> Result<T> {
    match work() {
        Err(Error::MemoryLimit { requested, .. }) if collect(js, requested) => work(),
        result => result,
    }
}

/// What an argument that cannot be converted names, until it is known what was called.
pub const UNKNOWN_CALL: &str = "engine";

/// A failure of the host itself.
pub(crate) fn invalid(op: &'static str, detail: String) -> Error {
    Error::InvalidArgument { op, detail }
}

/// `error` with the name of what was called, where it lacks one.
pub(crate) fn named(error: Error, call: &'static str) -> Error {
    match error {
        Error::InvalidArgument { op: UNKNOWN_CALL, detail } => invalid(call, detail),
        other => other,
    }
}

/// The message that an error leaves with.
pub fn error_data(error: &Error) -> String {
    let data = serde_json::json!({
        "code": error.code(), "message": error.to_string(), "details": error.details(),
    });
    format!("hooklens:{data}")
}

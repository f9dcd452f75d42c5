//! What every exported function passes through. Errors leave as data: `hooklens:` and JSON, which TypeScript rebuilds.

use crate::{callbacks, memory};
use hooklens_core::{Error, Result};
use napi::{Env, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` for JavaScript: a failure is thrown as data, a panic is a failure, and V8 hears of the memory taken.
///
/// The memory limit is not looked at: an effect that has happened, such as a hook added or removed, must not be
/// reported as a failure because of tensors made elsewhere.
pub(crate) fn boundary<T>(env: &Env, work: impl FnOnce() -> Result<T>) -> napi::Result<T> {
    guarded(env, work).map_err(thrown)
}

/// [`boundary`] for work that makes tensors: fails if more is held afterwards than the limit allows.
pub(crate) fn boundary_making<T>(env: &Env, work: impl FnOnce() -> Result<T>) -> napi::Result<T> {
    guarded(env, work).and_then(|value| memory::keep_limit(env).map(|()| value)).map_err(thrown)
}

fn guarded<T>(env: &Env, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let entered = callbacks::enter(env);
    let result = caught(work);
    drop(entered);
    memory::report(env);
    result
}

/// Runs `work`; a panic is a failure.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(internal(payload.as_ref())))
}

/// [`boundary_making`] for work that has no effect when it fails: if it ran into the memory limit and garbage
/// collection makes room, it gets a second chance.
pub(crate) fn boundary_pure<T>(env: &Env, work: impl Fn() -> Result<T>) -> napi::Result<T> {
    boundary_making(env, || match work() {
        Err(Error::MemoryLimit { requested, .. }) if memory::collect(env, requested) => work(),
        result => result,
    })
}

/// An error of core as JavaScript will see it.
pub(crate) fn thrown(error: Error) -> napi::Error {
    if let (Error::Callback { .. }, Some(escaped)) = (&error, callbacks::take_escaped()) {
        return escaped;
    }
    let data = serde_json::json!({
        "code": error.code(), "message": error.to_string(), "details": error.details(),
    });
    napi::Error::new(Status::GenericFailure, format!("hooklens:{data}"))
}

/// A wrong argument, as [`thrown`].
pub(crate) fn invalid(op: &'static str, detail: String) -> napi::Error {
    thrown(Error::InvalidArgument { op, detail })
}

/// What a panic outside of [`boundary`] is thrown as.
pub(crate) fn panicked(payload: Box<dyn std::any::Any + Send>) -> napi::Error {
    thrown(internal(payload.as_ref()))
}

fn internal(payload: &(dyn std::any::Any + Send)) -> Error {
    let detail = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    Error::Internal { detail: detail.to_owned() }
}

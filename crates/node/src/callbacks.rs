//! JavaScript functions, known nowhere else in Rust.
//!
//! There is one: the trampoline that TypeScript sets, which looks the callback's number up and runs the hook. It never
//! throws, it gives `false` after keeping what the hook threw (`ts/engine/guard.ts`).

use crate::args::{argument, kind};
use crate::boundary::invalid;
use crate::memory;
use crate::persistent::Persistent;
use crate::tensor::{EngineTensor, tensor_of};
use hooklens_core::hooks::{CallSite, CallbackId, Direction, Trampoline};
use hooklens_core::{Error, Result, Tensor};
use napi::bindgen_prelude::{FromNapiValue, ToNapiValue, Unknown};
use napi::{Env, check_status, sys};
use napi_derive::napi;
use std::cell::{Cell, RefCell};
use std::ptr::null_mut;

thread_local! {
    /// The environment of the JavaScript call that this thread is in.
    static ENV: Cell<sys::napi_env> = const { Cell::new(null_mut()) };
    static TRAMPOLINE: Persistent = const { Persistent::new() };
    /// What the trampoline threw although it never should: a stack overflow in its own `catch`.
    static ESCAPED: RefCell<Option<napi::Error>> = const { RefCell::new(None) };
}

/// Restores the environment that was current before.
pub(crate) struct Entered(sys::napi_env);

/// Makes `env` the current environment until the guard is dropped.
pub(crate) fn enter(env: &Env) -> Entered {
    Entered(ENV.replace(env.raw()))
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENV.set(self.0);
    }
}

/// The exception that a trampoline let through, if one did.
pub(crate) fn take_escaped() -> Option<napi::Error> {
    ESCAPED.take()
}

argument!(Callable);

/// A JavaScript function.
pub struct Callable(sys::napi_value);

impl FromNapiValue for Callable {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let mut of = 0;
        // SAFETY: napi passes a live environment and value.
        unsafe {
            check_status!(sys::napi_typeof(env, value, &mut of))?;
            if of == sys::ValueType::napi_function {
                return Ok(Self(value));
            }
            Err(invalid("setTrampoline", format!("expected a function, got {}", kind(env, value))))
        }
    }
}

#[napi]
pub fn set_trampoline(env: Env, run: Callable) -> napi::Result<()> {
    TRAMPOLINE.with(|trampoline| trampoline.set(&env, run.0))
}

/// Calls back into the JavaScript of whichever thread it is used on.
pub(crate) struct JsTrampoline;

impl Trampoline for JsTrampoline {
    fn call(&self, callback: CallbackId, site: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        let name = site.name;
        let env = ENV.get();
        if env.is_null() {
            return Err(Error::Internal { detail: format!("the hook at '{name}' ran outside of a JavaScript call") });
        }
        memory::report(&Env::from_raw(env));
        let mut scope = null_mut();
        // SAFETY: `env` is the environment of a call that is still running on this thread. The scope is closed again on
        // every path; it keeps the values of a run over many hooks from piling up.
        unsafe {
            let opened = sys::napi_open_handle_scope(env, &mut scope);
            check(check_status!(opened), name)?;
            let result = call(env, callback, site, value);
            sys::napi_close_handle_scope(env, scope);
            result
        }
    }
}

/// # Safety
/// `env` must be live, and its thread inside a call from JavaScript.
unsafe fn call(
    env: sys::napi_env,
    callback: CallbackId,
    CallSite { direction, name, is_own, .. }: CallSite<'_>,
    value: &Tensor,
) -> Result<Option<Tensor>> {
    let run = TRAMPOLINE.with(|trampoline| trampoline.get(env)).ok_or_else(|| Error::Internal {
        detail: format!("a function is hooked at '{name}', but this thread has set no trampoline"),
    })?;
    // SAFETY: the caller's promise; every value is made here, in the scope that the caller opened.
    unsafe {
        let args = (|| {
            Ok([
                f64::to_napi_value(env, callback.0 as f64)?,
                bool::to_napi_value(env, direction == Direction::Backward)?,
                // Strings are costly to make, and TypeScript knows the point's own.
                Option::to_napi_value(env, (!is_own).then_some(name))?,
                EngineTensor::to_napi_value(env, value.clone().into())?,
            ])
        })();
        let args = check(args, name)?;
        let (mut this, mut returned) = (null_mut(), null_mut());
        check(check_status!(sys::napi_get_undefined(env, &mut this)), name)?;
        match sys::napi_call_function(env, this, run, args.len(), args.as_ptr(), &mut returned) {
            sys::Status::napi_ok => replacement(env, returned, name),
            sys::Status::napi_pending_exception => {
                let mut exception = null_mut();
                sys::napi_get_and_clear_last_exception(env, &mut exception);
                let thrown = napi::Error::from_unknown_without_coercion(Unknown::from_raw_unchecked(env, exception));
                ESCAPED.set(Some(thrown));
                Err(Error::Callback { hook: name.to_owned() })
            }
            status => Err(Error::Internal {
                detail: format!("calling the hook at '{name}' failed: {}", napi::Status::from(status)),
            }),
        }
    }
}

/// What the trampoline's result means: a tensor in place of the activation, nothing, or `false` for a hook that threw.
///
/// # Safety
/// `env` and `returned` must be live.
unsafe fn replacement(env: sys::napi_env, returned: sys::napi_value, name: &str) -> Result<Option<Tensor>> {
    let mut of = 0;
    // SAFETY: the caller's promise.
    unsafe {
        check(check_status!(sys::napi_typeof(env, returned, &mut of)), name)?;
        match of {
            sys::ValueType::napi_null | sys::ValueType::napi_undefined => Ok(None),
            sys::ValueType::napi_boolean => Err(Error::Callback { hook: name.to_owned() }),
            _ => tensor_of(env, returned).map(Some),
        }
    }
}

/// A failure of Node-API itself, as an error of core.
fn check<T>(result: napi::Result<T>, hook: &str) -> Result<T> {
    result.map_err(|error| Error::Internal { detail: format!("calling the hook at '{hook}' failed: {error}") })
}

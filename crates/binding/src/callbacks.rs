//! JavaScript functions, known nowhere else in Rust.
//!
//! There is one: the trampoline that TypeScript sets, which looks the callback's number up and runs the hook. It never
//! throws, it gives `false` after keeping what the hook threw (`ts/engine/guard.ts`).

use crate::args::{Callable, FromJs};
use crate::handles::{self, ClassId};
use crate::js::{Js, Seen};
use crate::results::ToJs;
use hooklens_core::hooks::{CallSite, CallbackId, Direction, HookRegistry, Trampoline};
use hooklens_core::{Error, Result, Tensor, memory};
use std::marker::PhantomData;
use std::sync::Arc;

pub(crate) fn set_trampoline<J: Js>(js: J, Callable(run): Callable<J>) -> Result<()> {
    J::with_statics(|statics| js.keep(&statics.trampoline, &run))
}

/// Shares a registry with JavaScript, whose functions it may call from now on.
pub(crate) fn shared<J: Js>(registry: HookRegistry) -> HookRegistry {
    registry.set_trampoline(Arc::new(JsTrampoline::<J>(PhantomData)));
    registry
}

/// Calls back into the JavaScript of whichever thread it is used on.
struct JsTrampoline<J>(PhantomData<fn() -> J>);

impl<J: Js> Trampoline for JsTrampoline<J> {
    fn call(&self, callback: CallbackId, site: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        let js = J::current().ok_or_else(|| Error::Internal {
            detail: format!("the hook at '{}' ran outside of a JavaScript call", site.name),
        })?;
        js.report();
        // A scope of its own keeps the values of a run over many hooks from piling up.
        js.scoped(|| call(js, callback, site, value))
    }
}

fn call<J: Js>(
    js: J,
    callback: CallbackId,
    CallSite { direction, name, is_own, .. }: CallSite<'_>,
    value: &Tensor,
) -> Result<Option<Tensor>> {
    let run = J::with_statics(|statics| js.kept(&statics.trampoline)).ok_or_else(|| Error::Internal {
        detail: format!("a function is hooked at '{name}', but this thread has set no trampoline"),
    })?;
    let handle = handles::hold(value.clone());
    let args = [
        js.number(callback.0 as f64)?,
        js.boolean(direction == Direction::Backward)?,
        // Strings are costly to make, and TypeScript knows the point's own.
        (!is_own).then_some(name).to_js(js)?,
        js.instance(ClassId::Tensor, handle)?,
    ];
    let threw = || Error::Callback { hook: name.to_owned() };
    let returned = js.call(&run, &args)?.ok_or_else(threw)?;
    // A tensor in place of the activation, nothing, or `false` for a hook that threw.
    let replacement = if js.is_nullish(&returned)? {
        Ok(None)
    } else {
        Tensor::from_js(js, &returned).map(Some).or_else(|error| match js.look(&returned)? {
            Seen::Bool(_) => Err(threw()),
            _ => Err(error),
        })
    };
    if !J::KNOWS_MEMORY {
        handles::passed::<Tensor>(handle, value.elem_count() * value.dtype().size(), most_passed());
    }
    replacement
}

/// How many bytes of what hooks were given may wait for garbage collection.
fn most_passed() -> usize {
    const SHARE: usize = 8;
    match memory::limit() {
        0 => usize::MAX / SHARE,
        limit => limit / SHARE,
    }
}

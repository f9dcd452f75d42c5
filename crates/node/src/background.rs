//! Work on a thread of Node's pool, and the promise of its outcome.

use crate::exceptions::thrown;
use crate::node::Node;
use hooklens_binding::Js;
use hooklens_core::{Error, Result};
use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Task, ValueType, sys};

/// Starts `work`; the promise settles with what `settle` makes of its outcome on this thread.
///
/// # Safety
/// `env` must be live.
pub(crate) unsafe fn start<T: Send + 'static>(
    env: sys::napi_env,
    work: impl FnOnce() -> T + Send + 'static,
    settle: impl FnOnce(Node, T) -> Result<sys::napi_value> + Send + 'static,
) -> napi::Result<sys::napi_value> {
    let task = Background { work: Some(work), settle: Some(settle) };
    // SAFETY: the caller's promise.
    unsafe { AsyncTask::to_napi_value(env, AsyncTask::new(task)) }
}

/// Each half runs once.
struct Background<W, S> {
    work: Option<W>,
    settle: Option<S>,
}

impl<W, S, T> Task for Background<W, S>
where
    W: FnOnce() -> T + Send,
    S: FnOnce(Node, T) -> Result<sys::napi_value> + Send,
    T: Send + 'static,
{
    type Output = T;
    type JsValue = Settled;

    fn compute(&mut self) -> napi::Result<T> {
        let work = self.work.take().ok_or_else(|| napi::Error::from_reason("this work was done before"))?;
        Ok(work())
    }

    fn resolve(&mut self, env: Env, outcome: T) -> napi::Result<Settled> {
        let node = Node::of(env.raw());
        let settled = match self.settle.take() {
            Some(settle) => {
                let _entered = node.enter();
                settle(node, outcome)
            }
            None => Err(Error::Internal { detail: "this work was settled before".into() }),
        };
        settled.map(Settled).map_err(|error| thrown(&error))
    }
}

/// What the promise gives.
struct Settled(sys::napi_value);

impl TypeName for Settled {
    fn type_name() -> &'static str {
        "Object"
    }
    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ToNapiValue for Settled {
    unsafe fn to_napi_value(_env: sys::napi_env, Self(value): Self) -> napi::Result<sys::napi_value> {
        Ok(value)
    }
}

//! JavaScript functions, known nowhere else in Rust.

use napi::Env;
use std::cell::{Cell, RefCell};

thread_local! {
    /// The environment of the JavaScript call that this thread is in.
    static ENV: Cell<Option<Env>> = const { Cell::new(None) };
    /// What the trampoline threw although it never should: a stack overflow in its own `catch`.
    static ESCAPED: RefCell<Option<napi::Error>> = const { RefCell::new(None) };
}

/// Restores the environment that was current before.
pub(crate) struct Entered(Option<Env>);

/// Makes `env` the current environment until the guard is dropped.
pub(crate) fn enter(env: &Env) -> Entered {
    Entered(ENV.replace(Some(Env::from_raw(env.raw()))))
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENV.set(self.0.take());
    }
}

/// The exception that a trampoline let through, if one did.
pub(crate) fn take_escaped() -> Option<napi::Error> {
    ESCAPED.take()
}

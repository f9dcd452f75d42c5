//! The Node addon. What it exports and what that does is written in `hooklens-binding`; here is what is Node's own.
//!
//! | module | what it holds |
//! |---|---|
//! | [`node`] | how values of V8 are looked at and made |
//! | [`class`] | the binding's functions and classes, exported |
//! | [`exceptions`] | errors of the binding and exceptions of JavaScript |
//! | [`background`] | work on another thread |
//! | [`memory`] | telling V8 how much we hold, and the allocator's settings |
//! | [`persistent`] | JavaScript values that outlive a call |

#![allow(unreachable_pub, reason = "napi's macros need `pub`, and nothing links against an addon")]
#![allow(missing_docs, reason = "each export is documented once, in the interface that it implements")]

mod background;
mod class;
mod exceptions;
mod memory;
mod node;
mod persistent;

use napi::bindgen_prelude::JsValue;

#[napi_derive::napi(module_exports)]
pub fn init(exports: napi::bindgen_prelude::Object<'_>, env: napi::Env) -> napi::Result<()> {
    class::export(env.raw(), exports.raw())
}

/// Asks Node for the newest behaviour: finalizers then run inside garbage collection, so that a loop that never awaits
/// has its tensors collected too. They may not touch JavaScript; ours drop memory and adjust one number.
#[unsafe(no_mangle)]
pub extern "C" fn node_api_module_get_api_version_v1() -> i32 {
    i32::MAX
}

//! The Node addon: what JavaScript passes is converted, core is called, what comes back is converted.
//!
//! | module | what it holds |
//! |---|---|
//! | [`engine`] | the functions of the `Engine` interface (`ts/engine/engine.ts`) |
//! | [`tensor`], [`registry`], [`cache`] | the classes `EngineTensor`, `EngineRegistry` and `EngineCache` |
//! | [`class`], [`handles`] | classes defined by hand; the values that their objects stand for |
//! | [`model`] | the classes `EngineModel` and `EngineRun` |
//! | [`loading`] | the class `EngineLoading` |
//! | [`generation`], [`kv_cache`] | the classes `EngineGeneration` and `EngineKvCache` |
//! | [`files`] | safetensors |
//! | [`args`], [`fields`], [`bits`] | plain arguments; option objects; typed arrays |
//! | [`boundary`] | what every call passes through: errors as data, panics as errors |
//! | [`memory`] | telling V8 how much we hold, and the allocator's settings |
//! | [`callbacks`] | the only module that knows JavaScript functions |
//! | [`persistent`] | JavaScript values that outlive a call |

#![allow(unreachable_pub, reason = "napi's macros need `pub`, and nothing links against an addon")]
#![allow(missing_docs, reason = "each export is documented once, in the interface that it implements")]

mod args;
mod bits;
mod boundary;
mod cache;
mod callbacks;
mod class;
mod engine;
mod fields;
mod files;
mod generation;
mod handles;
mod kv_cache;
mod loading;
mod memory;
mod model;
mod persistent;
mod registry;
mod tensor;

#[napi_derive::napi(module_exports)]
pub fn init(mut exports: napi::bindgen_prelude::Object<'_>, env: napi::Env) -> napi::Result<()> {
    tensor::register(&mut exports, &env)?;
    registry::register(&mut exports, &env)
}

/// Asks Node for the newest behaviour: finalizers then run inside garbage collection, so that a loop that never awaits
/// has its tensors collected too. They may not touch JavaScript; ours drop memory and adjust one number.
#[unsafe(no_mangle)]
pub extern "C" fn node_api_module_get_api_version_v1() -> i32 {
    i32::MAX
}

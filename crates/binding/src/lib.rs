//! The `Engine` interface (`ts/engine/engine.ts`) over core, for any host of JavaScript.
//!
//! What JavaScript passes is converted, core is called, what comes back is converted. All of it is written once: a host
//! (Node's addon, WebAssembly) implements [`Js`], which says how values are looked at and made, and exports what
//! [`classes`] and [`functions`] list. So the engines of all hosts have the same members, which do the same.
//!
//! | module | what it holds |
//! |---|---|
//! | [`js`] | the trait that a host implements |
//! | [`class`], [`handles`] | members and how they are called; the values that objects stand for |
//! | [`engine`], [`files`] | the functions of `Engine` |
//! | [`tensor`], [`registry`], [`cache`], [`model`], [`run`], [`kv_cache`], [`generation`], [`loading`], [`upload`] | a class each |
//! | [`args`], [`fields`], [`bits`], [`results`] | arguments; option objects; typed arrays; what goes back |
//! | [`boundary`] | what every call passes through: errors as data, panics as errors, the memory limit |
//! | [`callbacks`] | JavaScript functions: there is one |
//! | [`shapes`] | arrays that many tensors share |

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
mod js;
mod kv_cache;
mod loading;
mod model;
mod registry;
mod results;
mod run;
mod shapes;
mod tensor;
mod upload;

pub use bits::{ArrayType, Element};
pub use boundary::{UNKNOWN_CALL, error_data};
pub use class::{Class, Effect, Member, MemberKind, classes, functions, invoke};
pub use handles::{ClassId, Handle, reclaim_all, release};
pub use js::{Js, Seen, Statics};

//! Hook points and who listens at them.
//!
//! A model passes each activation through [`HookRegistry::fire`] at a named point. Nearly always nobody listens, and
//! then firing is one load and one branch. Otherwise the point's listeners run in order, each seeing what the one
//! before made of the activation:
//!
//! * a **callback** is a number that the binding's [`Trampoline`] turns into a call of the user's function;
//! * an **intervention** ([`Intervention`]) is an edit written as data, run here;
//! * a **capture** ([`CaptureOptions`]) keeps a reference in a [`CacheStore`].
//!
//! Backward listeners get the gradient of the point's output. They become part of the graph when the point fires, so
//! that they run during backward even if they have been removed since; a point with backward listeners starts a graph
//! of its own where none reaches it, so that gradients of activations need no trainable weight.
//!
//! Listeners live in one immutable list per point and direction, replaced as a whole on every change. A firing in
//! progress iterates the list that it started with, hence a listener may add or remove listeners, itself included, and
//! run the model again. No lock is held while a listener runs.

mod cache;
mod callback;
mod capture;
mod fire;
mod glob;
mod intervention;
mod names;
mod point;
mod registry;
mod scope;
mod selector;

pub use cache::CacheStore;
pub use callback::{CallSite, CallbackId, Trampoline};
pub use capture::{CaptureOptions, PosSlice};
pub use fire::NESTING_LIMIT;
pub use intervention::{Edit, Intervention, Number, Operand, PlaceRange, Places, TensorRef};
pub use names::{act_name, canonical_name};
pub use point::{AxisSize, HookPointId, PointBounds, PointInfo, Reach};
pub use registry::{AddOptions, BodyKind, Direction, HandleId, HandleInfo, HookBody, HookFilter, HookRegistry};
pub use scope::Scope;

//! What a host of JavaScript must be able to do.

use crate::bits::{ArrayType, Element};
use crate::handles::{ClassId, Handle};
use crate::shapes::Shapes;
use hooklens_core::Result;
use std::borrow::Cow;
use std::ffi::CStr;

/// The type of a value, and for simple ones what it is.
pub enum Seen {
    /// `undefined`.
    Undefined,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A `bigint`, or `None` where it does not fit into 64 signed bits.
    BigInt(Option<i64>),
    /// A string.
    Text(String),
    /// An array.
    Array,
    /// An object that is not an array.
    Object,
    /// A function.
    Function,
    /// Anything else, such as a symbol.
    Other(&'static str),
}

impl Seen {
    /// What `typeof` says, except that `null` is `null`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::BigInt(_) => "bigint",
            Self::Text(_) => "string",
            Self::Array | Self::Object => "object",
            Self::Function => "function",
            Self::Other(name) => name,
        }
    }
}

/// What the binding keeps for a thread of a host.
pub struct Statics<J: Js> {
    /// The function that runs hooks.
    pub(crate) trampoline: J::Kept,
    pub(crate) shapes: Shapes<J>,
}

impl<J: Js> Default for Statics<J> {
    fn default() -> Self {
        Self { trampoline: J::Kept::default(), shapes: Shapes::default() }
    }
}

/// An environment that JavaScript calls us from, and what can be done in it.
///
/// Where a method runs code of JavaScript (a getter, a proxy, a function) and that throws, the host keeps the exception,
/// gives some error, and throws what it kept when the call ends.
pub trait Js: Copy + 'static {
    /// A value, good for as long as the call lasts.
    type Value: Clone;
    /// A place for a value that outlives calls, empty at first.
    type Kept: Default + 'static;
    /// Undoes [`Js::enter`] when it is dropped.
    type Entered;

    /// Whether the host's garbage collector is told how much memory hangs on its objects.
    const KNOWS_MEMORY: bool;

    /// The environment that this thread is in, if it is in one.
    fn current() -> Option<Self>;
    /// Makes this the current environment until what it gives is dropped.
    fn enter(self) -> Self::Entered;
    /// Looks at what is kept for this thread.
    fn with_statics<R>(look: impl FnOnce(&Statics<Self>) -> R) -> R;

    /// What a value is.
    fn look(self, value: &Self::Value) -> Result<Seen>;
    /// Whether a value is `undefined` or `null`.
    fn is_nullish(self, value: &Self::Value) -> Result<bool>;
    /// How many elements an array has; `None` for what is no array.
    fn length(self, value: &Self::Value) -> Result<Option<u32>>;
    /// An element of an array.
    fn element(self, array: &Self::Value, at: u32) -> Result<Self::Value>;
    /// A property of an object.
    fn field(self, object: &Self::Value, name: &CStr) -> Result<Self::Value>;
    /// The enumerable string keys of an object, and the values.
    fn entries(self, object: &Self::Value) -> Result<Vec<(Self::Value, Self::Value)>>;
    /// The type of a typed array; `None` for what is none.
    fn array_type(self, value: &Self::Value) -> Result<Option<ArrayType>>;
    /// The elements of a typed array of type `T::ARRAY`. No JavaScript may run while they are looked at.
    fn with_elements<T: Element, R>(self, value: &Self::Value, look: impl FnOnce(&[T]) -> Result<R>) -> Result<R>;

    /// `undefined`.
    fn undefined(self) -> Result<Self::Value>;
    /// `null`.
    fn null(self) -> Result<Self::Value>;
    /// `true` or `false`.
    fn boolean(self, flag: bool) -> Result<Self::Value>;
    /// A number.
    fn number(self, x: f64) -> Result<Self::Value>;
    /// A string.
    fn text(self, text: &str) -> Result<Self::Value>;
    /// An array of `len` items.
    fn array(self, len: usize, items: impl Iterator<Item = Result<Self::Value>>) -> Result<Self::Value>;
    /// A plain object.
    fn object(self, fields: &[(&CStr, Self::Value)]) -> Result<Self::Value>;
    /// Makes an object immutable.
    fn freeze(self, object: &Self::Value) -> Result<()>;
    /// A typed array of `len` elements, which `fill` writes.
    fn typed_array<T: Element>(self, len: usize, fill: impl FnOnce(&mut [T]) -> Result<()>) -> Result<Self::Value>;

    /// A new object of a class that stands for `handle`, and [releases](crate::release) it when it is collected. If it
    /// cannot be made, the handle is released at once.
    fn instance(self, class: ClassId, handle: Handle) -> Result<Self::Value>;
    /// What an object of that class stands for; `None` for any other value.
    fn handle(self, class: ClassId, value: &Self::Value) -> Option<Handle>;

    /// Keeps a value.
    fn keep(self, place: &Self::Kept, value: &Self::Value) -> Result<()>;
    /// What is kept.
    fn kept(self, place: &Self::Kept) -> Option<Self::Value>;

    /// Runs `work` so that the values it makes end with it.
    fn scoped<R>(self, work: impl FnOnce() -> Result<R>) -> Result<R>;
    /// Calls a function; `None` if it threw, and what it threw is kept.
    fn call(self, function: &Self::Value, args: &[Self::Value]) -> Result<Option<Self::Value>>;
    /// A promise of what `settle` makes of the outcome of `work`, which runs where it holds nobody up if there is such a
    /// place.
    fn promise<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        settle: impl FnOnce(Self, T) -> Result<Self::Value> + Send + 'static,
    ) -> Result<Self::Value>;

    /// Tells the host's garbage collector how much memory hangs on its objects.
    fn report(self);
    /// Collects garbage if that can be done at once.
    fn collect(self);

    /// The text for a value that is not what was asked for.
    fn describe(self, value: &Self::Value) -> Cow<'static, str> {
        self.look(value).map_or("an unknown value".into(), |seen| seen.name().into())
    }
}

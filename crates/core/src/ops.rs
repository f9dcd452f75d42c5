//! Operations by name: the one table through which bindings, tests and tools reach what [`crate::tensor`] can do.
//!
//! A binding exports a single function that takes an operation's number, tensors and plain arguments, so that adding
//! an operation touches no binding at all. A table is a list of [`Op`]s, made with [`op_table!`] at the end of the file
//! that implements them:
//!
//! ```text
//! pub(crate) const OPS: &[Op] = op_table! {
//!     exp(x) => x.exp();
//!     softmax(x; dim: i64) => x.softmax(dim);
//!     sum(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.sum(dim.as_deref(), keepdim.unwrap_or(false));
//!     cat[inputs](; dim: i64) => Tensor::cat(inputs, dim);
//! };
//! ```
//!
//! A mark in front of a name says which memory is asked for before the operation runs, see [`Room`].

use crate::device::DType;
use crate::error::{Error, Result, nearest};
use crate::memory;
use crate::tensor::{Tensor, broadcast_dims};
use std::collections::HashMap;
use std::sync::OnceLock;

/// A plain argument of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// Left out: the operation's default.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A name, such as a dtype or an equation.
    Text(String),
    /// Several of them, such as a shape.
    List(Vec<Arg>),
}

/// As error messages show it.
impl std::fmt::Display for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            // Debug writes large numbers with an exponent, Display with all their zeros.
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Text(s) => write!(f, "'{s}'"),
            Self::List(items) => {
                write!(f, "[{}]", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A number beside a tensor: whole numbers keep an integer tensor integer, others make it float, as in torch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
}

impl Scalar {
    /// The number as a float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Bool(b) => f64::from(u8::from(b)),
            Self::Int(i) => i as f64,
            Self::Float(x) => x,
        }
    }

    /// Fails if `dtype` counts whole numbers and this one lies outside its range: a number that wraps around or stops at
    /// a bound is never what was meant.
    pub(crate) fn check_range(self, op: &'static str, dtype: DType) -> Result<()> {
        let (low, high) = match dtype {
            DType::U8 => (0, i64::from(u8::MAX)),
            DType::U32 => (0, i64::from(u32::MAX)),
            DType::I64 => (i64::MIN, i64::MAX),
            _ => return Ok(()),
        };
        let within = match self {
            Self::Bool(_) => true,
            Self::Int(i) => (low..=high).contains(&i),
            Self::Float(x) => x.trunc() >= low as f64 && x.trunc() <= high as f64,
        };
        if within {
            return Ok(());
        }
        Err(Error::WrongDtype {
            op,
            expected: format!("a number from {low} to {high} for {}", dtype.name()),
            got: self.as_f64().to_string(),
        })
    }
}

/// An argument of a type that operations take.
pub trait FromArg: Sized {
    /// What is expected, for error messages.
    const EXPECTED: &'static str;
    /// The value, if the argument has that form.
    fn from_arg(arg: &Arg) -> Option<Self>;
}

macro_rules! from_arg {
    ($($ty:ty, $expected:literal, $pattern:pat => $value:expr;)*) => {
        $(impl FromArg for $ty {
            const EXPECTED: &'static str = $expected;
            #[allow(clippy::match_like_matches_macro)]
            fn from_arg(arg: &Arg) -> Option<Self> { match arg { $pattern => $value, _ => None } }
        })*
    };
}

from_arg! {
    bool, "true or false", Arg::Bool(b) => Some(*b);
    String, "a name", Arg::Text(s) => Some(s.clone());
    DType, "a dtype name", Arg::Text(s) => DType::from_name(s).ok();
}

impl FromArg for i64 {
    const EXPECTED: &'static str = "a whole number";
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Int(i) => Some(*i),
            // JavaScript's `-n` is the negative zero where n is 0; as a position it is 0.
            Arg::Float(0.0) => Some(0),
            _ => None,
        }
    }
}

impl FromArg for usize {
    const EXPECTED: &'static str = "a whole number, 0 or more";
    fn from_arg(arg: &Arg) -> Option<Self> {
        i64::from_arg(arg).and_then(|i| Self::try_from(i).ok())
    }
}

impl FromArg for Arg {
    const EXPECTED: &'static str = "anything";
    fn from_arg(arg: &Arg) -> Option<Self> {
        Some(arg.clone())
    }
}

impl FromArg for f64 {
    const EXPECTED: &'static str = "a number";
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Int(i) => Some(*i as f64),
            Arg::Float(x) => Some(*x),
            // JSON has no infinities, so fixtures and saved interventions spell them out.
            Arg::Text(s) => match s.as_str() {
                "inf" => Some(Self::INFINITY),
                "-inf" => Some(Self::NEG_INFINITY),
                "nan" => Some(Self::NAN),
                _ => None,
            },
            _ => None,
        }
    }
}

impl FromArg for Scalar {
    const EXPECTED: &'static str = "a number";
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::Bool(b) => Some(Self::Bool(*b)),
            Arg::Int(i) => Some(Self::Int(*i)),
            other => f64::from_arg(other).map(Self::Float),
        }
    }
}

impl<T: FromArg> FromArg for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_arg(arg: &Arg) -> Option<Self> {
        if *arg == Arg::Null { Some(None) } else { T::from_arg(arg).map(Some) }
    }
}

/// A list; a single value is taken for a list of one (`dim: 1` and `dim: [1]` mean the same).
impl<T: FromArg> FromArg for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_arg(arg: &Arg) -> Option<Self> {
        match arg {
            Arg::List(items) => items.iter().map(T::from_arg).collect(),
            Arg::Null => None,
            one => T::from_arg(one).map(|v| vec![v]),
        }
    }
}

/// One call of an operation, as its implementation sees it.
pub struct Call<'a> {
    op: &'static Op,
    inputs: &'a [Tensor],
    args: &'a [Arg],
}

impl<'a> Call<'a> {
    /// All tensors.
    pub fn inputs(&self) -> &'a [Tensor] {
        self.inputs
    }

    /// The tensor at that place.
    pub fn input(&self, i: usize) -> Result<&'a Tensor> {
        self.inputs
            .get(i)
            .ok_or_else(|| self.invalid(format!("takes at least {} tensors, got {}", i + 1, self.inputs.len())))
    }

    /// The argument at that place; missing ones are [`Arg::Null`].
    pub fn arg<T: FromArg>(&self, i: usize) -> Result<T> {
        let arg = self.args.get(i).unwrap_or(&Arg::Null);
        T::from_arg(arg).ok_or_else(|| {
            let name = self.op.params.get(i).copied().unwrap_or("?");
            self.invalid(format!("'{name}' must be {}, got {}", T::EXPECTED, arg))
        })
    }

    /// Fails unless exactly `n` tensors came.
    pub fn arity(&self, n: usize) -> Result<()> {
        if self.inputs.len() == n {
            Ok(())
        } else {
            Err(self.invalid(format!("takes {n} tensors, got {}", self.inputs.len())))
        }
    }

    fn invalid(&self, detail: String) -> Error {
        Error::InvalidArgument { op: self.op.name, detail }
    }
}

/// An operation: its name, the names of its plain arguments in order, and its implementation.
pub struct Op {
    /// snake_case, as in torch.
    pub name: &'static str,
    /// Argument names, in the order of [`Call::arg`].
    pub params: &'static [&'static str],
    /// What is asked of memory before it runs.
    pub room: Room,
    /// The implementation.
    pub run: fn(&Call<'_>) -> Result<Vec<Tensor>>,
}

/// Which memory [`call`] makes sure of before an operation runs. A failing allocation would end the process, and inputs
/// may be far larger than what they take: an expanded tensor repeats itself without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// For a row-major copy of each input that is not laid out so.
    Copies,
    /// The same, and for one byte an element of the shape that the inputs broadcast to (`#[broadcast]` in a table).
    Broadcast,
    /// None: the operation gives views, reads its inputs as they lie, or asks by itself (`#[own]` in a table).
    Own,
}

impl Room {
    fn require(self, op: &'static str, inputs: &[Tensor]) -> Result<()> {
        /// Elements of tensors that are not worth a question.
        const SMALL: usize = 1 << 17;
        if self == Self::Own {
            return Ok(());
        }
        for x in inputs.iter().filter(|x| x.elem_count() > SMALL && !x.data().is_contiguous()) {
            memory::require_tensor(op, x.dims(), x.dtype().size())?;
        }
        let [first, rest @ ..] = inputs else { return Ok(()) };
        let largest = inputs.iter().fold(1usize, |n, x| n.saturating_mul(x.elem_count()));
        if self == Self::Copies || largest <= SMALL || rest.iter().all(|x| x.dims() == first.dims()) {
            return Ok(());
        }
        let shared = rest.iter().try_fold(first.dims().to_vec(), |dims, x| broadcast_dims(op, &dims, x.dims()));
        // Shapes that do not fit are the operation's to refuse.
        shared.map_or(Ok(()), |dims| memory::require_tensor(op, &dims, 1))
    }
}

/// What an implementation may return.
pub trait IntoOutputs {
    /// As a list of tensors.
    fn into_outputs(self) -> Vec<Tensor>;
}
impl IntoOutputs for Tensor {
    fn into_outputs(self) -> Vec<Tensor> {
        vec![self]
    }
}
impl IntoOutputs for Vec<Tensor> {
    fn into_outputs(self) -> Vec<Tensor> {
        self
    }
}
impl IntoOutputs for (Tensor, Tensor) {
    fn into_outputs(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }
}
impl IntoOutputs for (Tensor, Tensor, Tensor) {
    fn into_outputs(self) -> Vec<Tensor> {
        vec![self.0, self.1, self.2]
    }
}

/// Declares a table of operations; see the module's documentation.
macro_rules! op_table {
    ($( $(#[$room:ident])? $name:ident $([$all:ident])? ( $($t:ident),* $(; $($p:ident : $ty:ty),* )? ) => $body:expr ; )*) => {
        &[ $( $crate::ops::Op {
            name: stringify!($name),
            params: &[ $($( stringify!($p) ),*)? ],
            room: $crate::ops::op_table!(@room $($room)?),
            run: |call| {
                $( let $all = call.inputs(); )?
                #[allow(unused_mut, unused_variables)]
                let mut next = 0usize;
                $( let $t = call.input(next)?; #[allow(unused_assignments)] { next += 1; } )*
                $crate::ops::op_table!(@arity call next $($all)?);
                $(
                    #[allow(unused_mut, unused_variables)]
                    let mut at = 0usize;
                    $( let $p: $ty = call.arg(at)?; #[allow(unused_assignments)] { at += 1; } )*
                )?
                Ok($crate::ops::IntoOutputs::into_outputs($body?))
            },
        } ),* ]
    };
    (@room) => { $crate::ops::Room::Copies };
    (@room broadcast) => { $crate::ops::Room::Broadcast };
    (@room own) => { $crate::ops::Room::Own };
    (@arity $call:ident $next:ident) => { $call.arity($next)?; };
    (@arity $call:ident $next:ident $all:ident) => {};
}
pub(crate) use op_table;

/// All operations, in a fixed order: a binding may refer to them by number.
pub fn all() -> &'static [&'static Op] {
    static ALL: OnceLock<Vec<&'static Op>> = OnceLock::new();
    ALL.get_or_init(|| crate::tensor::OP_TABLES.iter().flat_map(|table| table.iter()).collect())
}

/// The number of the operation of that name.
pub fn index_of(name: &str) -> Result<usize> {
    static BY_NAME: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| all().iter().enumerate().map(|(i, op)| (op.name, i)).collect());
    by_name
        .get(name)
        .copied()
        .ok_or_else(|| Error::UnknownOp { name: name.to_owned(), suggestions: nearest(name, by_name.keys().copied()) })
}

/// Runs operation number `index`.
pub fn call(index: usize, inputs: &[Tensor], args: &[Arg]) -> Result<Vec<Tensor>> {
    let op = all()
        .get(index)
        .copied()
        .ok_or_else(|| Error::UnknownOp { name: format!("#{index}"), suggestions: Vec::new() })?;
    op.room.require(op.name, inputs)?;
    (op.run)(&Call { op, inputs, args })
}

/// Runs an operation by name with named arguments, as fixtures and saved programs do.
pub fn call_named(name: &str, inputs: &[Tensor], args: &[(&str, Arg)]) -> Result<Vec<Tensor>> {
    let index = index_of(name)?;
    let op = all()[index];
    let mut positional = vec![Arg::Null; op.params.len()];
    for (key, value) in args {
        // A Rust identifier cannot be `self`, the name that the fixtures use for a number on the left.
        let key = if *key == "self" { "this" } else { key };
        let at = op.params.iter().position(|p| *p == key).ok_or_else(|| Error::InvalidArgument {
            op: op.name,
            detail: format!("has no argument '{key}'; it takes {:?}", op.params),
        })?;
        positional[at] = value.clone();
    }
    call(index, inputs, &positional)
}

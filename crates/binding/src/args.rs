//! What JavaScript passes, taken apart with errors of our own.

use crate::boundary::{UNKNOWN_CALL, invalid};
use crate::handles::{self, Held, not_ours};
use crate::js::{Js, Seen};
use hooklens_core::ops::Arg;
use hooklens_core::{Error, Result, Tensor};

/// Lists within lists go no deeper: an array that contains itself would never end.
const MAX_NESTING: usize = 32;

/// An argument's type.
pub(crate) trait FromJs<J: Js>: Sized {
    fn from_js(js: J, value: &J::Value) -> Result<Self>;
}

/// The `args` of `Engine.call`.
pub(crate) struct PlainArgs(pub(crate) Vec<Arg>);

impl<J: Js> FromJs<J> for PlainArgs {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        list(js, value, "args", |item| plain(js, item, 0)).map(Self)
    }
}

/// A whole number of 0 or more.
impl<J: Js> FromJs<J> for u64 {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        let wrong = |got: &dyn std::fmt::Display| {
            Err(invalid(UNKNOWN_CALL, format!("expected a whole number of 0 or more, got {got}")))
        };
        match plain(js, value, 0)? {
            Arg::Int(i) => Self::try_from(i).or_else(|_| wrong(&i)),
            // Only the negative zero comes as a float.
            Arg::Float(0.0) => Ok(0),
            other => wrong(&other),
        }
    }
}

/// A number of things in memory.
impl<J: Js> FromJs<J> for usize {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        let whole = u64::from_js(js, value)?;
        Self::try_from(whole).map_err(|_| {
            invalid(UNKNOWN_CALL, format!("expected a whole number of 0 or more, at most {}, got {whole}", Self::MAX))
        })
    }
}

/// A whole number.
impl<J: Js> FromJs<J> for i64 {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match plain(js, value, 0)? {
            Arg::Int(i) => Ok(i),
            Arg::Float(0.0) => Ok(0),
            other => Err(invalid(UNKNOWN_CALL, format!("expected a whole number, got {other}"))),
        }
    }
}

/// A number.
impl<J: Js> FromJs<J> for f64 {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match plain(js, value, 0)? {
            Arg::Int(i) => Ok(i as Self),
            Arg::Float(x) => Ok(x),
            other => Err(invalid(UNKNOWN_CALL, format!("expected a number, got {other}"))),
        }
    }
}

impl<J: Js> FromJs<J> for String {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match plain(js, value, 0)? {
            Arg::Text(text) => Ok(text),
            other => Err(invalid(UNKNOWN_CALL, format!("expected a string, got {other}"))),
        }
    }
}

impl<J: Js> FromJs<J> for bool {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match plain(js, value, 0)? {
            Arg::Bool(flag) => Ok(flag),
            other => Err(invalid(UNKNOWN_CALL, format!("expected true or false, got {other}"))),
        }
    }
}

impl<J: Js, T: FromJs<J>> FromJs<J> for Vec<T> {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        list(js, value, "the argument", |item| T::from_js(js, item))
    }
}

/// `None` for undefined and null.
impl<J: Js, T: FromJs<J>> FromJs<J> for Option<T> {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        if js.is_nullish(value)? { Ok(None) } else { T::from_js(js, value).map(Some) }
    }
}

impl<J: Js, T: Held> FromJs<J> for T {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match js.handle(T::CLASS, value) {
            Some(handle) => handles::held(handle),
            None => Err(not_ours::<T>(&js.describe(value))),
        }
    }
}

/// A shape.
pub(crate) struct Dims(pub(crate) Vec<usize>);

impl<J: Js> FromJs<J> for Dims {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        let sizes = list(js, value, "shape", |item| u64::from_js(js, item))?;
        // Where addresses have 32 bits, a size may be beyond them by itself.
        let shape = sizes.iter().map(|&size| usize::try_from(size)).collect::<std::result::Result<_, _>>();
        shape.map(Self).map_err(|_| Error::ElementCount {
            op: "fromData",
            detail: format!("shape {sizes:?} has more elements than memory has addresses"),
        })
    }
}

/// What an operation works on.
pub(crate) struct Inputs(pub(crate) Vec<Tensor>);

impl<J: Js> FromJs<J> for Inputs {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        list(js, value, "inputs", |item| Tensor::from_js(js, item)).map(Self)
    }
}

/// A JavaScript function.
pub(crate) struct Callable<J: Js>(pub(crate) J::Value);

impl<J: Js> FromJs<J> for Callable<J> {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match js.look(value)? {
            Seen::Function => Ok(Self(value.clone())),
            other => Err(invalid("setTrampoline", format!("expected a function, got {}", other.name()))),
        }
    }
}

/// A value as it came.
pub(crate) struct Raw<J: Js>(pub(crate) J::Value);

impl<J: Js> FromJs<J> for Raw<J> {
    fn from_js(_: J, value: &J::Value) -> Result<Self> {
        Ok(Self(value.clone()))
    }
}

/// The elements of an array, each converted.
pub(crate) fn list<J: Js, T>(
    js: J,
    value: &J::Value,
    what: &str,
    convert: impl Fn(&J::Value) -> Result<T>,
) -> Result<Vec<T>> {
    let Some(len) = js.length(value)? else {
        return Err(invalid(UNKNOWN_CALL, format!("{what} must be an array, got {}", js.describe(value))));
    };
    let mut items = Vec::with_capacity((len as usize).min(64));
    for at in 0..len {
        items.push(convert(&js.element(value, at)?)?);
    }
    Ok(items)
}

/// Whole numbers count as integers, as JavaScript writes `2.0` no differently from `2`.
fn plain<J: Js>(js: J, value: &J::Value, depth: usize) -> Result<Arg> {
    Ok(match js.look(value)? {
        Seen::Undefined | Seen::Null => Arg::Null,
        Seen::Bool(flag) => Arg::Bool(flag),
        Seen::Number(x) => {
            // Beyond int64 a whole number can only be meant as a float, and no integer is the negative zero.
            let whole = x.fract() == 0.0 && x.abs() < 9.2e18 && !(x == 0.0 && x.is_sign_negative());
            if whole { Arg::Int(x as i64) } else { Arg::Float(x) }
        }
        Seen::BigInt(Some(i)) => Arg::Int(i),
        Seen::BigInt(None) => {
            return Err(invalid(UNKNOWN_CALL, "a bigint argument does not fit into 64 signed bits".into()));
        }
        Seen::Text(text) => Arg::Text(text),
        Seen::Array if depth < MAX_NESTING => Arg::List(list(js, value, "args", |item| plain(js, item, depth + 1))?),
        Seen::Array => return Err(invalid(UNKNOWN_CALL, format!("lists nest deeper than {MAX_NESTING}"))),
        other => return Err(unusable(other.name())),
    })
}

fn unusable(got: &str) -> Error {
    invalid(
        UNKNOWN_CALL,
        format!("an argument must be a number, bigint, boolean, string, null or list of these, got {got}"),
    )
}

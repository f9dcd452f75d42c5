//! What JavaScript passes as plain values, taken apart with errors of our own.

use crate::boundary::invalid;
use hooklens_core::ops::Arg;
use napi::bindgen_prelude::FromNapiValue;
use napi::{ValueType, check_status, sys};
use std::ptr::null_mut;

/// Lists within lists go no deeper: an array that contains itself would never end.
const MAX_NESTING: usize = 32;

/// Implements what napi's macros ask of an argument type; the checks are all in `from_napi_value`.
macro_rules! argument {
    ($($name:ident),*) => { $(
        impl napi::bindgen_prelude::TypeName for $name {
            fn type_name() -> &'static str { stringify!($name) }
            fn value_type() -> napi::ValueType { napi::ValueType::Unknown }
        }
        impl napi::bindgen_prelude::ValidateNapiValue for $name {}
    )* };
}
pub(crate) use argument;
argument!(PlainArgs, Whole, Int, Real, Dims, Text, Flag);

/// The `args` of `Engine.call`.
pub struct PlainArgs(pub(crate) Vec<Arg>);

impl FromNapiValue for PlainArgs {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: napi passes a live environment and value, here and below.
        unsafe { list(env, value, "args", |item| plain(env, item, 0)).map(Self) }
    }
}

/// A whole number of 0 or more.
pub struct Whole(pub(crate) usize);

impl FromNapiValue for Whole {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        match unsafe { plain(env, value, 0)? } {
            Arg::Int(i) if i >= 0 => Ok(Self(i as usize)),
            // Only the negative zero comes as a float.
            Arg::Float(0.0) => Ok(Self(0)),
            other => Err(invalid("engine", format!("expected a whole number of 0 or more, got {other}"))),
        }
    }
}

/// A whole number.
pub struct Int(pub(crate) i64);

impl FromNapiValue for Int {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        match unsafe { plain(env, value, 0)? } {
            Arg::Int(i) => Ok(Self(i)),
            Arg::Float(0.0) => Ok(Self(0)),
            other => Err(invalid("engine", format!("expected a whole number, got {other}"))),
        }
    }
}

/// A number.
pub struct Real(pub(crate) f64);

impl FromNapiValue for Real {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        match unsafe { plain(env, value, 0)? } {
            Arg::Int(i) => Ok(Self(i as f64)),
            Arg::Float(x) => Ok(Self(x)),
            other => Err(invalid("engine", format!("expected a number, got {other}"))),
        }
    }
}

/// An array of values of one type.
pub struct List<T>(pub(crate) Vec<T>);

impl<T> napi::bindgen_prelude::TypeName for List<T> {
    fn type_name() -> &'static str {
        "Array"
    }
    fn value_type() -> napi::ValueType {
        napi::ValueType::Object
    }
}

impl<T: FromNapiValue> napi::bindgen_prelude::ValidateNapiValue for List<T> {}

impl<T: FromNapiValue> FromNapiValue for List<T> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        unsafe { list(env, value, "the argument", |item| T::from_napi_value(env, item)).map(Self) }
    }
}

/// A shape.
pub struct Dims(pub(crate) Vec<usize>);

impl FromNapiValue for Dims {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        unsafe { list(env, value, "shape", |item| Whole::from_napi_value(env, item).map(|n| n.0)).map(Self) }
    }
}

/// A string.
pub struct Text(pub(crate) String);

impl FromNapiValue for Text {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        match unsafe { plain(env, value, 0)? } {
            Arg::Text(text) => Ok(Self(text)),
            other => Err(invalid("engine", format!("expected a string, got {other}"))),
        }
    }
}

/// True or false.
pub struct Flag(pub(crate) bool);

impl FromNapiValue for Flag {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        match unsafe { plain(env, value, 0)? } {
            Arg::Bool(flag) => Ok(Self(flag)),
            other => Err(invalid("engine", format!("expected true or false, got {other}"))),
        }
    }
}

/// The elements of an array, each converted.
///
/// # Safety
/// `env` and `value` must be live.
pub(crate) unsafe fn list<T>(
    env: sys::napi_env,
    value: sys::napi_value,
    what: &str,
    convert: impl Fn(sys::napi_value) -> napi::Result<T>,
) -> napi::Result<Vec<T>> {
    let mut len = 0;
    // SAFETY: the caller's promise; anything but an array is refused by the call itself.
    if unsafe { sys::napi_get_array_length(env, value, &mut len) } != sys::Status::napi_ok {
        // SAFETY: as above.
        return Err(invalid("engine", format!("{what} must be an array, got {}", unsafe { kind(env, value) })));
    }
    let mut items = Vec::with_capacity((len as usize).min(64));
    for i in 0..len {
        let mut item = null_mut();
        // SAFETY: `value` is an array.
        check_status!(unsafe { sys::napi_get_element(env, value, i, &mut item) })?;
        items.push(convert(item)?);
    }
    Ok(items)
}

/// Whole numbers count as integers, as JavaScript writes `2.0` no differently from `2`.
///
/// # Safety
/// `env` and `value` must be live.
unsafe fn plain(env: sys::napi_env, value: sys::napi_value, depth: usize) -> napi::Result<Arg> {
    let mut of = 0;
    // SAFETY: the caller's promise; each getter runs on a value of the type that was just asked for.
    unsafe {
        check_status!(sys::napi_typeof(env, value, &mut of))?;
        Ok(match of {
            sys::ValueType::napi_undefined | sys::ValueType::napi_null => Arg::Null,
            sys::ValueType::napi_boolean => {
                let mut flag = false;
                check_status!(sys::napi_get_value_bool(env, value, &mut flag))?;
                Arg::Bool(flag)
            }
            sys::ValueType::napi_number => {
                let mut x = 0.0;
                check_status!(sys::napi_get_value_double(env, value, &mut x))?;
                // Beyond int64 a whole number can only be meant as a float, and no integer is the negative zero.
                let whole = x.fract() == 0.0 && x.abs() < 9.2e18 && !(x == 0.0 && x.is_sign_negative());
                if whole { Arg::Int(x as i64) } else { Arg::Float(x) }
            }
            sys::ValueType::napi_bigint => {
                let (mut i, mut lossless) = (0, false);
                check_status!(sys::napi_get_value_bigint_int64(env, value, &mut i, &mut lossless))?;
                if !lossless {
                    return Err(invalid("engine", "a bigint argument does not fit into 64 signed bits".into()));
                }
                Arg::Int(i)
            }
            sys::ValueType::napi_string => Arg::Text(text(env, value)?),
            sys::ValueType::napi_object if depth < MAX_NESTING => {
                let mut is_array = false;
                check_status!(sys::napi_is_array(env, value, &mut is_array))?;
                if !is_array {
                    return Err(unusable(env, value));
                }
                Arg::List(list(env, value, "args", |item| plain(env, item, depth + 1))?)
            }
            sys::ValueType::napi_object => {
                return Err(invalid("engine", format!("lists nest deeper than {MAX_NESTING}")));
            }
            _ => return Err(unusable(env, value)),
        })
    }
}

/// # Safety
/// `value` must be a live string.
unsafe fn text(env: sys::napi_env, value: sys::napi_value) -> napi::Result<String> {
    let mut len = 0;
    // SAFETY: the buffer has room for `len` bytes and the closing zero that the second call writes.
    unsafe {
        check_status!(sys::napi_get_value_string_utf8(env, value, null_mut(), 0, &mut len))?;
        let mut bytes = vec![0u8; len + 1];
        check_status!(sys::napi_get_value_string_utf8(env, value, bytes.as_mut_ptr().cast(), len + 1, &mut len))?;
        bytes.truncate(len);
        String::from_utf8(bytes).map_err(|_| invalid("engine", "a string is not valid Unicode".into()))
    }
}

/// # Safety
/// `env` and `value` must be live.
unsafe fn unusable(env: sys::napi_env, value: sys::napi_value) -> napi::Error {
    // SAFETY: the caller's promise.
    let got = unsafe { kind(env, value) };
    invalid(
        "engine",
        format!("an argument must be a number, bigint, boolean, string, null or list of these, got {got}"),
    )
}

/// The type of a value, for messages.
///
/// # Safety
/// `env` and `value` must be live.
pub(crate) unsafe fn kind(env: sys::napi_env, value: sys::napi_value) -> String {
    let mut of = 0;
    // SAFETY: the caller's promise.
    match unsafe { sys::napi_typeof(env, value, &mut of) } {
        sys::Status::napi_ok => format!("{:?}", ValueType::from(of)).to_lowercase(),
        _ => "an unknown value".into(),
    }
}

//! Reads a JSON configuration key by key, remembering which keys were understood.

use crate::error::{Error, Result, nearest};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashSet;

/// No count in a model's configuration is larger; products of three such counts still fit 128 bits, of two 64.
const MAX_COUNT: u64 = 1 << 28;

/// What [`fits_single_precision`] asks for, in words.
const SINGLE_PRECISION: &str = "0 or from 1.2e-38 to 3.4e38 in magnitude";

/// An error that names a configuration key.
pub(crate) fn unsupported(key: &str, detail: impl Into<String>) -> Error {
    Error::UnsupportedConfig { key: key.into(), detail: detail.into() }
}

/// A JSON object whose keys are asked for by type. `null` counts as absent, as it does in Python's configurations.
pub(crate) struct ConfigReader<'a> {
    json: &'a Map<String, Value>,
    used: RefCell<HashSet<&'a str>>,
}

impl<'a> ConfigReader<'a> {
    pub(crate) fn new(json: &'a Value) -> Result<Self> {
        let not_an_object = || unsupported("(root)", format!("must be a JSON object, got {}", described(json)));
        let json = json.as_object().ok_or_else(not_an_object)?;
        Ok(Self { json, used: RefCell::default() })
    }

    /// The value of a key, unless it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        let (name, value) = self.json.get_key_value(key)?;
        self.used.borrow_mut().insert(name);
        (!value.is_null()).then_some(value)
    }

    /// Whether the key is there and null.
    pub(crate) fn is_null(&self, key: &str) -> bool {
        self.get(key).is_none() && self.json.contains_key(key)
    }

    /// A whole number of 1 or more.
    pub(crate) fn count(&self, key: &str) -> Result<Option<usize>> {
        self.get(key).map(|value| as_count(key, value)).transpose()
    }

    /// [`Self::count`], which must be there.
    pub(crate) fn required_count(&self, key: &str) -> Result<usize> {
        self.count(key)?.ok_or_else(|| unsupported(key, "is required"))
    }

    /// [`Self::count`] where -1 stands for "derive it".
    pub(crate) fn count_or_auto(&self, key: &str) -> Result<Option<usize>> {
        match self.get(key) {
            Some(value) if value.as_f64() == Some(-1.0) => Ok(None),
            Some(value) => as_count(key, value).map(Some),
            None => Ok(None),
        }
    }

    /// A number that single precision can hold, in which models compute.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| {
                value
                    .as_f64()
                    .filter(|x| fits_single_precision(*x))
                    .ok_or_else(|| unsupported(key, format!("must be a number, {SINGLE_PRECISION}, got {value}")))
            })
            .transpose()
    }

    /// A number above 0.
    pub(crate) fn positive(&self, key: &str) -> Result<Option<f64>> {
        let number = self.number(key)?;
        match number {
            Some(x) if x <= 0.0 => Err(unsupported(key, format!("must be above 0, got {x}"))),
            _ => Ok(number),
        }
    }

    /// A number above 0, where -1 stands for "none".
    pub(crate) fn positive_or_none(&self, key: &str) -> Result<Option<f64>> {
        if self.number(key)? == Some(-1.0) { Ok(None) } else { self.positive(key) }
    }

    /// A number of 0 or more.
    pub(crate) fn not_negative(&self, key: &str) -> Result<Option<f64>> {
        let number = self.number(key)?;
        match number {
            Some(x) if x < 0.0 => Err(unsupported(key, format!("must be 0 or more, got {x}"))),
            _ => Ok(number),
        }
    }

    /// A number of 0 or more, where -1 stands for "none".
    pub(crate) fn not_negative_or_none(&self, key: &str) -> Result<Option<f64>> {
        if self.number(key)? == Some(-1.0) { Ok(None) } else { self.not_negative(key) }
    }

    /// A truth value; 1 and 0 are what some exporters write for it.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let read = |value: &Value| match value.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => value.as_bool(),
        };
        self.get(key)
            .map(|value| read(value).ok_or_else(|| unsupported(key, format!("must be true or false, got {value}"))))
            .transpose()
    }

    /// A string.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| unsupported(key, format!("must be a string, got {value}"))))
            .transpose()
    }

    /// Fails if a key asks for something that changes the numbers and is not implemented here.
    pub(crate) fn refuse(&self, key: &str, why: &str) -> Result<()> {
        match self.get(key) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(Value::Object(map)) if map.is_empty() => Ok(()),
            Some(Value::Array(list)) if list.is_empty() => Ok(()),
            Some(value) => Err(unsupported(key, format!("{why} (got {})", abbreviated(value)))),
        }
    }

    /// Fails on the first key that nobody asked for and that is not in `informational`.
    pub(crate) fn finish(&self, informational: &[&str]) -> Result<()> {
        let used = self.used.borrow();
        let unknown = self.json.keys().find(|k| !used.contains(k.as_str()) && !informational.contains(&k.as_str()));
        unknown.map_or(Ok(()), |key| {
            let known = nearest(key, used.iter().copied().chain(informational.iter().copied()));
            Err(unsupported(key, format!("is not a known key; nearest: {known:?}")))
        })
    }
}

fn as_count(key: &str, value: &Value) -> Result<usize> {
    // 12.0 is what some exporters write for 12.
    let whole = value.as_u64().or_else(|| value.as_f64().filter(|x| x.fract() == 0.0 && *x >= 0.0).map(|x| x as u64));
    match whole {
        Some(n) if (1..=MAX_COUNT).contains(&n) => Ok(n as usize),
        _ => Err(unsupported(key, format!("must be a whole number from 1 to {MAX_COUNT}, got {}", abbreviated(value)))),
    }
}

/// Whether a number is finite, and not zero unless it was, in single precision.
pub(crate) fn fits_single_precision(x: f64) -> bool {
    x == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&x.abs())
}

/// The kind of a JSON value that should have been an object, and what it is if that is short.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => format!("the string {}", abbreviated(value)),
        Value::Array(list) => format!("a list of {} items", list.len()),
        Value::Object(_) => "an object".into(),
    }
}

fn abbreviated(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

//! Option objects: their fields, converted with errors that name them.

use crate::args::FromJs;
use crate::boundary::{UNKNOWN_CALL, invalid};
use crate::js::{Js, Seen};
use hooklens_core::{Error, Result};
use std::ffi::CStr;

/// An object whose fields are read one by one.
pub(crate) struct Fields<J: Js> {
    js: J,
    object: J::Value,
}

impl<J: Js> FromJs<J> for Fields<J> {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        match js.look(value)? {
            Seen::Object | Seen::Array => Ok(Self { js, object: value.clone() }),
            other => Err(invalid(UNKNOWN_CALL, format!("expected an object, got {}", other.name()))),
        }
    }
}

impl<J: Js> Fields<J> {
    /// A field that may be left out: undefined or null.
    pub(crate) fn optional<T: FromJs<J>>(&self, name: &'static CStr) -> Result<Option<T>> {
        let value = self.js.field(&self.object, name)?;
        if self.js.is_nullish(&value)? {
            return Ok(None);
        }
        T::from_js(self.js, &value).map(Some).map_err(|error| match error {
            Error::InvalidArgument { op: UNKNOWN_CALL, detail } => wrong(name, &detail),
            other => other,
        })
    }

    /// A field that must be there.
    pub(crate) fn required<T: FromJs<J>>(&self, name: &'static CStr) -> Result<T> {
        self.optional(name)?.ok_or_else(|| wrong(name, "it is missing"))
    }

    /// Whether a field is there and true.
    pub(crate) fn flag(&self, name: &'static CStr) -> Result<bool> {
        Ok(self.optional(name)?.unwrap_or(false))
    }

    /// All fields, which must be strings.
    pub(crate) fn texts(&self) -> Result<Vec<(String, String)>> {
        let entries = self.js.entries(&self.object)?;
        entries
            .iter()
            .map(|(name, text)| Ok((String::from_js(self.js, name)?, String::from_js(self.js, text)?)))
            .collect()
    }
}

fn wrong(name: &CStr, detail: &str) -> Error {
    invalid(UNKNOWN_CALL, format!("field '{}': {detail}", name.to_string_lossy()))
}

//! Option objects: their fields, converted with errors that name them.

use crate::args::{Text, argument, kind, list};
use crate::boundary::invalid;
use napi::bindgen_prelude::FromNapiValue;
use napi::{check_status, sys};
use std::ffi::CStr;
use std::ptr::null_mut;

argument!(Fields);

/// An object whose fields are read one by one.
pub struct Fields {
    env: sys::napi_env,
    object: sys::napi_value,
}

impl FromNapiValue for Fields {
    unsafe fn from_napi_value(env: sys::napi_env, object: sys::napi_value) -> napi::Result<Self> {
        let mut of = 0;
        // SAFETY: napi passes a live environment and value.
        check_status!(unsafe { sys::napi_typeof(env, object, &mut of) })?;
        if of == sys::ValueType::napi_object {
            return Ok(Self { env, object });
        }
        // SAFETY: as above.
        Err(invalid("engine", format!("expected an object, got {}", unsafe { kind(env, object) })))
    }
}

impl Fields {
    /// The value of a field; `None` if it is undefined or null.
    fn value(&self, name: &CStr) -> napi::Result<Option<sys::napi_value>> {
        let (mut value, mut of) = (null_mut(), 0);
        // SAFETY: an object that came with the call we are in.
        unsafe {
            check_status!(sys::napi_get_named_property(self.env, self.object, name.as_ptr(), &mut value))?;
            check_status!(sys::napi_typeof(self.env, value, &mut of))?;
        }
        let missing = of == sys::ValueType::napi_undefined || of == sys::ValueType::napi_null;
        Ok((!missing).then_some(value))
    }

    /// A field that may be left out.
    pub(crate) fn optional<T: FromNapiValue>(&self, name: &CStr) -> napi::Result<Option<T>> {
        // SAFETY: as above.
        self.value(name)?.map(|value| unsafe { T::from_napi_value(self.env, value) }).transpose().map_err(|error| {
            if error.reason.starts_with("hooklens:") { error } else { invalid("engine", wrong(name, &error.reason)) }
        })
    }

    /// All fields, which must be strings.
    pub(crate) fn texts(&self) -> napi::Result<Vec<(String, String)>> {
        let mut names = null_mut();
        // SAFETY: as above.
        unsafe {
            check_status!(sys::napi_get_property_names(self.env, self.object, &mut names))?;
            list(self.env, names, "metadata", |name| {
                let mut value = null_mut();
                check_status!(sys::napi_get_property(self.env, self.object, name, &mut value))?;
                Ok((Text::from_napi_value(self.env, name)?.0, Text::from_napi_value(self.env, value)?.0))
            })
        }
    }

    /// A field that must be there.
    pub(crate) fn required<T: FromNapiValue>(&self, name: &CStr) -> napi::Result<T> {
        self.optional(name)?.ok_or_else(|| invalid("engine", wrong(name, "it is missing")))
    }
}

fn wrong(name: &CStr, detail: &str) -> String {
    format!("field '{}': {detail}", name.to_string_lossy())
}

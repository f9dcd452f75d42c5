//! What goes back to JavaScript.

use crate::handles::{self, Held};
use crate::js::Js;
use hooklens_core::Result;

/// A result's type.
pub(crate) trait ToJs<J: Js> {
    fn to_js(self, js: J) -> Result<J::Value>;
}

impl<J: Js> ToJs<J> for () {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.undefined()
    }
}

impl<J: Js> ToJs<J> for bool {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.boolean(self)
    }
}

impl<J: Js> ToJs<J> for f64 {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.number(self)
    }
}

impl<J: Js> ToJs<J> for u32 {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.number(f64::from(self))
    }
}

impl<J: Js> ToJs<J> for &str {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.text(self)
    }
}

impl<J: Js> ToJs<J> for String {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.text(&self)
    }
}

/// `None` is null.
impl<J: Js, T: ToJs<J>> ToJs<J> for Option<T> {
    fn to_js(self, js: J) -> Result<J::Value> {
        match self {
            Some(value) => value.to_js(js),
            None => js.null(),
        }
    }
}

impl<J: Js, T: ToJs<J>> ToJs<J> for Vec<T> {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.array(self.len(), self.into_iter().map(|item| item.to_js(js)))
    }
}

/// An object that stands for the value.
impl<J: Js, T: Held> ToJs<J> for T {
    fn to_js(self, js: J) -> Result<J::Value> {
        js.instance(T::CLASS, handles::hold(self))
    }
}

/// A value of JavaScript's own.
pub(crate) struct Own<V>(pub(crate) V);

impl<J: Js> ToJs<J> for Own<J::Value> {
    fn to_js(self, _: J) -> Result<J::Value> {
        Ok(self.0)
    }
}

/// Implements [`ToJs`] for a struct, field by field.
macro_rules! object {
    ($type:ty: $( $name:literal => $field:ident, )*) => {
        impl<J: $crate::js::Js> $crate::results::ToJs<J> for $type {
            fn to_js(self, js: J) -> hooklens_core::Result<J::Value> {
                js.object(&[ $( ($name, $crate::results::ToJs::<J>::to_js(self.$field, js)?) ),* ])
            }
        }
    };
}
pub(crate) use object;

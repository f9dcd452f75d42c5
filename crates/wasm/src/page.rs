//! How the binding looks at values of JavaScript and makes them: wasm-bindgen.

use crate::exceptions::{keep, thrown};
use crate::host;
use hooklens_binding::{ArrayType, ClassId, Element, Handle, Js, Seen, Statics, reclaim_all};
use hooklens_core::{Error, Result};
use std::cell::RefCell;
use std::ffi::CStr;
use wasm_bindgen::JsValue;

thread_local! {
    static STATICS: Statics<Page> = Statics::default();
}

/// The JavaScript around this instance.
#[derive(Clone, Copy)]
pub(crate) struct Page;

/// What `kind` in `host.js` gives.
mod kinds {
    pub(super) const UNDEFINED: u32 = 0;
    pub(super) const NULL: u32 = 1;
    pub(super) const FALSE: u32 = 2;
    pub(super) const TRUE: u32 = 3;
    pub(super) const NUMBER: u32 = 4;
    pub(super) const INT64: u32 = 5;
    pub(super) const LARGE: u32 = 6;
    pub(super) const TEXT: u32 = 7;
    pub(super) const ARRAY: u32 = 8;
    pub(super) const OBJECT: u32 = 9;
    pub(super) const FUNCTION: u32 = 10;
    pub(super) const SYMBOL: u32 = 11;
}

fn text(name: &CStr) -> Result<&str> {
    name.to_str().map_err(|_| Error::Internal { detail: format!("the name {name:?} is no text") })
}

/// Elements for a typed array to be copied to or from: memory that JavaScript's copy is made from or of.
fn buffer<T: Element>(op: &'static str, len: usize) -> Result<Vec<T>> {
    let mut elements = Vec::new();
    elements.try_reserve_exact(len).map_err(|_| Error::InvalidArgument {
        op,
        detail: format!("there is no room left for a copy of {len} elements"),
    })?;
    elements.resize(len, T::zero());
    Ok(elements)
}

fn bytes_of<T: Element>(elements: &mut [T]) -> &mut [u8] {
    // SAFETY: the very memory of the elements, of which every pattern of bits is a value.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

impl Js for Page {
    const KNOWS_MEMORY: bool = false;
    type Value = JsValue;
    type Kept = RefCell<Option<JsValue>>;
    type Entered = ();

    fn current() -> Option<Self> {
        Some(Self)
    }

    fn enter(self) {}

    fn with_statics<R>(look: impl FnOnce(&Statics<Self>) -> R) -> R {
        STATICS.with(look)
    }

    fn look(self, value: &JsValue) -> Result<Seen> {
        Ok(match host::kind(value) {
            kinds::UNDEFINED => Seen::Undefined,
            kinds::NULL => Seen::Null,
            kinds::FALSE => Seen::Bool(false),
            kinds::TRUE => Seen::Bool(true),
            kinds::NUMBER => Seen::Number(value.as_f64().unwrap_or(f64::NAN)),
            kinds::INT64 => Seen::BigInt(Some(host::to_int64(value))),
            kinds::LARGE => Seen::BigInt(None),
            kinds::TEXT => Seen::Text(value.as_string().unwrap_or_default()),
            kinds::ARRAY => Seen::Array,
            kinds::OBJECT => Seen::Object,
            kinds::FUNCTION => Seen::Function,
            kinds::SYMBOL => Seen::Other("symbol"),
            _ => Seen::Other("an unknown value"),
        })
    }

    fn is_nullish(self, value: &JsValue) -> Result<bool> {
        Ok(host::is_nullish(value))
    }

    fn length(self, value: &JsValue) -> Result<Option<u32>> {
        let len = host::length(value).map_err(keep)?;
        Ok((0.0..=f64::from(u32::MAX)).contains(&len).then_some(len as u32))
    }

    fn element(self, array: &JsValue, at: u32) -> Result<JsValue> {
        host::element(array, at).map_err(keep)
    }

    fn field(self, object: &JsValue, name: &CStr) -> Result<JsValue> {
        host::field(object, text(name)?).map_err(keep)
    }

    fn entries(self, object: &JsValue) -> Result<Vec<(JsValue, JsValue)>> {
        let mut flat = host::entries(object).map_err(keep)?.into_iter();
        let next = || Some((flat.next()?, flat.next()?));
        Ok(std::iter::from_fn(next).collect())
    }

    fn array_type(self, value: &JsValue) -> Result<Option<ArrayType>> {
        Ok(ArrayType::numbered(host::array_type(value)))
    }

    fn with_elements<T: Element, R>(self, value: &JsValue, look: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
        if self.array_type(value)? != Some(T::ARRAY) {
            return Err(Error::Internal { detail: format!("a typed array is no {}", T::ARRAY.name()) });
        }
        let mut elements = buffer::<T>("fromData", host::element_count(value) as usize)?;
        host::copy_bytes(value, bytes_of(&mut elements));
        look(&elements)
    }

    fn undefined(self) -> Result<JsValue> {
        Ok(JsValue::UNDEFINED)
    }

    fn null(self) -> Result<JsValue> {
        Ok(JsValue::NULL)
    }

    fn boolean(self, flag: bool) -> Result<JsValue> {
        Ok(JsValue::from_bool(flag))
    }

    fn number(self, x: f64) -> Result<JsValue> {
        Ok(JsValue::from_f64(x))
    }

    fn text(self, text: &str) -> Result<JsValue> {
        Ok(JsValue::from_str(text))
    }

    fn array(self, len: usize, items: impl Iterator<Item = Result<JsValue>>) -> Result<JsValue> {
        let array = host::make_array(len as u32);
        for (at, item) in items.enumerate() {
            host::set_element(&array, at as u32, &item?);
        }
        Ok(array)
    }

    fn object(self, fields: &[(&CStr, JsValue)]) -> Result<JsValue> {
        let object = host::make_object();
        for (name, value) in fields {
            host::set_field(&object, text(name)?, value);
        }
        Ok(object)
    }

    fn freeze(self, object: &JsValue) -> Result<()> {
        host::freeze(object);
        Ok(())
    }

    fn typed_array<T: Element>(self, len: usize, fill: impl FnOnce(&mut [T]) -> Result<()>) -> Result<JsValue> {
        let of = T::ARRAY.number();
        let mut elements = buffer::<T>("toData", len)?;
        fill(&mut elements)?;
        host::array_of(of, bytes_of(&mut elements)).map_err(keep)
    }

    fn instance(self, class: ClassId, handle: Handle) -> Result<JsValue> {
        Ok(host::instance(class as u32, handle))
    }

    fn handle(self, class: ClassId, value: &JsValue) -> Option<Handle> {
        let handle = host::handle_of(class as u32, value);
        // What stands for nothing has a number that is never given out.
        (handle != u32::MAX).then_some(handle)
    }

    fn keep(self, place: &Self::Kept, value: &JsValue) -> Result<()> {
        place.replace(Some(value.clone()));
        Ok(())
    }

    fn kept(self, place: &Self::Kept) -> Option<JsValue> {
        place.borrow().clone()
    }

    fn scoped<R>(self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        work()
    }

    fn call(self, function: &JsValue, args: &[JsValue]) -> Result<Option<JsValue>> {
        let returned = match args {
            [a, b, c, d] => host::run4(function, a, b, c, d),
            _ => host::run(function, &self.array(args.len(), args.iter().cloned().map(Ok))?),
        };
        Ok(returned.map_err(keep).ok())
    }

    /// There is no other thread: `work` runs at once.
    fn promise<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        settle: impl FnOnce(Self, T) -> Result<JsValue> + Send + 'static,
    ) -> Result<JsValue> {
        Ok(match settle(self, work()) {
            Ok(value) => host::resolved(&value),
            Err(error) => host::rejected(&thrown(&error)),
        })
    }

    /// Engines of JavaScript know the size of an instance's memory, and cannot be told what hangs on an object.
    fn report(self) {}

    /// No page can collect garbage at will. What hooks only looked at is known without.
    fn collect(self) {
        reclaim_all();
    }
}

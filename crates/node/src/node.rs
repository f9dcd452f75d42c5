//! How the binding looks at values of V8 and makes them: Node-API.

use crate::exceptions::{failed, keep_pending};
use crate::persistent::Persistent;
use crate::{background, class, memory};
use hooklens_binding::{ArrayType, ClassId, Element, Handle, Js, Seen, Statics, UNKNOWN_CALL};
use hooklens_core::{Error, Result};
use napi::{check_status, sys};
use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::null_mut;

thread_local! {
    /// The environment of the JavaScript call that this thread is in.
    static ENV: Cell<sys::napi_env> = const { Cell::new(null_mut()) };
    static STATICS: Statics<Node> = Statics::default();
}

/// The environment of a call that is running on this thread; that it is live is what makes every use of it sound.
#[derive(Clone, Copy)]
pub struct Node(sys::napi_env);

impl Node {
    /// The environment of the call, finalizer or task that we are in.
    pub(crate) fn of(env: sys::napi_env) -> Self {
        Self(env)
    }

    /// The outcome of a call of Node-API. If it ran JavaScript that threw, what it threw is kept.
    fn check(self, status: sys::napi_status) -> Result<()> {
        if status == sys::Status::napi_pending_exception {
            // SAFETY: a live environment.
            unsafe { keep_pending(self.0) };
        }
        check_status!(status).map_err(failed)
    }

    /// What a call of Node-API writes to a place for one value.
    fn made(self, make: impl FnOnce(&mut sys::napi_value) -> sys::napi_status) -> Result<sys::napi_value> {
        let mut value = null_mut();
        self.check(make(&mut value))?;
        Ok(value)
    }

    fn type_of(self, value: sys::napi_value) -> Result<sys::napi_valuetype> {
        let mut of = 0;
        // SAFETY: a live environment and value.
        self.check(unsafe { sys::napi_typeof(self.0, value, &mut of) })?;
        Ok(of)
    }

    fn string(self, value: sys::napi_value) -> Result<String> {
        let mut len = 0;
        // SAFETY: a live string. The buffer has room for `len` bytes and the closing zero that the second call writes.
        unsafe {
            self.check(sys::napi_get_value_string_utf8(self.0, value, null_mut(), 0, &mut len))?;
            let mut bytes = vec![0u8; len + 1];
            let buffer = bytes.as_mut_ptr().cast();
            self.check(sys::napi_get_value_string_utf8(self.0, value, buffer, len + 1, &mut len))?;
            bytes.truncate(len);
            String::from_utf8(bytes).map_err(|_| Error::InvalidArgument {
                op: UNKNOWN_CALL,
                detail: "a string is not valid Unicode".into(),
            })
        }
    }
}

/// Restores the environment that was current before.
pub struct Entered(sys::napi_env);

impl Drop for Entered {
    fn drop(&mut self) {
        ENV.set(self.0);
    }
}

// In all of these the environment is that of a call that is running (see [`Node`]), and the values came up in it.
impl Js for Node {
    const KNOWS_MEMORY: bool = true;
    type Value = sys::napi_value;
    type Kept = Persistent;
    type Entered = Entered;

    fn current() -> Option<Self> {
        let env = ENV.get();
        (!env.is_null()).then_some(Self(env))
    }

    fn enter(self) -> Entered {
        Entered(ENV.replace(self.0))
    }

    fn with_statics<R>(look: impl FnOnce(&Statics<Self>) -> R) -> R {
        STATICS.with(look)
    }

    fn look(self, &value: &Self::Value) -> Result<Seen> {
        let of = self.type_of(value)?;
        // SAFETY: each getter runs on a value of the type that was just asked for.
        Ok(unsafe {
            match of {
                sys::ValueType::napi_undefined => Seen::Undefined,
                sys::ValueType::napi_null => Seen::Null,
                sys::ValueType::napi_boolean => {
                    let mut flag = false;
                    self.check(sys::napi_get_value_bool(self.0, value, &mut flag))?;
                    Seen::Bool(flag)
                }
                sys::ValueType::napi_number => {
                    let mut x = 0.0;
                    self.check(sys::napi_get_value_double(self.0, value, &mut x))?;
                    Seen::Number(x)
                }
                sys::ValueType::napi_bigint => {
                    let (mut i, mut lossless) = (0, false);
                    self.check(sys::napi_get_value_bigint_int64(self.0, value, &mut i, &mut lossless))?;
                    Seen::BigInt(lossless.then_some(i))
                }
                sys::ValueType::napi_string => Seen::Text(self.string(value)?),
                sys::ValueType::napi_object => {
                    let mut is_array = false;
                    self.check(sys::napi_is_array(self.0, value, &mut is_array))?;
                    if is_array { Seen::Array } else { Seen::Object }
                }
                sys::ValueType::napi_function => Seen::Function,
                sys::ValueType::napi_symbol => Seen::Other("symbol"),
                _ => Seen::Other("an unknown value"),
            }
        })
    }

    fn is_nullish(self, &value: &Self::Value) -> Result<bool> {
        let of = self.type_of(value)?;
        Ok(of == sys::ValueType::napi_null || of == sys::ValueType::napi_undefined)
    }

    fn length(self, &value: &Self::Value) -> Result<Option<u32>> {
        let mut len = 0;
        // SAFETY: anything but an array is refused by the call itself.
        let status = unsafe { sys::napi_get_array_length(self.0, value, &mut len) };
        Ok((status == sys::Status::napi_ok).then_some(len))
    }

    fn element(self, &array: &Self::Value, at: u32) -> Result<Self::Value> {
        // SAFETY: as said above.
        self.made(|value| unsafe { sys::napi_get_element(self.0, array, at, value) })
    }

    fn field(self, &object: &Self::Value, name: &CStr) -> Result<Self::Value> {
        // SAFETY: as said above; the name ends with a zero.
        self.made(|value| unsafe { sys::napi_get_named_property(self.0, object, name.as_ptr(), value) })
    }

    fn entries(self, &object: &Self::Value) -> Result<Vec<(Self::Value, Self::Value)>> {
        // SAFETY: as said above.
        let names = self.made(|names| unsafe { sys::napi_get_property_names(self.0, object, names) })?;
        let entry = |at| {
            let name = self.element(&names, at)?;
            // SAFETY: as said above.
            Ok((name, self.made(|value| unsafe { sys::napi_get_property(self.0, object, name, value) })?))
        };
        (0..self.length(&names)?.unwrap_or(0)).map(entry).collect()
    }

    fn array_type(self, &value: &Self::Value) -> Result<Option<ArrayType>> {
        let mut of = 0;
        // SAFETY: anything but a typed array is refused by the call; places that are null are not written to.
        let status = unsafe {
            let (data, buffer) = (null_mut(), null_mut());
            sys::napi_get_typedarray_info(self.0, value, &mut of, null_mut(), data, buffer, null_mut())
        };
        Ok(ArrayType::numbered(of).filter(|_| status == sys::Status::napi_ok))
    }

    fn with_elements<T: Element, R>(self, value: &Self::Value, look: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
        if self.array_type(value)? != Some(T::ARRAY) {
            return Err(Error::Internal { detail: format!("a typed array is no {}", T::ARRAY.name()) });
        }
        let (mut len, mut data) = (0, null_mut());
        // SAFETY: a typed array, whose length and data are asked for.
        self.check(unsafe {
            let (of, buffer) = (null_mut(), null_mut());
            sys::napi_get_typedarray_info(self.0, *value, of, &mut len, &mut data, buffer, null_mut())
        })?;
        if len == 0 {
            return look(&[]);
        }
        // SAFETY: an array of the type of the elements, which V8 aligns to them; a non-empty one has storage, which stays
        // as long as no JavaScript runs.
        look(unsafe { std::slice::from_raw_parts(data.cast_const().cast(), len) })
    }

    fn undefined(self) -> Result<Self::Value> {
        // SAFETY: as said above.
        self.made(|value| unsafe { sys::napi_get_undefined(self.0, value) })
    }

    fn null(self) -> Result<Self::Value> {
        // SAFETY: as said above.
        self.made(|value| unsafe { sys::napi_get_null(self.0, value) })
    }

    fn boolean(self, flag: bool) -> Result<Self::Value> {
        // SAFETY: as said above.
        self.made(|value| unsafe { sys::napi_get_boolean(self.0, flag, value) })
    }

    fn number(self, x: f64) -> Result<Self::Value> {
        // SAFETY: as said above.
        self.made(|value| unsafe { sys::napi_create_double(self.0, x, value) })
    }

    fn text(self, text: &str) -> Result<Self::Value> {
        // SAFETY: as said above; the length is the text's.
        self.made(|value| unsafe {
            sys::napi_create_string_utf8(self.0, text.as_ptr().cast(), text.len() as isize, value)
        })
    }

    fn array(self, len: usize, items: impl Iterator<Item = Result<Self::Value>>) -> Result<Self::Value> {
        // SAFETY: as said above.
        let array = self.made(|array| unsafe { sys::napi_create_array_with_length(self.0, len, array) })?;
        for (at, item) in items.enumerate() {
            let item = item?;
            // SAFETY: as said above.
            self.check(unsafe { sys::napi_set_element(self.0, array, at as u32, item) })?;
        }
        Ok(array)
    }

    fn object(self, fields: &[(&CStr, Self::Value)]) -> Result<Self::Value> {
        // SAFETY: as said above.
        let object = self.made(|object| unsafe { sys::napi_create_object(self.0, object) })?;
        for (name, value) in fields {
            // SAFETY: as said above.
            self.check(unsafe { sys::napi_set_named_property(self.0, object, name.as_ptr(), *value) })?;
        }
        Ok(object)
    }

    fn freeze(self, &object: &Self::Value) -> Result<()> {
        // SAFETY: as said above.
        self.check(unsafe { sys::napi_object_freeze(self.0, object) })
    }

    fn typed_array<T: Element>(self, len: usize, fill: impl FnOnce(&mut [T]) -> Result<()>) -> Result<Self::Value> {
        let of = T::ARRAY.number();
        let mut data = null_mut();
        // SAFETY: a fresh buffer of exactly the bytes that are written to it, aligned for every type, zeroed, and seen by
        // nobody else yet.
        unsafe {
            let bytes = len * size_of::<T>();
            let buffer = self.made(|buffer| sys::napi_create_arraybuffer(self.0, bytes, &mut data, buffer))?;
            if len > 0 {
                fill(std::slice::from_raw_parts_mut(data.cast(), len))?;
            }
            self.made(|array| sys::napi_create_typedarray(self.0, of, len, buffer, 0, array))
        }
    }

    fn instance(self, class: ClassId, handle: Handle) -> Result<Self::Value> {
        // SAFETY: as said above.
        unsafe { class::instance(self.0, class, handle) }.map_err(failed)
    }

    fn handle(self, class: ClassId, &value: &Self::Value) -> Option<Handle> {
        // SAFETY: as said above.
        unsafe { class::unwrap(self.0, class, value) }
    }

    fn keep(self, place: &Persistent, &value: &Self::Value) -> Result<()> {
        // SAFETY: as said above.
        unsafe { place.set(self.0, value) }.map_err(failed)
    }

    fn kept(self, place: &Persistent) -> Option<Self::Value> {
        // SAFETY: as said above.
        unsafe { place.get(self.0) }
    }

    fn scoped<R>(self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let mut scope = null_mut();
        // SAFETY: as said above. What `work` gives holds no value of the scope.
        self.check(unsafe { sys::napi_open_handle_scope(self.0, &mut scope) })?;
        let _open = OpenScope { env: self.0, scope };
        work()
    }

    fn call(self, &function: &Self::Value, args: &[Self::Value]) -> Result<Option<Self::Value>> {
        let (this, mut returned) = (self.undefined()?, null_mut());
        // SAFETY: as said above.
        let status =
            unsafe { sys::napi_call_function(self.0, this, function, args.len(), args.as_ptr(), &mut returned) };
        if status == sys::Status::napi_pending_exception {
            // SAFETY: as said above.
            unsafe { keep_pending(self.0) };
            return Ok(None);
        }
        self.check(status)?;
        Ok(Some(returned))
    }

    fn promise<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
        settle: impl FnOnce(Self, T) -> Result<Self::Value> + Send + 'static,
    ) -> Result<Self::Value> {
        // SAFETY: as said above.
        unsafe { background::start(self.0, work, settle) }.map_err(failed)
    }

    fn report(self) {
        memory::report(self.0);
    }

    fn collect(self) {
        memory::collect(self.0);
    }
}

/// A scope of handles, closed also where a panic leaves it: Node ends the process if a call leaves one open.
struct OpenScope {
    env: sys::napi_env,
    scope: sys::napi_handle_scope,
}

impl Drop for OpenScope {
    fn drop(&mut self) {
        // SAFETY: the environment is live while a call of its runs, and the scope is the innermost open one.
        unsafe { sys::napi_close_handle_scope(self.env, self.scope) };
    }
}

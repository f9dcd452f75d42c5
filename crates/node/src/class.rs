//! Classes defined by hand: their objects stand for a value in a table of [`handles`].
//!
//! The bookkeeping that napi's macros add to an object and to each call of a method costs as much as the work of the
//! small ones, so the classes that every operation and every hook goes through do without.

use crate::args::kind;
use crate::boundary::{panicked, thrown};
use crate::handles::{self, Held, Word};
use crate::memory;
use crate::persistent::Persistent;
use hooklens_core::Result;
use napi::bindgen_prelude::{FromNapiValue, JsValue, Object, ToNapiValue};
use napi::{Env, JsError, check_status, sys};
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::thread::LocalKey;

/// The most arguments that a method takes.
const ARGS: usize = 5;

/// A value whose class is defined by hand.
pub(crate) trait Class: Held {
    /// The class in JavaScript.
    const NAME: &'static CStr;
    /// Its constructor, in this thread.
    fn constructor() -> &'static LocalKey<Persistent>;
}

/// Makes an object that stands for `value`.
///
/// # Safety
/// `env` must be live.
pub(crate) unsafe fn instance<T: Class>(env: sys::napi_env, value: T) -> napi::Result<sys::napi_value> {
    let class = T::constructor().with(|class| class.get(env));
    let class = class.ok_or_else(|| napi::Error::from_reason(format!("{:?} is not registered here", T::NAME)))?;
    let mut object = null_mut();
    // SAFETY: `env` is live, and the class was made in it. A wrapper that fails to be made is released at once.
    unsafe {
        check_status!(sys::napi_new_instance(env, class, 0, null_mut(), &mut object))?;
        let word = handles::hold(value);
        let status = sys::napi_wrap(env, object, word, Some(finalize::<T>), null_mut(), null_mut());
        if status != sys::Status::napi_ok {
            drop(handles::release::<T>(word));
        }
        check_status!(status)?;
    }
    Ok(object)
}

/// Runs inside garbage collection: it must not touch JavaScript.
unsafe extern "C" fn finalize<T: Held>(env: sys::napi_env, word: *mut c_void, _hint: *mut c_void) {
    // A panic in some drop must not unwind into V8; there is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        drop(handles::release::<T>(word));
        memory::report_freed(&Env::from_raw(env));
    }));
}

/// What an object carries.
///
/// # Safety
/// `env` and `value` must be live.
pub(crate) unsafe fn unwrap<T: Held>(env: sys::napi_env, value: sys::napi_value) -> Result<Word> {
    let mut word = null_mut();
    // SAFETY: the caller's promise; what is not a wrapper is refused by the call.
    match unsafe { sys::napi_unwrap(env, value, &mut word) } {
        sys::Status::napi_ok => Ok(word),
        // SAFETY: as above.
        _ => Err(handles::not_ours::<T>(&unsafe { kind(env, value) })),
    }
}

/// One call of a method; arguments that were not passed are undefined.
pub(crate) struct Call<T> {
    pub(crate) env: Env,
    pub(crate) this: Word,
    args: [sys::napi_value; ARGS],
    of: PhantomData<T>,
}

impl<T: Held> Call<T> {
    /// What the object stands for.
    pub(crate) fn value(&self) -> Result<T> {
        handles::held(self.this)
    }

    pub(crate) fn arg<A: FromNapiValue>(&self, at: usize) -> napi::Result<A> {
        // SAFETY: the values came with the call that we are in.
        unsafe { A::from_napi_value(self.env.raw(), self.args[at]) }
    }
}

/// Unpacks a call, runs `method`, and hands over its result or throws its error.
///
/// # Safety
/// Both must be what Node passed to the callback.
pub(crate) unsafe fn invoke<T: Held, R: ToNapiValue>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    method: impl FnOnce(&Call<T>) -> napi::Result<R>,
) -> sys::napi_value {
    let run = || {
        let (mut this, mut count, mut args) = (null_mut(), ARGS, [null_mut(); ARGS]);
        // SAFETY: the caller's promise; there is room for the arguments asked for.
        unsafe {
            check_status!(sys::napi_get_cb_info(env, info, &mut count, args.as_mut_ptr(), &mut this, null_mut()))?;
            let this = unwrap::<T>(env, this).map_err(thrown)?;
            R::to_napi_value(env, method(&Call { env: Env::from_raw(env), this, args, of: PhantomData })?)
        }
    };
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| Err(panicked(payload)));
    result.unwrap_or_else(|error| {
        // SAFETY: a live environment, with no exception pending.
        unsafe { JsError::from(error).throw_into(env) };
        null_mut()
    })
}

/// Makes `napi_property_descriptor`s of Rust closures.
macro_rules! members {
    ($of:ty: $( $kind:ident $name:literal => $body:expr; )*) => { [ $( {
        unsafe extern "C" fn member(
            env: napi::sys::napi_env,
            info: napi::sys::napi_callback_info,
        ) -> napi::sys::napi_value {
            // SAFETY: Node calls this with live pointers.
            unsafe { $crate::class::invoke::<$of, _>(env, info, $body) }
        }
        $crate::class::members!(@ $kind $name member)
    } ),* ] };
    (@ get $name:literal $member:ident) => { $crate::class::descriptor($name, None, Some($member)) };
    (@ method $name:literal $member:ident) => { $crate::class::descriptor($name, Some($member), None) };
}
pub(crate) use members;

pub(crate) fn descriptor(
    name: &'static CStr,
    method: sys::napi_callback,
    getter: sys::napi_callback,
) -> sys::napi_property_descriptor {
    sys::napi_property_descriptor {
        utf8name: name.as_ptr(),
        name: null_mut(),
        method,
        getter,
        setter: None,
        value: null_mut(),
        attributes: sys::PropertyAttributes::configurable | sys::PropertyAttributes::writable,
        data: null_mut(),
    }
}

unsafe extern "C" fn construct(_env: sys::napi_env, _info: sys::napi_callback_info) -> sys::napi_value {
    // Whoever makes one in JavaScript gets an object without a value, which every method refuses.
    null_mut()
}

/// Defines a class and exports it.
pub(crate) fn define<T: Class>(
    exports: &mut Object<'_>,
    env: &Env,
    members: &[sys::napi_property_descriptor],
) -> napi::Result<()> {
    let mut class = null_mut();
    // SAFETY: a live environment; names and callbacks are static, and the length is the list's.
    unsafe {
        check_status!(sys::napi_define_class(
            env.raw(),
            T::NAME.as_ptr(),
            T::NAME.count_bytes() as isize,
            Some(construct),
            null_mut(),
            members.len(),
            members.as_ptr(),
            &mut class,
        ))?;
        check_status!(sys::napi_set_named_property(env.raw(), exports.raw(), T::NAME.as_ptr(), class))?;
    }
    T::constructor().with(|kept| kept.set(env, class))
}

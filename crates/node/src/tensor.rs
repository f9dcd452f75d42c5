//! The class `EngineTensor`: a wrapper that holds one tensor until it is disposed or collected.
//!
//! It is defined by hand, unlike the other classes: a wrapper is made for every result of every operation and for every
//! hook, and the bookkeeping that napi's macros add to an object costs as much as making the object itself.

use crate::args::{Flag, Text, argument, kind, list};
use crate::bits::TypedArray;
use crate::boundary::{boundary, boundary_making, thrown};
use crate::handles::{self, Word};
use crate::memory;
use crate::persistent::Persistent;
use hooklens_core::{BackwardOptions, Result, Tensor, device::device_from_name};
use napi::bindgen_prelude::{FromNapiValue, JsValue, Object, ToNapiValue};
use napi::{Env, JsError, check_status, sys};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

thread_local! {
    static CLASS: Persistent = const { Persistent::new() };
}

/// A tensor on its way to JavaScript.
pub struct EngineTensor(Tensor);

impl From<Tensor> for EngineTensor {
    fn from(tensor: Tensor) -> Self {
        Self(tensor)
    }
}

impl ToNapiValue for EngineTensor {
    unsafe fn to_napi_value(env: sys::napi_env, Self(tensor): Self) -> napi::Result<sys::napi_value> {
        let class = CLASS.with(|class| class.get(env));
        let class = class.ok_or_else(|| napi::Error::from_reason("EngineTensor is not registered here"))?;
        let mut object = null_mut();
        // SAFETY: `env` is live, and the class was made in it. A wrapper that fails to be made is released at once.
        unsafe {
            check_status!(sys::napi_new_instance(env, class, 0, null_mut(), &mut object))?;
            let word = handles::hold(tensor);
            let status = sys::napi_wrap(env, object, word, Some(finalize), null_mut(), null_mut());
            if status != sys::Status::napi_ok {
                drop(handles::release(word));
            }
            check_status!(status)?;
        }
        Ok(object)
    }
}

/// Runs inside garbage collection: it must not touch JavaScript.
unsafe extern "C" fn finalize(env: sys::napi_env, word: *mut c_void, _hint: *mut c_void) {
    // A panic in some drop must not unwind into V8; there is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        drop(handles::release(word));
        memory::report_freed(&Env::from_raw(env));
    }));
}

argument!(TensorArg, Tensors, MaybeTensor, Passing);

/// A tensor that JavaScript passed.
pub struct TensorArg(pub(crate) Tensor);

impl FromNapiValue for TensorArg {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: napi passes a live environment and value.
        unsafe { tensor_of(env, value) }.map(Self).map_err(thrown)
    }
}

/// A tensor that JavaScript passed, which goes back as the very object that came unless it was replaced.
pub struct Passing {
    object: sys::napi_value,
    pub(crate) tensor: Tensor,
}

impl FromNapiValue for Passing {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        let TensorArg(tensor) = unsafe { TensorArg::from_napi_value(env, value)? };
        Ok(Self { object: value, tensor })
    }
}

impl Passing {
    /// `tensor` in place of what came.
    pub(crate) fn replaced_by(self, tensor: Tensor) -> Passed {
        if tensor.is(&self.tensor) { Passed::Same(self.object) } else { Passed::Other(tensor) }
    }
}

/// What became of a [`Passing`].
pub enum Passed {
    Same(sys::napi_value),
    Other(Tensor),
}

impl ToNapiValue for Passed {
    unsafe fn to_napi_value(env: sys::napi_env, passed: Self) -> napi::Result<sys::napi_value> {
        match passed {
            Self::Same(object) => Ok(object),
            // SAFETY: the caller's promise.
            Self::Other(tensor) => unsafe { EngineTensor::to_napi_value(env, tensor.into()) },
        }
    }
}

/// An array of tensors.
pub struct Tensors(pub(crate) Vec<Tensor>);

impl FromNapiValue for Tensors {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: as above.
        unsafe { list(env, value, "inputs", |item| TensorArg::from_napi_value(env, item).map(|t| t.0)).map(Self) }
    }
}

/// A tensor, or null.
pub struct MaybeTensor(pub(crate) Option<Tensor>);

impl FromNapiValue for MaybeTensor {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let mut of = 0;
        // SAFETY: as above.
        unsafe {
            check_status!(sys::napi_typeof(env, value, &mut of))?;
            if of == sys::ValueType::napi_null || of == sys::ValueType::napi_undefined {
                return Ok(Self(None));
            }
            TensorArg::from_napi_value(env, value).map(|t| Self(Some(t.0)))
        }
    }
}

/// The tensor that a wrapper stands for.
///
/// # Safety
/// `env` and `value` must be live.
pub(crate) unsafe fn tensor_of(env: sys::napi_env, value: sys::napi_value) -> Result<Tensor> {
    // SAFETY: the caller's promise.
    handles::held(unsafe { unwrap(env, value) }?)
}

/// # Safety
/// `env` and `value` must be live.
unsafe fn unwrap(env: sys::napi_env, value: sys::napi_value) -> Result<Word> {
    let mut word = null_mut();
    // SAFETY: the caller's promise; what is not a wrapper is refused by the call.
    match unsafe { sys::napi_unwrap(env, value, &mut word) } {
        sys::Status::napi_ok => Ok(word),
        // SAFETY: as above.
        _ => Err(handles::not_ours(&unsafe { kind(env, value) })),
    }
}

/// One call of a method, with up to two arguments; those that were not passed are undefined.
struct Call {
    env: Env,
    this: Word,
    args: [sys::napi_value; 2],
}

impl Call {
    fn tensor(&self) -> Result<Tensor> {
        handles::held(self.this)
    }

    fn arg<T: FromNapiValue>(&self, at: usize) -> napi::Result<T> {
        // SAFETY: the values came with the call that we are in.
        unsafe { T::from_napi_value(self.env.raw(), self.args[at]) }
    }
}

/// Unpacks a call, runs `method`, and hands over its result or throws its error.
///
/// # Safety
/// Both must be what Node passed to the callback.
unsafe fn invoke<T: ToNapiValue>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    method: impl FnOnce(&Call) -> napi::Result<T>,
) -> sys::napi_value {
    let run = || {
        let (mut this, mut count, mut args) = (null_mut(), 2, [null_mut(); 2]);
        // SAFETY: the caller's promise; there is room for the two arguments asked for.
        unsafe {
            check_status!(sys::napi_get_cb_info(env, info, &mut count, args.as_mut_ptr(), &mut this, null_mut()))?;
            let this = unwrap(env, this).map_err(thrown)?;
            T::to_napi_value(env, method(&Call { env: Env::from_raw(env), this, args })?)
        }
    };
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| Err(crate::boundary::panicked(payload)));
    result.unwrap_or_else(|error| {
        // SAFETY: a live environment, with no exception pending.
        unsafe { JsError::from(error).throw_into(env) };
        null_mut()
    })
}

/// Makes `napi_property_descriptor`s of Rust closures.
macro_rules! members {
    ($( $kind:ident $name:literal => $body:expr; )*) => { [ $( {
        unsafe extern "C" fn member(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
            // SAFETY: Node calls this with live pointers.
            unsafe { invoke(env, info, $body) }
        }
        members!(@ $kind $name member)
    } ),* ] };
    (@ get $name:literal $member:ident) => { descriptor($name, None, Some($member)) };
    (@ method $name:literal $member:ident) => { descriptor($name, Some($member), None) };
}

fn descriptor(
    name: &'static std::ffi::CStr,
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

fn wrap(tensor: Tensor) -> EngineTensor {
    EngineTensor(tensor)
}

fn with<T>(call: &Call, look: impl FnOnce(&Tensor) -> T) -> napi::Result<T> {
    call.tensor().map(|tensor| look(&tensor)).map_err(thrown)
}

unsafe extern "C" fn construct(_env: sys::napi_env, _info: sys::napi_callback_info) -> sys::napi_value {
    // Whoever makes one in JavaScript gets an object without a tensor, which every method refuses.
    null_mut()
}

/// Defines the class and exports it.
pub(crate) fn register(exports: &mut Object<'_>, env: &Env) -> napi::Result<()> {
    let members = members! {
        get c"shape" => |call| with(call, |t| t.dims().iter().map(|&d| d as f64).collect::<Vec<_>>());
        get c"dtype" => |call| with(call, |t| t.dtype().name());
        get c"device" => |call| with(call, Tensor::device_name);
        get c"requiresGrad" => |call| with(call, Tensor::requires_grad);
        get c"isLeaf" => |call| with(call, Tensor::is_leaf);
        get c"gradFn" => |call| with(call, Tensor::grad_fn);
        get c"isDisposed" => |call| Ok(handles::is_disposed(call.this));
        method c"toBits" => |call| boundary(&call.env, || {
            TypedArray::of(call.tensor()?)
        });
        method c"requiringGrad" => |call| boundary(&call.env, || call.tensor()?.requiring_grad().map(wrap));
        method c"detach" => |call| boundary(&call.env, || Ok(wrap(call.tensor()?.detach()?)));
        method c"share" => |call| boundary(&call.env, || call.tensor().map(wrap));
        method c"grad" => |call| boundary(&call.env, || Ok(call.tensor()?.grad()?.map(wrap)));
        method c"setGrad" => |call| {
            let MaybeTensor(grad) = call.arg(0)?;
            boundary(&call.env, || call.tensor()?.set_grad(grad.as_ref()))
        };
        method c"retainGrad" => |call| boundary(&call.env, || call.tensor()?.retain_grad());
        method c"assign" => |call| {
            let TensorArg(value) = call.arg(0)?;
            boundary(&call.env, || call.tensor()?.assign(&value))
        };
        method c"backward" => |call| {
            let (MaybeTensor(seed), Flag(retain_graph)) = (call.arg(0)?, call.arg(1)?);
            boundary_making(&call.env, || call.tensor()?.backward(seed.as_ref(), BackwardOptions { retain_graph }))
        };
        method c"to" => |call| {
            let Text(device) = call.arg(0)?;
            boundary_making(&call.env, || call.tensor()?.to_device(&device_from_name(&device)?).map(wrap))
        };
        method c"display" => |call| boundary(&call.env, || call.tensor()?.display());
        method c"dispose" => |call| {
            drop(handles::dispose(call.this));
            memory::report(&call.env);
            Ok(())
        };
    };
    let name = c"EngineTensor";
    let mut class = null_mut();
    // SAFETY: a live environment; names and callbacks are static, and the length is the list's.
    unsafe {
        check_status!(sys::napi_define_class(
            env.raw(),
            name.as_ptr(),
            name.count_bytes() as isize,
            Some(construct),
            null_mut(),
            members.len(),
            members.as_ptr(),
            &mut class,
        ))?;
        check_status!(sys::napi_set_named_property(env.raw(), exports.raw(), name.as_ptr(), class))?;
    }
    CLASS.with(|kept| kept.set(env, class))
}

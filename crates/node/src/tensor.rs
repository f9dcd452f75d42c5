//! The class `EngineTensor`: a wrapper that holds one tensor until it is disposed or collected. One is made for every
//! result of every operation and for every hook.

use crate::args::{Flag, Text, Whole, argument, list};
use crate::bits::TypedArray;
use crate::boundary::{boundary, boundary_making, thrown};
use crate::class::{self, Call, Class, members};
use crate::handles::{self, Held, Table};
use crate::memory;
use crate::persistent::Persistent;
use hooklens_core::{BackwardOptions, Result, Tensor, device::device_from_name};
use napi::bindgen_prelude::{FromNapiValue, Object, ToNapiValue};
use napi::{Env, check_status, sys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::thread::LocalKey;

thread_local! {
    static TENSORS: RefCell<Table<Tensor>> = RefCell::default();
    static CLASS: Persistent = const { Persistent::new() };
    static SHAPES: Shapes = Shapes::default();
}

impl Held for Tensor {
    const WHAT: &'static str = "tensor";
    const MARK: u64 = 0x7e45_0000_0000_0000;
    fn table() -> &'static LocalKey<RefCell<Table<Self>>> {
        &TENSORS
    }
}

impl Class for Tensor {
    const NAME: &'static CStr = c"EngineTensor";
    fn constructor() -> &'static LocalKey<Persistent> {
        &CLASS
    }
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
        // SAFETY: the caller's promise.
        unsafe { class::instance(env, tensor) }
    }
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
    handles::held(unsafe { class::unwrap::<Tensor>(env, value) }?)
}

fn wrap(tensor: Tensor) -> EngineTensor {
    EngineTensor(tensor)
}

fn with<T>(call: &Call<Tensor>, look: impl FnOnce(&Tensor) -> T) -> napi::Result<T> {
    call.value().map(|tensor| look(&tensor)).map_err(thrown)
}

/// Shapes as JavaScript sees them: arrays are costly to make, and a run has few shapes. They are frozen, hence shared.
#[derive(Default)]
struct Shapes(RefCell<HashMap<Box<[usize]>, Persistent>>);

impl Shapes {
    /// More shapes than this are those of a program that never has the same twice.
    const MANY: usize = 256;

    fn get(&self, env: &Env, dims: &[usize]) -> napi::Result<sys::napi_value> {
        if let Some(shape) = self.0.borrow().get(dims).and_then(|kept| kept.get(env.raw())) {
            return Ok(shape);
        }
        let sizes: Vec<f64> = dims.iter().map(|&d| d as f64).collect();
        // SAFETY: a live environment, and an array that was just made in it.
        let shape = unsafe {
            let shape = Vec::to_napi_value(env.raw(), sizes)?;
            check_status!(sys::napi_object_freeze(env.raw(), shape))?;
            shape
        };
        let mut kept = self.0.borrow_mut();
        if kept.len() < Self::MANY {
            kept.entry(dims.into()).or_insert_with(Persistent::new).set(env, shape)?;
        }
        Ok(shape)
    }
}

/// A value of JavaScript's own.
struct Value(sys::napi_value);

impl ToNapiValue for Value {
    unsafe fn to_napi_value(_env: sys::napi_env, Self(value): Self) -> napi::Result<sys::napi_value> {
        Ok(value)
    }
}

/// Defines the class and exports it.
pub(crate) fn register(exports: &mut Object<'_>, env: &Env) -> napi::Result<()> {
    let members = members! { Tensor:
        get c"shape" => |call| {
            let tensor = call.value().map_err(thrown)?;
            SHAPES.with(|shapes| shapes.get(&call.env, tensor.dims())).map(Value)
        };
        get c"dtype" => |call| with(call, |t| t.dtype().name());
        get c"device" => |call| with(call, Tensor::device_name);
        get c"requiresGrad" => |call| with(call, Tensor::requires_grad);
        get c"isLeaf" => |call| with(call, Tensor::is_leaf);
        get c"gradFn" => |call| with(call, Tensor::grad_fn);
        get c"isDisposed" => |call| Ok(handles::is_disposed::<Tensor>(call.this));
        method c"toBits" => |call| boundary(&call.env, || {
            TypedArray::of(call.value()?)
        });
        method c"requiringGrad" => |call| boundary(&call.env, || call.value()?.requiring_grad().map(wrap));
        method c"detach" => |call| boundary(&call.env, || Ok(wrap(call.value()?.detach()?)));
        method c"share" => |call| boundary(&call.env, || call.value().map(wrap));
        method c"grad" => |call| boundary(&call.env, || Ok(call.value()?.grad()?.map(wrap)));
        method c"setGrad" => |call| {
            let MaybeTensor(grad) = call.arg(0)?;
            boundary(&call.env, || call.value()?.set_grad(grad.as_ref()))
        };
        method c"retainGrad" => |call| boundary(&call.env, || call.value()?.retain_grad());
        method c"assign" => |call| {
            let TensorArg(value) = call.arg(0)?;
            boundary(&call.env, || call.value()?.assign(&value))
        };
        method c"backward" => |call| {
            let (MaybeTensor(seed), Flag(retain_graph)) = (call.arg(0)?, call.arg(1)?);
            boundary_making(&call.env, || call.value()?.backward(seed.as_ref(), BackwardOptions { retain_graph }))
        };
        method c"to" => |call| {
            let Text(device) = call.arg(0)?;
            boundary_making(&call.env, || call.value()?.to_device(&device_from_name(&device)?).map(wrap))
        };
        method c"display" => |call| {
            let threshold: Option<Whole> = call.arg(0)?;
            boundary(&call.env, || call.value()?.display(threshold.map(|Whole(elements)| elements)))
        };
        method c"dispose" => |call| {
            drop(handles::dispose::<Tensor>(call.this));
            memory::report(&call.env);
            Ok(())
        };
    };
    class::define::<Tensor>(exports, env, &members)
}

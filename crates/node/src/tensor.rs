//! The class `EngineTensor`: a handle that owns one reference to a tensor until it is disposed or collected.

use crate::args::{Flag, Text, argument, kind, list};
use crate::bits::TypedArray;
use crate::boundary::{boundary, invalid, thrown};
use crate::memory;
use hooklens_core::{BackwardOptions, Error, Result, Tensor, device::device_from_name};
use napi::Env;
use napi::bindgen_prelude::{FromNapiRef, FromNapiValue, ObjectFinalize};
use napi::sys;
use napi_derive::napi;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// See `EngineTensor` in `ts/engine/engine.ts`.
#[napi(custom_finalize)]
pub struct EngineTensor {
    inner: RefCell<Option<Counted>>,
}

/// Handles that own a tensor.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// A tensor that counts in [`live_tensors`].
struct Counted(Tensor);

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Relaxed);
    }
}

/// Handles that are neither disposed nor collected.
#[napi]
pub fn live_tensors() -> f64 {
    LIVE.load(Relaxed) as f64
}

impl From<Tensor> for EngineTensor {
    fn from(tensor: Tensor) -> Self {
        LIVE.fetch_add(1, Relaxed);
        Self { inner: RefCell::new(Some(Counted(tensor))) }
    }
}

impl ObjectFinalize for EngineTensor {
    fn finalize(self, env: Env) -> napi::Result<()> {
        drop(self);
        memory::report_freed(&env);
        Ok(())
    }
}

impl EngineTensor {
    /// The tensor, unless it was disposed.
    pub(crate) fn get(&self) -> Result<Tensor> {
        self.inner
            .borrow()
            .as_ref()
            .map(|counted| counted.0.clone())
            .ok_or_else(|| Error::Disposed { what: "tensor".into() })
    }

    fn with<T>(&self, look: impl FnOnce(&Tensor) -> T) -> napi::Result<T> {
        self.get().map(|tensor| look(&tensor)).map_err(thrown)
    }
}

argument!(TensorArg, Tensors, MaybeTensor);

/// A tensor that JavaScript passed.
pub struct TensorArg(pub(crate) Tensor);

impl FromNapiValue for TensorArg {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: napi passes a live environment and value; the class is checked before the pointer is used.
        let handle = unsafe { EngineTensor::from_napi_ref(env, value) }
            .map_err(|_| invalid("engine", format!("expected a tensor of this engine, got {}", kind(env, value))))?;
        handle.get().map(Self).map_err(thrown)
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
            napi::check_status!(sys::napi_typeof(env, value, &mut of))?;
            if of == sys::ValueType::napi_null || of == sys::ValueType::napi_undefined {
                return Ok(Self(None));
            }
            TensorArg::from_napi_value(env, value).map(|t| Self(Some(t.0)))
        }
    }
}

#[napi]
impl EngineTensor {
    #[napi(getter)]
    pub fn shape(&self) -> napi::Result<Vec<f64>> {
        self.with(|t| t.dims().iter().map(|&d| d as f64).collect())
    }

    #[napi(getter)]
    pub fn dtype(&self) -> napi::Result<&'static str> {
        self.with(|t| t.dtype().name())
    }

    #[napi(getter)]
    pub fn device(&self) -> napi::Result<String> {
        self.with(Tensor::device_name)
    }

    #[napi(getter)]
    pub fn requires_grad(&self) -> napi::Result<bool> {
        self.with(Tensor::requires_grad)
    }

    #[napi(getter)]
    pub fn is_leaf(&self) -> napi::Result<bool> {
        self.with(Tensor::is_leaf)
    }

    #[napi(getter)]
    pub fn grad_fn(&self) -> napi::Result<Option<&'static str>> {
        self.with(Tensor::grad_fn)
    }

    #[napi(getter)]
    pub fn is_disposed(&self) -> bool {
        self.inner.borrow().is_none()
    }

    #[napi]
    pub fn to_bits(&self, env: Env) -> napi::Result<TypedArray> {
        boundary(&env, || {
            let tensor = self.get()?;
            hooklens_core::memory::require(tensor.byte_size())?;
            Ok(TypedArray(tensor))
        })
    }

    #[napi]
    pub fn requiring_grad(&self, env: Env) -> napi::Result<Self> {
        boundary(&env, || self.get()?.requiring_grad().map(Self::from))
    }

    #[napi]
    pub fn detach(&self, env: Env) -> napi::Result<Self> {
        boundary(&env, || Ok(self.get()?.detach().into()))
    }

    #[napi]
    pub fn grad(&self, env: Env) -> napi::Result<Option<Self>> {
        boundary(&env, || Ok(self.get()?.grad()?.map(Self::from)))
    }

    #[napi]
    pub fn set_grad(&self, env: Env, grad: MaybeTensor) -> napi::Result<()> {
        boundary(&env, || self.get()?.set_grad(grad.0.as_ref()))
    }

    #[napi]
    pub fn retain_grad(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || self.get()?.retain_grad())
    }

    #[napi]
    pub fn assign(&self, env: Env, value: TensorArg) -> napi::Result<()> {
        boundary(&env, || self.get()?.assign(&value.0))
    }

    #[napi]
    pub fn backward(&self, env: Env, seed: MaybeTensor, retain_graph: Flag) -> napi::Result<()> {
        boundary(&env, || self.get()?.backward(seed.0.as_ref(), BackwardOptions { retain_graph: retain_graph.0 }))
    }

    #[napi]
    pub fn to(&self, env: Env, device: Text) -> napi::Result<Self> {
        boundary(&env, || self.get()?.to_device(&device_from_name(&device.0)?).map(Self::from))
    }

    #[napi]
    pub fn display(&self, env: Env) -> napi::Result<String> {
        boundary(&env, || self.get()?.display())
    }

    #[napi]
    pub fn share(&self, env: Env) -> napi::Result<Self> {
        boundary(&env, || self.get().map(Self::from))
    }

    #[napi]
    pub fn dispose(&self, env: Env) {
        drop(self.inner.take());
        memory::report(&env);
    }
}

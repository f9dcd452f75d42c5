//! The class `EngineKvCache`: keys and values of tokens that were seen.

use crate::args::{Flag, Whole};
use crate::boundary::{boundary, boundary_making};
use crate::tensor::EngineTensor;
use hooklens_core::models::KvCache;
use hooklens_core::{Error, Result};
use napi::Env;
use napi_derive::napi;
use std::cell::RefCell;

#[napi]
pub struct EngineKvCache {
    /// Nothing once it is disposed.
    inner: RefCell<Option<KvCache>>,
}

/// The copied rows of a layer.
#[napi(object, object_from_js = false)]
pub struct KvLayer {
    pub keys: EngineTensor,
    pub values: EngineTensor,
}

impl EngineKvCache {
    pub(crate) fn of(cache: KvCache) -> Self {
        Self { inner: RefCell::new(Some(cache)) }
    }

    pub(crate) fn cache(&self) -> Result<KvCache> {
        self.inner.borrow().clone().ok_or_else(|| Error::Disposed { what: "KV cache".into() })
    }
}

#[napi]
impl EngineKvCache {
    #[napi(getter)]
    pub fn batch(&self, env: Env) -> napi::Result<f64> {
        boundary(&env, || Ok(self.cache()?.batch() as f64))
    }

    #[napi(getter)]
    pub fn length(&self, env: Env) -> napi::Result<f64> {
        boundary(&env, || Ok(self.cache()?.len() as f64))
    }

    #[napi(getter)]
    pub fn capacity(&self, env: Env) -> napi::Result<f64> {
        boundary(&env, || Ok(self.cache()?.capacity() as f64))
    }

    #[napi(getter)]
    pub fn byte_size(&self) -> f64 {
        self.cache().map_or(0.0, |cache| cache.byte_size() as f64)
    }

    #[napi(getter)]
    pub fn frozen(&self, env: Env) -> napi::Result<bool> {
        boundary(&env, || Ok(self.cache()?.is_frozen()))
    }

    #[napi]
    pub fn set_frozen(&self, env: Env, frozen: Flag) -> napi::Result<()> {
        boundary(&env, || {
            self.cache()?.set_frozen(frozen.0);
            Ok(())
        })
    }

    #[napi]
    pub fn clear(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || self.cache()?.clear())
    }

    #[napi]
    pub fn layer(&self, env: Env, layer: Whole) -> napi::Result<KvLayer> {
        boundary_making(&env, || {
            let (keys, values) = self.cache()?.layer(layer.0)?;
            Ok(KvLayer { keys: keys.into(), values: values.into() })
        })
    }

    #[napi]
    pub fn attention_mask(&self, env: Env) -> napi::Result<EngineTensor> {
        boundary_making(&env, || self.cache()?.attention_mask().map(EngineTensor::from))
    }

    #[napi]
    pub fn dispose(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || {
            drop(self.inner.take());
            Ok(())
        })
    }
}

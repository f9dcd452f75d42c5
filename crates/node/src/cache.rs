//! The class `EngineCache`: captured activations by key.

use crate::args::Text;
use crate::boundary::boundary;
use crate::tensor::{EngineTensor, TensorArg};
use hooklens_core::hooks::CacheStore;
use napi::Env;
use napi_derive::napi;

#[napi]
pub struct EngineCache {
    pub(crate) inner: CacheStore,
}

#[napi]
pub fn create_cache() -> EngineCache {
    EngineCache { inner: CacheStore::new() }
}

#[napi]
impl EngineCache {
    #[napi]
    pub fn keys(&self, env: Env) -> napi::Result<Vec<String>> {
        boundary(&env, || Ok(self.inner.keys()))
    }

    #[napi]
    pub fn get(&self, env: Env, key: Text) -> napi::Result<Option<EngineTensor>> {
        boundary(&env, || Ok(self.inner.get(&key.0).map(EngineTensor::from)))
    }

    #[napi]
    pub fn set(&self, env: Env, key: Text, value: TensorArg) -> napi::Result<()> {
        boundary(&env, || self.inner.set(&key.0, &value.0))
    }

    #[napi]
    pub fn delete(&self, env: Env, key: Text) -> napi::Result<bool> {
        boundary(&env, || Ok(self.inner.delete(&key.0)))
    }

    #[napi]
    pub fn clear(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || {
            self.inner.clear();
            Ok(())
        })
    }

    #[napi(getter)]
    pub fn byte_size(&self) -> f64 {
        self.inner.byte_size() as f64
    }
}

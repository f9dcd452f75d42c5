//! The class `EngineLoading`: a model that is read on another thread.

use crate::boundary::{boundary_making, caught, thrown};
use crate::memory as reported;
use crate::model::{EngineModel, Placement};
use hooklens_core::models::{LoadOptions, LoadProgress, Model};
use hooklens_core::{Error, Result, memory};
use napi::Env;
use napi::bindgen_prelude::{AsyncTask, Task};
use napi_derive::napi;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[napi]
pub struct EngineLoading {
    directory: PathBuf,
    placement: Placement,
    progress: Arc<LoadProgress>,
}

/// Bytes of weights.
#[napi(object, object_from_js = false)]
pub struct LoadedBytes {
    pub done: f64,
    pub total: f64,
}

impl EngineLoading {
    pub(crate) fn new(directory: &str, placement: Placement) -> Self {
        Self { directory: directory.into(), placement, progress: Arc::default() }
    }
}

#[napi]
impl EngineLoading {
    #[napi]
    pub fn progress(&self) -> LoadedBytes {
        let (done, total) = self.progress.bytes();
        LoadedBytes { done: done as f64, total: total as f64 }
    }

    #[napi]
    pub fn cancel(&self) {
        self.progress.cancel();
    }

    #[napi]
    pub fn finish(&self) -> AsyncTask<Load> {
        AsyncTask::new(Load {
            directory: self.directory.clone(),
            placement: self.placement.clone(),
            progress: self.progress.clone(),
        })
    }
}

/// A load on its way.
pub struct Load {
    directory: PathBuf,
    placement: Placement,
    progress: Arc<LoadProgress>,
}

impl Load {
    fn load(&self) -> Result<Model> {
        let options = LoadOptions { progress: self.progress.clone(), ..self.placement.options()? };
        Model::load(Path::new(&self.directory), &options)
    }
}

impl Task for Load {
    /// The model, and the bytes that were taken for it.
    type Output = (Result<Model>, isize);
    type JsValue = EngineModel;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(memory::unowned(|| caught(|| self.load())))
    }

    fn resolve(&mut self, env: Env, (model, bytes): Self::Output) -> napi::Result<EngineModel> {
        memory::adopt(bytes);
        match model {
            Ok(model) => boundary_making(&env, || Ok(EngineModel::of(model))),
            Err(error) => {
                if let Error::MemoryLimit { requested, .. } = error {
                    // Whoever asked may try again.
                    reported::collect(&env, requested);
                }
                Err(thrown(error))
            }
        }
    }
}

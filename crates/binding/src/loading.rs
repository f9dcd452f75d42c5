//! The class `EngineLoading`: a model that is read where it holds nobody up.

use crate::boundary::{caught, collect, keep_limit};
use crate::class::{Call, Member, members};
use crate::handles::holds;
use crate::js::Js;
use crate::model::{HeldModel, Placement};
use crate::results::{Own, ToJs, object};
use hooklens_core::models::{LoadOptions, LoadProgress, Model};
use hooklens_core::{Error, Result, memory};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct HeldLoading(Arc<Loading>);

struct Loading {
    directory: PathBuf,
    placement: Placement,
    progress: Arc<LoadProgress>,
}

holds!(HeldLoading, Loading, "loading");

/// Bytes of weights.
pub(crate) struct LoadedBytes {
    done: f64,
    total: f64,
}
object!(LoadedBytes: c"done" => done, c"total" => total,);

impl From<&LoadProgress> for LoadedBytes {
    fn from(progress: &LoadProgress) -> Self {
        let (done, total) = progress.bytes();
        Self { done: done as f64, total: total as f64 }
    }
}

impl HeldLoading {
    pub(crate) fn new<J: Js, T>(call: &Call<'_, J, T>) -> Result<Self> {
        let (directory, placement) = (call.arg::<String>(0)?.into(), Placement::of::<J>(&call.arg(1)?)?);
        Ok(Self(Arc::new(Loading { directory, placement, progress: Arc::default() })))
    }
}

impl Loading {
    fn load(&self) -> Result<Model> {
        let options = LoadOptions { progress: self.progress.clone(), ..self.placement.options()? };
        Model::load(&self.directory, &options)
    }
}

/// What becomes of a model that was read, and of the bytes that were taken for it.
pub(crate) fn settle<J: Js>(js: J, (model, bytes): (Result<Model>, isize)) -> Result<J::Value> {
    memory::adopt(bytes);
    js.report();
    match model {
        Ok(model) => {
            keep_limit(js)?;
            HeldModel::of(model).to_js(js)
        }
        Err(error) => {
            if let Error::MemoryLimit { requested, .. } = error {
                // Whoever asked may try again.
                collect(js, requested);
            }
            Err(error)
        }
    }
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HeldLoading:
        fun Look c"progress" => |call| Ok(LoadedBytes::from(call.value()?.0.progress.as_ref()));
        fun Look c"cancel" => |call| {
            call.value()?.0.progress.cancel();
            Ok(())
        };
        fun Look c"finish" => |call| {
            let HeldLoading(loading) = call.value()?;
            let work = move || memory::unowned(|| caught(|| loading.load()));
            call.js.promise(work, |js, outcome| caught(|| settle(js, outcome))).map(Own)
        };
    }
}

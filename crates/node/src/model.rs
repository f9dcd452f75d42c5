//! The classes `EngineModel` and `EngineRun`: a transformer, and one forward of it in progress.

use crate::args::{Flag, Int, List, Text, Whole};
use crate::boundary::{boundary, boundary_making, boundary_pure, thrown};
use crate::fields::Fields;
use crate::generation::{self, EngineGeneration};
use crate::kv_cache::EngineKvCache;
use crate::loading::EngineLoading;
use crate::registry::EngineRegistry;
use crate::tensor::{EngineTensor, TensorArg};
use hooklens_core::device::device_from_name;
use hooklens_core::hooks::HookRegistry;
use hooklens_core::models::{ForwardRequest, ForwardResult, LoadOptions, Model, ModelConfig, ReturnType, Run};
use hooklens_core::weights::{Step, Steps};
use hooklens_core::{DType, Error, Result, Tensor};
use napi::Env;
use napi::bindgen_prelude::ClassInstance;
use napi_derive::napi;
use std::cell::RefCell;

#[napi]
pub struct EngineModel {
    /// Nothing once it is disposed.
    inner: RefCell<Option<Model>>,
    /// What is known of the hooks outlives the weights.
    registry: HookRegistry,
}

impl EngineModel {
    pub(crate) fn of(model: Model) -> Self {
        Self { registry: model.registry().clone(), inner: RefCell::new(Some(model)) }
    }

    /// The model, shared: a call that is running keeps it to its end, also if a hook disposes it.
    fn model(&self) -> Result<Model> {
        self.inner.borrow().clone().ok_or_else(|| Error::Disposed { what: "model".into() })
    }
}

/// What was done to a model's weights.
#[napi(object, object_from_js = false)]
pub struct Processing {
    pub done: Vec<&'static str>,
    pub notices: Vec<String>,
}

#[napi]
pub struct EngineRun {
    /// Nothing once it is finished.
    inner: RefCell<Option<Run>>,
}

/// What a forward gave; null where it was not asked for.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct ForwardOutput {
    pub logits: Option<EngineTensor>,
    pub loss: Option<EngineTensor>,
    pub residual: Option<EngineTensor>,
}

impl From<ForwardResult> for ForwardOutput {
    fn from(ForwardResult { logits, loss, residual }: ForwardResult) -> Self {
        let wrap = |tensor: Option<Tensor>| tensor.map(EngineTensor::from);
        Self { logits: wrap(logits), loss: wrap(loss), residual: wrap(residual) }
    }
}

/// What a model is made as.
#[derive(Clone)]
pub(crate) struct Placement {
    dtype: Option<DType>,
    device: Option<String>,
    process: Steps,
    first_n_layers: Option<usize>,
    n_ctx: Option<usize>,
}

fn placement(fields: &Fields) -> napi::Result<Placement> {
    let dtype = fields.optional::<Text>(c"dtype")?;
    Ok(Placement {
        dtype: dtype.map(|Text(name)| DType::from_name(&name)).transpose().map_err(thrown)?,
        device: fields.optional::<Text>(c"device")?.map(|Text(name)| name),
        process: fields.optional::<List<Text>>(c"process")?.map_or(Ok(Steps::default()), steps)?,
        first_n_layers: fields.optional::<Whole>(c"firstNLayers")?.map(|Whole(n)| n),
        n_ctx: fields.optional::<Whole>(c"nCtx")?.map(|Whole(n)| n),
    })
}

/// The steps of these names.
fn steps(names: List<Text>) -> napi::Result<Steps> {
    names.0.iter().map(|Text(name)| Step::from_name(name)).collect::<Result<_>>().map_err(thrown)
}

impl Placement {
    pub(crate) fn options(&self) -> Result<LoadOptions> {
        let default = LoadOptions::default();
        Ok(LoadOptions {
            dtype: self.dtype.unwrap_or(default.dtype),
            device: self.device.as_deref().map(device_from_name).transpose()?.unwrap_or(default.device),
            process: self.process,
            first_n_layers: self.first_n_layers,
            n_ctx: self.n_ctx,
            progress: default.progress,
        })
    }
}

#[napi]
pub fn start_loading(directory: Text, options: Fields) -> napi::Result<EngineLoading> {
    Ok(EngineLoading::new(&directory.0, placement(&options)?))
}

#[napi]
pub fn create_model(env: Env, config_json: Text, options: Fields) -> napi::Result<EngineModel> {
    let options = placement(&options)?;
    boundary_pure(&env, || {
        let json = serde_json::from_str(&config_json.0).map_err(|e| Error::InvalidArgument {
            op: "createModel",
            detail: format!("the config is not JSON: {e}"),
        })?;
        let mut config = ModelConfig::from_json(&json)?;
        config.dtype = options.dtype.unwrap_or(config.dtype);
        Model::new_random(config, &options.options()?.device).map(EngineModel::of)
    })
}

fn request(fields: &Fields) -> napi::Result<ForwardRequest> {
    let tensor = |name| Ok::<_, napi::Error>(fields.optional::<TensorArg>(name)?.map(|TensorArg(tensor)| tensor));
    let int = |name| Ok::<_, napi::Error>(fields.optional::<Int>(name)?.map(|Int(i)| i));
    Ok(ForwardRequest {
        input: fields.required::<TensorArg>(c"input")?.0,
        return_type: ReturnType::from_name(&fields.required::<Text>(c"returnType")?.0).map_err(thrown)?,
        loss_per_token: fields.optional::<Flag>(c"lossPerToken")?.is_some_and(|Flag(on)| on),
        start_at_layer: int(c"startAtLayer")?,
        stop_at_layer: int(c"stopAtLayer")?,
        tokens: tensor(c"tokens")?,
        attention_mask: tensor(c"attentionMask")?,
        cache: fields
            .optional::<ClassInstance<'_, EngineKvCache>>(c"kvCache")?
            .map(|cache| cache.cache())
            .transpose()
            .map_err(thrown)?,
        last_position_only: false,
    })
}

#[napi]
impl EngineModel {
    #[napi]
    pub fn config_json(&self, env: Env) -> napi::Result<String> {
        boundary(&env, || Ok(self.model()?.config().to_json().to_string()))
    }

    #[napi]
    pub fn registry(&self) -> EngineRegistry {
        EngineRegistry::of(self.registry.clone())
    }

    #[napi]
    pub fn forward(&self, env: Env, asked: Fields) -> napi::Result<ForwardOutput> {
        let asked = request(&asked)?;
        boundary_making(&env, || self.model()?.forward(asked).map(ForwardOutput::from))
    }

    #[napi]
    pub fn start(&self, env: Env, asked: Fields) -> napi::Result<EngineRun> {
        let asked = request(&asked)?;
        boundary_making(&env, || Ok(EngineRun { inner: RefCell::new(Some(self.model()?.start(asked)?)) }))
    }

    #[napi]
    pub fn create_kv_cache(&self, env: Env, batch: Whole, capacity: Option<Whole>) -> napi::Result<EngineKvCache> {
        let capacity = capacity.map(|Whole(n)| n);
        boundary(&env, || self.model()?.new_cache(batch.0, capacity).map(EngineKvCache::of))
    }

    #[napi]
    pub fn generate(&self, env: Env, asked: Fields) -> napi::Result<EngineGeneration> {
        let asked = generation::request(&asked)?;
        boundary_making(&env, || self.model()?.generate(asked).map(EngineGeneration::of))
    }

    #[napi]
    pub fn parameter_names(&self, env: Env) -> napi::Result<Vec<String>> {
        boundary(&env, || Ok(self.model()?.parameter_names()))
    }

    #[napi]
    pub fn parameter(&self, env: Env, name: Text) -> napi::Result<EngineTensor> {
        boundary(&env, || self.model()?.parameter(&name.0).map(EngineTensor::from))
    }

    #[napi]
    pub fn load_parameters(&self, env: Env, tensors: List<Fields>) -> napi::Result<()> {
        let named = named_tensors(&tensors)?.into_iter().collect();
        boundary(&env, || self.model()?.load_state_dict(&named))
    }

    #[napi]
    pub fn set_trainable(&self, env: Env, on: Flag) -> napi::Result<()> {
        boundary(&env, || self.model()?.set_trainable(on.0))
    }

    #[napi]
    pub fn process(&self, env: Env, asked: List<Text>) -> napi::Result<()> {
        let asked = steps(asked)?;
        boundary_pure(&env, || {
            let processed = self.model()?.processed(asked)?;
            self.inner.replace(Some(processed));
            Ok(())
        })
    }

    #[napi]
    pub fn processing(&self, env: Env) -> napi::Result<Processing> {
        boundary(&env, || {
            let model = self.model()?;
            Ok(Processing {
                done: model.processing().iter().map(Step::name).collect(),
                notices: model.notices().to_vec(),
            })
        })
    }

    #[napi]
    pub fn dispose(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || {
            drop(self.inner.take());
            Ok(())
        })
    }
}

/// The items of a list of `{ name, tensor }`.
pub(crate) fn named_tensors(tensors: &List<Fields>) -> napi::Result<Vec<(String, Tensor)>> {
    let pair = |fields: &Fields| Ok((fields.required::<Text>(c"name")?.0, fields.required::<TensorArg>(c"tensor")?.0));
    tensors.0.iter().map(pair).collect()
}

#[napi]
impl EngineRun {
    #[napi]
    pub fn step(&self, env: Env) -> napi::Result<bool> {
        boundary_making(&env, || {
            // Out of its place while it runs: its hooks may reach this object, and a run that failed must not go on.
            let mut run = self.take()?;
            let more = run.step()?;
            self.inner.replace(Some(run));
            Ok(more)
        })
    }

    #[napi]
    pub fn finish(&self, env: Env) -> napi::Result<ForwardOutput> {
        boundary_making(&env, || self.take()?.finish().map(ForwardOutput::from))
    }

    #[napi]
    pub fn end(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || {
            drop(self.inner.take());
            Ok(())
        })
    }
}

impl EngineRun {
    fn take(&self) -> Result<Run> {
        self.inner.take().ok_or_else(|| Error::InvalidArgument {
            op: "forward",
            detail: "this run has finished, failed, or is running now".into(),
        })
    }
}

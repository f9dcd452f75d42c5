//! The class `EngineModel`: a transformer.

use crate::callbacks::shared;
use crate::class::{Call, Member, members};
use crate::fields::Fields;
use crate::files::named_tensors;
use crate::generation::{self, HeldGeneration};
use crate::handles::holds;
use crate::js::Js;
use crate::kv_cache::HeldKvCache;
use crate::results::object;
use crate::run::{ForwardOutput, HeldRun};
use hooklens_core::device::device_from_name;
use hooklens_core::hooks::HookRegistry;
use hooklens_core::models::{ForwardRequest, LoadOptions, Model, ModelConfig, ReturnType};
use hooklens_core::weights::{Step, Steps};
use hooklens_core::{DType, Error, Result};
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone)]
pub(crate) struct HeldModel(Rc<Place>);

struct Place {
    /// Nothing once it is disposed.
    model: RefCell<Option<Model>>,
    /// What is known of the hooks outlives the weights.
    registry: HookRegistry,
}

holds!(HeldModel, Model, "model");

impl HeldModel {
    pub(crate) fn of(model: Model) -> Self {
        Self(Rc::new(Place { registry: model.registry().clone(), model: RefCell::new(Some(model)) }))
    }

    /// The model, shared: a call that is running keeps it to its end, also if a hook disposes it.
    fn model(&self) -> Result<Model> {
        self.0.model.borrow().clone().ok_or_else(|| Error::Disposed { what: "model".into() })
    }
}

/// What was done to a model's weights.
struct Processing {
    done: Vec<&'static str>,
    notices: Vec<String>,
}
object!(Processing: c"done" => done, c"notices" => notices,);

/// What a model is made as.
#[derive(Clone)]
pub(crate) struct Placement {
    dtype: Option<DType>,
    device: Option<String>,
    process: Steps,
    first_n_layers: Option<usize>,
    n_ctx: Option<usize>,
}

/// The steps of these names.
fn steps(names: &[String]) -> Result<Steps> {
    names.iter().map(|name| Step::from_name(name)).collect()
}

impl Placement {
    pub(crate) fn of<J: Js>(fields: &Fields<J>) -> Result<Self> {
        let dtype = fields.optional::<String>(c"dtype")?;
        Ok(Self {
            dtype: dtype.map(|name| DType::from_name(&name)).transpose()?,
            device: fields.optional(c"device")?,
            process: fields.optional::<Vec<String>>(c"process")?.map_or(Ok(Steps::default()), |names| steps(&names))?,
            first_n_layers: fields.optional(c"firstNLayers")?,
            n_ctx: fields.optional(c"nCtx")?,
        })
    }

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

pub(crate) fn create<J: Js, T>(call: &Call<'_, J, T>) -> Result<HeldModel> {
    let (config, options) = (call.arg::<String>(0)?, Placement::of::<J>(&call.arg(1)?)?);
    let json = serde_json::from_str(&config)
        .map_err(|e| Error::InvalidArgument { op: "createModel", detail: format!("the config is not JSON: {e}") })?;
    let mut config = ModelConfig::from_json(&json)?;
    config.dtype = options.dtype.unwrap_or(config.dtype);
    Model::new_random(config, &options.options()?.device).map(HeldModel::of)
}

fn request<J: Js>(fields: &Fields<J>) -> Result<ForwardRequest> {
    Ok(ForwardRequest {
        input: fields.required(c"input")?,
        return_type: ReturnType::from_name(&fields.required::<String>(c"returnType")?)?,
        loss_per_token: fields.flag(c"lossPerToken")?,
        start_at_layer: fields.optional(c"startAtLayer")?,
        stop_at_layer: fields.optional(c"stopAtLayer")?,
        tokens: fields.optional(c"tokens")?,
        attention_mask: fields.optional(c"attentionMask")?,
        cache: fields.optional::<HeldKvCache>(c"kvCache")?.map(|cache| cache.cache()).transpose()?,
        last_position_only: false,
    })
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HeldModel:
        fun Act c"configJson" => |call| Ok(call.value()?.model()?.config().to_json().to_string());
        fun Act c"registry" => |call| Ok(shared::<J>(call.value()?.0.registry.clone()));
        fun Make c"forward" => |call| {
            let asked = request::<J>(&call.arg(0)?)?;
            call.value()?.model()?.forward(asked).map(ForwardOutput::from)
        };
        fun Make c"start" => |call| {
            let asked = request::<J>(&call.arg(0)?)?;
            call.value()?.model()?.start(asked).map(HeldRun::of)
        };
        fun Act c"createKvCache" => |call| {
            call.value()?.model()?.new_cache(call.arg(0)?, call.arg(1)?).map(HeldKvCache::of)
        };
        fun Make c"generate" => |call| {
            let asked = generation::request::<J>(&call.arg(0)?)?;
            call.value()?.model()?.generate(asked).map(HeldGeneration::of)
        };
        fun Act c"parameterNames" => |call| Ok(call.value()?.model()?.parameter_names());
        fun Act c"parameter" => |call| call.value()?.model()?.parameter(&call.arg::<String>(0)?);
        fun Act c"loadParameters" => |call| {
            let tensors = call.arg::<Vec<Fields<J>>>(0)?;
            call.value()?.model()?.load_state_dict(&named_tensors(&tensors)?.into_iter().collect())
        };
        fun Act c"setTrainable" => |call| call.value()?.model()?.set_trainable(call.arg(0)?);
        fun Pure c"process" => |call| {
            let model = call.value()?;
            let processed = model.model()?.processed(steps(&call.arg::<Vec<String>>(0)?)?)?;
            model.0.model.replace(Some(processed));
            Ok(())
        };
        fun Act c"processing" => |call| {
            let model = call.value()?.model()?;
            Ok(Processing {
                done: model.processing().iter().map(Step::name).collect(),
                notices: model.notices().to_vec(),
            })
        };
        fun Act c"dispose" => |call| {
            drop(call.value()?.0.model.take());
            Ok(())
        };
    }
}

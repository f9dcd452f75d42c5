//! A decoder-only transformer with its hooks and weights.

use super::{ForwardRequest, ForwardResult, Generation, GenerationRequest, KvCache, LoadOptions, ModelConfig, Run};
use crate::device::DType;
use crate::error::{Error, Result, nearest};
use crate::families::{self, Loaded};
use crate::hooks::{HookPointId, HookRegistry};
use crate::nn::{DecoderPoints, Weights, point_bounds};
use crate::tensor::Tensor;
use crate::weights::{Access, Processed, Steps, process};
use candle_core::Device;
use indexmap::IndexMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// A model: configuration, hook points, weights. Clones share all of it.
///
/// A forward holds on to the weights that it started with, so that switching [`Model::set_trainable`] from inside a
/// hook does not disturb it.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    config: ModelConfig,
    registry: HookRegistry,
    points: DecoderPoints,
    done: Steps,
    notices: Vec<String>,
    state: RwLock<State>,
}

#[derive(Clone)]
struct State {
    weights: Arc<Weights>,
    trainable: bool,
}

impl Model {
    /// Reads a folder in Hugging Face's form (`config.json`) or the reference's own (`tl_config.json`). Unless the options
    /// say so nothing is processed: the numbers are those of the checkpoint.
    ///
    /// # Errors
    /// `missing_file`, `invalid_file`; `unsupported_architecture`; `unsupported_config` naming a key;
    /// `weight_mismatch` naming every weight that is missing, superfluous or of another shape;
    /// `not_supported_on_this_model` for processing that it cannot have.
    pub fn load(folder: &Path, options: &LoadOptions) -> Result<Self> {
        Self::from_checkpoint(families::load(folder, options)?, options)
    }

    /// A checkpoint that was read, processed as the options say.
    pub(super) fn from_checkpoint(loaded: Loaded, options: &LoadOptions) -> Result<Self> {
        let Loaded { config, weights, notices } = loaded;
        if options.process.is_empty() {
            return Self::new(config, weights, Steps::default(), notices);
        }
        let Processed { config, weights, done, skipped } =
            process(&config, &weights, options.process, Access::Exclusive)?;
        let skipped = skipped.iter().map(ToString::to_string);
        Self::new(config, weights, done, notices.into_iter().chain(skipped).collect())
    }

    /// A model with random weights, in the configuration's dtype.
    ///
    /// # Errors
    /// `memory_limit` if the weights would go over the limit, `invalid_argument` if no memory could hold them.
    pub fn new_random(config: ModelConfig, device: &Device) -> Result<Self> {
        let named = super::init::random_weights(&config, device)?;
        let weights = Weights::new(&config, named, None)?.packed(&config)?;
        Self::new(config, weights, Steps::default(), Vec::new())
    }

    fn new(config: ModelConfig, weights: Weights, done: Steps, notices: Vec<String>) -> Result<Self> {
        let (points, infos) = DecoderPoints::new(&config);
        let bounds: Vec<_> = infos.iter().map(|info| point_bounds(&config, info)).collect();
        let registry = HookRegistry::new(infos)?;
        for (i, bounds) in (0..).zip(bounds) {
            registry.declare(HookPointId(i), bounds)?;
        }
        let state = RwLock::new(State { weights: Arc::new(weights), trainable: false });
        Ok(Self(Arc::new(Inner { config, registry, points, done, notices, state })))
    }

    /// This model with rewritten weights. The hooks are shared: whoever replaces this model by that one keeps them.
    ///
    /// # Errors
    /// `not_supported_on_this_model` for a step that it cannot have; `invalid_argument` while it is being trained.
    pub fn processed(&self, steps: Steps) -> Result<Self> {
        let State { weights, trainable } = self.state();
        if trainable {
            let detail = "an optimiser would go on with the weights from before; freeze the model first".into();
            return Err(Error::InvalidArgument { op: "processWeights", detail });
        }
        let Processed { config, weights, done, skipped } = process(self.config(), &weights, steps, Access::Shared)?;
        let (points, _) = DecoderPoints::new(&config);
        Ok(Self(Arc::new(Inner {
            config,
            registry: self.registry().clone(),
            points,
            done: self.0.done.union(done),
            notices: skipped.iter().map(ToString::to_string).collect(),
            state: RwLock::new(State { weights: Arc::new(weights), trainable }),
        })))
    }

    /// The steps that were done to its weights since they were read.
    pub fn processing(&self) -> Steps {
        self.0.done
    }

    /// What whoever asked for this model should know about it, such as steps of processing that were left out.
    pub fn notices(&self) -> &[String] {
        &self.0.notices
    }

    /// What it is made of.
    pub fn config(&self) -> &ModelConfig {
        &self.0.config
    }

    /// Its hook points and their hooks.
    pub fn registry(&self) -> &HookRegistry {
        &self.0.registry
    }

    pub(crate) fn points(&self) -> &DecoderPoints {
        &self.0.points
    }

    pub(crate) fn weights(&self) -> Arc<Weights> {
        self.state().weights
    }

    fn state(&self) -> State {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.weights().device().clone()
    }

    /// What its weights and activations are stored in.
    pub fn dtype(&self) -> DType {
        self.weights().embed.dtype()
    }

    /// The reference's names of all weights, such as `blocks.0.attn.W_Q`.
    pub fn parameter_names(&self) -> Vec<String> {
        crate::nn::weight_specs(self.config()).into_iter().map(|spec| spec.name).collect()
    }

    /// The weight of that name, in the reference's shape (such as `W_Q` `[n_heads, d_model, d_head]`). A leaf while the
    /// model is trainable, otherwise a view.
    ///
    /// # Errors
    /// `weight_mismatch` with the nearest names if there is no such weight.
    pub fn parameter(&self, name: &str) -> Result<Tensor> {
        self.weights().get(self.config(), name)?.ok_or_else(|| {
            let names = self.parameter_names();
            let nearest = nearest(name, names.iter().map(String::as_str));
            Error::weight_mismatch(name, format!("there is no such weight; nearest: {nearest:?}"))
        })
    }

    /// All weights by name, for saving. Biases that the checkpoint did not have are zeros, as in the reference.
    pub fn state_dict(&self) -> Result<IndexMap<String, Tensor>> {
        self.weights().all(self.config())
    }

    /// Whether forwards record gradients of the weights.
    pub fn is_trainable(&self) -> bool {
        self.state().trainable
    }

    /// Makes every weight a leaf that gradients reach and optimisers can overwrite, or freezes them again as they are.
    /// Weights that shared memory (a tied unembedding) do not share it any more afterwards.
    pub fn set_trainable(&self, on: bool) -> Result<()> {
        let state = self.state();
        if state.trainable == on {
            return Ok(());
        }
        let named = state
            .weights
            .all(self.config())?
            .into_iter()
            .map(|(name, tensor)| {
                let data = tensor.data().contiguous()?;
                Ok((name, if on { Tensor::parameter(&data)? } else { Tensor::constant(data.copy()?)? }))
            })
            .collect::<Result<IndexMap<_, _>>>()?;
        let weights = Weights::new(self.config(), named, None)?;
        let weights = if on { weights } else { weights.packed(self.config())? };
        let new = State { weights: Arc::new(weights), trainable: on };
        *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Replaces every weight by those of `named`, which must be complete.
    ///
    /// # Errors
    /// `weight_mismatch` naming a weight that is missing, unknown or of another shape; nothing has changed then.
    pub fn load_state_dict(&self, named: &IndexMap<String, Tensor>) -> Result<()> {
        let specs = crate::nn::weight_specs(self.config());
        if let Some(unknown) = named.keys().find(|name| !specs.iter().any(|spec| spec.name == **name)) {
            let known = nearest(unknown, specs.iter().map(|spec| spec.name.as_str()));
            let detail = format!("the model has no such weight; nearest: {known:?}");
            return Err(Error::weight_mismatch(unknown, detail));
        }
        let (device, dtype) = (self.device(), self.dtype());
        let trainable = self.is_trainable();
        let current = self.weights();
        let mut converted = IndexMap::with_capacity(specs.len());
        for spec in &specs {
            let given = named.get(&spec.name).map(|t| t.data().to_device(&device)?.to_dtype(dtype.storage()));
            let Some(data) = given.transpose()? else {
                let detail = format!("is missing; expected shape {:?}", spec.dims);
                return Err(Error::weight_mismatch(&spec.name, detail));
            };
            if data.dims() != spec.dims {
                let detail = format!("has shape {:?}; expected {:?}", data.dims(), spec.dims);
                return Err(Error::weight_mismatch(&spec.name, detail));
            }
            converted.insert(spec.name.clone(), Tensor::constant(data.contiguous()?)?);
        }
        if trainable {
            // Into the leaves that an optimiser already holds.
            for (name, value) in &converted {
                if let Some(leaf) = current.get(self.config(), name)? {
                    leaf.assign(value)?;
                }
            }
            return Ok(());
        }
        let weights = Weights::new(self.config(), converted, None)?.packed(self.config())?;
        *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = State { weights: Arc::new(weights), trainable };
        Ok(())
    }

    /// An empty cache of keys and values for `batch` sequences. With a `capacity` it has room for that many positions from
    /// its first use on; without, it grows.
    ///
    /// # Errors
    /// `invalid_argument` for a batch or capacity of 0, a batch of which not even one position could be held
    /// (`memory_limit`, where a limit says so), or a model whose tokens see later ones; `context_length` for a capacity
    /// beyond the context.
    pub fn new_cache(&self, batch: usize, capacity: Option<usize>) -> Result<KvCache> {
        KvCache::new(self.config(), self.dtype(), &self.device(), batch, capacity)
    }

    /// Begins a forward that [`Run::step`] carries on a block at a time.
    ///
    /// # Errors
    /// Whatever is wrong with the request: `token_out_of_range`, `context_length`, `shape_mismatch`, `wrong_dtype`,
    /// `invalid_argument`. What hooks on embeddings fail with.
    pub fn start(&self, request: ForwardRequest) -> Result<Run> {
        Run::start(self.clone(), request)
    }

    /// A whole forward.
    ///
    /// # Errors
    /// Those of [`Model::start`]; what hooks fail with.
    pub fn forward(&self, request: ForwardRequest) -> Result<ForwardResult> {
        let mut run = self.start(request)?;
        while run.step()? {}
        run.finish()
    }

    /// Begins to write on from tokens; [`Generation::advance`] carries it on a block at a time.
    ///
    /// # Errors
    /// Those of [`Model::start`]; `invalid_argument` for options that make no sense or padding at the end of a row;
    /// `context_length` if not all tokens that are asked for fit.
    pub fn generate(&self, request: GenerationRequest) -> Result<Generation> {
        Generation::start(self.clone(), request)
    }
}

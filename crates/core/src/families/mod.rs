//! Model families: how each one's configuration and weight names translate into ours. One file a family.
//!
//! A family is a [`Family`]: a function from `config.json` to [`ModelConfig`], and a [`WeightMap`] that says under which
//! name and in which layout each weight is stored. Reading, checking and packing are the same for all
//! ([`weight_map`], [`weight_reader`]). To add one, write its file and list it in [`FAMILIES`].

mod gpt2;
mod gpt_neox;
mod hugging_face;
mod llama;
mod native;
mod rope;
mod weight_map;
mod weight_reader;

use crate::error::{Error, Result};
use crate::load::{self, WeightSource};
use crate::models::config_reader::ConfigReader;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::Weights;
use indexmap::IndexMap;
use serde_json::Value;
use std::path::Path;
use weight_map::WeightMap;

/// A configuration is a few kilobytes; some carry a vocabulary's worth of labels.
pub(crate) const MAX_CONFIG_BYTES: u64 = 64 << 20;

/// A model family in Hugging Face's form.
trait Family: Sync {
    /// `model_type` in `config.json`.
    fn model_type(&self) -> &'static str;

    /// Class names in `architectures`.
    fn architectures(&self) -> &'static [&'static str];

    /// Translates `config.json`.
    ///
    /// # Errors
    /// `unsupported_config` naming the key, for what makes no sense or is not implemented and changes the numbers.
    fn config(&self, json: &Value) -> Result<ModelConfig>;

    /// Where each weight is stored; `json` is the `config.json` that `config` was translated from.
    ///
    /// # Errors
    /// As [`Family::config`].
    fn weights(&self, json: &Value, config: &ModelConfig, source: &dyn WeightSource) -> Result<WeightMap>;
}

/// Every family, in the order in which error messages list them.
const FAMILIES: &[&dyn Family] = &[&gpt2::Gpt2, &gpt_neox::GptNeoX, &llama::Llama];

/// A configuration in Hugging Face's form.
pub(crate) const CONFIG_FILE: &str = "config.json";
/// A configuration in the reference's own form, which wins where there are both.
pub(crate) const NATIVE_CONFIG_FILE: &str = "tl_config.json";

/// A checkpoint, read.
pub(crate) struct Loaded {
    pub(crate) config: ModelConfig,
    pub(crate) weights: Weights,
    /// What the caller should know.
    pub(crate) notices: Vec<String>,
}

/// Reads a model's folder.
pub(crate) fn load(folder: &Path, options: &LoadOptions) -> Result<Loaded> {
    crate::load::require_files(folder)?;
    if !folder.is_dir() {
        return Err(Error::MissingFile { path: folder.into(), detail: "there is no such folder".into() });
    }
    let native_config = folder.join(NATIVE_CONFIG_FILE);
    let checkpoint = if native_config.exists() {
        Checkpoint::native(&load::read_json(&native_config, MAX_CONFIG_BYTES)?, options)?
    } else {
        Checkpoint::hugging_face(load::read_json(&folder.join(CONFIG_FILE), MAX_CONFIG_BYTES)?, options)?
    };
    let source = load::open_folder(folder)?;
    let wanted = checkpoint.wanted(source.as_ref())?;
    options.begin(wanted.values().map(Vec::as_slice))?;
    checkpoint.read(source.as_ref(), options)
}

/// A checkpoint whose configuration was read, and whose weights were not.
pub(crate) struct Checkpoint {
    form: Form,
    /// As the checkpoint has it.
    stored: ModelConfig,
    /// As the options want it.
    config: ModelConfig,
}

/// Who knows where its weights are.
enum Form {
    Native,
    HuggingFace { family: &'static dyn Family, json: Value },
}

impl Checkpoint {
    /// One with the reference's own configuration.
    pub(crate) fn native(json: &Value, options: &LoadOptions) -> Result<Self> {
        Self::of(Form::Native, ModelConfig::from_json(json)?, options)
    }

    /// One with a configuration in Hugging Face's form.
    pub(crate) fn hugging_face(json: Value, options: &LoadOptions) -> Result<Self> {
        let family = find(&json)?;
        let stored = family.config(&json)?;
        Self::of(Form::HuggingFace { family, json }, stored, options)
    }

    fn of(form: Form, stored: ModelConfig, options: &LoadOptions) -> Result<Self> {
        let config = options.apply_to(&stored)?;
        Ok(Self { form, stored, config })
    }

    /// The tensors that will be read, with the shapes that are needed of them: their first rows, where those are fewer
    /// than are stored.
    ///
    /// # Errors
    /// `weight_mismatch` naming every tensor that is missing, superfluous or of another shape.
    pub(crate) fn wanted(&self, source: &dyn WeightSource) -> Result<IndexMap<String, Vec<usize>>> {
        match &self.form {
            Form::Native => native::wanted(&self.stored, &self.config, source),
            Form::HuggingFace { family, json } => {
                family.weights(json, &self.stored, source)?.wanted(&self.stored, &self.config, source)
            }
        }
    }

    /// Reads the tensors that are [wanted](Self::wanted).
    pub(crate) fn read(self, source: &dyn WeightSource, options: &LoadOptions) -> Result<Loaded> {
        let Self { form, stored, config } = self;
        let weights = match form {
            Form::Native => native::read(&config, source, options)?,
            Form::HuggingFace { family, json } => {
                family.weights(&json, &stored, source)?.read(&config, source, options)?
            }
        };
        Ok(Loaded { notices: options.notices(&stored), config, weights })
    }
}

/// The family of a `config.json`: by its `model_type`, or if it has none by its `architectures`.
fn find(json: &Value) -> Result<&'static dyn Family> {
    let architectures: Vec<&str> =
        json.get("architectures").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let model_type = ConfigReader::new(json)?.text("model_type")?.filter(|t| !t.is_empty());
    let found = FAMILIES.iter().copied().find(|family| match model_type {
        Some(model_type) => family.model_type() == model_type,
        None => architectures.iter().any(|a| family.architectures().contains(a)),
    });
    found.ok_or_else(|| Error::UnsupportedArchitecture {
        got: model_type.or(architectures.first().copied()).unwrap_or("(none given)").to_owned(),
        supported: FAMILIES.iter().flat_map(|f| f.architectures()).map(|&a| a.to_owned()).collect(),
    })
}

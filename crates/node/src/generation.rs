//! The class `EngineGeneration`: tokens being written.

use crate::args::{Flag, Int, List, Real, Whole};
use crate::boundary::{boundary, boundary_making};
use crate::fields::Fields;
use crate::tensor::{EngineTensor, TensorArg};
use hooklens_core::Error;
use hooklens_core::models::{Generation, GenerationRequest, GenerationStep};
use hooklens_core::tensor::SamplingOptions;
use napi::Env;
use napi_derive::napi;
use std::cell::RefCell;

#[napi]
pub struct EngineGeneration {
    /// Nothing while it is running a block.
    inner: RefCell<Option<Generation>>,
}

/// One more token for each row; null for rows that had ended before.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct Step {
    pub tokens: Vec<Option<f64>>,
    pub finished: Vec<Option<&'static str>>,
    pub logits: Option<EngineTensor>,
}

impl From<GenerationStep> for Step {
    fn from(GenerationStep { tokens, finished, logits }: GenerationStep) -> Self {
        Self {
            tokens: tokens.into_iter().map(|id| id.map(|id| id as f64)).collect(),
            finished: finished.into_iter().map(|reason| reason.map(|reason| reason.name())).collect(),
            logits: logits.map(EngineTensor::from),
        }
    }
}

pub(crate) fn request(fields: &Fields) -> napi::Result<GenerationRequest> {
    let real = |name, default| Ok::<_, napi::Error>(fields.optional::<Real>(name)?.map_or(default, |Real(x)| x));
    let int = |name| Ok::<_, napi::Error>(fields.optional::<Int>(name)?.map(|Int(i)| i));
    let flag = |name| Ok::<_, napi::Error>(fields.required::<Flag>(name)?.0);
    Ok(GenerationRequest {
        tokens: fields.required::<TensorArg>(c"tokens")?.0,
        attention_mask: fields.optional::<TensorArg>(c"attentionMask")?.map(|TensorArg(mask)| mask),
        max_new_tokens: fields.required::<Whole>(c"maxNewTokens")?.0,
        stop_ids: fields.required::<List<Int>>(c"stopIds")?.0.into_iter().map(|Int(id)| id).collect(),
        fill_id: int(c"fillId")?,
        sampling: SamplingOptions {
            do_sample: flag(c"doSample")?,
            temperature: real(c"temperature", 1.0)?,
            top_k: int(c"topK")?,
            top_p: fields.optional::<Real>(c"topP")?.map(|Real(p)| p),
            repetition_penalty: real(c"repetitionPenalty", 1.0)?,
            freq_penalty: real(c"freqPenalty", 0.0)?,
        },
        seed: int(c"seed")?.map(i64::cast_unsigned),
        use_cache: flag(c"useCache")?,
        keep_logits: flag(c"keepLogits")?,
    })
}

impl EngineGeneration {
    pub(crate) fn of(generation: Generation) -> Self {
        Self { inner: RefCell::new(Some(generation)) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Generation) -> hooklens_core::Result<T>) -> hooklens_core::Result<T> {
        // Out of its place while it runs: its hooks may reach this object.
        let mut generation = self.inner.take().ok_or_else(|| Error::InvalidArgument {
            op: "generate",
            detail: "this generation is running now; a hook cannot advance it".into(),
        })?;
        let result = f(&mut generation);
        self.inner.replace(Some(generation));
        result
    }
}

#[napi]
impl EngineGeneration {
    #[napi]
    pub fn advance(&self, env: Env) -> napi::Result<Option<Step>> {
        boundary_making(&env, || self.with(|generation| Ok(generation.advance()?.map(Step::from))))
    }

    #[napi(getter)]
    pub fn done(&self, env: Env) -> napi::Result<bool> {
        boundary(&env, || self.with(|generation| Ok(generation.is_done())))
    }

    #[napi]
    pub fn stop(&self, env: Env, row: Whole) -> napi::Result<()> {
        boundary(&env, || self.with(|generation| generation.stop(row.0)))
    }

    #[napi]
    pub fn end(&self, env: Env) -> napi::Result<()> {
        boundary(&env, || {
            self.with(|generation| {
                generation.end();
                Ok(())
            })
        })
    }

    #[napi]
    pub fn sequences(&self, env: Env) -> napi::Result<EngineTensor> {
        boundary_making(&env, || self.with(|generation| generation.sequences().map(EngineTensor::from)))
    }
}

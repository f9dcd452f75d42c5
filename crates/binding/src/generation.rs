//! The class `EngineGeneration`: tokens being written.

use crate::class::{Member, members};
use crate::fields::Fields;
use crate::handles::holds;
use crate::js::Js;
use crate::results::object;
use hooklens_core::models::{Generation, GenerationRequest, GenerationStep};
use hooklens_core::tensor::SamplingOptions;
use hooklens_core::{Error, Result, Tensor};
use std::cell::RefCell;
use std::rc::Rc;

/// Nothing while it is running a block.
#[derive(Clone)]
pub(crate) struct HeldGeneration(Rc<RefCell<Option<Generation>>>);

holds!(HeldGeneration, Generation, "generation");

/// One more token for each row; null for rows that had ended before.
struct Step {
    tokens: Vec<Option<f64>>,
    finished: Vec<Option<&'static str>>,
    logits: Option<Tensor>,
}
object!(Step: c"tokens" => tokens, c"finished" => finished, c"logits" => logits,);

impl From<GenerationStep> for Step {
    fn from(GenerationStep { tokens, finished, logits }: GenerationStep) -> Self {
        Self {
            tokens: tokens.into_iter().map(|id| id.map(|id| id as f64)).collect(),
            finished: finished.into_iter().map(|reason| reason.map(|reason| reason.name())).collect(),
            logits,
        }
    }
}

pub(crate) fn request<J: Js>(fields: &Fields<J>) -> Result<GenerationRequest> {
    let real = |name, default| Ok::<_, Error>(fields.optional::<f64>(name)?.unwrap_or(default));
    Ok(GenerationRequest {
        tokens: fields.required(c"tokens")?,
        attention_mask: fields.optional(c"attentionMask")?,
        max_new_tokens: fields.required(c"maxNewTokens")?,
        stop_ids: fields.required(c"stopIds")?,
        fill_id: fields.optional(c"fillId")?,
        sampling: SamplingOptions {
            do_sample: fields.required(c"doSample")?,
            temperature: real(c"temperature", 1.0)?,
            top_k: fields.optional(c"topK")?,
            top_p: fields.optional(c"topP")?,
            repetition_penalty: real(c"repetitionPenalty", 1.0)?,
            freq_penalty: real(c"freqPenalty", 0.0)?,
        },
        seed: fields.optional(c"seed")?.map(i64::cast_unsigned),
        use_cache: fields.required(c"useCache")?,
        keep_logits: fields.required(c"keepLogits")?,
    })
}

impl HeldGeneration {
    pub(crate) fn of(generation: Generation) -> Self {
        Self(Rc::new(RefCell::new(Some(generation))))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Generation) -> Result<T>) -> Result<T> {
        // Out of its place while it runs: its hooks may reach this object.
        let mut generation = self.0.take().ok_or_else(|| Error::InvalidArgument {
            op: "generate",
            detail: "this generation is running now; a hook cannot advance it".into(),
        })?;
        let result = f(&mut generation);
        self.0.replace(Some(generation));
        result
    }
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HeldGeneration:
        fun Make c"advance" => |call| call.value()?.with(|generation| Ok(generation.advance()?.map(Step::from)));
        get Act c"done" => |call| call.value()?.with(|generation| Ok(generation.is_done()));
        fun Act c"stop" => |call| {
            let row = call.arg(0)?;
            call.value()?.with(|generation| generation.stop(row))
        };
        fun Act c"end" => |call| call.value()?.with(|generation| {
            generation.end();
            Ok(())
        });
        fun Make c"sequences" => |call| call.value()?.with(|generation| generation.sequences());
    }
}

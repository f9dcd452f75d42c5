//! The class `EngineRun`: one forward in progress.

use crate::class::{Member, members};
use crate::handles::holds;
use crate::js::Js;
use crate::results::object;
use hooklens_core::models::{ForwardResult, Run};
use hooklens_core::{Error, Result, Tensor};
use std::cell::RefCell;
use std::rc::Rc;

/// Nothing once it is finished.
#[derive(Clone)]
pub(crate) struct HeldRun(Rc<RefCell<Option<Run>>>);

holds!(HeldRun, Run, "run");

/// What a forward gave; null where it was not asked for.
pub(crate) struct ForwardOutput {
    logits: Option<Tensor>,
    loss: Option<Tensor>,
    residual: Option<Tensor>,
}
object!(ForwardOutput: c"logits" => logits, c"loss" => loss, c"residual" => residual,);

impl From<ForwardResult> for ForwardOutput {
    fn from(ForwardResult { logits, loss, residual }: ForwardResult) -> Self {
        Self { logits, loss, residual }
    }
}

impl HeldRun {
    pub(crate) fn of(run: Run) -> Self {
        Self(Rc::new(RefCell::new(Some(run))))
    }

    fn take(&self) -> Result<Run> {
        self.0.take().ok_or_else(over)
    }

    fn blocks_left(&self) -> Result<f64> {
        self.0.borrow().as_ref().map(|run| run.blocks_left() as f64).ok_or_else(over)
    }
}

fn over() -> Error {
    let detail = "this run has finished, failed, or is running now".into();
    Error::InvalidArgument { op: "forward", detail }
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HeldRun:
        get Look c"blocksLeft" => |call| call.value()?.blocks_left();
        fun Make c"step" => |call| {
            let held = call.value()?;
            // Out of its place while it runs: its hooks may reach this object, and a run that failed must not go on.
            let mut run = held.take()?;
            let more = run.step()?;
            held.0.replace(Some(run));
            Ok(more)
        };
        fun Make c"finish" => |call| call.value()?.take()?.finish().map(ForwardOutput::from);
        fun Act c"end" => |call| {
            drop(call.value()?.0.take());
            Ok(())
        };
    }
}

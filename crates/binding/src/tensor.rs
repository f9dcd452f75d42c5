//! The class `EngineTensor`: an object that holds one tensor until it is disposed or collected. One is made for every
//! result of every operation and for every hook.

use crate::args::FromJs;
use crate::bits::Bits;
use crate::class::{Member, members};
use crate::handles::{self, holds};
use crate::js::Js;
use crate::results::{Own, ToJs};
use hooklens_core::device::device_from_name;
use hooklens_core::{BackwardOptions, Result, Tensor};

holds!(Tensor, Tensor, "tensor");

/// A tensor that JavaScript passed, which goes back as the very object that came unless it was replaced.
pub(crate) struct Passing<J: Js> {
    object: J::Value,
    pub(crate) tensor: Tensor,
}

impl<J: Js> FromJs<J> for Passing<J> {
    fn from_js(js: J, value: &J::Value) -> Result<Self> {
        Ok(Self { object: value.clone(), tensor: Tensor::from_js(js, value)? })
    }
}

impl<J: Js> Passing<J> {
    /// `tensor` in place of what came.
    pub(crate) fn replaced_by(self, tensor: Tensor) -> Passed<J> {
        if tensor.is(&self.tensor) { Passed::Same(self.object) } else { Passed::Other(tensor) }
    }
}

/// What became of a [`Passing`].
pub(crate) enum Passed<J: Js> {
    Same(J::Value),
    Other(Tensor),
}

impl<J: Js> ToJs<J> for Passed<J> {
    fn to_js(self, js: J) -> Result<J::Value> {
        match self {
            Self::Same(object) => Ok(object),
            Self::Other(tensor) => tensor.to_js(js),
        }
    }
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, Tensor:
        get Look c"shape" => |call| {
            let tensor = call.value()?;
            J::with_statics(|statics| statics.shapes.get(call.js, tensor.dims())).map(Own)
        };
        get Look c"dtype" => |call| Ok(call.value()?.dtype().name());
        get Look c"device" => |call| Ok(call.value()?.device_name());
        get Look c"requiresGrad" => |call| Ok(call.value()?.requires_grad());
        get Look c"isLeaf" => |call| Ok(call.value()?.is_leaf());
        get Look c"gradFn" => |call| Ok(call.value()?.grad_fn());
        get Look c"isDisposed" => |call| Ok(handles::is_disposed::<Tensor>(call.handle()?));
        fun Pure c"toBits" => |call| Bits::of(call.value()?);
        fun Act c"requiringGrad" => |call| call.value()?.requiring_grad();
        fun Act c"detach" => |call| call.value()?.detach();
        fun Act c"share" => |call| call.value();
        fun Act c"grad" => |call| call.value()?.grad();
        fun Act c"setGrad" => |call| call.value()?.set_grad(call.arg::<Option<Tensor>>(0)?.as_ref());
        fun Act c"retainGrad" => |call| call.value()?.retain_grad();
        fun Act c"assign" => |call| call.value()?.assign(&call.arg(0)?);
        fun Make c"backward" => |call| {
            let (seed, retain_graph) = (call.arg::<Option<Tensor>>(0)?, call.arg(1)?);
            call.value()?.backward(seed.as_ref(), BackwardOptions { retain_graph })
        };
        fun Make c"to" => |call| call.value()?.to_device(&device_from_name(&call.arg::<String>(0)?)?);
        fun Act c"display" => |call| {
            // More elements than there are addresses are no other limit than that many.
            let threshold = call.arg::<Option<u64>>(0)?;
            call.value()?.display(threshold.map(|most| usize::try_from(most).unwrap_or(usize::MAX)))
        };
        fun Act c"dispose" => |call| {
            drop(handles::dispose::<Tensor>(call.handle()?));
            Ok(())
        };
    }
}

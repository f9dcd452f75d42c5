//! The functions of the `Engine` interface.

use crate::args::{Dims, Flag, PlainArgs, Text, Whole};
use crate::bits::Bits;
use crate::boundary::{boundary_making, boundary_pure};
use crate::handles;
use crate::tensor::{EngineTensor, MaybeTensor, TensorArg, Tensors};
use hooklens_core::{BackwardOptions, DType, Error, Tensor, autograd, memory, ops};
use napi::Env;
use napi_derive::napi;

/// An operation's name and the names of its plain arguments.
#[napi(object, object_from_js = false)]
pub struct OpSpec {
    pub name: &'static str,
    pub params: Vec<&'static str>,
}

#[napi]
pub fn engine_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Every code that an error can carry, so that TypeScript's list can be checked against it.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    Error::CODES.to_vec()
}

#[napi(js_name = "ops")]
pub fn op_specs() -> Vec<OpSpec> {
    ops::all().iter().map(|op| OpSpec { name: op.name, params: op.params.to_vec() }).collect()
}

#[napi]
pub fn call(env: Env, op: Whole, inputs: Tensors, args: PlainArgs) -> napi::Result<Vec<EngineTensor>> {
    boundary_pure(&env, || Ok(ops::call(op.0, &inputs.0, &args.0)?.into_iter().map(EngineTensor::from).collect()))
}

#[napi]
pub fn from_bits(env: Env, data: Bits, dtype: Text, shape: Dims, device: Text) -> napi::Result<EngineTensor> {
    boundary_pure(&env, || data.to_tensor(DType::from_name(&dtype.0)?, &shape.0, &device.0).map(EngineTensor::from))
}

#[napi]
pub fn parameter(env: Env, value: TensorArg) -> napi::Result<EngineTensor> {
    boundary_pure(&env, || Tensor::parameter(value.0.data()).map(EngineTensor::from))
}

#[napi]
pub fn gradients(
    env: Env,
    output: TensorArg,
    seed: MaybeTensor,
    inputs: Tensors,
    retain_graph: Flag,
) -> napi::Result<Vec<Option<EngineTensor>>> {
    boundary_making(&env, || {
        let of: Vec<&Tensor> = inputs.0.iter().collect();
        let options = BackwardOptions { retain_graph: retain_graph.0 };
        autograd::gradients(&output.0, seed.0.as_ref(), &of, options)?
            .into_iter()
            .map(|grad| grad.map(|g| Tensor::constant(g).map(EngineTensor::from)).transpose())
            .collect()
    })
}

#[napi]
pub fn set_grad_enabled(on: Flag) -> bool {
    autograd::set_grad_enabled(on.0)
}

#[napi]
pub fn live_tensors() -> f64 {
    handles::live::<Tensor>() as f64
}

#[napi]
pub fn live_bytes() -> f64 {
    memory::live_bytes() as f64
}

#[napi]
pub fn set_memory_limit(bytes: Whole) {
    memory::set_limit(bytes.0);
}

/// Sets the limit unless somebody did before, in this thread or another.
#[napi]
pub fn propose_memory_limit(bytes: Whole) {
    memory::propose_limit(bytes.0);
}

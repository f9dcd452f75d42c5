//! The functions of the `Engine` interface.

use crate::args::{Callable, Dims, Inputs, PlainArgs};
use crate::bits::tensor_of;
use crate::boundary::{UNKNOWN_CALL, named};
use crate::callbacks::set_trampoline;
use crate::class::{Member, members};
use crate::fields::Fields;
use crate::js::Js;
use crate::loading::HeldLoading;
use crate::results::{Own, object};
use crate::upload::HeldUpload;
use crate::{files, handles, model, registry};
use hooklens_core::hooks::CacheStore;
use hooklens_core::{BackwardOptions, DType, Error, Tensor, autograd, memory, ops};

/// An operation's name and the names of its plain arguments.
struct OpSpec {
    name: &'static str,
    params: Vec<&'static str>,
}
object!(OpSpec: c"name" => name, c"params" => params,);

/// A limit beyond all addresses is one that is never reached.
fn bytes(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

pub(crate) fn functions<J: Js>() -> &'static [Member<J>] {
    members! { J, ():
        fun Look c"engineVersion" => |_| Ok(env!("CARGO_PKG_VERSION"));
        // Every code that an error can carry, so that TypeScript's list can be checked against it.
        fun Look c"errorCodes" => |_| Ok(Error::CODES.to_vec());
        fun Look c"ops" => |_| {
            Ok(ops::all().iter().map(|op| OpSpec { name: op.name, params: op.params.to_vec() }).collect::<Vec<_>>())
        };
        fun Pure c"call" => |call| {
            let op: usize = call.arg(0)?;
            let arguments = call.arg(1).and_then(|inputs| Ok((inputs, call.arg(2)?)));
            let of_op = |error| named(error, ops::all().get(op).map_or(UNKNOWN_CALL, |op| op.name));
            let (Inputs(inputs), PlainArgs(args)) = arguments.map_err(of_op)?;
            ops::call(op, &inputs, &args)
        };
        fun Pure c"fromBits" => |call| {
            let (data, dtype) = (call.arg(0)?, call.arg::<String>(1)?);
            let (Dims(shape), device) = (call.arg(2)?, call.arg::<String>(3)?);
            tensor_of(call.js, &data, DType::from_name(&dtype)?, &shape, &device)
        };
        fun Pure c"parameter" => |call| Tensor::parameter(call.arg::<Tensor>(0)?.data());
        fun Make c"gradients" => |call| {
            let (output, seed): (Tensor, Option<Tensor>) = (call.arg(0)?, call.arg(1)?);
            let (Inputs(inputs), retain_graph) = (call.arg(2)?, call.arg(3)?);
            let of: Vec<&Tensor> = inputs.iter().collect();
            autograd::gradients(&output, seed.as_ref(), &of, BackwardOptions { retain_graph })?
                .into_iter()
                .map(|grad| grad.map(Tensor::constant).transpose())
                .collect::<hooklens_core::Result<Vec<_>>>()
        };
        fun Look c"setGradEnabled" => |call| Ok(autograd::set_grad_enabled(call.arg(0)?));
        fun Look c"setTrampoline" => |call| set_trampoline::<J>(call.js, call.arg::<Callable<J>>(0)?);
        fun Act c"createRegistry" => |call| registry::create(call);
        fun Look c"createCache" => |_| Ok(CacheStore::new());
        fun Act c"actName" => |call| registry::act_name::<J>(&call.arg(0)?);
        fun Look c"startLoading" => |call| HeldLoading::new(call);
        fun Look c"startUpload" => |call| HeldUpload::new(call);
        fun Pure c"createModel" => |call| model::create(call);
        fun Pure c"readTensors" => |call| files::read(&call.arg::<String>(0)?);
        fun Act c"writeTensors" => |call| {
            let (path, tensors): (String, Vec<Fields<J>>) = (call.arg(0)?, call.arg(1)?);
            files::write(&path, &tensors, &call.arg(2)?)
        };
        fun Pure c"decodeTensors" => |call| files::decode(call.js, &call.arg::<String>(0)?, &call.given(1)?);
        fun Act c"encodeTensors" => |call| {
            let tensors: Vec<Fields<J>> = call.arg(0)?;
            files::encode(call.js, &tensors, &call.arg(1)?).map(Own)
        };
        fun Look c"liveTensors" => |_| Ok(handles::live::<Tensor>() as f64);
        fun Look c"liveBytes" => |_| Ok(memory::live_bytes() as f64);
        fun Look c"setMemoryLimit" => |call| {
            memory::set_limit(bytes(call.arg(0)?));
            Ok(())
        };
        // Sets the limit unless somebody did before, in this thread or another.
        fun Look c"proposeMemoryLimit" => |call| {
            memory::propose_limit(bytes(call.arg(0)?));
            Ok(())
        };
    }
}

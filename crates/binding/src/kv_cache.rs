//! The class `EngineKvCache`: keys and values of tokens that were seen.

use crate::class::{Member, members};
use crate::handles::holds;
use crate::js::Js;
use crate::results::object;
use hooklens_core::models::KvCache;
use hooklens_core::{Error, Result, Tensor};
use std::cell::RefCell;
use std::rc::Rc;

/// Nothing once it is disposed.
#[derive(Clone)]
pub(crate) struct HeldKvCache(Rc<RefCell<Option<KvCache>>>);

holds!(HeldKvCache, KvCache, "KV cache");

/// The copied rows of a layer.
struct KvLayer {
    keys: Tensor,
    values: Tensor,
}
object!(KvLayer: c"keys" => keys, c"values" => values,);

impl HeldKvCache {
    pub(crate) fn of(cache: KvCache) -> Self {
        Self(Rc::new(RefCell::new(Some(cache))))
    }

    pub(crate) fn cache(&self) -> Result<KvCache> {
        self.0.borrow().clone().ok_or_else(|| Error::Disposed { what: "KV cache".into() })
    }
}

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, HeldKvCache:
        get Act c"batch" => |call| Ok(call.value()?.cache()?.batch() as f64);
        get Act c"length" => |call| Ok(call.value()?.cache()?.len() as f64);
        get Act c"capacity" => |call| Ok(call.value()?.cache()?.capacity() as f64);
        get Look c"byteSize" => |call| Ok(call.value()?.cache().map_or(0.0, |cache| cache.byte_size() as f64));
        get Act c"frozen" => |call| Ok(call.value()?.cache()?.is_frozen());
        fun Act c"setFrozen" => |call| {
            call.value()?.cache()?.set_frozen(call.arg(0)?);
            Ok(())
        };
        fun Act c"clear" => |call| call.value()?.cache()?.clear();
        fun Make c"layer" => |call| {
            let (keys, values) = call.value()?.cache()?.layer(call.arg(0)?)?;
            Ok(KvLayer { keys, values })
        };
        fun Make c"attentionMask" => |call| call.value()?.cache()?.attention_mask();
        fun Act c"dispose" => |call| {
            drop(call.value()?.0.take());
            Ok(())
        };
    }
}

//! The class `EngineCache`: captured activations by key.

use crate::class::{Member, members};
use crate::handles::holds;
use crate::js::Js;
use hooklens_core::hooks::CacheStore;

holds!(CacheStore, Cache, "cache");

pub(crate) fn members<J: Js>() -> &'static [Member<J>] {
    members! { J, CacheStore:
        fun Act c"keys" => |call| Ok(call.value()?.keys());
        fun Act c"get" => |call| Ok(call.value()?.get(&call.arg::<String>(0)?));
        fun Act c"set" => |call| call.value()?.set(&call.arg::<String>(0)?, &call.arg(1)?);
        fun Act c"delete" => |call| Ok(call.value()?.delete(&call.arg::<String>(0)?));
        fun Act c"clear" => |call| {
            call.value()?.clear();
            Ok(())
        };
        get Look c"byteSize" => |call| Ok(call.value()?.byte_size() as f64);
    }
}

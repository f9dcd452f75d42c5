//! The list of a checkpoint's files, `model.safetensors.index.json`.

use crate::error::{Error, Result};
use indexmap::IndexMap;
use serde_json::Value;
use std::path::{Component, Path};

/// An index names a few hundred thousand tensors at the very most.
pub(crate) const MAX_INDEX_BYTES: u64 = 256 << 20;

/// The names of an index's shards, each with those of its tensors.
///
/// # Errors
/// `invalid_file` for an index of another form, or one that points outside its folder.
pub(crate) fn parse_index(json: &Value, index: &Path) -> Result<IndexMap<String, Vec<String>>> {
    let invalid = |detail: String| Error::InvalidFile { path: index.into(), detail };
    let map = json
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| invalid("has no object 'weight_map'".into()))?;
    let mut shards: IndexMap<String, Vec<String>> = IndexMap::new();
    for (tensor, shard) in map {
        let shard =
            shard.as_str().ok_or_else(|| invalid(format!("'{tensor}' is mapped to {shard}, not a file name")))?;
        let plain = |c| matches!(c, Component::Normal(_));
        if shard.contains('\\') || !Path::new(shard).components().all(plain) {
            return Err(invalid(format!("points at '{shard}', which is not a plain path below its folder")));
        }
        shards.entry(shard.to_owned()).or_default().push(tensor.to_owned());
    }
    Ok(shards)
}

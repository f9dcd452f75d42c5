//! The header of a safetensors file, parsed strictly: every claim is checked against the file's size, and every
//! failure says the numbers. The format is at <https://huggingface.co/docs/safetensors>.

use safetensors::tensor::TensorInfo;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;

/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// More axes than any model has; shape arithmetic elsewhere may rely on it.
const MAX_RANK: usize = 32;

/// What a header says.
pub(super) struct Header {
    /// Tensors by their place in the file.
    pub(super) tensors: Vec<(String, TensorInfo)>,
    pub(super) metadata: Vec<(String, String)>,
    /// Where tensor data start.
    pub(super) data_start: usize,
}

/// Parses and checks the header of a file of these bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, String> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("is {} bytes long; a safetensors file has at least 8", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(format!("claims a header of {length} bytes; at most {MAX_HEADER_BYTES} are allowed"));
    }
    // In range of usize: it is under 100 MB.
    let length = length as usize;
    let Some(json) = rest.get(..length) else {
        return Err(format!("claims a header of {length} bytes, but only {} follow", rest.len()));
    };
    let entries: Entries = serde_json::from_slice(json).map_err(|e| format!("has an invalid header: {e}"))?;
    let mut tensors = entries.tensors;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    check(&tensors, rest.len() - length)?;
    Ok(Header { tensors, metadata: entries.metadata, data_start: 8 + length })
}

/// Fails unless the tensors lie side by side, each as long as its shape needs, and end where the file ends.
fn check(tensors: &[(String, TensorInfo)], data_len: usize) -> Result<(), String> {
    let mut expected_start = 0;
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        if start != expected_start || end < start || end > data_len {
            return Err(format!(
                "tensor '{name}' claims bytes {start} to {end}; expected a range that starts at {expected_start} \
                 (no gaps, no overlaps) within {data_len} bytes of data"
            ));
        }
        if info.shape.len() > MAX_RANK {
            return Err(format!("tensor '{name}' has {} axes; at most {MAX_RANK} are read", info.shape.len()));
        }
        // Axes of size 0 are left out of the product: a shape such as [0, 2^62, 2^62] must not overflow strides either.
        let spanned = info.shape.iter().filter(|&&d| d != 0).try_fold(1usize, |n, &d| n.checked_mul(d));
        let bits = spanned
            .and_then(|n| n.checked_mul(info.dtype.bitsize()))
            .filter(|&bits| isize::try_from(bits).is_ok())
            .ok_or_else(|| format!("tensor '{name}' has a shape beyond all memory: {:?}", info.shape))?;
        let bits = if info.shape.contains(&0) { 0 } else { bits };
        if bits % 8 != 0 || bits / 8 != end - start {
            return Err(format!(
                "tensor '{name}' of shape {:?} and dtype {} needs {} bytes, but claims {}",
                info.shape,
                info.dtype,
                bits.div_ceil(8),
                end - start
            ));
        }
        expected_start = end;
    }
    if expected_start != data_len {
        return Err(format!("has {data_len} bytes of data, of which its tensors describe {expected_start}"));
    }
    Ok(())
}

struct Entries {
    tensors: Vec<(String, TensorInfo)>,
    metadata: Vec<(String, String)>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of tensor descriptions")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Entries { tensors: Vec::new(), metadata: Vec::new() };
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            // A map type would silently keep one of two tensors of the same name.
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format!("'{name}' occurs twice")));
            }
            if name == "__metadata__" {
                let metadata: Option<std::collections::BTreeMap<String, String>> = map.next_value()?;
                entries.metadata = metadata.unwrap_or_default().into_iter().collect();
            } else {
                let info: TensorInfo =
                    map.next_value().map_err(|e| A::Error::custom(format!("tensor '{name}': {e}")))?;
                entries.tensors.push((name, info));
            }
        }
        Ok(entries)
    }
}

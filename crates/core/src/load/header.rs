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

/// What a repository holds in place of a large file.
const GIT_LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

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
    if bytes.starts_with(GIT_LFS) {
        return Err("is a Git LFS pointer, not the file itself; fetch that with 'git lfs pull'".to_owned());
    }
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
        // In 64 bits everywhere: a tensor may have more bits than 32 can count, though not more bytes.
        let bits = spanned
            .and_then(|n| (n as u64).checked_mul(info.dtype.bitsize() as u64))
            .filter(|&bits| i64::try_from(bits).is_ok() && isize::try_from(bits / 8).is_ok())
            .ok_or_else(|| format!("tensor '{name}' has a shape beyond all memory: {:?}", info.shape))?;
        let bits = if info.shape.contains(&0) { 0 } else { bits };
        if bits % 8 != 0 || bits / 8 != (end - start) as u64 {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::parse;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    const GOOD: &str = r#"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
        "y":{"dtype":"BOOL","shape":[3],"data_offsets":[16,19]},"z":{"dtype":"F16","shape":[0,4],"data_offsets":[19,19]}}"#;

    #[test]
    fn a_good_header_is_read() {
        let header = parse(&file(GOOD, 19)).unwrap();
        let names: Vec<_> = header.tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x", "y", "z"]);
        assert_eq!(header.metadata, [("a".to_owned(), "b".to_owned())]);
        assert_eq!(header.data_start, 8 + GOOD.len());
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = file(GOOD, 19);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn lies_are_refused_with_their_numbers() {
        let tensor = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let cases = [
            (tensor("F32", "[2]", "[0,4]"), 4, "needs 8 bytes, but claims 4"),
            (tensor("F32", "[1]", "[0,4]"), 8, "has 8 bytes of data, of which its tensors describe 4"),
            (tensor("F32", "[2]", "[0,8]"), 4, "claims bytes 0 to 8"),
            (tensor("F32", "[1]", "[4,8]"), 8, "starts at 0"),
            (tensor("F32", "[1]", "[4,0]"), 4, "claims bytes 4 to 0"),
            (tensor("F99", "[1]", "[0,4]"), 4, "unknown variant `F99`"),
            (tensor("F32", "[-1]", "[0,4]"), 4, "invalid value: integer `-1`"),
            (tensor("F32", "[4611686018427387904,4]", "[0,16]"), 16, "beyond all memory"),
            (tensor("F32", "[0,4611686018427387904,4611686018427387904]", "[0,0]"), 0, "beyond all memory"),
            (tensor("U8", &format!("[{}1]", "1,".repeat(40)), "[0,1]"), 1, "has 41 axes"),
            (tensor("F32", "[1]", "[0,18446744073709551615]"), 4, "18446744073709551615"),
            ("[]".into(), 0, "invalid header"),
            ("{".into(), 0, "invalid header"),
            (r#"{"x":1}"#.into(), 0, "tensor 'x'"),
            (format!(r#"{{"x":{}}}"#, "[".repeat(100_000)), 0, "invalid header"),
            (
                r#"{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
                    .into(),
                1,
                "'x' occurs twice",
            ),
            (
                r#"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#
                    .into(),
                3,
                "no overlaps",
            ),
        ];
        for (header, data, message) in cases {
            let error = parse(&file(&header, data)).err().unwrap_or_else(|| format!("{header} was accepted"));
            assert!(error.contains(message), "{header}: '{error}' does not say '{message}'");
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n";
        assert!(parse(pointer).err().unwrap().contains("git lfs pull"));
        let mut huge = file("{}", 0);
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse(&huge).err().unwrap().contains("claims a header of 18446744073709551615 bytes"));
    }

    #[test]
    fn random_damage_never_panics() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let good = file(GOOD, 19);
        for _ in 0..100_000 {
            let mut bytes = good.clone();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            bytes.truncate(rng.random_range(0..=bytes.len()));
            if let Ok(header) = parse(&bytes) {
                let end = header.tensors.last().map_or(0, |(_, info)| info.data_offsets.1);
                assert_eq!(header.data_start + end, bytes.len());
            }
        }
    }
}

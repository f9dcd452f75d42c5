//! The header of a safetensors file, parsed strictly: every claim is checked against the file's size, and every
//! failure says the numbers. The format is at <https://huggingface.co/docs/safetensors>.

use crate::order::sort_by_key;
use safetensors::Dtype;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::ops::Range;

/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// More axes than any model has; shape arithmetic elsewhere may rely on it.
const MAX_RANK: usize = 32;
/// How many bytes a file begins with that say how long its header is.
pub(crate) const LENGTH_BYTES: u64 = 8;

/// What a repository holds in place of a large file.
const GIT_LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What a header says.
pub(crate) struct Header {
    /// Tensors by their place in the file.
    pub(crate) tensors: Vec<(String, TensorInfo)>,
    pub(crate) metadata: Vec<(String, String)>,
    /// Where tensor data start.
    data_start: u64,
}

/// What a header says of a tensor. Offsets are those of files, which may be larger than memory.
#[derive(Deserialize)]
pub(crate) struct TensorInfo {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl Header {
    /// Where a tensor lies in the file.
    pub(crate) fn range(&self, info: &TensorInfo) -> Range<u64> {
        let (start, end) = info.data_offsets;
        self.data_start + start..self.data_start + end
    }

    /// How long the file is.
    pub(crate) fn file_size(&self) -> u64 {
        self.data_start + self.tensors.last().map_or(0, |(_, info)| info.data_offsets.1)
    }

    /// Fails unless a file of that size ends where its last tensor does.
    pub(crate) fn check_size(&self, size: u64) -> Result<(), String> {
        if size == self.file_size() {
            return Ok(());
        }
        let (data, described) = (size.saturating_sub(self.data_start), self.file_size() - self.data_start);
        Err(format!("has {data} bytes of data, of which its tensors describe {described}"))
    }
}

/// Parses and checks the header of a file of these bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<Header, String> {
    let size = bytes.len() as u64;
    let end = end(bytes, Some(size))?;
    // In range of usize: the header ends within the bytes.
    parse_start(bytes.get(..end as usize).unwrap_or(bytes), Some(size))
}

/// Where the header of a file ends whose first bytes are these. `size` is the file's, if it is known.
pub(crate) fn end(start: &[u8], size: Option<u64>) -> Result<u64, String> {
    let Some((length, _)) = start.split_first_chunk::<8>() else {
        return Err(format!("is {} bytes long; a safetensors file has at least {LENGTH_BYTES}", start.len()));
    };
    let shown = start.len().min(GIT_LFS.len());
    if shown >= LENGTH_BYTES as usize && start.starts_with(&GIT_LFS[..shown]) {
        return Err("is a Git LFS pointer, not the file itself; fetch that with 'git lfs pull'".to_owned());
    }
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(format!("claims a header of {length} bytes; at most {MAX_HEADER_BYTES} are allowed"));
    }
    match size.map(|size| size.saturating_sub(LENGTH_BYTES)).filter(|rest| length > *rest) {
        Some(rest) => Err(format!("claims a header of {length} bytes, but only {rest} follow")),
        None => Ok(LENGTH_BYTES + length),
    }
}

/// Parses and checks a header that ends where these first bytes of the file do, in a file of `size` bytes if that is
/// known.
pub(crate) fn parse_start(start: &[u8], size: Option<u64>) -> Result<Header, String> {
    let json = start.get(LENGTH_BYTES as usize..).unwrap_or_default();
    let entries: Entries = serde_json::from_slice(json).map_err(|e| format!("has an invalid header: {e}"))?;
    let mut tensors = entries.tensors;
    // By where they start, and where they start together, by where they end.
    sort_by_key(&mut tensors, |(_, info)| info.data_offsets.1);
    sort_by_key(&mut tensors, |(_, info)| info.data_offsets.0);
    let data_start = start.len() as u64;
    check(&tensors, size.map(|size| size.saturating_sub(data_start)))?;
    let header = Header { tensors, metadata: entries.metadata, data_start };
    size.map_or(Ok(()), |size| header.check_size(size))?;
    Ok(header)
}

/// Fails unless the tensors lie side by side within the data, each as long as its shape needs.
fn check(tensors: &[(String, TensorInfo)], data_len: Option<u64>) -> Result<(), String> {
    // Offsets of what is not yet there still have to add up.
    let limit = data_len.unwrap_or(i64::MAX as u64);
    let mut expected_start = 0;
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        if start != expected_start || end < start || end > limit {
            return Err(format!(
                "tensor '{name}' claims bytes {start} to {end}; expected a range that starts at {expected_start} \
                 (no gaps, no overlaps) within {limit} bytes of data"
            ));
        }
        if info.shape.len() > MAX_RANK {
            return Err(format!("tensor '{name}' has {} axes; at most {MAX_RANK} are read", info.shape.len()));
        }
        // Axes of size 0 are left out of the product: a shape such as [0, 2^62, 2^62] must not overflow strides either.
        let spanned = info.shape.iter().filter(|&&d| d != 0).try_fold(1usize, |n, &d| n.checked_mul(d));
        // In 64 bits everywhere: a tensor may have more bits than 32 can count, though not more bytes.
        let bits = spanned
            .filter(|&elements| isize::try_from(elements).is_ok())
            .and_then(|elements| (elements as u64).checked_mul(info.dtype.bitsize() as u64))
            .filter(|&bits| i64::try_from(bits).is_ok())
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
        assert_eq!(header.data_start, 8 + GOOD.len() as u64);
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
                assert_eq!(header.file_size(), bytes.len() as u64);
            }
        }
    }
}

//! Writing safetensors.

use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView, serialize, serialize_to_file};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Writes tensors and free-form metadata to a safetensors file, replacing it in one step if it exists.
///
/// # Errors
/// `invalid_argument` for two tensors of one name; `invalid_file` if the file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)], metadata: &[(String, String)]) -> Result<()> {
    super::require_files(path)?;
    let unwritable = |detail: String| Error::InvalidFile { path: path.into(), detail };
    let bytes = elements("writeTensors", tensors)?;
    serialize_to_file(views(tensors, &bytes)?, pairs(metadata), path).map_err(|e| unwritable(e.to_string()))?;
    readable_by_others(path).map_err(|e| unwritable(e.to_string()))
}

/// The bytes of the file that [`write_tensors`] writes.
///
/// # Errors
/// `invalid_argument` for two tensors of one name; `memory_limit`.
pub fn encode_tensors(tensors: &[(String, Tensor)], metadata: &[(String, String)]) -> Result<Vec<u8>> {
    // What is written next to what it is made of.
    let size = tensors.iter().map(|(_, tensor)| tensor.elem_count() * tensor.dtype().size()).sum::<usize>();
    crate::memory::require_for("a file of tensors", size.saturating_mul(2))?;
    let bytes = elements("encodeTensors", tensors)?;
    serialize(views(tensors, &bytes)?, pairs(metadata)).map_err(|e| Error::Internal { detail: e.to_string() })
}

/// The elements of each tensor, once all names have been checked.
fn elements(op: &'static str, tensors: &[(String, Tensor)]) -> Result<Vec<Vec<u8>>> {
    let mut names = HashSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| name == "__metadata__" || !names.insert(name)) {
        return Err(Error::InvalidArgument { op, detail: format!("'{name}' is there twice, or is reserved") });
    }
    tensors.iter().map(|(_, tensor)| little_endian(tensor)).collect()
}

/// What the format's own writer takes.
fn views<'a>(tensors: &'a [(String, Tensor)], bytes: &'a [Vec<u8>]) -> Result<Vec<(&'a str, TensorView<'a>)>> {
    let of = |((name, tensor), bytes): (&'a (String, Tensor), &'a Vec<u8>)| {
        let view = TensorView::new(stored_dtype(tensor.dtype()), tensor.dims().to_vec(), bytes)
            .map_err(|e| Error::Internal { detail: format!("tensor '{name}': {e}") })?;
        Ok((name.as_str(), view))
    };
    tensors.iter().zip(bytes).map(of).collect()
}

fn pairs(metadata: &[(String, String)]) -> Option<HashMap<String, String>> {
    (!metadata.is_empty()).then(|| metadata.iter().cloned().collect())
}

/// The file starts as a private temporary one; a model is there to be shared.
fn readable_by_others(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn stored_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::U8 => Dtype::U8,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
        DType::Bool => Dtype::BOOL,
    }
}

/// The elements in row-major order as the format stores them.
fn little_endian(tensor: &Tensor) -> Result<Vec<u8>> {
    let mut bytes = tensor.to_bytes()?;
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(tensor.dtype().size()).for_each(<[u8]>::reverse);
    }
    Ok(bytes)
}

//! Writing safetensors.

use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Writes tensors and free-form metadata to a safetensors file, replacing it in one step if it exists.
///
/// # Errors
/// `invalid_argument` for two tensors of one name; `invalid_file` if the file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)], metadata: &[(String, String)]) -> Result<()> {
    super::require_files(path)?;
    let mut names = HashSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| name == "__metadata__" || !names.insert(name)) {
        let detail = format!("'{name}' is there twice, or is reserved");
        return Err(Error::InvalidArgument { op: "writeTensors", detail });
    }
    let unwritable = |detail: String| Error::InvalidFile { path: path.into(), detail };
    let bytes = tensors.iter().map(|(_, tensor)| little_endian(tensor)).collect::<Result<Vec<_>>>()?;
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, tensor), bytes)| {
            let view = TensorView::new(stored_dtype(tensor.dtype()), tensor.dims().to_vec(), bytes)
                .map_err(|e| unwritable(format!("tensor '{name}': {e}")))?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata: HashMap<String, String> = metadata.iter().cloned().collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    serialize_to_file(views, metadata, path).map_err(|e| unwritable(e.to_string()))?;
    readable_by_others(path).map_err(|e| unwritable(e.to_string()))
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
    macro_rules! bytes {
        ($ty:ty) => {
            tensor.data().flatten_all()?.to_vec1::<$ty>()?.into_iter().flat_map(<$ty>::to_le_bytes).collect()
        };
    }
    Ok(match tensor.dtype() {
        DType::F32 => bytes!(f32),
        DType::F64 => bytes!(f64),
        DType::F16 => bytes!(half::f16),
        DType::BF16 => bytes!(half::bf16),
        DType::U8 | DType::Bool => tensor.data().flatten_all()?.to_vec1::<u8>()?,
        DType::U32 => bytes!(u32),
        DType::I64 => bytes!(i64),
    })
}

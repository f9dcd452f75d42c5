//! Tensors in safetensors files.

use crate::fields::Fields;
use crate::js::Js;
use crate::results::object;
use hooklens_core::{Result, Tensor, load};
use std::path::Path;

struct NamedTensor {
    name: String,
    tensor: Tensor,
}
object!(NamedTensor: c"name" => name, c"tensor" => tensor,);

/// A pair of a file's metadata. Not a field of an object: names in files may be `__proto__`.
struct NamedText {
    name: String,
    text: String,
}
object!(NamedText: c"name" => name, c"text" => text,);

pub(crate) struct TensorFile {
    tensors: Vec<NamedTensor>,
    metadata: Vec<NamedText>,
}
object!(TensorFile: c"tensors" => tensors, c"metadata" => metadata,);

pub(crate) fn read(path: &str) -> Result<TensorFile> {
    let (tensors, metadata) = load::read_tensors(Path::new(path))?;
    Ok(TensorFile {
        tensors: tensors.into_iter().map(|(name, tensor)| NamedTensor { name, tensor }).collect(),
        metadata: metadata.into_iter().map(|(name, text)| NamedText { name, text }).collect(),
    })
}

pub(crate) fn write<J: Js>(path: &str, tensors: &[Fields<J>], metadata: &Fields<J>) -> Result<()> {
    load::write_tensors(Path::new(path), &named_tensors(tensors)?, &metadata.texts()?)
}

/// The items of a list of `{ name, tensor }`.
pub(crate) fn named_tensors<J: Js>(tensors: &[Fields<J>]) -> Result<Vec<(String, Tensor)>> {
    tensors.iter().map(|fields| Ok((fields.required(c"name")?, fields.required(c"tensor")?))).collect()
}

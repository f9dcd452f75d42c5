//! Tensors in safetensors files.

use crate::fields::Fields;
use crate::js::Js;
use crate::results::object;
use hooklens_core::load::{Metadata, NamedTensors};
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

impl From<(NamedTensors, Metadata)> for TensorFile {
    fn from((tensors, metadata): (NamedTensors, Metadata)) -> Self {
        Self {
            tensors: tensors.into_iter().map(|(name, tensor)| NamedTensor { name, tensor }).collect(),
            metadata: metadata.into_iter().map(|(name, text)| NamedText { name, text }).collect(),
        }
    }
}

pub(crate) fn read(path: &str) -> Result<TensorFile> {
    load::read_tensors(Path::new(path)).map(TensorFile::from)
}

/// [`read`], of bytes that are at hand.
pub(crate) fn decode<J: Js>(js: J, location: &str, bytes: &J::Value) -> Result<TensorFile> {
    js.with_elements::<u8, _>(bytes, |bytes| load::decode_tensors(Path::new(location), bytes)).map(TensorFile::from)
}

pub(crate) fn write<J: Js>(path: &str, tensors: &[Fields<J>], metadata: &Fields<J>) -> Result<()> {
    load::write_tensors(Path::new(path), &named_tensors(tensors)?, &metadata.texts()?)
}

/// What [`write`] would write.
pub(crate) fn encode<J: Js>(js: J, tensors: &[Fields<J>], metadata: &Fields<J>) -> Result<J::Value> {
    let bytes = load::encode_tensors(&named_tensors(tensors)?, &metadata.texts()?)?;
    js.typed_array::<u8>(bytes.len(), |to| {
        to.copy_from_slice(&bytes);
        Ok(())
    })
}

/// The items of a list of `{ name, tensor }`.
pub(crate) fn named_tensors<J: Js>(tensors: &[Fields<J>]) -> Result<Vec<(String, Tensor)>> {
    tensors.iter().map(|fields| Ok((fields.required(c"name")?, fields.required(c"tensor")?))).collect()
}

//! Tensors in safetensors files.

use crate::args::{List, Text};
use crate::boundary::{boundary, boundary_pure};
use crate::fields::Fields;
use crate::model::named_tensors;
use crate::tensor::EngineTensor;
use hooklens_core::load;
use napi::Env;
use napi_derive::napi;
use std::path::Path;

#[napi(object, object_from_js = false)]
pub struct NamedTensor {
    pub name: String,
    pub tensor: EngineTensor,
}

/// A pair of a file's metadata. Not a field of an object: names in files may be `__proto__`.
#[napi(object, object_from_js = false)]
pub struct NamedText {
    pub name: String,
    pub text: String,
}

#[napi(object, object_from_js = false)]
pub struct TensorFile {
    pub tensors: Vec<NamedTensor>,
    pub metadata: Vec<NamedText>,
}

#[napi]
pub fn read_tensors(env: Env, path: Text) -> napi::Result<TensorFile> {
    boundary_pure(&env, || {
        let (tensors, metadata) = load::read_tensors(Path::new(&path.0))?;
        Ok(TensorFile {
            tensors: tensors.into_iter().map(|(name, tensor)| NamedTensor { name, tensor: tensor.into() }).collect(),
            metadata: metadata.into_iter().map(|(name, text)| NamedText { name, text }).collect(),
        })
    })
}

#[napi]
pub fn write_tensors(env: Env, path: Text, tensors: List<Fields>, metadata: Fields) -> napi::Result<()> {
    let (tensors, metadata) = (named_tensors(&tensors)?, metadata.texts()?);
    boundary(&env, || load::write_tensors(Path::new(&path.0), &tensors, &metadata))
}

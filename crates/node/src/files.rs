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

#[napi]
pub fn read_tensors(env: Env, path: Text) -> napi::Result<Vec<NamedTensor>> {
    boundary_pure(&env, || {
        let (tensors, _metadata) = load::read_tensors(Path::new(&path.0))?;
        Ok(tensors.into_iter().map(|(name, tensor)| NamedTensor { name, tensor: tensor.into() }).collect())
    })
}

#[napi]
pub fn write_tensors(env: Env, path: Text, tensors: List<Fields>, metadata: Fields) -> napi::Result<()> {
    let (tensors, metadata) = (named_tensors(&tensors)?, metadata.texts()?);
    boundary(&env, || load::write_tensors(Path::new(&path.0), &tensors, &metadata))
}

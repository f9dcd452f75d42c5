//! The weights of one part of a model while they are processed.

use super::matrix::Matrix;
use super::{Access, wide};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::models::ModelConfig;
use crate::nn::PackedAttn;
use crate::tensor::{CT, Tensor};
use indexmap::IndexMap;

/// Weights whose names begin alike: vectors in at least single precision, matrices where they are.
///
/// Attention is a single matrix `attn.W_QKV` `[d_model, (n_heads + 2 n_key_value_heads) * d_head]` with its bias
/// `attn.b_QKV`, and `attn.W_O` `[n_heads * d_head, d_model]`.
pub(super) struct Part {
    prefix: String,
    vectors: IndexMap<String, CT>,
    matrices: IndexMap<String, Matrix>,
}

impl Part {
    /// Takes the weights whose names begin with `prefix` out of `named`, under the rest of their names.
    pub(super) fn take(named: &mut IndexMap<String, Tensor>, prefix: &str, access: Access) -> Result<Self> {
        let names: Vec<String> = named.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        let mut part = Self { prefix: prefix.to_owned(), vectors: IndexMap::new(), matrices: IndexMap::new() };
        for name in names {
            if let (Some(tensor), Some(rest)) = (named.swap_remove(&name), name.strip_prefix(prefix)) {
                part.insert(rest, &tensor, access)?;
            }
        }
        Ok(part)
    }

    /// [`Part::take`] of a block; its attention is given as matrices.
    pub(super) fn take_block(
        named: &mut IndexMap<String, Tensor>,
        layer: usize,
        attn: &PackedAttn,
        access: Access,
    ) -> Result<Self> {
        let (attn_prefix, b_o) = (format!("blocks.{layer}.attn."), format!("blocks.{layer}.attn.b_O"));
        named.retain(|name, _| !name.starts_with(&attn_prefix) || *name == b_o);
        let mut part = Self::take(named, &format!("blocks.{layer}."), access)?;
        part.insert("attn.W_QKV", &attn.qkv, access)?;
        part.insert("attn.W_O", &attn.o, access)?;
        if let Some(bias) = &attn.qkv_bias {
            part.insert("attn.b_QKV", bias, access)?;
        }
        Ok(part)
    }

    fn insert(&mut self, name: &str, tensor: &Tensor, access: Access) -> Result<()> {
        if tensor.rank() == 2 {
            self.matrices.insert(name.to_owned(), Matrix::new(tensor, access == Access::Exclusive)?);
        } else {
            self.set(name, tensor.data().to_dtype(wide(tensor.dtype()))?);
        }
        Ok(())
    }

    /// Puts what is there now into `named`, as `dtype`.
    pub(super) fn put_back(self, named: &mut IndexMap<String, Tensor>, dtype: DType) -> Result<()> {
        for (name, vector) in self.vectors {
            named.insert(format!("{}{name}", self.prefix), rounded(&vector, dtype)?);
        }
        for (name, matrix) in self.matrices {
            named.insert(format!("{}{name}", self.prefix), matrix.finish()?);
        }
        Ok(())
    }

    /// [`Part::put_back`] of a block; gives its attention as matrices.
    pub(super) fn put_back_block(
        mut self,
        named: &mut IndexMap<String, Tensor>,
        layer: usize,
        config: &ModelConfig,
    ) -> Result<PackedAttn> {
        let mut matrix = |name: &str| match self.matrices.shift_remove(name) {
            Some(matrix) => matrix.finish(),
            None => Err(missing(&self.prefix, name)),
        };
        let (qkv, o) = (matrix("attn.W_QKV")?, matrix("attn.W_O")?);
        let qkv_bias = self.remove("attn.b_QKV").map(|bias| rounded(&bias, config.dtype)).transpose()?;
        let attn = PackedAttn { qkv, qkv_bias, o };
        named.extend(attn.views(config, layer)?);
        self.put_back(named, config.dtype)?;
        Ok(attn)
    }

    /// A matrix, which must be there.
    pub(super) fn matrix(&mut self, name: &str) -> Result<&mut Matrix> {
        self.matrices.get_mut(name).ok_or_else(|| missing(&self.prefix, name))
    }

    /// A matrix that may be missing.
    pub(super) fn find_matrix(&mut self, name: &str) -> Option<&mut Matrix> {
        self.matrices.get_mut(name)
    }

    /// A vector that may be missing.
    pub(super) fn find(&self, name: &str) -> Option<&CT> {
        self.vectors.get(name)
    }

    pub(super) fn set(&mut self, name: &str, value: CT) {
        self.vectors.insert(name.to_owned(), value);
    }

    /// Takes a vector out.
    pub(super) fn remove(&mut self, name: &str) -> Option<CT> {
        self.vectors.shift_remove(name)
    }

    /// [`Part::remove`] of one that must be there.
    pub(super) fn take_vector(&mut self, name: &str) -> Result<CT> {
        self.remove(name).ok_or_else(|| missing(&self.prefix, name))
    }

    /// Adds to a bias, which is zero if it is missing.
    pub(super) fn add_bias(&mut self, name: &str, more: CT) -> Result<()> {
        let sum = match self.find(name) {
            Some(bias) => (bias + more)?,
            None => more,
        };
        self.set(name, sum);
        Ok(())
    }
}

fn missing(prefix: &str, name: &str) -> Error {
    Error::weight_mismatch(format!("{prefix}{name}"), "is missing; processing needs all weights of the model")
}

fn rounded(vector: &CT, dtype: DType) -> Result<Tensor> {
    Tensor::constant(vector.to_dtype(dtype.storage())?)
}

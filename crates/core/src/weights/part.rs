//! The weights of one part of a model while they are processed.

use super::wide;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor};
use indexmap::IndexMap;

/// Weights whose names begin alike, in at least single precision.
pub(super) struct Part {
    prefix: String,
    weights: IndexMap<String, CT>,
}

impl Part {
    /// Takes the weights whose names begin with `prefix` out of `named`, under the rest of their names.
    pub(super) fn take(named: &mut IndexMap<String, Tensor>, prefix: &str) -> Result<Self> {
        let names: Vec<String> = named.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        let mut weights = IndexMap::with_capacity(names.len());
        for name in names {
            if let (Some(tensor), Some(rest)) = (named.swap_remove(&name), name.strip_prefix(prefix)) {
                weights.insert(rest.to_owned(), tensor.data().to_dtype(wide(tensor.dtype()))?);
            }
        }
        Ok(Self { prefix: prefix.to_owned(), weights })
    }

    /// Puts what is there now into `named`, as `dtype`.
    pub(super) fn put_back(self, named: &mut IndexMap<String, Tensor>, dtype: DType) -> Result<()> {
        for (name, data) in self.weights {
            let data = data.to_dtype(dtype.storage())?;
            named.insert(format!("{}{name}", self.prefix), Tensor::constant(data)?);
        }
        Ok(())
    }

    /// A weight that must be there.
    pub(super) fn get(&self, name: &str) -> Result<&CT> {
        self.weights.get(name).ok_or_else(|| {
            let detail = "is missing; processing needs all weights of the model";
            Error::weight_mismatch(format!("{}{name}", self.prefix), detail)
        })
    }

    /// A weight that may be missing.
    pub(super) fn find(&self, name: &str) -> Option<&CT> {
        self.weights.get(name)
    }

    pub(super) fn set(&mut self, name: &str, value: CT) {
        self.weights.insert(name.to_owned(), value);
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<CT> {
        self.weights.shift_remove(name)
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

    /// `W_K` or `b_V` and the like as this part calls it: those that several heads share carry an underscore.
    pub(super) fn key_or_value(&self, name: &str) -> String {
        let shared = format!("attn._{name}");
        let sharing = self.weights.keys().any(|key| key.starts_with("attn._"));
        if sharing { shared } else { format!("attn.{name}") }
    }
}

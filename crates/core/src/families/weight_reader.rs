//! The one way in which the checkpoints of all families are checked and read.

use super::weight_map::{BlockMap, Layout, LinearMap, NormMap, QkvMap};
use crate::error::{Error, Result};
use crate::load::WeightSource;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::PackedAttn;
use crate::tensor::{CT, Tensor};
use indexmap::IndexMap;

/// How many problems of a checkpoint the message spells out.
const MAX_LISTED: usize = 20;
/// Of how many more it names the tensor; the error's `names` are complete.
const MAX_NAMED: usize = 2000;

/// Fails unless a checkpoint holds exactly the expected tensors, beside those that are ignored.
pub(super) fn check(
    source: &dyn WeightSource,
    expected: &IndexMap<String, Vec<usize>>,
    ignored: impl Fn(&str) -> bool,
) -> Result<()> {
    let wrong = expected.iter().filter_map(|(name, dims)| match source.shape(name) {
        Some(got) if got == dims.as_slice() => None,
        Some(got) => Some((name.as_str(), format!("has shape {got:?}, expected {dims:?}"))),
        None => Some((name.as_str(), format!("is missing, expected shape {dims:?}"))),
    });
    let names = source.names();
    let extra = names
        .iter()
        .filter(|name| !expected.contains_key(**name) && !ignored(name))
        .map(|name| (*name, "is not a weight of this architecture".to_owned()));
    let problems: Vec<(&str, String)> = wrong.chain(extra).collect();
    let Some((first, _)) = problems.first() else {
        return Ok(());
    };
    let mut listed: Vec<String> = problems.iter().take(MAX_LISTED).map(|(n, what)| format!("'{n}' {what}")).collect();
    if let Some(rest) = problems.get(MAX_LISTED..).filter(|rest| !rest.is_empty()) {
        let names: Vec<&str> = rest.iter().take(MAX_NAMED).map(|(name, _)| *name).collect();
        let end = if rest.len() > MAX_NAMED { ", …" } else { "" };
        listed.push(format!("and {} more: {}{end}", rest.len(), names.join(", ")));
    }
    let detail = format!("{} of the checkpoint's tensors do not fit: {}", problems.len(), listed.join("; "));
    let names = problems.iter().map(|(name, _)| (*name).to_owned()).collect();
    Err(Error::WeightMismatch { name: (*first).to_owned(), detail, names })
}

/// Reads weights as they are asked for.
pub(super) struct Reader<'a> {
    pub(super) source: &'a dyn WeightSource,
    pub(super) options: &'a LoadOptions,
}

impl Reader<'_> {
    /// A tensor as it is stored.
    ///
    /// # Errors
    /// `wrong_dtype` for anything but floats.
    pub(super) fn read(&self, name: &str) -> Result<Tensor> {
        self.first(name, None)
    }

    /// The first `count` rows of a matrix.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn rows(&self, name: &str, count: usize) -> Result<Tensor> {
        self.first(name, Some(count))
    }

    fn first(&self, name: &str, rows: Option<usize>) -> Result<Tensor> {
        let LoadOptions { dtype, device, progress, .. } = self.options;
        let tensor = self.source.read(name, rows, Some(*dtype), device, progress)?;
        if tensor.dtype() == self.options.dtype {
            return Ok(tensor);
        }
        Err(Error::WrongDtype {
            op: "load",
            expected: format!("floats in '{name}'"),
            got: tensor.dtype().name().into(),
        })
    }

    /// `[in, out]`, as a view where it is stored the other way round.
    fn matrix(&self, map: &LinearMap) -> Result<Tensor> {
        turned(self.read(&map.weight)?, map.layout)
    }

    /// A linear map as `<module>.W_<part>` and, if it has a bias, `<module>.b_<part>`.
    pub(super) fn linear(
        &self,
        map: &LinearMap,
        module: &str,
        part: &str,
        named: &mut IndexMap<String, Tensor>,
    ) -> Result<()> {
        named.insert(format!("{module}.W_{part}"), self.matrix(map)?);
        if let Some(bias) = &map.bias {
            named.insert(format!("{module}.b_{part}"), self.read(bias)?);
        }
        Ok(())
    }

    /// A norm as `<module>.w` and, if it has a bias, `<module>.b`.
    pub(super) fn norm(&self, map: &NormMap, module: &str, named: &mut IndexMap<String, Tensor>) -> Result<()> {
        named.insert(format!("{module}.w"), self.read(&map.weight)?);
        if let Some(bias) = &map.bias {
            named.insert(format!("{module}.b"), self.read(bias)?);
        }
        Ok(())
    }

    /// A layer's matrices with queries, keys and values side by side. What is stored otherwise exists twice meanwhile,
    /// but no more of the model than this layer's.
    pub(super) fn attention(&self, block: &BlockMap, config: &ModelConfig) -> Result<PackedAttn> {
        let bias = |map: &LinearMap| map.bias.as_ref().map(|bias| self.read(bias)).transpose();
        let map = |map: &LinearMap| Ok::<_, Error>((self.matrix(map)?, bias(map)?));
        let (qkv, qkv_bias) = match &block.qkv {
            QkvMap::Fused(fused) => map(fused)?,
            QkvMap::FusedByHead(map) => {
                let part_by_part = |x: Tensor, axis: usize| Tensor::constant(by_part(x.data(), axis, config.n_heads)?);
                let axis = if map.layout == Layout::OutIn { 0 } else { 1 };
                let weight = part_by_part(self.read(&map.weight)?, axis)?;
                (turned(weight, map.layout)?, bias(map)?.map(|bias| part_by_part(bias, 0)).transpose()?)
            }
            QkvMap::Separate { q, k, v } => {
                return PackedAttn::new(&[map(q)?, map(k)?, map(v)?], self.matrix(&block.o)?);
            }
        };
        Ok(PackedAttn { qkv, qkv_bias, o: self.matrix(&block.o)? })
    }
}

/// `[in, out]`, as a view of what is stored the other way round.
fn turned(stored: Tensor, layout: Layout) -> Result<Tensor> {
    match layout {
        Layout::InOut => Ok(stored),
        Layout::OutIn => Tensor::constant(stored.data().t()?),
    }
}

/// Reorders an axis of (head, {q, k, v}, d_head) to ({q, k, v}, head, d_head).
fn by_part(x: &CT, axis: usize, heads: usize) -> Result<CT> {
    let dims = x.dims();
    let (before, after) = (&dims[..axis], &dims[axis + 1..]);
    let split = [before, &[heads, 3, dims[axis] / (3 * heads)], after].concat();
    Ok(x.reshape(split)?.transpose(axis, axis + 1)?.contiguous()?.reshape(dims)?)
}

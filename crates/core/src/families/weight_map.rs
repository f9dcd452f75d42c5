//! Where a checkpoint keeps each weight, and the one way in which all families are read.

use crate::error::{Error, Result};
use crate::load::WeightSource;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::{PackedAttn, Weights};
use crate::tensor::Tensor;
use indexmap::IndexMap;

/// How many problems of a checkpoint are spelled out.
const MAX_LISTED: usize = 20;

/// Which way round a matrix is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[in, out]`, as `x @ w` wants it.
    InOut,
    /// `[out, in]`, as torch's linear layers keep it.
    #[allow(dead_code, reason = "every family but GPT-2 stores its matrices this way")]
    OutIn,
}

/// A linear map in a checkpoint.
pub(super) struct LinearMap {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
    pub(super) layout: Layout,
}

/// A norm in a checkpoint.
pub(super) struct NormMap {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
}

/// Queries', keys' and values' matrices in a checkpoint.
pub(super) enum QkvMap {
    /// One matrix, whose outputs are all queries, then all keys, then all values.
    Fused(LinearMap),
}

/// An MLP in a checkpoint.
pub(super) struct MlpMap {
    pub(super) up: LinearMap,
    pub(super) down: LinearMap,
}

/// A block in a checkpoint.
pub(super) struct BlockMap {
    pub(super) ln1: NormMap,
    pub(super) qkv: QkvMap,
    pub(super) o: LinearMap,
    pub(super) ln2: NormMap,
    pub(super) mlp: MlpMap,
}

/// A whole model in a checkpoint.
pub(super) struct WeightMap {
    /// `[d_vocab, d_model]`.
    pub(super) embed: String,
    /// `[n_ctx, d_model]`.
    pub(super) pos: Option<String>,
    pub(super) blocks: Vec<BlockMap>,
    pub(super) ln_final: NormMap,
    /// `None`: the embedding, transposed.
    pub(super) unembed: Option<LinearMap>,
    /// Tensors that are stored but are no weights, such as precomputed masks.
    pub(super) ignored: fn(&str) -> bool,
}

impl WeightMap {
    /// Reads and packs what `config` asks for, of a checkpoint that `stored` describes.
    ///
    /// # Errors
    /// `weight_mismatch` naming every tensor that is missing, superfluous or of another shape; what reading fails with.
    pub(super) fn read(
        &self,
        stored: &ModelConfig,
        config: &ModelConfig,
        source: &dyn WeightSource,
        options: &LoadOptions,
    ) -> Result<Weights> {
        check(source, &self.expected(stored), self.ignored)?;
        options.begin(self.expected(config).values().map(Vec::as_slice))?;
        let reader = Reader { source, options };
        let mut named = IndexMap::new();
        let mut packed = Vec::with_capacity(self.blocks.len());
        let embed = reader.read(&self.embed)?;
        let unembed = match &self.unembed {
            Some(map) => {
                if let Some(bias) = &map.bias {
                    named.insert("unembed.b_U".to_owned(), reader.read(bias)?);
                }
                reader.matrix(map)?
            }
            None => Tensor::constant(embed.data().t()?)?,
        };
        named.insert("embed.W_E".to_owned(), embed);
        named.insert("unembed.W_U".to_owned(), unembed);
        if let Some(pos) = &self.pos {
            named.insert("pos_embed.W_pos".to_owned(), reader.rows(pos, config.n_ctx)?);
        }
        for (layer, block) in self.blocks(config).enumerate() {
            let at = |name: &str| format!("blocks.{layer}.{name}");
            reader.norm(&block.ln1, &at("ln1"), &mut named)?;
            reader.norm(&block.ln2, &at("ln2"), &mut named)?;
            let attn = reader.attention(block)?;
            named.extend(attn.views(config, layer)?);
            packed.push(attn);
            if let Some(bias) = &block.o.bias {
                named.insert(at("attn.b_O"), reader.read(bias)?);
            }
            for (map, name) in [(&block.mlp.up, "in"), (&block.mlp.down, "out")] {
                named.insert(at(&format!("mlp.W_{name}")), reader.matrix(map)?);
                if let Some(bias) = &map.bias {
                    named.insert(at(&format!("mlp.b_{name}")), reader.read(bias)?);
                }
            }
        }
        reader.norm(&self.ln_final, "ln_final", &mut named)?;
        Weights::new(config, named, Some(packed))
    }

    /// The blocks that a model has, which may be fewer than the checkpoint's.
    fn blocks(&self, config: &ModelConfig) -> impl Iterator<Item = &BlockMap> {
        self.blocks.iter().take(config.n_layers)
    }

    /// Every tensor that must be there, with its shape.
    fn expected(&self, config: &ModelConfig) -> IndexMap<String, Vec<usize>> {
        let mut expected = IndexMap::new();
        let d_model = config.d_model;
        let (q_width, kv_width) = (config.n_heads * config.d_head, config.n_key_value_heads * config.d_head);
        let d_mlp = config.d_mlp.unwrap_or(0);
        let mut linear = |map: &LinearMap, input: usize, output: usize| {
            let dims = if map.layout == Layout::InOut { [input, output] } else { [output, input] };
            expected.insert(map.weight.clone(), dims.to_vec());
            if let Some(bias) = &map.bias {
                expected.insert(bias.clone(), vec![output]);
            }
        };
        for block in self.blocks(config) {
            let QkvMap::Fused(qkv) = &block.qkv;
            linear(qkv, d_model, q_width + 2 * kv_width);
            linear(&block.o, q_width, d_model);
            linear(&block.mlp.up, d_model, d_mlp);
            linear(&block.mlp.down, d_mlp, d_model);
        }
        if let Some(unembed) = &self.unembed {
            linear(unembed, d_model, config.d_vocab_out);
        }
        let norms = self.blocks(config).flat_map(|block| [&block.ln1, &block.ln2]).chain([&self.ln_final]);
        for norm in norms {
            expected.insert(norm.weight.clone(), vec![d_model]);
            if let Some(bias) = &norm.bias {
                expected.insert(bias.clone(), vec![d_model]);
            }
        }
        expected.insert(self.embed.clone(), vec![config.d_vocab, d_model]);
        if let Some(pos) = &self.pos {
            expected.insert(pos.clone(), vec![config.n_ctx, d_model]);
        }
        expected
    }
}

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
    if problems.len() > MAX_LISTED {
        listed.push(format!("and {} more", problems.len() - MAX_LISTED));
    }
    let detail = format!("{} of the checkpoint's tensors do not fit: {}", problems.len(), listed.join("; "));
    Err(Error::WeightMismatch { name: (*first).to_owned(), detail })
}

pub(super) struct Reader<'a> {
    pub(super) source: &'a dyn WeightSource,
    pub(super) options: &'a LoadOptions,
}

impl Reader<'_> {
    pub(super) fn read(&self, name: &str) -> Result<Tensor> {
        let tensor = self.source.read(name, Some(self.options.dtype), &self.options.device)?;
        self.options.advance(tensor.elem_count())?;
        if tensor.dtype() == self.options.dtype {
            return Ok(tensor);
        }
        Err(Error::WrongDtype {
            op: "load",
            expected: format!("floats in '{name}'"),
            got: tensor.dtype().name().into(),
        })
    }

    /// The first `count` rows of a matrix.
    pub(super) fn rows(&self, name: &str, count: usize) -> Result<Tensor> {
        let all = self.read(name)?;
        if all.dims().first() == Some(&count) {
            return Ok(all);
        }
        // A copy, so that the rest is let go of.
        Tensor::constant(all.data().narrow(0, 0, count)?.copy()?)
    }

    /// `[in, out]`, as a view where it is stored the other way round.
    fn matrix(&self, map: &LinearMap) -> Result<Tensor> {
        let stored = self.read(&map.weight)?;
        match map.layout {
            Layout::InOut => Ok(stored),
            Layout::OutIn => Tensor::constant(stored.data().t()?),
        }
    }

    fn norm(&self, map: &NormMap, module: &str, named: &mut IndexMap<String, Tensor>) -> Result<()> {
        named.insert(format!("{module}.w"), self.read(&map.weight)?);
        if let Some(bias) = &map.bias {
            named.insert(format!("{module}.b"), self.read(bias)?);
        }
        Ok(())
    }

    fn attention(&self, block: &BlockMap) -> Result<PackedAttn> {
        let QkvMap::Fused(map) = &block.qkv;
        let qkv_bias = map.bias.as_ref().map(|bias| self.read(bias)).transpose()?;
        Ok(PackedAttn { qkv: self.matrix(map)?, qkv_bias, o: self.matrix(&block.o)? })
    }
}

//! Where a checkpoint keeps each weight: under which name, in which layout, with which bias.

use super::weight_reader::{Reader, check};
use crate::error::Result;
use crate::load::WeightSource;
use crate::models::{LoadOptions, ModelConfig};
use crate::nn::Weights;
use crate::tensor::Tensor;
use indexmap::IndexMap;

/// Which way round a matrix is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[in, out]`, as `x @ w` wants it.
    InOut,
    /// `[out, in]`, as torch's linear layers keep it.
    OutIn,
}

/// A linear map in a checkpoint.
pub(super) struct LinearMap {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
    pub(super) layout: Layout,
}

impl LinearMap {
    /// `<module>.weight`, and `<module>.bias` if it has one.
    pub(super) fn new(module: &str, layout: Layout, bias: bool) -> Self {
        Self { weight: format!("{module}.weight"), bias: bias.then(|| format!("{module}.bias")), layout }
    }
}

/// A norm in a checkpoint.
pub(super) struct NormMap {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
}

impl NormMap {
    /// `<module>.weight`, and `<module>.bias` if it has one.
    pub(super) fn new(module: &str, bias: bool) -> Self {
        Self { weight: format!("{module}.weight"), bias: bias.then(|| format!("{module}.bias")) }
    }
}

/// Queries', keys' and values' matrices in a checkpoint.
pub(super) enum QkvMap {
    /// One matrix, whose outputs are all queries, then all keys, then all values.
    Fused(LinearMap),
    /// One matrix, whose outputs are the first head's query, key and value, then the second head's, and so on. Every
    /// head has its own keys and values.
    FusedByHead(LinearMap),
    /// A matrix each.
    Separate {
        /// Queries.
        q: LinearMap,
        /// Keys.
        k: LinearMap,
        /// Values.
        v: LinearMap,
    },
}

/// An MLP in a checkpoint.
pub(super) struct MlpMap {
    /// What the activation is applied to in a gated MLP.
    pub(super) gate: Option<LinearMap>,
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

/// The unembedding: a stored one wins, whatever `tie_word_embeddings` says; untied, there must be one. `names` are those
/// that a checkpoint may have it under, the usual one first.
pub(super) fn unembedding(source: &dyn WeightSource, names: &[&str], tied: bool) -> Option<LinearMap> {
    let stored = names.iter().find(|name| source.contains(name));
    let weight = stored.or_else(|| names.first().filter(|_| !tied))?;
    Some(LinearMap { weight: (*weight).to_owned(), bias: None, layout: Layout::OutIn })
}

impl WeightMap {
    /// Every tensor that `config` asks for, with its shape, of a checkpoint that `stored` describes.
    ///
    /// # Errors
    /// `weight_mismatch` naming every tensor that is missing, superfluous or of another shape.
    pub(super) fn wanted(
        &self,
        stored: &ModelConfig,
        config: &ModelConfig,
        source: &dyn WeightSource,
    ) -> Result<IndexMap<String, Vec<usize>>> {
        check(source, &self.expected(stored), self.ignored)?;
        Ok(self.expected(config))
    }

    /// Reads and packs what `config` asks for, which is there.
    ///
    /// # Errors
    /// What reading fails with.
    pub(super) fn read(
        &self,
        config: &ModelConfig,
        source: &dyn WeightSource,
        options: &LoadOptions,
    ) -> Result<Weights> {
        let reader = Reader { source, options };
        let mut named = IndexMap::new();
        let mut packed = Vec::with_capacity(self.blocks.len());
        let embed = reader.read(&self.embed)?;
        match &self.unembed {
            Some(map) => reader.linear(map, "unembed", "U", &mut named)?,
            None => {
                named.insert("unembed.W_U".to_owned(), Tensor::constant(embed.data().t()?)?);
            }
        }
        named.insert("embed.W_E".to_owned(), embed);
        if let Some(pos) = &self.pos {
            named.insert("pos_embed.W_pos".to_owned(), reader.rows(pos, config.n_ctx)?);
        }
        for (layer, block) in self.blocks(config).enumerate() {
            let at = |name: &str| format!("blocks.{layer}.{name}");
            reader.norm(&block.ln1, &at("ln1"), &mut named)?;
            reader.norm(&block.ln2, &at("ln2"), &mut named)?;
            let attn = reader.attention(block, config)?;
            named.extend(attn.views(config, layer)?);
            packed.push(attn);
            if let Some(bias) = &block.o.bias {
                named.insert(at("attn.b_O"), reader.read(bias)?);
            }
            for (map, part) in block.mlp.parts() {
                reader.linear(map, &at("mlp"), part, &mut named)?;
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
            match &block.qkv {
                QkvMap::Fused(qkv) | QkvMap::FusedByHead(qkv) => linear(qkv, d_model, q_width + 2 * kv_width),
                QkvMap::Separate { q, k, v } => {
                    linear(q, d_model, q_width);
                    linear(k, d_model, kv_width);
                    linear(v, d_model, kv_width);
                }
            }
            linear(&block.o, q_width, d_model);
            for (map, part) in block.mlp.parts() {
                let (input, output) = if part == "out" { (d_mlp, d_model) } else { (d_model, d_mlp) };
                linear(map, input, output);
            }
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

impl MlpMap {
    /// Its maps with the reference's names: `mlp.W_in` is `in`.
    fn parts(&self) -> impl Iterator<Item = (&LinearMap, &'static str)> {
        let gate = self.gate.as_ref().map(|gate| (gate, "gate"));
        gate.into_iter().chain([(&self.up, "in"), (&self.down, "out")])
    }
}

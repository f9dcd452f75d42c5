//! The weights of a decoder, under the reference's names and shapes.

use super::attn_weights::{AttnWeights, PackedAttn};
use crate::error::{Error, Result};
use crate::models::{ModelConfig, NormKind, Positions};
use crate::nn::Activation;
use crate::tensor::Tensor;
use candle_core::Device;
use indexmap::IndexMap;

/// `x @ w + b` for `x` `[.., in]`, `w` `[in, out]`, `b` `[out]`.
pub(crate) fn affine(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    x.linear(&w.transpose(0, 1)?, b)
}

/// [`affine`], added to `onto` if given.
pub(crate) fn affine_onto(x: &Tensor, w: &Tensor, b: Option<&Tensor>, onto: Option<&Tensor>) -> Result<Tensor> {
    match onto {
        Some(onto) => x.linear_onto(&w.transpose(0, 1)?, b, onto),
        None => affine(x, w, b),
    }
}

/// The shape that a named weight must have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WeightSpec {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    /// Biases that a checkpoint does not have are zero.
    pub(crate) bias: bool,
}

/// Every weight of a model, in the reference's order.
pub(crate) fn weight_specs(config: &ModelConfig) -> Vec<WeightSpec> {
    let mut specs = Vec::new();
    let mut add = |name: String, dims: &[usize]| {
        let last = name.rsplit('.').next().unwrap_or_default();
        let bias = last.trim_start_matches('_').starts_with("b_");
        specs.push(WeightSpec { name, dims: dims.to_vec(), bias });
    };
    let (d_model, d_head) = (config.d_model, config.d_head);
    let (heads, kv_heads) = (config.n_heads, config.n_key_value_heads);
    let norm = |add: &mut dyn FnMut(String, &[usize]), module: &str, kind: Option<NormKind>, width: usize| {
        if let Some(kind) = kind.filter(|k| k.learned) {
            add(format!("{module}.w"), &[width]);
            if kind.centered {
                add(format!("{module}.b"), &[width]);
            }
        }
    };
    add("embed.W_E".into(), &[config.d_vocab, d_model]);
    if matches!(config.positions, Positions::Standard | Positions::Shortformer) {
        add("pos_embed.W_pos".into(), &[config.n_ctx, d_model]);
    }
    // Grouped weights carry an underscore in the reference, where the plain name is their repetition for all heads.
    let grouped = if heads == kv_heads { "" } else { "_" };
    for layer in 0..config.n_layers {
        let at = |name: &str| format!("blocks.{layer}.{name}");
        norm(&mut add, &at("ln1"), config.normalization, d_model);
        if config.d_mlp.is_some() {
            norm(&mut add, &at("ln2"), config.normalization, d_model);
        }
        add(at("attn.W_Q"), &[heads, d_model, d_head]);
        add(at("attn.W_O"), &[heads, d_head, d_model]);
        add(at("attn.b_Q"), &[heads, d_head]);
        add(at("attn.b_O"), &[d_model]);
        for part in ["K", "V"] {
            add(at(&format!("attn.{grouped}W_{part}")), &[kv_heads, d_model, d_head]);
            add(at(&format!("attn.{grouped}b_{part}")), &[kv_heads, d_head]);
        }
        if let Some(d_mlp) = config.d_mlp {
            add(at("mlp.W_in"), &[d_model, d_mlp]);
            add(at("mlp.b_in"), &[d_mlp]);
            if config.gated_mlp {
                add(at("mlp.W_gate"), &[d_model, d_mlp]);
                add(at("mlp.b_gate"), &[d_mlp]);
                if !config.bias_before_gate {
                    add(at("mlp.b_pre_linear"), &[d_mlp]);
                }
            }
            add(at("mlp.W_out"), &[d_mlp, d_model]);
            add(at("mlp.b_out"), &[d_model]);
            if config.act_fn == Activation::SoluLn {
                norm(&mut add, &at("mlp.ln"), Some(config.mlp_norm()), d_mlp);
            }
        }
    }
    norm(&mut add, "ln_final", config.final_norm(), d_model);
    add("unembed.W_U".into(), &[d_model, config.d_vocab_out]);
    add("unembed.b_U".into(), &[config.d_vocab_out]);
    specs
}

/// A norm's weight and bias `[width]`, where it has them.
#[derive(Clone, Default)]
pub(crate) struct NormWeights {
    pub(crate) w: Option<Tensor>,
    pub(crate) b: Option<Tensor>,
}

/// `w_in` and `w_gate` `[d_model, d_mlp]`, `w_out` `[d_mlp, d_model]`.
pub(crate) struct MlpWeights {
    pub(crate) w_in: Tensor,
    pub(crate) b_in: Option<Tensor>,
    pub(crate) w_gate: Option<Tensor>,
    pub(crate) b_gate: Option<Tensor>,
    /// In a gated MLP `b_in` is added to the product, as in the reference; this one to what the gate multiplies.
    pub(crate) b_pre_linear: Option<Tensor>,
    pub(crate) w_out: Tensor,
    pub(crate) b_out: Option<Tensor>,
    pub(crate) ln: Option<NormWeights>,
}

/// The weights of a block.
pub(crate) struct BlockWeights {
    pub(crate) ln1: NormWeights,
    pub(crate) attn: AttnWeights,
    pub(crate) ln2: NormWeights,
    pub(crate) mlp: Option<MlpWeights>,
}

/// The weights of a decoder.
pub(crate) struct Weights {
    /// By name; biases that the model does not have are missing.
    named: IndexMap<String, Tensor>,
    /// `[d_vocab, d_model]`.
    pub(crate) embed: Tensor,
    /// `[n_ctx, d_model]`.
    pub(crate) pos: Option<Tensor>,
    pub(crate) blocks: Vec<BlockWeights>,
    pub(crate) ln_final: NormWeights,
    /// `[d_model, d_vocab_out]`.
    pub(crate) unembed: Tensor,
    /// `[d_vocab_out]`.
    pub(crate) unembed_bias: Option<Tensor>,
}

impl Weights {
    /// Weights made of named tensors; `packed` holds each layer's matrices where the named ones are views into them.
    ///
    /// # Errors
    /// `weight_mismatch` for a weight that is missing or of another shape.
    pub(crate) fn new(
        config: &ModelConfig,
        named: IndexMap<String, Tensor>,
        packed: Option<Vec<PackedAttn>>,
    ) -> Result<Self> {
        for spec in weight_specs(config) {
            match named.get(&spec.name) {
                Some(tensor) if tensor.dims() == spec.dims => {}
                None if spec.bias => {}
                found => {
                    let got = found.map_or("is missing".into(), |t| format!("has shape {:?}", t.dims()));
                    let detail = format!("{got}; expected shape {:?}", spec.dims);
                    return Err(Error::weight_mismatch(spec.name, detail));
                }
            }
        }
        let optional = |name: String| named.get(&name).cloned();
        let required = |name: String| {
            let missing = || Error::Internal { detail: format!("weight '{name}' is not among the specified ones") };
            named.get(&name).cloned().ok_or_else(missing)
        };
        let norm =
            |module: String| NormWeights { w: optional(format!("{module}.w")), b: optional(format!("{module}.b")) };
        let grouped = if config.n_heads == config.n_key_value_heads { "" } else { "_" };
        let mut packed = packed.into_iter().flatten();
        let blocks = (0..config.n_layers)
            .map(|layer| {
                let at = |name: &str| format!("blocks.{layer}.{name}");
                let mlp = || -> Result<MlpWeights> {
                    Ok(MlpWeights {
                        w_in: required(at("mlp.W_in"))?,
                        b_in: optional(at("mlp.b_in")),
                        w_gate: optional(at("mlp.W_gate")),
                        b_gate: optional(at("mlp.b_gate")),
                        b_pre_linear: optional(at("mlp.b_pre_linear")),
                        w_out: required(at("mlp.W_out"))?,
                        b_out: optional(at("mlp.b_out")),
                        ln: (config.act_fn == Activation::SoluLn).then(|| norm(at("mlp.ln"))),
                    })
                };
                Ok(BlockWeights {
                    ln1: norm(at("ln1")),
                    attn: AttnWeights {
                        w_q: required(at("attn.W_Q"))?,
                        w_k: required(at(&format!("attn.{grouped}W_K")))?,
                        w_v: required(at(&format!("attn.{grouped}W_V")))?,
                        w_o: required(at("attn.W_O"))?,
                        b_q: optional(at("attn.b_Q")),
                        b_k: optional(at(&format!("attn.{grouped}b_K"))),
                        b_v: optional(at(&format!("attn.{grouped}b_V"))),
                        b_o: optional(at("attn.b_O")),
                        packed: packed.next(),
                    },
                    ln2: norm(at("ln2")),
                    mlp: config.d_mlp.is_some().then(mlp).transpose()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            embed: required("embed.W_E".into())?,
            pos: optional("pos_embed.W_pos".into()),
            blocks,
            ln_final: norm("ln_final".into()),
            unembed: required("unembed.W_U".into())?,
            unembed_bias: optional("unembed.b_U".into()),
            named,
        })
    }

    /// The same weights with each layer's attention in one matrix, named weights as views. For frozen models.
    pub(crate) fn packed(self, config: &ModelConfig) -> Result<Self> {
        crate::autograd::no_grad(|| {
            let mut named = self.named;
            let mut all = Vec::with_capacity(self.blocks.len());
            // A layer at a time, dropping what its views replace: no more than one layer's attention exists twice.
            for (layer, block) in self.blocks.into_iter().enumerate() {
                let packed = block.attn.to_packed()?;
                named.extend(packed.views(config, layer)?);
                all.push(packed);
            }
            Self::new(config, named, Some(all))
        })
    }

    /// The weight of that name; a bias that the model does not have is zeros. `None` for other names.
    pub(crate) fn get(&self, config: &ModelConfig, name: &str) -> Result<Option<Tensor>> {
        if let Some(tensor) = self.named.get(name) {
            return Ok(Some(tensor.clone()));
        }
        let spec = weight_specs(config).into_iter().find(|spec| spec.name == name);
        spec.map(|spec| self.zeros(&spec)).transpose()
    }

    /// Every weight by name, in the reference's order; biases that the model does not have as zeros.
    pub(crate) fn all(&self, config: &ModelConfig) -> Result<IndexMap<String, Tensor>> {
        weight_specs(config)
            .into_iter()
            .map(|spec| {
                let tensor = match self.named.get(&spec.name) {
                    Some(tensor) => tensor.clone(),
                    None => self.zeros(&spec)?,
                };
                Ok((spec.name, tensor))
            })
            .collect()
    }

    /// The weights that the model has, by name.
    pub(crate) fn named(&self) -> &IndexMap<String, Tensor> {
        &self.named
    }

    /// Each layer's attention as matrices.
    pub(crate) fn packed_attention(&self) -> Result<Vec<PackedAttn>> {
        self.blocks.iter().map(|block| block.attn.to_packed()).collect()
    }

    fn zeros(&self, spec: &WeightSpec) -> Result<Tensor> {
        Tensor::zeros(&spec.dims, self.embed.dtype(), self.device())
    }

    pub(crate) fn device(&self) -> &Device {
        self.embed.data().device()
    }
}

//! What a decoder is made of: the one description that families translate into and that models are built from.

use super::config_reader::unsupported;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::nn::{Activation, RotaryConfig, RotaryScaling};
use std::ops::RangeInclusive;

/// More layers than any model has; keeps a lying configuration from making work before its weights are looked at.
const MAX_LAYERS: usize = 4096;
/// Wider than any head; what is computed for each feature of one stays small.
const MAX_HEAD: usize = 1 << 20;
/// The largest product of two sizes, so that shapes made of them can be multiplied without overflow.
const MAX_PRODUCT: usize = if usize::BITS < 64 { 1 << 29 } else { 1 << 40 };

/// The largest number that is added to a variance. Beyond it nothing is left of what is normalised.
const MAX_EPS: f64 = 1e6;
/// Scales and caps outside this range leave nothing of scores or logits, or make them infinite.
const MODERATE: RangeInclusive<f64> = 1e-6..=1e6;

/// The limit of sequences where the model has none. Every position is a different number in single precision.
pub(crate) const MAX_POSITIONS: usize = 1 << 24;

/// Which statistics a norm divides by, and whether it scales and shifts what it has normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormKind {
    /// Subtract the mean first (LayerNorm); otherwise only divide by the root mean square.
    pub centered: bool,
    /// Has a learned weight (and, if centred, a bias); false where these were folded into what follows.
    pub learned: bool,
}

impl NormKind {
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("LN", Self { centered: true, learned: true }),
        ("LNPre", Self { centered: true, learned: false }),
        ("RMS", Self { centered: false, learned: true }),
        ("RMSPre", Self { centered: false, learned: false }),
    ];

    /// The reference's name: `LN`, `LNPre`, `RMS` or `RMSPre`.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("LN", |(name, _)| name)
    }
}

/// How tokens know where they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Positions {
    /// A learned row per position, added to the residual stream.
    Standard,
    /// A learned row per position, added to what queries and keys are made of (<https://arxiv.org/abs/2012.15832>).
    Shortformer,
    /// Queries and keys rotated by their position (<https://arxiv.org/abs/2104.09864>).
    Rotary(RotaryConfig),
    /// No positions but the mask's.
    None,
}

/// How random weights are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct InitConfig {
    /// Which distribution.
    pub mode: InitMode,
    /// Its standard deviation (`gpt2`) or gain (the others); `None` for the mode's own.
    pub range: Option<f64>,
    /// Where the random numbers start; `None` for an unpredictable start.
    pub seed: Option<u64>,
}

/// The distributions that random weights can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InitMode {
    Gpt2,
    XavierUniform,
    XavierNormal,
    KaimingUniform,
    KaimingNormal,
    MupUniform,
    MupNormal,
}

impl InitMode {
    /// Each with the reference's name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("gpt2", Self::Gpt2),
        ("xavier_uniform", Self::XavierUniform),
        ("xavier_normal", Self::XavierNormal),
        ("kaiming_uniform", Self::KaimingUniform),
        ("kaiming_normal", Self::KaimingNormal),
        ("muP_uniform", Self::MupUniform),
        ("muP_normal", Self::MupNormal),
    ];
}

/// Points beyond the usual that an unfiltered cache of this model records too. Naming a point always switches it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DefaultPoints {
    pub attn_result: bool,
    pub split_qkv_input: bool,
    pub mlp_in: bool,
    pub attn_in: bool,
    pub tokens: bool,
}

/// A decoder-only transformer. Sizes are checked when it is made: every field is in range and they fit one another.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// A name for people.
    pub model_name: String,
    /// The architecture's class name in the place where it comes from.
    pub original_architecture: Option<String>,
    /// Blocks.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Longest sequence, in tokens; with scaled rotary positions, what it was trained for (see
    /// [`ModelConfig::context_limit`]).
    pub n_ctx: usize,
    /// Width of a head.
    pub d_head: usize,
    /// Query heads a layer.
    pub n_heads: usize,
    /// Key and value heads a layer; divides `n_heads`.
    pub n_key_value_heads: usize,
    /// Neurons a layer; `None` for attention-only models.
    pub d_mlp: Option<usize>,
    /// Tokens that can come in.
    pub d_vocab: usize,
    /// Tokens that can come out.
    pub d_vocab_out: usize,
    /// The MLPs' activation.
    pub act_fn: Activation,
    /// The activation multiplies a second projection (<https://arxiv.org/abs/2002.05202>).
    pub gated_mlp: bool,
    /// The second projection of a gated MLP has its bias before the product, not the product after it as the reference's.
    pub bias_before_gate: bool,
    /// Attention and MLP both read the residual stream before the block.
    pub parallel_attn_mlp: bool,
    /// The blocks' norms; `None` for a model without norms.
    pub normalization: Option<NormKind>,
    /// The last norm does not centre, whatever the blocks do.
    pub final_rms: bool,
    /// Added to the variance in norms.
    pub eps: f64,
    /// Positions.
    pub positions: Positions,
    /// What attention scores are divided by.
    pub attn_scale: f64,
    /// Divide scores further by the layer's number, counted from 1.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// `c·tanh(s/c)` on attention scores.
    pub attn_scores_soft_cap: Option<f64>,
    /// `c·tanh(l/c)` on logits.
    pub output_logits_soft_cap: Option<f64>,
    /// Keys after the query are masked.
    pub causal: bool,
    /// Layers (of those marked true) whose queries see only that many keys, themselves included.
    pub local_attention: Option<(usize, Vec<bool>)>,
    /// The unembedding shares the embedding's memory (until it is trained).
    pub tie_word_embeddings: bool,
    /// Whether text is given a beginning-of-sequence token by default.
    pub default_prepend_bos: bool,
    /// Where the tokenizer comes from, if known.
    pub tokenizer_name: Option<String>,
    /// Random initialisation.
    pub init: InitConfig,
    /// See [`DefaultPoints`].
    pub default_points: DefaultPoints,
    /// What the weights are stored in.
    pub dtype: DType,
}

impl ModelConfig {
    /// Checks that the fields fit one another; families call it on what they have translated.
    ///
    /// # Errors
    /// `unsupported_config` naming the first key that does not.
    pub fn validated(self) -> Result<Self> {
        if self.n_layers > MAX_LAYERS {
            return Err(unsupported("n_layers", format!("must be at most {MAX_LAYERS}, got {}", self.n_layers)));
        }
        if self.d_head > MAX_HEAD {
            return Err(unsupported("d_head", format!("must be at most {MAX_HEAD}, got {}", self.d_head)));
        }
        if !self.n_heads.is_multiple_of(self.n_key_value_heads) {
            let detail = format!("{} does not divide n_heads = {}", self.n_key_value_heads, self.n_heads);
            return Err(unsupported("n_key_value_heads", detail));
        }
        let products = [
            ("n_heads", self.n_heads.saturating_mul(self.d_head), self.d_model),
            ("d_mlp", self.d_mlp.unwrap_or(1), self.d_model),
            ("d_vocab", self.d_vocab, self.d_model),
            ("d_vocab_out", self.d_vocab_out, self.d_model),
            ("n_ctx", self.n_ctx, self.d_model),
        ];
        for (key, a, b) in products {
            if a.saturating_mul(b) > MAX_PRODUCT {
                return Err(unsupported(key, format!("a weight of {a} by {b} elements is beyond {MAX_PRODUCT}")));
            }
        }
        if self.act_fn == Activation::SoluLn && self.gated_mlp {
            return Err(unsupported("gated_mlp", "cannot be combined with act_fn 'solu_ln'"));
        }
        if !(0.0..=MAX_EPS).contains(&self.eps) {
            return Err(unsupported("eps", format!("must be from 0 to {MAX_EPS:e}, got {:e}", self.eps)));
        }
        let scales = [
            ("attn_scale", Some(self.attn_scale)),
            ("attn_scores_soft_cap", self.attn_scores_soft_cap),
            ("output_logits_soft_cap", self.output_logits_soft_cap),
        ];
        for (key, scale) in scales {
            if let Some(scale) = scale.filter(|scale| !MODERATE.contains(scale)) {
                let (low, high) = (MODERATE.start(), MODERATE.end());
                return Err(unsupported(key, format!("must be from {low:e} to {high:e}, got {scale:e}")));
            }
        }
        if let Positions::Rotary(rotary) = &self.positions {
            if rotary.dim > self.d_head || rotary.dim % 2 != 0 {
                let detail = format!("must be even and at most d_head = {}, got {}", self.d_head, rotary.dim);
                return Err(unsupported("rotary_dim", detail));
            }
            rotary.check_angles()?;
        }
        Ok(self)
    }

    /// [`ModelConfig::validated`] for a configuration that was translated from other keys: `(ours, theirs)`.
    pub(crate) fn validated_as(self, keys: &[(&str, &str)]) -> Result<Self> {
        self.validated().map_err(|error| match error {
            Error::UnsupportedConfig { key, detail } => {
                let theirs = keys.iter().find(|(ours, _)| *ours == key).map(|(_, theirs)| (*theirs).to_owned());
                Error::UnsupportedConfig { key: theirs.unwrap_or(key), detail }
            }
            other => other,
        })
    }

    /// The kind of the final norm.
    pub fn final_norm(&self) -> Option<NormKind> {
        self.normalization.map(|kind| NormKind { centered: kind.centered && !self.final_rms, ..kind })
    }

    /// Most positions that a sequence may have: `n_ctx`. Scaled rotary positions are made to go on beyond what the model
    /// was trained for, so that with them there is no limit that memory does not set.
    pub fn context_limit(&self) -> usize {
        match &self.positions {
            Positions::Rotary(rotary) if rotary.scaling != RotaryScaling::None => MAX_POSITIONS,
            _ => self.n_ctx,
        }
    }

    /// Fails if a sequence needs more positions than [`ModelConfig::context_limit`].
    ///
    /// # Errors
    /// `context_length` with both numbers.
    pub fn check_context(&self, required: usize) -> Result<()> {
        let n_ctx = self.context_limit();
        if required > n_ctx { Err(Error::ContextLength { required, n_ctx }) } else { Ok(()) }
    }

    /// The kind of the norm over an MLP's neurons, in models whose activation has one: always centred, as in the reference.
    pub fn mlp_norm(&self) -> NormKind {
        NormKind { centered: true, learned: self.normalization == Some(NormKind { centered: true, learned: true }) }
    }

    /// What the scores of a layer are divided by.
    pub fn attn_divisor(&self, layer: usize) -> f64 {
        let by_layer = if self.scale_attn_by_inverse_layer_idx { (layer + 1) as f64 } else { 1.0 };
        self.attn_scale * by_layer
    }

    /// The window of a layer's queries, if it has one.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let (size, local) = self.local_attention.as_ref()?;
        local.get(layer).copied().unwrap_or(false).then_some(*size)
    }

    /// The reference's count: weights of attention and MLPs, without embeddings, biases and norms.
    pub fn n_params(&self) -> u64 {
        let attention = 4 * (self.d_model * self.d_head * self.n_heads) as u64;
        let mlp = self.d_mlp.map_or(0, |d_mlp| (self.d_model * d_mlp) as u64 * (2 + u64::from(self.gated_mlp)));
        (attention + mlp) * self.n_layers as u64
    }

    /// The spread of random weights: what was asked for, or the mode's own.
    pub fn initializer_range(&self) -> f64 {
        self.init.range.unwrap_or(match self.init.mode {
            InitMode::Gpt2 => 0.8 / (self.d_model as f64).sqrt(),
            _ => 1.0,
        })
    }
}

/// `whole / part`, which must come out even.
pub(crate) fn divided(key: &str, whole: usize, part: usize) -> Result<usize> {
    if part > 0 && whole.is_multiple_of(part) {
        return Ok(whole / part);
    }
    Err(unsupported(key, format!("{part} does not divide the model's width of {whole}")))
}

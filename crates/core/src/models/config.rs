//! What a decoder is made of: the one description that families translate into and that models are built from.

use super::config_reader::{ConfigReader, unsupported};
use crate::device::DType;
use crate::error::{Error, Result, nearest};
use crate::nn::{Activation, RotaryConfig, RotaryScaling};
use serde_json::{Value, json};
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
    const ALL: [(&'static str, Self); 4] = [
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

/// Keys that say where a model comes from or where it ran, and change nothing that it computes.
const INFORMATIONAL: [&str; 16] = [
    "n_params",
    "device",
    "n_devices",
    "from_checkpoint",
    "checkpoint_index",
    "checkpoint_label_type",
    "checkpoint_value",
    "trust_remote_code",
    "tokenizer_prepends_bos",
    "init_weights",
    "uses_rms_norm",
    "layer_norm_folding",
    "train_seq_length",
    "decoder_start_token_id",
    "relative_attention_max_distance",
    "relative_attention_num_buckets",
];

impl ModelConfig {
    /// Reads a reference-style configuration, such as a `tl_config.json`.
    ///
    /// # Errors
    /// `unsupported_config` naming the key, for a value that makes no sense, a key that is not known, or one that asks
    /// for something that is not implemented and would change the numbers.
    pub fn from_json(json: &Value) -> Result<Self> {
        let read = ConfigReader::new(json)?;
        let d_model = read.required_count("d_model")?;
        let d_head = read.count_or_auto("d_head")?;
        let n_heads = read.count_or_auto("n_heads")?;
        let (n_heads, d_head) = match (n_heads, d_head) {
            (Some(heads), Some(width)) => (heads, width),
            (Some(heads), None) => (heads, divided("n_heads", d_model, heads)?),
            (None, Some(width)) => (divided("d_head", d_model, width)?, width),
            (None, None) => return Err(unsupported("d_head", "is required")),
        };
        let n_layers = read.required_count("n_layers")?;
        let n_ctx = read.required_count("n_ctx")?;
        let d_vocab = read
            .count_or_auto("d_vocab")?
            .ok_or_else(|| unsupported("d_vocab", "is required (it is not derived from a tokenizer here)"))?;
        let normalization = match read.json_text_or_null("normalization_type", "LN")? {
            None => None,
            Some(name) => Some(one_of("normalization_type", name, &NormKind::ALL)?),
        };
        let attn_only = read.flag("attn_only")?.unwrap_or(false);
        let act_fn = match read.text("act_fn")?.unwrap_or("relu") {
            _ if attn_only => Activation::Relu,
            name => Activation::from_reference_name(name).ok_or_else(|| {
                unsupported("act_fn", format!("'{name}' is not one of {:?}", Activation::REFERENCE_NAMES))
            })?,
        };
        let d_mlp = read.count("d_mlp")?;
        let causal = match read.text("attention_dir")?.unwrap_or("causal") {
            "causal" => true,
            "bidirectional" => false,
            other => return Err(unsupported("attention_dir", format!("'{other}' is not causal or bidirectional"))),
        };
        let scale = read.positive_or_none("attn_scale")?;
        let scaled = read.flag("use_attn_scale")?.unwrap_or(true);
        let config = Self {
            model_name: read.text("model_name")?.unwrap_or("custom").to_owned(),
            original_architecture: read.text("original_architecture")?.map(str::to_owned),
            n_layers,
            d_model,
            n_ctx,
            d_head,
            n_heads,
            n_key_value_heads: read.count("n_key_value_heads")?.unwrap_or(n_heads),
            d_mlp: (!attn_only).then(|| d_mlp.unwrap_or(4 * d_model)),
            d_vocab,
            d_vocab_out: read.count_or_auto("d_vocab_out")?.unwrap_or(d_vocab),
            act_fn,
            gated_mlp: read.flag("gated_mlp")?.unwrap_or(false) && !attn_only,
            bias_before_gate: read.flag("bias_before_gate")?.unwrap_or(false),
            parallel_attn_mlp: read.flag("parallel_attn_mlp")?.unwrap_or(false) && !attn_only,
            normalization,
            final_rms: read.flag("final_rms")?.unwrap_or(false),
            eps: read.not_negative("eps")?.unwrap_or(1e-5),
            positions: read_positions(&read, d_head, n_ctx)?,
            attn_scale: if scaled { scale.unwrap_or((d_head as f64).sqrt()) } else { 1.0 },
            scale_attn_by_inverse_layer_idx: read.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false),
            attn_scores_soft_cap: read.positive_or_none("attn_scores_soft_cap")?,
            output_logits_soft_cap: read.positive_or_none("output_logits_soft_cap")?,
            causal,
            local_attention: read_local_attention(&read, n_layers)?,
            // Here only informational in the reference: its embedding and unembedding are separate weights.
            tie_word_embeddings: {
                read.flag("tie_word_embeddings")?;
                false
            },
            default_prepend_bos: read.flag("default_prepend_bos")?.unwrap_or(true),
            tokenizer_name: read.text("tokenizer_name")?.map(str::to_owned),
            init: read_init(&read)?,
            default_points: DefaultPoints {
                attn_result: read.flag("use_attn_result")?.unwrap_or(false),
                split_qkv_input: read.flag("use_split_qkv_input")?.unwrap_or(false),
                mlp_in: read.flag("use_hook_mlp_in")?.unwrap_or(false),
                attn_in: read.flag("use_attn_in")?.unwrap_or(false),
                tokens: read.flag("use_hook_tokens")?.unwrap_or(false),
            },
            dtype: read_dtype(read.text("dtype")?.unwrap_or("float32"))?,
        };
        refuse_the_rest(&read)?;
        read.finish(&INFORMATIONAL)?;
        config.validated()
    }

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

    /// The configuration in the reference's form; [`ModelConfig::from_json`] reads it back.
    pub fn to_json(&self) -> Value {
        let (positions, rotary) = match &self.positions {
            Positions::Standard => ("standard", None),
            Positions::Shortformer => ("shortformer", None),
            Positions::Rotary(rotary) => ("rotary", Some(rotary)),
            Positions::None => ("none", None),
        };
        let points = &self.default_points;
        let mut json = json!({
            "model_name": self.model_name,
            "original_architecture": self.original_architecture,
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "n_ctx": self.n_ctx,
            "d_head": self.d_head,
            "n_heads": self.n_heads,
            "n_key_value_heads": (self.n_key_value_heads != self.n_heads).then_some(self.n_key_value_heads),
            "d_mlp": self.d_mlp,
            "d_vocab": self.d_vocab,
            "d_vocab_out": self.d_vocab_out,
            "act_fn": self.act_fn.name(),
            "attn_only": self.d_mlp.is_none(),
            "gated_mlp": self.gated_mlp,
            "parallel_attn_mlp": self.parallel_attn_mlp,
            "normalization_type": self.normalization.map(NormKind::name),
            "final_rms": self.final_rms,
            "eps": self.eps,
            "positional_embedding_type": positions,
            "attn_scale": self.attn_scale,
            "use_attn_scale": true,
            "scale_attn_by_inverse_layer_idx": self.scale_attn_by_inverse_layer_idx,
            "attn_scores_soft_cap": self.attn_scores_soft_cap.unwrap_or(-1.0),
            "output_logits_soft_cap": self.output_logits_soft_cap.unwrap_or(-1.0),
            "attention_dir": if self.causal { "causal" } else { "bidirectional" },
            "use_local_attn": self.local_attention.is_some(),
            "window_size": self.local_attention.as_ref().map(|(size, _)| size),
            "attn_types": self.local_attention.as_ref().map(|(_, local)| {
                local.iter().map(|&l| if l { "local" } else { "global" }).collect::<Vec<_>>()
            }),
            "tie_word_embeddings": self.tie_word_embeddings,
            "default_prepend_bos": self.default_prepend_bos,
            "tokenizer_name": self.tokenizer_name,
            "init_mode": InitMode::ALL.iter().find(|(_, m)| *m == self.init.mode).map(|(name, _)| name),
            "initializer_range": self.initializer_range(),
            "seed": self.init.seed,
            "use_attn_result": points.attn_result,
            "use_split_qkv_input": points.split_qkv_input,
            "use_hook_mlp_in": points.mlp_in,
            "use_attn_in": points.attn_in,
            "use_hook_tokens": points.tokens,
            "dtype": self.dtype.name(),
            "n_params": self.n_params(),
        });
        if let Some(json) = json.as_object_mut() {
            json.extend(rotary.map(|rotary| rotary.to_json(self.d_head)).into_iter().flatten());
            // Not the reference's: in its gated MLPs the bias always comes after the product.
            if self.bias_before_gate {
                json.insert("bias_before_gate".to_owned(), json!(true));
            }
        }
        json
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

fn one_of<T: Copy>(key: &str, name: &str, table: &[(&str, T)]) -> Result<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(n, _)| *n).collect();
        unsupported(
            key,
            format!("'{name}' is not one of {names:?}; nearest: {:?}", nearest(name, names.iter().copied())),
        )
    })
}

fn read_dtype(name: &str) -> Result<DType> {
    let dtype = DType::from_name(name.strip_prefix("torch.").unwrap_or(name));
    dtype.ok().filter(|d| d.is_float()).ok_or_else(|| unsupported("dtype", format!("'{name}' is not a float dtype")))
}

fn read_positions(read: &ConfigReader<'_>, d_head: usize, n_ctx: usize) -> Result<Positions> {
    let kind = read.text("positional_embedding_type")?.unwrap_or("standard");
    let rotary = RotaryConfig::read(read, d_head, n_ctx)?;
    match kind {
        "standard" => Ok(Positions::Standard),
        "shortformer" => Ok(Positions::Shortformer),
        "rotary" => Ok(Positions::Rotary(rotary)),
        "none" => Ok(Positions::None),
        other => Err(unsupported(
            "positional_embedding_type",
            format!("'{other}' is not implemented; use one of standard, shortformer, rotary, none"),
        )),
    }
}

fn read_local_attention(read: &ConfigReader<'_>, n_layers: usize) -> Result<Option<(usize, Vec<bool>)>> {
    let (window, types) = (read.count("window_size")?, read.get("attn_types"));
    if !read.flag("use_local_attn")?.unwrap_or(false) {
        return Ok(None);
    }
    let window = window.ok_or_else(|| unsupported("window_size", "is required with use_local_attn"))?;
    let wrong = || unsupported("attn_types", format!("must list 'global' or 'local' for each of {n_layers} layers"));
    let types = types.and_then(Value::as_array).ok_or_else(wrong)?;
    let local = types
        .iter()
        .map(|t| match t.as_str() {
            Some("local") => Ok(true),
            Some("global") => Ok(false),
            _ => Err(wrong()),
        })
        .collect::<Result<Vec<_>>>()?;
    if local.len() == n_layers { Ok(Some((window, local))) } else { Err(wrong()) }
}

fn read_init(read: &ConfigReader<'_>) -> Result<InitConfig> {
    let seed = match read.get("seed") {
        None => None,
        Some(value) => {
            let wrong = || unsupported("seed", format!("must be a whole number, 0 or more, got {value}"));
            Some(value.as_u64().ok_or_else(wrong)?)
        }
    };
    Ok(InitConfig {
        mode: one_of("init_mode", read.text("init_mode")?.unwrap_or("gpt2"), &InitMode::ALL)?,
        range: read.not_negative_or_none("initializer_range")?,
        seed,
    })
}

/// Keys of the reference that change the numbers and that this decoder does not have.
fn refuse_the_rest(read: &ConfigReader<'_>) -> Result<()> {
    for key in [
        "use_normalization_before_and_after",
        "post_embedding_ln",
        "use_qk_norm",
        "ungroup_grouped_query_attention",
        "use_attention_sinks",
        "use_logn_attn",
        "use_dynamic_ntk_rope",
        "yarn_global_attn_only",
        "num_experts",
        "experts_per_token",
        "norm_topk_prob",
        "clip_qkv",
        "load_in_4bit",
        "quantization_method",
    ] {
        read.refuse(key, "is not implemented for reference-native models")?;
    }
    Ok(())
}

impl<'a> ConfigReader<'a> {
    /// A string that may be null: absent means `default`, null means none.
    fn json_text_or_null(&self, key: &str, default: &'a str) -> Result<Option<&'a str>> {
        if self.is_null(key) { Ok(None) } else { Ok(Some(self.text(key)?.unwrap_or(default))) }
    }
}

//! The hook points of a decoder, in the order in which they fire.

use crate::hooks::{AxisSize, HookPointId, PointBounds, PointInfo, Reach};
use crate::models::{ModelConfig, Positions};
use std::ops::Range;

const RESIDUAL: [&str; 3] = ["batch", "pos", "d_model"];
const PER_HEAD: [&str; 4] = ["batch", "pos", "head", "d_head"];
const HEAD_RESIDUAL: [&str; 4] = ["batch", "pos", "head", "d_model"];
const SCORES: [&str; 4] = ["batch", "head", "query", "key"];

/// The points of a norm.
#[derive(Clone, Copy)]
pub(crate) struct NormPoints {
    pub(crate) scale: HookPointId,
    pub(crate) normalized: HookPointId,
}

/// The points of an attention layer.
pub(crate) struct AttnPoints {
    pub(crate) attn_input: Option<HookPointId>,
    pub(crate) q: HookPointId,
    pub(crate) k: HookPointId,
    pub(crate) v: HookPointId,
    pub(crate) rot_q: Option<HookPointId>,
    pub(crate) rot_k: Option<HookPointId>,
    pub(crate) scores: HookPointId,
    pub(crate) pattern: HookPointId,
    pub(crate) z: HookPointId,
    pub(crate) result: HookPointId,
}

/// The points of an MLP.
pub(crate) struct MlpPoints {
    pub(crate) pre: HookPointId,
    pub(crate) pre_linear: Option<HookPointId>,
    pub(crate) mid: Option<HookPointId>,
    pub(crate) ln: Option<NormPoints>,
    pub(crate) post: HookPointId,
}

/// The points of a block.
pub(crate) struct BlockPoints {
    pub(crate) resid_pre: HookPointId,
    pub(crate) attn_in: Option<HookPointId>,
    pub(crate) q_input: HookPointId,
    pub(crate) k_input: HookPointId,
    pub(crate) v_input: HookPointId,
    pub(crate) ln1: Option<NormPoints>,
    pub(crate) attn: AttnPoints,
    pub(crate) attn_out: HookPointId,
    pub(crate) resid_mid: Option<HookPointId>,
    pub(crate) mlp_in: Option<HookPointId>,
    pub(crate) ln2: Option<NormPoints>,
    pub(crate) mlp: Option<MlpPoints>,
    pub(crate) mlp_out: Option<HookPointId>,
    pub(crate) resid_post: HookPointId,
    /// All of them, as numbers.
    pub(crate) all: Range<u32>,
}

/// The points of a decoder.
pub(crate) struct DecoderPoints {
    pub(crate) tokens: HookPointId,
    pub(crate) embed: HookPointId,
    pub(crate) pos_embed: Option<HookPointId>,
    pub(crate) blocks: Vec<BlockPoints>,
    pub(crate) ln_final: Option<NormPoints>,
    pub(crate) unembed_in: HookPointId,
    pub(crate) unembed_out: HookPointId,
    /// Those of the final norm, as numbers.
    pub(crate) final_norm: Range<u32>,
}

struct PointList(Vec<PointInfo>);

impl PointList {
    fn next(&self) -> u32 {
        // A model has at most a few hundred thousand points (`MAX_LAYERS` times those of a block).
        self.0.len() as u32
    }

    fn add(&mut self, name: String, axes: &[&str], default: bool) -> HookPointId {
        let id = HookPointId(self.next());
        self.0.push(PointInfo { name, axes: axes.iter().map(|&a| a.to_owned()).collect(), default });
        id
    }

    fn norm(&mut self, module: &str, width: &str) -> NormPoints {
        NormPoints {
            scale: self.add(format!("{module}.hook_scale"), &["batch", "pos", "one"], true),
            normalized: self.add(format!("{module}.hook_normalized"), &["batch", "pos", width], true),
        }
    }
}

impl DecoderPoints {
    /// The points of a model, and what a registry needs to know of them: each one's number is its place in the list.
    pub(crate) fn new(config: &ModelConfig) -> (Self, Vec<PointInfo>) {
        let mut list = PointList(Vec::new());
        let tokens = list.add("hook_tokens".into(), &["batch", "pos"], config.default_points.tokens);
        let embed = list.add("hook_embed".into(), &RESIDUAL, true);
        let learned = matches!(config.positions, Positions::Standard | Positions::Shortformer);
        let pos_embed = learned.then(|| list.add("hook_pos_embed".into(), &RESIDUAL, true));
        let blocks = (0..config.n_layers).map(|layer| block(&mut list, config, layer)).collect();
        let before_final = list.next();
        let ln_final = config.normalization.map(|_| list.norm("ln_final", "d_model"));
        let final_norm = before_final..list.next();
        let unembed_in = list.add("unembed.hook_in".into(), &RESIDUAL, true);
        let unembed_out = list.add("unembed.hook_out".into(), &["batch", "pos", "d_vocab"], true);
        (Self { tokens, embed, pos_embed, blocks, ln_final, unembed_in, unembed_out, final_norm }, list.0)
    }
}

/// What is known of a point's activations in every run.
pub(crate) fn bounds(config: &ModelConfig, point: &PointInfo) -> PointBounds {
    let last = point.name.rsplit('.').next().unwrap_or_default();
    let of_keys = matches!(last, "hook_k" | "hook_v" | "hook_rot_k" | "hook_k_input" | "hook_v_input");
    let size = |axis: &String| match axis.as_str() {
        "batch" => AxisSize::Any,
        "pos" | "query" | "key" => AxisSize::AtMost(config.n_ctx),
        "d_model" => AxisSize::Exactly(config.d_model),
        "d_head" => AxisSize::Exactly(config.d_head),
        "d_mlp" => config.d_mlp.map_or(AxisSize::Any, AxisSize::Exactly),
        "d_vocab" => AxisSize::Exactly(config.d_vocab_out),
        "head" if of_keys => AxisSize::Exactly(config.n_key_value_heads),
        "head" => AxisSize::Exactly(config.n_heads),
        "one" => AxisSize::Exactly(1),
        _ => AxisSize::Any,
    };
    let layer = point.name.split('.').nth(1).and_then(|layer| layer.parse().ok());
    let is_map = point.axes == SCORES;
    let reach = layer.filter(|_| is_map).map(|layer| Reach { causal: config.causal, window: config.window(layer) });
    PointBounds { sizes: point.axes.iter().map(size).collect(), reach }
}

fn block(list: &mut PointList, config: &ModelConfig, layer: usize) -> BlockPoints {
    let first = list.next();
    let defaults = config.default_points;
    let has_mlp = config.d_mlp.is_some();
    let at = |name: &str| format!("blocks.{layer}.{name}");
    let resid_pre = list.add(at("hook_resid_pre"), &RESIDUAL, true);
    // One copy of the residual stream a head has no meaning where queries and keys differ in their number of heads.
    let grouped = config.n_key_value_heads != config.n_heads;
    let attn_in = (!grouped).then(|| list.add(at("hook_attn_in"), &HEAD_RESIDUAL, defaults.attn_in));
    let mut input = |name: &str| list.add(at(name), &HEAD_RESIDUAL, defaults.split_qkv_input);
    let (q_input, k_input, v_input) = (input("hook_q_input"), input("hook_k_input"), input("hook_v_input"));
    let ln1 = config.normalization.map(|_| list.norm(&at("ln1"), "d_model"));
    let shortformer = config.positions == Positions::Shortformer;
    let rotary = matches!(config.positions, Positions::Rotary(_));
    let attn = AttnPoints {
        attn_input: shortformer.then(|| list.add(at("attn.hook_attn_input"), &RESIDUAL, true)),
        q: list.add(at("attn.hook_q"), &PER_HEAD, true),
        k: list.add(at("attn.hook_k"), &PER_HEAD, true),
        v: list.add(at("attn.hook_v"), &PER_HEAD, true),
        rot_q: rotary.then(|| list.add(at("attn.hook_rot_q"), &PER_HEAD, true)),
        rot_k: rotary.then(|| list.add(at("attn.hook_rot_k"), &PER_HEAD, true)),
        scores: list.add(at("attn.hook_attn_scores"), &SCORES, true),
        pattern: list.add(at("attn.hook_pattern"), &SCORES, true),
        z: list.add(at("attn.hook_z"), &PER_HEAD, true),
        result: list.add(at("attn.hook_result"), &HEAD_RESIDUAL, defaults.attn_result),
    };
    let attn_out = list.add(at("hook_attn_out"), &RESIDUAL, true);
    let sequential = has_mlp && !config.parallel_attn_mlp;
    BlockPoints {
        resid_pre,
        attn_in,
        q_input,
        k_input,
        v_input,
        ln1,
        attn,
        attn_out,
        resid_mid: sequential.then(|| list.add(at("hook_resid_mid"), &RESIDUAL, true)),
        mlp_in: has_mlp.then(|| list.add(at("hook_mlp_in"), &RESIDUAL, defaults.mlp_in)),
        ln2: config.normalization.filter(|_| has_mlp).map(|_| list.norm(&at("ln2"), "d_model")),
        mlp: has_mlp.then(|| mlp(list, config, &at("mlp"))),
        mlp_out: has_mlp.then(|| list.add(at("hook_mlp_out"), &RESIDUAL, true)),
        resid_post: list.add(at("hook_resid_post"), &RESIDUAL, true),
        all: first..list.next(),
    }
}

fn mlp(list: &mut PointList, config: &ModelConfig, module: &str) -> MlpPoints {
    let neurons = ["batch", "pos", "d_mlp"];
    let inner_norm = config.act_fn == super::Activation::SoluLn;
    MlpPoints {
        pre: list.add(format!("{module}.hook_pre"), &neurons, true),
        pre_linear: config.gated_mlp.then(|| list.add(format!("{module}.hook_pre_linear"), &neurons, true)),
        mid: inner_norm.then(|| list.add(format!("{module}.hook_mid"), &neurons, true)),
        ln: inner_norm.then(|| list.norm(&format!("{module}.ln"), "d_mlp")),
        post: list.add(format!("{module}.hook_post"), &neurons, true),
    }
}

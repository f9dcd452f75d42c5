//! One small configuration for each thing that a decoder can be.

use candle_core::Device;
use hooklens_core::Tensor;
use hooklens_core::models::{ForwardRequest, Model, ModelConfig};
use serde_json::{Value, json};

/// A base of LayerNorm, learned positions and a gelu MLP, and what each variant changes.
pub(crate) fn variants() -> Vec<(&'static str, Value)> {
    vec![
        ("plain", json!({})),
        ("attn_only", json!({ "attn_only": true })),
        ("ln_pre", json!({ "normalization_type": "LNPre" })),
        (
            "rms_gated_rotary_grouped",
            json!({
                "normalization_type": "RMS", "gated_mlp": true, "act_fn": "silu", "n_key_value_heads": 2,
                "positional_embedding_type": "rotary",
            }),
        ),
        ("rms_pre_no_mlp_bias", json!({ "normalization_type": "RMSPre", "act_fn": "relu" })),
        ("no_norm", json!({ "normalization_type": null })),
        (
            "parallel_partial_rotary",
            json!({
                "parallel_attn_mlp": true, "positional_embedding_type": "rotary", "rotary_dim": 2,
            }),
        ),
        ("adjacent_rotary", json!({ "positional_embedding_type": "rotary", "rotary_adjacent_pairs": true })),
        ("linear_rotary", json!({ "positional_embedding_type": "rotary", "rotary_scaling_factor": 2.0 })),
        (
            "by_parts_rotary",
            json!({
                "positional_embedding_type": "rotary", "use_NTK_by_parts_rope": true, "NTK_original_ctx_len": 16,
            }),
        ),
        (
            "yarn_rotary",
            json!({
                "positional_embedding_type": "rotary", "use_yarn_rope": true, "yarn_factor": 4.0,
                "yarn_attention_factor": 1.2, "yarn_original_max_position_embeddings": 16, "yarn_beta_fast": 3.0,
            }),
        ),
        (
            "dynamic_rotary",
            json!({
                "positional_embedding_type": "rotary", "rope_parameters": { "rope_type": "dynamic", "factor": 2.0 },
            }),
        ),
        (
            "longrope_rotary",
            json!({
                "positional_embedding_type": "rotary",
                "rope_parameters": {
                    "rope_type": "longrope", "short_factor": [1.5, 2.0], "long_factor": [3.0, 5.0],
                    "original_max_position_embeddings": 12.0, "attention_factor": 0.9,
                },
            }),
        ),
        (
            "local_rotary",
            json!({
                "positional_embedding_type": "rotary", "rotary_scaling_factor": 2.0, "rotary_base_local": 100.0,
                "use_local_attn": true, "window_size": 3, "attn_types": ["global", "local"],
            }),
        ),
        ("gated_with_bias_inside", json!({ "gated_mlp": true, "act_fn": "silu", "bias_before_gate": true })),
        ("gated_with_bias_outside", json!({ "gated_mlp": true, "act_fn": "silu" })),
        ("shortformer", json!({ "positional_embedding_type": "shortformer" })),
        ("solu_ln", json!({ "act_fn": "solu_ln" })),
        ("final_rms", json!({ "final_rms": true })),
        ("capped", json!({ "attn_scores_soft_cap": 2.0, "output_logits_soft_cap": 3.0 })),
        ("bidirectional", json!({ "attention_dir": "bidirectional" })),
        ("local", json!({ "use_local_attn": true, "window_size": 2, "attn_types": ["global", "local"] })),
        ("unscaled_wide_heads", json!({ "use_attn_scale": false, "d_head": 6 })),
        ("scaled_by_layer", json!({ "scale_attn_by_inverse_layer_idx": true })),
        ("other_outputs", json!({ "d_vocab_out": 17, "act_fn": "relu" })),
        ("double", json!({ "dtype": "float64" })),
    ]
}

pub(crate) fn config(changes: &Value) -> Value {
    let mut config = json!({
        "n_layers": 2, "d_model": 16, "n_ctx": 12, "d_head": 4, "n_heads": 4, "d_mlp": 24, "d_vocab": 13,
        "act_fn": "gelu_new", "normalization_type": "LN", "seed": 3, "initializer_range": 0.4,
    });
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config
}

/// Norm weights and biases are drawn too: on ones and zeros a mistake with them would not show.
pub(crate) fn model(changes: &Value) -> Model {
    let config = ModelConfig::from_json(&config(changes)).unwrap();
    let model = Model::new_random(config, &Device::Cpu).unwrap();
    let mut weights = model.state_dict().unwrap();
    for (i, (name, tensor)) in weights.iter_mut().enumerate() {
        if !name.contains("W_") {
            let n = tensor.elem_count();
            let values: Vec<f32> = (0..n).map(|j| 0.7 + 0.5 * ((i * 31 + j * 7) as f32).sin()).collect();
            *tensor = Tensor::from_slice(&values, tensor.dims()).unwrap();
        }
    }
    model.load_state_dict(&weights).unwrap();
    model
}

pub(crate) fn tokens() -> Tensor {
    Tensor::from_slice(&[1i64, 12, 3, 3, 7, 0, 2, 5, 9, 11], &[2, 5]).unwrap()
}

pub(crate) fn logits(model: &Model, request: ForwardRequest) -> Vec<f64> {
    model.forward(request).unwrap().logits.unwrap().to_vec().unwrap()
}

pub(crate) fn assert_close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    let worst = a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(worst <= tolerance, "{what}: {worst:e} apart, {tolerance:e} allowed");
    assert!(a.iter().chain(b).all(|x| !x.is_nan()), "{what}: NaN");
}

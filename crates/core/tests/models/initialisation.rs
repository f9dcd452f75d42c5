//! Random weights, and configurations that make no sense.

use crate::variants::config;
use candle_core::Device;
use hooklens_core::Error;
use hooklens_core::models::{Model, ModelConfig};
use serde_json::{Value, json};

fn random(changes: &Value) -> Model {
    Model::new_random(ModelConfig::from_json(&config(changes)).unwrap(), &Device::Cpu).unwrap()
}

fn spread(model: &Model, name: &str) -> (f64, f64, f64) {
    let values: Vec<f64> = model.parameter(name).unwrap().to_vec().unwrap();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt(), values.iter().fold(0.0, |m, x| x.abs().max(m)))
}

#[test]
fn each_mode_has_its_spread() {
    let big = |mode: &str| {
        random(&json!({
            "d_model": 64, "d_head": 16, "n_heads": 4, "d_mlp": 200, "d_vocab": 100, "n_layers": 1,
            "init_mode": mode, "initializer_range": -1,
        }))
    };
    // Standard deviations of W_E [100, 64], W_Q [4, 64, 16], W_in [64, 200], W_U [64, 100].
    let cases: [(&str, [f64; 4]); 7] = [
        ("gpt2", [0.1; 4]),
        (
            "xavier_uniform",
            [(2.0 / 164f64).sqrt(), (2.0 / 128f64).sqrt(), (2.0 / 264f64).sqrt(), (2.0 / 164f64).sqrt()],
        ),
        ("xavier_normal", [(2.0 / 164f64).sqrt(), (2.0 / 128f64).sqrt(), (2.0 / 264f64).sqrt(), (2.0 / 164f64).sqrt()]),
        ("kaiming_uniform", [(2.0 / 100f64).sqrt(), (2.0 / 64f64).sqrt(), (2.0 / 64f64).sqrt(), (2.0 / 64f64).sqrt()]),
        ("kaiming_normal", [(2.0 / 100f64).sqrt(), (2.0 / 64f64).sqrt(), (2.0 / 64f64).sqrt(), (2.0 / 64f64).sqrt()]),
        ("muP_uniform", [1.0, 0.125, 0.125, 1.0 / 64.0]),
        ("muP_normal", [1.0, 0.125, 0.125, 1.0 / 64.0]),
    ];
    for (mode, expected) in cases {
        let model = big(mode);
        let names = ["embed.W_E", "blocks.0.attn.W_Q", "blocks.0.mlp.W_in", "unembed.W_U"];
        for (name, std) in names.into_iter().zip(expected) {
            let (mean, got, largest) = spread(&model, name);
            assert!((got / std - 1.0).abs() < 0.06, "{mode} {name}: {got}, expected {std}");
            assert!(mean.abs() < 0.06 * std, "{mode} {name}: mean {mean}");
            if mode.ends_with("uniform") {
                assert!(largest <= std * 3f64.sqrt() * 1.0001, "{mode} {name}: {largest}");
            }
        }
        assert_eq!(spread(&model, "blocks.0.attn.b_Q").2, 0.0);
        assert_eq!(spread(&model, "blocks.0.ln1.w"), (1.0, 0.0, 1.0));
    }
}

#[test]
fn a_seed_decides_the_weights() {
    let weights = |changes: Value| random(&changes).parameter("embed.W_E").unwrap().to_vec::<f32>().unwrap();
    assert_eq!(weights(json!({})), weights(json!({})));
    assert_ne!(weights(json!({})), weights(json!({ "seed": 4 })));
    assert_ne!(weights(json!({ "seed": null })), weights(json!({ "seed": null })));
}

#[test]
fn configurations_that_make_no_sense_are_refused_by_key() {
    let cases = [
        ("n_layers", json!(0)),
        ("n_layers", json!(5000)),
        ("n_layers", Value::Null),
        ("d_model", json!(-1)),
        ("d_model", json!(u64::MAX)),
        ("n_ctx", json!(0.5)),
        ("d_head", json!("4")),
        ("n_heads", json!(0)),
        ("n_key_value_heads", json!(3)),
        ("d_vocab", json!(-1)),
        ("d_vocab", json!(1 << 28)),
        ("d_mlp", json!([])),
        ("act_fn", json!("glue")),
        ("eps", json!(-1e-5)),
        ("normalization_type", json!("BatchNorm")),
        ("positional_embedding_type", json!("relative_positional_bias")),
        ("attention_dir", json!("sideways")),
        ("attn_scale", json!(0)),
        ("eps", json!(1e300)),
        ("eps", json!(1e30)),
        ("attn_scale", json!(1e300)),
        ("attn_scale", json!(1e-30)),
        ("attn_scores_soft_cap", json!(0)),
        ("attn_scores_soft_cap", json!(1e-30)),
        ("output_logits_soft_cap", json!(1e30)),
        ("output_logits_soft_cap", json!(-2)),
        ("rotary_base", json!(1e300)),
        ("rotary_base", json!(0)),
        ("rotary_scaling_factor", json!(1e-300)),
        ("rotary_base", json!("big")),
        ("init_mode", json!("zeros")),
        ("seed", json!(-2)),
        ("dtype", json!("int8")),
        ("num_experts", json!(4)),
        ("use_qk_norm", json!(true)),
        ("use_local_attn", json!("yes")),
        ("clip_qkv", json!(8.0)),
        ("n_layer", json!(2)),
    ];
    for (key, value) in cases {
        // d_vocab is large enough only together with the width of the model.
        let changes = if key == "d_vocab" {
            json!({ "d_model": 1 << 16, "n_heads": 4, key: value })
        } else {
            json!({ key: value })
        };
        match ModelConfig::from_json(&config(&changes)) {
            Err(Error::UnsupportedConfig { key: named, .. }) => assert_eq!(named, key, "{key} = {value}"),
            other => panic!("{key} = {value}: {other:?}"),
        }
    }
    let rotary = json!({ "positional_embedding_type": "rotary", "rotary_dim": 5 });
    assert!(matches!(
        ModelConfig::from_json(&config(&rotary)),
        Err(Error::UnsupportedConfig { key, .. }) if key == "rotary_dim"
    ));
    assert_eq!(ModelConfig::from_json(&json!([])).err().unwrap().code(), "unsupported_config");
    let enormous = json!({ "d_vocab": 1 << 27, "d_model": 1 << 13, "d_head": 1 << 11 });
    let enormous = ModelConfig::from_json(&config(&enormous)).unwrap();
    assert_eq!(Model::new_random(enormous, &Device::Cpu).err().unwrap().code(), "invalid_argument");
}

#[test]
fn heads_follow_from_widths() {
    let heads = |changes: Value| {
        let config = ModelConfig::from_json(&config(&changes)).unwrap();
        (config.n_heads, config.d_head)
    };
    assert_eq!(heads(json!({ "n_heads": -1 })), (4, 4));
    assert_eq!(heads(json!({ "d_head": 3 })), (4, 3));
    assert_eq!(heads(json!({ "d_head": -1, "n_heads": 8 })), (8, 2));
}

//! Rotary positions: their speeds against published numbers, and what a configuration says of them.

use crate::variants::{config, logits, model, tokens, variants};
use hooklens_core::models::{ForwardRequest, Model, ModelConfig, Positions};
use hooklens_core::nn::{RotaryConfig, RotaryScaling};
use hooklens_core::{Error, Tensor};
use serde_json::{Value, json};

fn assert_speeds(rotary: &RotaryConfig, length: usize, expected: &[(usize, f64)]) {
    let speeds = rotary.speeds(length);
    assert_eq!(speeds.len(), rotary.dim / 2);
    for &(pair, speed) in expected {
        let got = f64::from(speeds[pair]);
        assert!((got / speed - 1.0).abs() < 1e-6, "pair {pair}: {got:e}, expected {speed:e}");
    }
}

fn rotary(dim: usize, base: f64, scaling: RotaryScaling) -> RotaryConfig {
    RotaryConfig { dim, period: dim, base, base_local: None, adjacent_pairs: false, scaling }
}

#[test]
fn llama_3_slows_slow_pairs() {
    let scaling =
        RotaryScaling::ByParts { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_ctx: 8192.0 };
    let expected = [
        (0, 1.0),
        (10, 0.128687373),
        (28, 0.00321144599),
        (30, 0.00137189357),
        (34, 0.000178507813),
        (36, 7.78465527e-5),
        (63, 3.06892599e-7),
    ];
    assert_speeds(&rotary(128, 500_000.0, scaling), 1, &expected);
}

#[test]
fn yarn_slows_slow_pairs() {
    let scaling = RotaryScaling::Yarn {
        factor: 32.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_ctx: 4096.0,
        truncate: true,
        attention_factor: 1.0,
    };
    let expected = [
        (0, 1.0),
        (7, 0.0737445682),
        (8, 0.0508132748),
        (9, 0.0316207523),
        (13, 0.00406955471),
        (17, 0.000227947796),
        (18, 3.83088124e-5),
        (31, 3.02351143e-7),
    ];
    assert_speeds(&rotary(64, 150_000.0, scaling), 1, &expected);
    // Three of seven features, as transformers 5.23 rotates them: both pairs are kept.
    let scaling = RotaryScaling::Yarn {
        factor: 4.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_ctx: 16.0,
        truncate: true,
        attention_factor: 1.138_629_436_111_989,
    };
    let three = RotaryConfig { period: 3, ..rotary(4, 10_000.0, scaling) };
    assert_speeds(&three, 1, &[(0, 1.0), (1, 0.002154434332624078)]);
}

#[test]
fn dynamic_scaling_grows_the_base_with_the_length() {
    let dynamic = rotary(8, 10_000.0, RotaryScaling::Dynamic { factor: 2.0, original_ctx: 8.0 });
    assert_eq!(dynamic.speeds(8), rotary(8, 10_000.0, RotaryScaling::None).speeds(8));
    // 10000 * (2 * 12 / 8 - 1)^(8 / 6)
    let base: f64 = 10_000.0 * 2f64.powf(8.0 / 6.0);
    assert_speeds(&dynamic, 12, &[(0, 1.0), (1, base.powf(-0.25)), (3, base.powf(-0.75))]);
}

#[test]
fn longrope_changes_its_divisors_beyond_the_original_context() {
    let scaling = RotaryScaling::LongRope {
        short: vec![1.0, 2.0],
        long: vec![4.0, 8.0],
        original_ctx: 8.0,
        attention_factor: 1.1,
    };
    let longrope = rotary(4, 100.0, scaling);
    assert_speeds(&longrope, 8, &[(0, 1.0), (1, 0.05)]);
    assert_speeds(&longrope, 9, &[(0, 0.25), (1, 0.0125)]);
}

#[test]
fn configurations_read_back_what_they_write() {
    let odd = json!({ "positional_embedding_type": "rotary", "rotary_dim": 4, "rotary_period": 3 });
    let proportional = json!({
        "positional_embedding_type": "rotary",
        "rope_parameters": { "rope_type": "proportional", "partial_rotary_factor": 0.5, "factor": 2.0 },
    });
    let gelu = json!({ "act_fn": "gelu_10" });
    let more = [("odd share", odd), ("proportional", proportional), ("clipped gelu", gelu)];
    for (name, changes) in variants().into_iter().chain(more) {
        let read = ModelConfig::from_json(&config(&changes)).unwrap();
        assert_eq!(ModelConfig::from_json(&read.to_json()).unwrap(), read, "{name}");
    }
}

#[test]
fn nonsense_is_refused_by_its_key() {
    let key_of = |changes: &Value| match ModelConfig::from_json(&config(changes)) {
        Err(Error::UnsupportedConfig { key, .. }) => key,
        other => panic!("{changes}: {other:?}"),
    };
    let longrope = |short: Value| json!({ "rope_parameters": { "rope_type": "longrope", "short_factor": short } });
    let cases = [
        (json!({ "use_yarn_rope": true, "rotary_scaling_factor": 2.0 }), "rotary_scaling_factor"),
        (json!({ "use_yarn_rope": true, "use_NTK_by_parts_rope": true }), "use_yarn_rope"),
        (json!({ "use_yarn_rope": true, "yarn_factor": 0.0 }), "yarn_factor"),
        (json!({ "use_yarn_rope": true, "rotary_base": 1.0 }), "rotary_base"),
        (json!({ "yarn_global_attn_only": true }), "yarn_global_attn_only"),
        (json!({ "rope_parameters": { "rope_type": "yarm" } }), "rope_type"),
        (json!({ "rope_parameters": { "rope_type": "dynamic" } }), "factor"),
        (longrope(json!([1.0, 2.0, 3.0])), "short_factor"),
        (longrope(json!([1.0, -2.0])), "short_factor"),
        (longrope(json!([1.0, 2.0])), "long_factor"),
        (json!({ "rotary_dim": 6 }), "rotary_dim"),
        (json!({ "rotary_base_local": 0 }), "rotary_base_local"),
        (json!({ "rotary_base_local": 1.0, "use_yarn_rope": true }), "rotary_base_local"),
    ];
    for (changes, key) in cases {
        let mut changes = changes;
        changes["positional_embedding_type"] = json!("rotary");
        assert_eq!(key_of(&changes), key, "{changes}");
    }
}

#[test]
fn only_scaled_rotations_go_beyond_the_context() {
    let read = |changes: Value| ModelConfig::from_json(&config(&changes)).unwrap();
    let rotary = read(json!({ "positional_embedding_type": "rotary" }));
    assert!(matches!(rotary.positions, Positions::Rotary(_)));
    assert!(rotary.check_context(12).is_ok());
    assert!(matches!(rotary.check_context(13), Err(Error::ContextLength { required: 13, n_ctx: 12 })));
    let dynamic = json!({ "rope_type": "dynamic", "factor": 2.0 });
    let scaled = read(json!({ "positional_embedding_type": "rotary", "rope_parameters": dynamic }));
    assert!(scaled.check_context(1000).is_ok());
}

/// Rotary positions, with these types of layers and a window that hides nothing.
fn with_layers(layers: [&str; 2], changes: Value) -> Value {
    let mut all = json!({
        "positional_embedding_type": "rotary", "use_local_attn": true, "window_size": 12, "attn_types": layers,
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    all
}

#[test]
fn local_layers_have_their_own_base_and_undivided_positions() {
    let of = |changes: Value| logits(&model(&changes), ForwardRequest::new(tokens()));
    let global = |changes: Value| of(with_layers(["global"; 2], changes));
    let local = |changes: Value| of(with_layers(["local"; 2], changes));
    let plain = global(json!({}));
    let other_base = global(json!({ "rotary_base": 10.0 }));
    assert_ne!(plain, other_base);
    assert_eq!(local(json!({})), plain);
    assert_eq!(local(json!({ "rotary_base_local": 10.0 })), other_base);
    assert_eq!(global(json!({ "rotary_base_local": 10.0 })), plain);
    assert_eq!(local(json!({ "rotary_scaling_factor": 4.0 })), plain);
    assert_ne!(global(json!({ "rotary_scaling_factor": 4.0 })), plain);
    assert_eq!(local(json!({ "rotary_scaling_factor": 4.0, "rotary_base_local": 10.0 })), other_base);
    // The other scalings hold on every layer, with the base of each.
    let yarn = |base: &str| json!({ "use_yarn_rope": true, "yarn_factor": 4.0, "yarn_original_max_position_embeddings": 16, base: 10.0 });
    assert_eq!(local(yarn("rotary_base_local")), global(yarn("rotary_base")));
    assert_ne!(local(yarn("rotary_base_local")), other_base);
}

#[test]
fn each_layer_is_rotated_as_one_of_its_kind() {
    let changes = json!({ "rotary_scaling_factor": 2.0, "rotary_base_local": 10.0 });
    let of = |first: &str, second: &str| model(&with_layers([first, second], changes.clone()));
    let (mixed, globals, locals) = (of("local", "global"), of("global", "global"), of("local", "local"));
    let first = |model: &Model| {
        let request = ForwardRequest { stop_at_layer: Some(1), ..ForwardRequest::new(tokens()) };
        model.forward(request).unwrap().residual.unwrap()
    };
    let between = first(&mixed);
    let values = |resid: &Tensor| resid.to_vec::<f64>().unwrap();
    assert_eq!(values(&between), values(&first(&locals)));
    assert_ne!(values(&between), values(&first(&globals)));
    let rest = |model: &Model| {
        logits(model, ForwardRequest { start_at_layer: Some(1), ..ForwardRequest::new(between.clone()) })
    };
    assert_eq!(rest(&mixed), rest(&globals));
    assert_ne!(rest(&mixed), rest(&locals));
    assert_eq!(rest(&mixed), logits(&mixed, ForwardRequest::new(tokens())));
}

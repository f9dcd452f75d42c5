//! Checkpoints of every layout that a family has had, and configurations that are refused by the key's name.

use hooklens_core::load::{read_tensors, write_tensors};
use hooklens_core::models::{ForwardRequest, LoadOptions, Model};
use hooklens_core::{Error, Tensor};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder with a copy of a fixture, changed; gone when it is dropped.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden").join(name)
}

impl Copy {
    fn new(name: &str, what: &str, config: &Value, tensors: &[(String, Tensor)]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{}-{what}-{}",
            name.replace('/', "-"),
            std::process::id()
        ));
        std::fs::create_dir_all(&path).unwrap();
        let merged = with(&config_of(name), config);
        std::fs::write(path.join("config.json"), merged.to_string()).unwrap();
        write_tensors(&path.join("model.safetensors"), tensors, &[]).unwrap();
        Self(path)
    }

    fn load(&self) -> Result<Model, Error> {
        Model::load(&self.0, &LoadOptions::default())
    }
}

fn config_of(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name).join("config.json")).unwrap()).unwrap()
}

/// `base` with the keys of `changes`; null removes one.
fn with(base: &Value, changes: &Value) -> Value {
    let mut merged = base.clone();
    for (key, value) in changes.as_object().unwrap() {
        merged[key] = value.clone();
    }
    merged
}

fn tensors_of(name: &str) -> Vec<(String, Tensor)> {
    read_tensors(&fixture(name).join("model.safetensors")).unwrap().0
}

fn logits(model: &Model) -> Vec<f64> {
    let tokens = Tensor::from_slice(&[3i64, 1, 4, 1, 5, 9, 2, 6], &[1, 8]).unwrap();
    model.forward(ForwardRequest::new(tokens)).unwrap().logits.unwrap().to_vec().unwrap()
}

/// The same numbers as the fixture's.
fn assert_same(name: &str, what: &str, changes: &Value, tensors: &[(String, Tensor)]) {
    let expected = logits(&Model::load(&fixture(name), &LoadOptions::default()).unwrap());
    let got = logits(&Copy::new(name, what, changes, tensors).load().unwrap());
    assert_eq!(got, expected, "{name}: {what}");
}

#[test]
fn old_configurations_say_the_same_as_new_ones() {
    let neox = tensors_of("gpt_neox");
    let old = json!({ "rope_parameters": null, "rotary_pct": 0.25, "rotary_emb_base": 10000, "attention_bias": null });
    assert_same("gpt_neox", "old", &old, &neox);
    let others = json!({ "rope_theta": 5.0, "partial_rotary_factor": 1.0 });
    assert_same("gpt_neox", "names-of-other-families", &others, &neox);
    let llama = tensors_of("llama");
    let old = json!({ "rope_parameters": null, "rope_theta": 10000.0, "head_dim": null, "rope_scaling": {} });
    assert_same("llama", "old", &old, &llama);
    let no_effect =
        json!({ "pretraining_tp": 2, "sliding_window": 2, "partial_rotary_factor": 0.5, "use_cache": false });
    assert_same("llama", "no-effect", &no_effect, &llama);
    let linear = json!({ "rope_scaling": { "type": "linear", "factor": 2.5 }, "rope_parameters": null });
    assert_same("hf/llama_rope_linear", "old", &linear, &tensors_of("hf/llama_rope_linear"));
}

#[test]
fn checkpoints_may_lack_the_prefix_and_carry_old_buffers() {
    let buffer = Tensor::from_slice(&[1.0f32, 0.5], &[2]).unwrap();
    let cases = [
        ("gpt_neox", "gpt_neox.", "layers.1.attention.bias"),
        ("gpt_neox", "gpt_neox.", "layers.0.attention.rotary_emb.inv_freq"),
        ("llama", "model.", "layers.0.self_attn.rotary_emb.inv_freq"),
        ("gpt2", "transformer.", "h.0.attn.masked_bias"),
    ];
    for (name, prefix, old) in cases {
        let mut tensors = tensors_of(name);
        tensors.push((format!("{prefix}{old}"), buffer.clone()));
        assert_same(name, "buffer", &json!({}), &tensors);
        for (tensor, _) in &mut tensors {
            *tensor = tensor.strip_prefix(prefix).unwrap_or(tensor).to_owned();
        }
        assert_same(name, "bare", &json!({}), &tensors);
    }
}

#[test]
fn the_head_may_be_stored_tied_or_missing() {
    for (name, head, embed) in [
        ("gpt_neox", "embed_out.weight", "gpt_neox.embed_in.weight"),
        ("llama", "lm_head.weight", "model.embed_tokens.weight"),
    ] {
        let tensors = tensors_of(name);
        // A stored head wins, whatever the configuration says.
        assert_same(name, "stored", &json!({ "tie_word_embeddings": true }), &tensors);
        let without: Vec<_> = tensors.iter().filter(|(tensor, _)| tensor != head).cloned().collect();
        let error = Copy::new(name, "missing", &json!({}), &without).load().err().unwrap();
        assert!(matches!(&error, Error::WeightMismatch { name, .. } if name == head), "{error}");
        let tied = Copy::new(name, "tied", &json!({ "tie_word_embeddings": true }), &without).load().unwrap();
        let (_, embedding) = without.iter().find(|(tensor, _)| tensor == embed).unwrap();
        let mut copied = without.clone();
        copied.push((head.to_owned(), embedding.clone()));
        let stored = Copy::new(name, "copied", &json!({}), &copied).load().unwrap();
        assert_eq!(logits(&tied), logits(&stored), "{name}");
    }
    let renamed: Vec<_> = tensors_of("gpt_neox")
        .into_iter()
        .map(|(name, tensor)| (name.replace("embed_out", "lm_head"), tensor))
        .collect();
    assert_same("gpt_neox", "new-head", &json!({}), &renamed);
}

#[test]
fn biases_must_be_there_exactly_if_the_configuration_says_so() {
    let cases = [
        ("llama", json!({ "attention_bias": true }), "self_attn.q_proj.bias"),
        ("llama", json!({ "mlp_bias": true }), "mlp.up_proj.bias"),
        ("gpt_neox", json!({ "attention_bias": false }), "attention.dense.bias"),
    ];
    for (name, changes, tensor) in cases {
        let error = Copy::new(name, "bias", &changes, &tensors_of(name)).load().err().unwrap();
        assert!(error.code() == "weight_mismatch" && error.to_string().contains(tensor), "{error}");
    }
}

#[test]
fn configurations_may_say_zero_where_training_or_a_flag_does() {
    for (name, changes) in [
        ("gpt2", json!({ "initializer_range": 0, "add_cross_attention": 0, "scale_attn_by_inverse_layer_idx": 0 })),
        ("gpt_neox", json!({ "initializer_range": 0.0, "use_parallel_residual": 1 })),
        ("llama", json!({ "initializer_range": 0, "attention_bias": 0, "tie_word_embeddings": 0.0 })),
    ] {
        assert_same(name, "zeros", &changes, &tensors_of(name));
    }
    for (name, eps) in [("gpt2", "layer_norm_epsilon"), ("gpt_neox", "layer_norm_eps"), ("llama", "rms_norm_eps")] {
        let model = Copy::new(name, "no-eps", &json!({ eps: 0 }), &tensors_of(name)).load().unwrap();
        assert_eq!(model.config().eps, 0.0);
        assert!(logits(&model).iter().all(|x| x.is_finite()), "{name}");
        for (key, value) in [(eps, -1e-5), ("initializer_range", -0.02)] {
            let error = Copy::new(name, "negative", &json!({ key: value }), &tensors_of(name)).load().err().unwrap();
            assert!(matches!(&error, Error::UnsupportedConfig { key: got, .. } if got == key), "{name}: {error}");
        }
    }
    let flag = Copy::new("llama", "flag", &json!({ "attention_bias": 2 }), &tensors_of("llama")).load().err().unwrap();
    assert!(flag.to_string().contains("must be true or false, got 2"), "{flag}");
}

#[test]
fn what_is_not_implemented_is_refused_by_its_key() {
    let rope = |parameters: Value| json!({ "rope_parameters": parameters });
    let cases = [
        ("llama", json!({ "hidden_act": "swiglu" }), "hidden_act"),
        ("gpt_neox", json!({ "hidden_act": "xielu" }), "hidden_act"),
        ("gpt2", json!({ "activation_function": 3 }), "activation_function"),
        ("llama", json!({ "quantization_config": { "bits": 4 } }), "quantization_config"),
        ("llama", json!({ "per_layer_config": { "1": { "hidden_act": "relu" } } }), "per_layer_config"),
        ("gpt2", json!({ "add_cross_attention": true }), "add_cross_attention"),
        ("gpt2", json!({ "n_head": 5 }), "n_head"),
        ("llama", json!({ "num_key_value_heads": 3 }), "num_key_value_heads"),
        ("llama", json!({ "head_dim": 7 }), "head_dim"),
        ("gpt_neox", json!({ "num_attention_heads": 5 }), "num_attention_heads"),
        ("gpt_neox", json!({ "head_dim": 64 }), "head_dim"),
        ("llama", rope(json!({ "rope_type": "ntk", "factor": 2.0 })), "rope_type"),
        ("llama", rope(json!({ "rope_type": "linear" })), "factor"),
        ("llama", rope(json!({ "rope_type": "linear", "factor": -1.0 })), "factor"),
        ("llama", rope(json!({ "rope_type": "llama3", "factor": 8.0 })), "low_freq_factor"),
        ("llama", rope(json!({ "rope_type": "yarn" })), "factor"),
        ("llama", rope(json!({ "rope_type": "yarn", "factor": 2.0, "beta_fast": -1.0 })), "beta_fast"),
        ("llama", rope(json!({ "rope_type": "longrope" })), "short_factor"),
        ("llama", rope(json!({ "rope_type": "longrope", "short_factor": [1, 2, 3, 4], "long_factor": [1] })), "ok"),
        ("llama", rope(json!({ "full_attention": { "rope_type": "default" } })), "rope_parameters"),
        ("llama", json!({ "rope_scaling": 4 }), "rope_scaling"),
        (
            "llama",
            rope(json!({ "rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5 })),
            "partial_rotary_factor",
        ),
        ("gpt_neox", json!({ "rope_parameters": null, "rotary_pct": 1.5 }), "rotary_pct"),
        ("gpt_neox", rope(json!({ "rope_type": "dynamic", "factor": 2.0 })), "rope_type"),
        ("gpt_neox", rope(json!({ "rope_type": "yarn", "factor": 2.0, "partial_rotary_factor": 0.2 })), "rope_type"),
        ("gpt_neox", json!({ "rope_parameters": null, "rotary_emb_base": 0 }), "rotary_emb_base"),
    ];
    for (name, changes, key) in cases {
        let got = match Copy::new(name, "refused", &changes, &tensors_of(name)).load() {
            Ok(_) => "ok".to_owned(),
            Err(Error::UnsupportedConfig { key, .. }) => key,
            Err(other) => panic!("{name} {changes}: {other}"),
        };
        assert_eq!(got, key, "{name} {changes}");
    }
}

/// Numbers that no model computes with. What is accepted must give logits that are numbers, and not all zero.
#[test]
fn absurd_numbers_are_refused_by_their_key() {
    let rope = |parameters: Value| json!({ "rope_parameters": parameters });
    let eps = [("gpt2", "layer_norm_epsilon"), ("gpt_neox", "layer_norm_eps"), ("llama", "rms_norm_eps")];
    for (name, key) in eps {
        for absurd in [1e300, 1e39, 3e38, 1e7, 1e-300, -1e-300, -1.0] {
            refused(name, &json!({ key: absurd }), key);
        }
        for sound in [0.0, 1e-12, 0.5, 100.0] {
            let model = Copy::new(name, "sound-eps", &json!({ key: sound }), &tensors_of(name)).load().unwrap();
            assert!(logits(&model).iter().all(|x| x.is_finite() && *x != 0.0), "{name}: {key} = {sound}");
        }
    }
    let old_base = |value: f64| json!({ "rope_parameters": null, "rotary_emb_base": value });
    for absurd in [0.0, -10_000.0, 1e300, 1e-300] {
        refused("llama", &json!({ "rope_parameters": null, "rope_theta": absurd }), "rope_theta");
        refused("llama", &rope(json!({ "rope_theta": absurd })), "rope_theta");
        refused("gpt_neox", &old_base(absurd), "rotary_emb_base");
    }
    for (parameters, key) in [
        (json!({ "rope_type": "linear", "factor": 0 }), "factor"),
        (json!({ "rope_type": "linear", "factor": 1e-300 }), "factor"),
        (json!({ "rope_type": "linear", "factor": 1e-37 }), "rope_parameters"),
        (json!({ "rope_type": "dynamic", "factor": 1e300 }), "factor"),
        (json!({ "rope_type": "yarn", "factor": 2.0, "attention_factor": 1e300 }), "attention_factor"),
        (json!({ "rope_type": "longrope", "short_factor": [1e-37], "long_factor": [1] }), "rope_parameters"),
        (json!({ "rope_type": "longrope", "short_factor": [1e-300], "long_factor": [1] }), "short_factor"),
        (json!({ "rope_type": "linear", "factor": "2" }), "factor"),
        (json!({ "rope_type": "linear", "factor": true }), "factor"),
    ] {
        refused("llama", &rope(parameters), key);
    }
    for (key, values) in [
        ("head_dim", vec![json!(0), json!(-8), json!(1e300), json!("8"), json!(8.5)]),
        ("num_key_value_heads", vec![json!(0), json!(8)]),
        ("initializer_range", vec![json!(1e300), json!(-1)]),
        ("hidden_size", vec![json!(0), json!(1u64 << 60)]),
        ("max_position_embeddings", vec![json!(0), json!(0.5)]),
    ] {
        for value in values {
            refused("llama", &json!({ key: value }), key);
        }
    }
    for share in [-0.25, 1.01, 1e300] {
        refused("gpt_neox", &json!({ "rope_parameters": null, "rotary_pct": share }), "rotary_pct");
    }
}

fn refused(name: &str, changes: &Value, key: &str) {
    match Copy::new(name, "absurd", changes, &tensors_of(name)).load() {
        Err(Error::UnsupportedConfig { key: got, .. }) => assert_eq!(got, key, "{name} {changes}"),
        Err(other) => panic!("{name} {changes}: {other}"),
        Ok(_) => panic!("{name} {changes} was accepted"),
    }
}

#[test]
fn a_configuration_that_is_no_object_says_what_it_is() {
    let copy = Copy::new("llama", "no-object", &json!({}), &tensors_of("llama"));
    for (text, what) in [
        ("null", "null"),
        ("[1, 2]", "a list of 2 items"),
        ("3.5", "the number 3.5"),
        ("\"llama\"", "the string \"llama\""),
        ("false", "false"),
    ] {
        for file in ["config.json", "tl_config.json"] {
            let path = copy.0.join(file);
            std::fs::write(&path, text).unwrap();
            let error = copy.load().err().unwrap();
            assert_eq!(error.code(), "unsupported_config", "{error}");
            assert!(error.to_string().contains(&format!("must be a JSON object, got {what}")), "{error}");
            if file == "tl_config.json" {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    let error = Copy::new("llama", "type", &json!({ "model_type": 3 }), &tensors_of("llama")).load().err().unwrap();
    assert!(matches!(&error, Error::UnsupportedConfig { key, .. } if key == "model_type"), "{error}");
    let error =
        Copy::new("llama", "type", &json!({ "model_type": "lama" }), &tensors_of("llama")).load().err().unwrap();
    assert!(error.to_string().contains("'lama'"), "{error}");
}

#[test]
fn a_decoder_can_be_made_bidirectional() {
    let model = Copy::new("llama", "both-ways", &json!({ "is_causal": false }), &tensors_of("llama")).load().unwrap();
    assert!(!model.config().causal);
    assert_ne!(logits(&model), logits(&Model::load(&fixture("llama"), &LoadOptions::default()).unwrap()));
}

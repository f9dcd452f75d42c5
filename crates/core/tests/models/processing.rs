//! Rewritten weights: every model computes the same log-probabilities, in each step alone and in all of them.

use crate::variants::{assert_close, model, tokens, variants};
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, Direction, HookBody};
use hooklens_core::load::write_tensors;
use hooklens_core::models::{ForwardRequest, LoadOptions, Model};
use hooklens_core::weights::{Step, Steps};
use hooklens_core::{DType, Error, Tensor};
use serde_json::{Value, json};

/// Combinations that no released model has, and that a fold could get wrong.
fn unusual() -> Vec<(&'static str, Value)> {
    let mut all = variants();
    all.extend([
        ("ln_gated", json!({ "gated_mlp": true, "act_fn": "silu" })),
        ("ln_gated_parallel", json!({ "gated_mlp": true, "parallel_attn_mlp": true })),
        ("ln_grouped", json!({ "n_key_value_heads": 1 })),
        ("ln_grouped_wide_heads", json!({ "n_key_value_heads": 2, "d_head": 7 })),
        ("final_rms_gated", json!({ "final_rms": true, "gated_mlp": true })),
        ("solu_ln_parallel", json!({ "act_fn": "solu_ln", "parallel_attn_mlp": true })),
        ("solu_ln_rms", json!({ "act_fn": "solu_ln", "normalization_type": "RMS" })),
        ("solu_ln_no_norm", json!({ "act_fn": "solu_ln", "normalization_type": null })),
        ("one_head_wider_than_the_model", json!({ "d_model": 8, "n_heads": 1, "d_head": 12 })),
        ("shortformer_grouped", json!({ "positional_embedding_type": "shortformer", "n_key_value_heads": 2 })),
        ("no_positions", json!({ "positional_embedding_type": "none", "output_logits_soft_cap": 2.5 })),
    ]);
    for (_, changes) in &mut all {
        changes["dtype"] = json!("float64");
    }
    all
}

fn log_probs(model: &Model) -> Vec<f64> {
    let logits = model.forward(ForwardRequest::new(tokens())).unwrap().logits.unwrap();
    logits.to_dtype(DType::F64).unwrap().log_softmax(-1).unwrap().to_vec().unwrap()
}

fn refactorable(changes: &Value) -> bool {
    changes["positional_embedding_type"] != "rotary" && changes.get("n_key_value_heads").is_none()
}

#[test]
fn every_step_alone_and_all_together_keep_the_function() {
    for (name, changes) in unusual() {
        let plain = model(&changes);
        let expected = log_probs(&plain);
        let alone = Step::ALL.into_iter().map(|step| Steps::from_iter([step]));
        let pairs = [Steps::from_iter([Step::CenterWritingWeights, Step::FoldValueBiases]), Steps::usual()];
        for steps in alone.chain(pairs).chain([Step::ALL.into_iter().collect()]) {
            if steps.contains(Step::RefactorFactoredAttnMatrices) && !refactorable(&changes) {
                continue;
            }
            let what = format!("{name}: {:?}", steps.iter().map(Step::name).collect::<Vec<_>>());
            let processed = plain.processed(steps).unwrap();
            assert_close(&what, &log_probs(&processed), &expected, 1e-10);
            let told: Steps = left_out(&processed).into_iter().collect();
            assert_eq!(processed.processing().union(told), steps, "{what}: each step is done, or it is told why not");
            let again = processed.processed(steps).unwrap();
            assert_close(&format!("{what}, twice"), &log_probs(&again), &expected, 1e-10);
        }
        assert_close(name, &log_probs(&plain), &expected, 0.0);
    }
}

/// The steps of which the model says that they were left out.
fn left_out(model: &Model) -> Vec<Step> {
    let step = |notice: &String| {
        let (name, reason) = notice.split_once(" was left out: ").unwrap();
        assert!(reason.len() > 20, "{notice}");
        Step::from_name(name).unwrap()
    };
    model.notices().iter().map(step).collect()
}

fn mean_of_rows(x: &Tensor) -> f64 {
    let means = x.mean(Some(&[-1]), false).unwrap();
    means.to_vec::<f64>().unwrap().iter().fold(0.0, |worst, m| f64::max(worst, m.abs()))
}

#[test]
fn weights_are_what_the_steps_say() {
    let plain = model(&json!({ "dtype": "float64" }));
    let processed = plain.processed(Steps::usual()).unwrap();
    let names = processed.parameter_names();
    assert!(!names.iter().any(|name| name.contains("ln")), "norms have no weights left: {names:?}");
    assert_eq!(processed.config().normalization.unwrap().name(), "LNPre");
    assert_eq!(plain.config().normalization.unwrap().name(), "LN", "the model from before is as it was");
    let weight = |name: &str| processed.parameter(name).unwrap();
    for name in ["embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U"] {
        assert!(mean_of_rows(&weight(name)) < 1e-14, "{name}");
    }
    for name in ["attn.W_O", "attn.b_O", "mlp.W_out", "mlp.b_out"] {
        assert!(mean_of_rows(&weight(&format!("blocks.1.{name}"))) < 1e-14, "{name}");
    }
    let inputs = |name: &str| mean_of_rows(&weight(name).transpose(-1, -2).unwrap());
    for name in ["blocks.0.attn.W_Q", "blocks.0.attn.W_K", "blocks.1.attn.W_V", "blocks.1.mlp.W_in", "unembed.W_U"] {
        assert!(inputs(name) < 1e-14, "{name}");
    }
    assert!(weight("blocks.0.attn.b_V").to_vec::<f64>().unwrap().iter().all(|b| *b == 0.0));
    let registry = |model: &Model| model.registry().points().map(|p| p.name.clone()).collect::<Vec<_>>();
    assert_eq!(registry(&plain), registry(&processed));
}

#[test]
fn a_gated_mlp_keeps_the_bias_of_the_norm_before_it() {
    let plain = model(&json!({ "gated_mlp": true, "act_fn": "silu", "dtype": "float64" }));
    let folded = plain.processed(Steps::from_iter([Step::FoldLn])).unwrap();
    let of = |model: &Model, name: &str| model.parameter(&format!("blocks.0.{name}")).unwrap();
    let bias = of(&plain, "ln2.b").unsqueeze(0).unwrap();
    for (weight, bias_name) in [("mlp.W_gate", "mlp.b_gate"), ("mlp.W_in", "mlp.b_pre_linear")] {
        let moved = bias.matmul(&of(&plain, weight)).unwrap().squeeze(Some(&[0])).unwrap();
        let expected = of(&plain, bias_name).add(&moved).unwrap();
        let values = |x: &Tensor| x.to_vec::<f64>().unwrap();
        assert_close(bias_name, &values(&of(&folded, bias_name)), &values(&expected), 1e-12);
    }
}

#[test]
fn refactored_heads_have_orthogonal_factors_in_order_and_the_same_circuits() {
    let plain = model(&json!({ "dtype": "float64" }));
    let changed = plain.processed(Steps::from_iter([Step::RefactorFactoredAttnMatrices])).unwrap();
    let of = |model: &Model, name: &str| model.parameter(&format!("blocks.1.attn.{name}")).unwrap();
    let t = |x: &Tensor| x.transpose(-1, -2).unwrap();
    let values = |x: &Tensor| x.to_vec::<f64>().unwrap();
    let ov = |model: &Model| of(model, "W_V").matmul(&of(model, "W_O")).unwrap();
    assert_close("OV", &values(&ov(&plain)), &values(&ov(&changed)), 1e-12);
    let with_bias = |model: &Model, part: &str| {
        let bias = of(model, &format!("b_{part}")).unsqueeze(1).unwrap();
        Tensor::cat(&[of(model, &format!("W_{part}")), bias], 1).unwrap()
    };
    let qk = |model: &Model| with_bias(model, "Q").matmul(&t(&with_bias(model, "K"))).unwrap();
    assert_close("QK", &values(&qk(&plain)), &values(&qk(&changed)), 1e-12);
    for factor in [with_bias(&changed, "Q"), with_bias(&changed, "K"), of(&changed, "W_V"), t(&of(&changed, "W_O"))] {
        let products = t(&factor).matmul(&factor).unwrap().to_vec::<f64>().unwrap();
        for head in products.chunks(16) {
            let squared: Vec<f64> = (0..4).map(|i| head[i * 5]).collect();
            assert!(squared.is_sorted_by(|a, b| *a >= b - 1e-12), "singular values fall: {squared:?}");
            let beside = (0..16).filter(|i| i % 5 != 0).map(|i| head[i].abs()).fold(0.0, f64::max);
            assert!(beside < 1e-12, "columns are not orthogonal: {beside}");
        }
    }
    assert!(values(&of(&changed, "b_V")).iter().all(|b| *b == 0.0));
}

#[test]
fn steps_that_would_change_the_function_are_skipped_with_a_reason_or_refused() {
    let skipped = |changes: Value| left_out(&model(&changes).processed(Steps::usual()).unwrap());
    assert_eq!(skipped(json!({})), []);
    assert_eq!(skipped(json!({ "normalization_type": "RMS" })), [Step::CenterWritingWeights]);
    assert_eq!(skipped(json!({ "final_rms": true })), [Step::CenterWritingWeights]);
    assert_eq!(skipped(json!({ "output_logits_soft_cap": 3.0 })), [Step::CenterUnembed]);
    let shortformer = json!({ "positional_embedding_type": "shortformer" });
    assert_eq!(skipped(shortformer), [Step::FoldLn, Step::CenterWritingWeights, Step::CenterUnembed]);
    for changes in [json!({ "positional_embedding_type": "rotary" }), json!({ "n_key_value_heads": 2 })] {
        let refused = model(&changes).processed(Steps::from_iter([Step::RefactorFactoredAttnMatrices]));
        assert!(matches!(refused.err(), Some(Error::NotSupportedOnThisModel { .. })), "{changes}");
    }
    let trained = model(&json!({}));
    trained.set_trainable(true).unwrap();
    assert_eq!(trained.processed(Steps::usual()).err().map(|e| e.code()), Some("invalid_argument"));
    assert_eq!(Step::from_name("foldLN").err().map(|e| e.code()), Some("invalid_argument"));
}

#[test]
fn half_precision_is_processed_in_single() {
    let plain = model(&json!({ "dtype": "bfloat16" }));
    let exact = {
        let double = model(&json!({ "dtype": "float64" }));
        double.load_state_dict(&plain.state_dict().unwrap()).unwrap();
        double.processed(Steps::usual()).unwrap()
    };
    let processed = plain.processed(Steps::usual()).unwrap();
    assert_eq!(processed.dtype(), DType::BF16);
    for (name, weight) in processed.state_dict().unwrap() {
        // Rounded once: half a unit in the eighth bit.
        let expected = exact.parameter(&name).unwrap().to_vec::<f64>().unwrap();
        for (got, want) in weight.to_vec::<f64>().unwrap().iter().zip(expected) {
            assert!((got - want).abs() <= want.abs() / 255.0 + 1e-6, "{name}: {got} for {want}");
        }
    }
}

#[test]
fn processed_weights_load_into_a_model_of_the_processed_configuration() {
    let plain = model(&json!({}));
    let processed = plain.processed(Steps::usual()).unwrap();
    let saved = processed.state_dict().unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("processed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tensors: Vec<(String, Tensor)> = saved.into_iter().collect();
    write_tensors(&folder.join("model.safetensors"), &tensors, &[]).unwrap();
    std::fs::write(folder.join("tl_config.json"), processed.config().to_json().to_string()).unwrap();
    let back = Model::load(&folder, &LoadOptions::default());
    std::fs::remove_dir_all(&folder).unwrap();
    assert_close("saved and loaded", &log_probs(&back.unwrap()), &log_probs(&processed), 1e-6);
}

#[test]
fn hooks_of_the_model_run_in_the_processed_one() {
    let plain = model(&json!({}));
    let cache = CacheStore::new();
    let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
    let point = plain.registry().find("blocks.0.hook_mlp_out").unwrap();
    plain.registry().add(point, Direction::Forward, body, AddOptions::default()).unwrap();
    log_probs(&plain.processed(Steps::usual()).unwrap());
    assert!(mean_of_rows(&cache.get("blocks.0.hook_mlp_out").unwrap()) < 1e-6, "what was recorded is centred");
}

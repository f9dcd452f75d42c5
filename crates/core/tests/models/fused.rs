//! A forward that nobody looks into takes operations together; one that is looked into everywhere takes them one by one.
//! Both give the same numbers.

use crate::variants::{assert_close, logits, model, tokens, variants};
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, Direction, HookBody, HookPointId};
use hooklens_core::models::{ForwardRequest, Model};
use hooklens_core::tensor::instructions;
use hooklens_core::{Tensor, no_grad};
use serde_json::json;

/// The logits with a capture on every point that the model has.
fn observed(model: &Model, request: ForwardRequest) -> Vec<f64> {
    let cache = CacheStore::new();
    let registry = model.registry();
    let handles: Vec<_> = (0..registry.points().len() as u32)
        .map(|point| {
            let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            registry.add(HookPointId(point), Direction::Forward, body, AddOptions::default()).unwrap()
        })
        .collect();
    let got = logits(model, request);
    handles.into_iter().for_each(|handle| _ = registry.remove(handle));
    got
}

fn compare(what: &str, model: &Model, request: &ForwardRequest, tolerance: f64) {
    let whole = logits(model, request.clone());
    let steps = observed(model, request.clone());
    assert_close(what, &whole, &steps, tolerance * steps.iter().fold(1.0, |m: f64, x| m.max(x.abs())));
}

#[test]
fn fused_and_observed_forwards_agree() {
    for (name, changes) in variants() {
        compare(name, &model(&changes), &ForwardRequest::new(tokens()), 5e-6);
    }
}

#[test]
fn fused_and_observed_forwards_agree_with_padding() {
    for (name, changes) in variants() {
        let mut request = ForwardRequest::new(tokens());
        let mask = [1i64, 1, 1, 1, 1, 0, 0, 1, 1, 1];
        request.attention_mask = Some(Tensor::from_slice(&mask, &[2, 5]).unwrap());
        compare(name, &model(&changes), &request, 5e-6);
    }
}

#[test]
fn fused_and_observed_forwards_agree_at_sizes_of_many_tiles() {
    let wide = json!({ "n_ctx": 80, "d_model": 48, "d_head": 24, "d_mlp": 150 });
    let kinds = [
        ("plain", json!({})),
        ("halves", json!({ "dtype": "bfloat16" })),
        ("window", json!({ "use_local_attn": true, "window_size": 9, "attn_types": ["global", "local"] })),
        ("both_ways", json!({ "attention_dir": "bidirectional" })),
        (
            "gated_grouped_rotary",
            json!({
                "normalization_type": "RMS", "gated_mlp": true, "act_fn": "silu", "n_key_value_heads": 2,
                "positional_embedding_type": "rotary",
            }),
        ),
    ];
    for (name, mut changes) in kinds {
        changes.as_object_mut().unwrap().extend(wide.as_object().unwrap().clone());
        let model = model(&changes);
        let ids: Vec<i64> = (0..3 * 77).map(|i| i * 7 % 13).collect();
        let mut request = ForwardRequest::new(Tensor::from_slice(&ids, &[3, 77]).unwrap());
        // Halves are rounded at every point that is looked at.
        let tolerance = if name == "halves" { 2e-2 } else { 5e-6 };
        compare(name, &model, &request, tolerance);
        let mask: Vec<i64> = (0..3 * 77).map(|i| i64::from(i < 77 || i % 77 >= 20)).collect();
        request.attention_mask = Some(Tensor::from_slice(&mask, &[3, 77]).unwrap());
        compare(&format!("{name}, padded"), &model, &request, tolerance);
    }
}

#[test]
fn fused_and_observed_forwards_agree_after_cached_tokens() {
    for (name, changes) in variants() {
        let model = model(&changes);
        if !model.config().causal || name == "dynamic_rotary" || name == "longrope_rotary" {
            continue;
        }
        no_grad(|| {
            for new in [1, 3] {
                let run = |observe: bool| {
                    let cache = model.new_cache(2, None).unwrap();
                    let mut request = ForwardRequest::new(tokens().narrow(1, 0, 5 - new).unwrap());
                    request.cache = Some(cache);
                    logits(&model, request.clone());
                    request.input = tokens().narrow(1, 5 - new as i64, new).unwrap();
                    if observe { observed(&model, request) } else { logits(&model, request) }
                };
                let (whole, steps) = (run(false), run(true));
                assert_close(name, &whole, &steps, 5e-6 * steps.iter().fold(1.0, |m: f64, x| m.max(x.abs())));
            }
        });
    }
}

/// The same once more with less than this machine has, in processes of their own: instructions are chosen once in each.
#[test]
fn fused_forwards_agree_with_every_set_of_instructions() {
    const WANTED: &str = "HOOKLENS_INSTRUCTIONS";
    if std::env::var(WANTED).is_ok() {
        return;
    }
    for less in ["baseline", "avx2", "avx512"].into_iter().take_while(|name| *name != instructions()) {
        let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
        let output = tests.arg("fused_and_observed").env(WANTED, less).output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("4 passed"), "{less}: {report}");
    }
}

//! Continuing a sequence on cached keys and values gives the numbers of running all of it.

use crate::variants::{assert_close, logits, model, variants};
use hooklens_core::autograd::no_grad;
use hooklens_core::hooks::{AddOptions, CacheStore, CallSite, CallbackId, CaptureOptions, Direction, HookBody};
use hooklens_core::hooks::{HookFilter, Trampoline};
use hooklens_core::models::{ForwardRequest, GenerationRequest, KvCache, LoadOptions, Model, ReturnType};
use hooklens_core::ops::Scalar;
use hooklens_core::tensor::instructions;
use hooklens_core::weights::Steps;
use hooklens_core::{Error, Result, Tensor};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Two rows of nine; the first three tokens of the second are padding where a mask says so.
const ROWS: [i64; 18] = [1, 12, 3, 3, 7, 0, 2, 5, 9, 0, 0, 0, 4, 4, 10, 6, 1, 8];
const WIDTH: usize = 9;

/// Combinations that no single variant has.
fn unusual() -> Vec<(&'static str, Value)> {
    vec![
        (
            "grouped_local_rotary_parallel",
            json!({
                "n_key_value_heads": 2, "use_local_attn": true, "window_size": 3, "attn_types": ["local", "global"],
                "positional_embedding_type": "rotary", "rotary_dim": 2, "parallel_attn_mlp": true,
                "normalization_type": "RMS",
            }),
        ),
        ("one_kv_head_capped", json!({ "n_key_value_heads": 1, "attn_scores_soft_cap": 2.0 })),
        ("shortformer_attn_only", json!({ "attn_only": true, "positional_embedding_type": "shortformer" })),
    ]
}

fn causal() -> Vec<(&'static str, Model)> {
    let all = variants().into_iter().chain(unusual());
    all.filter(|(name, _)| *name != "bidirectional").map(|(name, changes)| (name, model(&changes))).collect()
}

/// Columns `from..to` of both rows.
fn columns(values: &[i64], from: usize, to: usize) -> Tensor {
    let cut: Vec<i64> = values.chunks(WIDTH).flat_map(|row| row[from..to].to_vec()).collect();
    Tensor::from_slice(&cut, &[2, to - from]).unwrap()
}

fn mask() -> Vec<i64> {
    (0..2 * WIDTH).map(|i| i64::from(!(WIDTH..WIDTH + 3).contains(&i))).collect()
}

fn on(cache: &KvCache, input: Tensor) -> ForwardRequest {
    let mut request = ForwardRequest::new(input);
    request.cache = Some(cache.clone());
    request
}

/// Logits of all positions, `[2, WIDTH, 13]`, computed in pieces that end at these columns.
fn in_pieces(model: &Model, cache: &KvCache, padded: bool, ends: &[usize]) -> Vec<f64> {
    let mut start = 0;
    let pieces: Vec<Tensor> = ends
        .iter()
        .map(|&end| {
            let mut request = on(cache, columns(&ROWS, start, end));
            request.attention_mask = padded.then(|| columns(&mask(), start, end));
            start = end;
            no_grad(|| model.forward(request)).unwrap().logits.unwrap()
        })
        .collect();
    Tensor::cat(&pieces, 1).unwrap().to_vec().unwrap()
}

#[test]
fn pieces_of_any_size_give_the_logits_of_the_whole() {
    for (name, model) in causal() {
        for padded in [false, true] {
            let mut whole = ForwardRequest::new(columns(&ROWS, 0, WIDTH));
            whole.attention_mask = padded.then(|| columns(&mask(), 0, WIDTH));
            let expected = logits(&model, whole);
            for (capacity, ends) in [
                (Some(WIDTH), vec![4, 5, 6, 7, 8, 9]),
                (None, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
                (Some(12), vec![2, 5, 9]),
                (None, vec![9]),
            ] {
                let cache = model.new_cache(2, capacity).unwrap();
                let got = in_pieces(&model, &cache, padded, &ends);
                // Without norms logits are large, and so is what rounding leaves.
                let largest = expected.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
                assert_close(&format!("{name}, padded: {padded}, {ends:?}"), &got, &expected, 1e-5 * largest);
                assert_eq!(cache.len(), WIDTH);
                let kept = cache.attention_mask().unwrap().to_vec::<i64>().unwrap();
                assert_eq!(kept, if padded { mask() } else { vec![1; 2 * WIDTH] });
            }
        }
    }
}

/// Where products and attention are ours: each sums in one order, however many tokens come at once.
#[test]
fn tokens_one_by_one_have_the_bits_of_the_whole() {
    if instructions() == "baseline" {
        return;
    }
    const LENGTH: usize = 20;
    let fixture = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden").join(name);
        Model::load(&folder, &LoadOptions::default()).unwrap()
    };
    let windows = json!({
        "n_ctx": LENGTH, "n_key_value_heads": 2, "positional_embedding_type": "rotary", "rotary_dim": 2,
        "use_local_attn": true, "window_size": 3, "attn_types": ["local", "global"], "normalization_type": "RMS",
    });
    let models = [
        ("plain", model(&json!({ "n_ctx": LENGTH }))),
        ("windows", model(&windows)),
        ("gpt2", fixture("gpt2")),
        ("gpt_neox", fixture("gpt_neox")),
        ("llama", fixture("llama")),
    ];
    let ids: Vec<i64> = (0..LENGTH as i64).map(|i| i * i % 13).collect();
    let row = |from: usize, to: usize| Tensor::from_slice(&ids[from..to], &[1, to - from]).unwrap();
    for (name, model) in models {
        let expected = logits(&model, ForwardRequest::new(row(0, LENGTH)));
        let cache = model.new_cache(1, None).unwrap();
        let ends = std::iter::once(14).chain(15..=LENGTH);
        let pieces = ends.scan(0, |start, end| {
            let piece = row(*start, end);
            *start = end;
            Some(no_grad(|| model.forward(on(&cache, piece))).unwrap().logits.unwrap())
        });
        let got: Vec<f64> = Tensor::cat(&pieces.collect::<Vec<_>>(), 1).unwrap().to_vec().unwrap();
        assert!(got == expected, "{name}");
    }
}

#[test]
fn a_cache_grows_beyond_its_first_room() {
    let model = model(&json!({ "n_ctx": 200, "positional_embedding_type": "rotary", "n_key_value_heads": 2 }));
    let ids: Vec<i64> = (0..150).map(|i| i * i % 13).collect();
    let row = |from: usize, to: usize| Tensor::from_slice(&ids[from..to], &[1, to - from]).unwrap();
    let expected = logits(&model, ForwardRequest::new(row(0, 150)));
    let cache = model.new_cache(1, None).unwrap();
    for (from, to) in [(0, 60), (60, 64), (64, 65), (65, 140)] {
        no_grad(|| model.forward(on(&cache, row(from, to)))).unwrap();
    }
    let before = cache.byte_size();
    let got = logits(&model, on(&cache, row(140, 150)));
    assert_close("after growing twice", &got, &expected[140 * 13..], 1e-5);
    assert_eq!((cache.byte_size(), cache.capacity()), (before, 200));
    let (keys, values) = cache.layer(1).unwrap();
    assert_eq!((keys.dims(), values.dims()), ([1, 150, 2, 4].as_slice(), [1, 150, 2, 4].as_slice()));
}

#[test]
fn a_rotation_that_changes_with_the_length_begins_anew() {
    let model = model(&json!({
        "positional_embedding_type": "rotary",
        "rope_parameters": {
            "rope_type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [3.0, 9.0],
            "original_max_position_embeddings": 5,
        },
    }));
    let cache = model.new_cache(2, None).unwrap();
    in_pieces(&model, &cache, false, &[3, 5]);
    let error = model.forward(on(&cache, columns(&ROWS, 5, 6))).err().unwrap();
    assert!(error.to_string().contains("clear the cache"), "{error}");
    cache.clear().unwrap();
    let expected = logits(&model, ForwardRequest::new(columns(&ROWS, 0, WIDTH)));
    let got = in_pieces(&model, &cache, false, &[6, 7]);
    assert_eq!((got.len(), cache.len()), (2 * 7 * 13, 7));
    let last = logits(&model, on(&cache, columns(&ROWS, 7, WIDTH)));
    let wanted: Vec<f64> = expected.chunks(WIDTH * 13).flat_map(|row| row[7 * 13..].to_vec()).collect();
    assert_close("beyond the border", &last, &wanted, 1e-5);

    // Padding does not count: the longest row has three tokens of five, and goes over the border three steps later.
    let mut request = GenerationRequest::greedy(Tensor::from_slice(&[0i64, 0, 1, 12, 3], &[1, 5]).unwrap(), 8);
    request.attention_mask = Some(Tensor::from_slice(&[0i64, 0, 1, 1, 1], &[1, 5]).unwrap());
    request.keep_logits = true;
    let steps = |use_cache: bool| {
        let mut generation = model.generate(GenerationRequest { use_cache, ..request.clone() }).unwrap();
        let mut logits = Vec::new();
        while !generation.is_done() {
            logits.extend(generation.advance().unwrap().map(|step| step.logits.unwrap().to_vec::<f64>().unwrap()));
        }
        logits
    };
    for (i, (with, without)) in steps(true).iter().zip(steps(false)).enumerate() {
        assert_close(&format!("step {i}"), with, &without, 1e-5);
    }
}

fn capture(model: &Model, names: &[&str]) -> CacheStore {
    let store = CacheStore::new();
    for name in names {
        let body = HookBody::Capture { cache: store.clone(), options: CaptureOptions::default() };
        let point = model.registry().find(name).unwrap();
        model.registry().add(point, Direction::Forward, body, AddOptions::default()).unwrap();
    }
    store
}

#[test]
fn points_see_the_new_positions_and_rotated_keys_and_patterns_the_old_ones_too() {
    let names = [
        "hook_embed",
        "blocks.1.attn.hook_q",
        "blocks.1.attn.hook_k",
        "blocks.1.attn.hook_v",
        "blocks.1.attn.hook_rot_q",
        "blocks.1.attn.hook_rot_k",
        "blocks.1.attn.hook_attn_scores",
        "blocks.1.attn.hook_pattern",
        "blocks.1.attn.hook_z",
        "blocks.1.hook_resid_post",
    ];
    let model = model(&unusual().swap_remove(0).1);
    let whole = capture(&model, &names);
    logits(&model, ForwardRequest::new(columns(&ROWS, 0, WIDTH)));
    model.registry().remove_where(HookFilter::default());
    let cache = model.new_cache(2, Some(WIDTH)).unwrap();
    let seen = capture(&model, &names);
    in_pieces(&model, &cache, false, &[6, WIDTH]);
    let rotated = seen.get("blocks.1.attn.hook_rot_k").unwrap();
    let before: Vec<f64> = rotated.to_vec().unwrap();
    for name in names {
        let (whole, seen) = (whole.get(name).unwrap(), seen.get(name).unwrap());
        let expected = if name.ends_with("rot_k") {
            whole
        } else if name.ends_with("scores") || name.ends_with("pattern") {
            whole.narrow(2, 6, 3).unwrap()
        } else {
            whole.narrow(1, 6, 3).unwrap()
        };
        assert_eq!(seen.dims(), expected.dims(), "{name}");
        let finite = |x: &Tensor| -> Vec<f64> { x.to_vec::<f64>().unwrap().iter().map(|x| x.max(-1e9)).collect() };
        assert_close(name, &finite(&seen), &finite(&expected), 1e-5);
    }
    // What was captured is a value of its own, whatever is written to the cache later.
    cache.clear().unwrap();
    in_pieces(&model, &cache, true, &[WIDTH]);
    assert_eq!(rotated.to_vec::<f64>().unwrap(), before);
}

struct Triple;

impl Trampoline for Triple {
    fn call(&self, _: CallbackId, _: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        value.mul_scalar(Scalar::Float(3.0)).map(Some)
    }
}

#[test]
fn edits_of_keys_and_values_stay_and_those_of_rotated_keys_are_used_once() {
    for point in ["hook_q", "hook_k", "hook_v", "hook_rot_k", "hook_pattern"] {
        let model = model(&unusual().swap_remove(0).1);
        let registry = model.registry();
        registry.set_trampoline(Arc::new(Triple));
        let id = registry.find(&format!("blocks.0.attn.{point}")).unwrap();
        registry.add(id, Direction::Forward, HookBody::Callback(CallbackId(0)), AddOptions::default()).unwrap();
        let expected = logits(&model, ForwardRequest::new(columns(&ROWS, 0, WIDTH)));
        let cache = model.new_cache(2, None).unwrap();
        assert_close(point, &in_pieces(&model, &cache, false, &[3, 4, 5, 9]), &expected, 1e-5);
    }
}

#[test]
fn a_frozen_cache_is_used_and_left_alone() {
    let model = model(&json!({ "positional_embedding_type": "rotary" }));
    let cache = model.new_cache(2, Some(12)).unwrap();
    in_pieces(&model, &cache, false, &[5]);
    let expected = logits(&model, ForwardRequest::new(columns(&ROWS, 0, WIDTH)));
    cache.set_frozen(true);
    for _ in 0..2 {
        let got = logits(&model, on(&cache, columns(&ROWS, 5, WIDTH)));
        let last: Vec<f64> = expected.chunks(WIDTH * 13).flat_map(|row| row[5 * 13..].to_vec()).collect();
        assert_close("frozen", &got, &last, 1e-5);
        assert_eq!((cache.len(), cache.is_frozen()), (5, true));
        // Another continuation in between overwrites the rows that did not count.
        logits(&model, on(&cache, columns(&ROWS, 0, 7)));
    }
    cache.set_frozen(false);
    logits(&model, on(&cache, columns(&ROWS, 5, WIDTH)));
    assert_eq!(cache.len(), WIDTH);
    cache.clear().unwrap();
    assert_eq!((cache.len(), cache.byte_size(), cache.is_empty()), (0, 0, true));
}

#[test]
fn a_forward_may_be_split_between_layers() {
    let model = model(&json!({ "n_layers": 4, "positional_embedding_type": "rotary" }));
    let whole = ForwardRequest {
        attention_mask: Some(columns(&mask(), 0, WIDTH)),
        ..ForwardRequest::new(columns(&ROWS, 0, WIDTH))
    };
    let expected = logits(&model, whole);
    let cache = model.new_cache(2, None).unwrap();
    let mut got = Vec::new();
    for (from, to) in [(0, 5), (5, WIDTH)] {
        let mut below = on(&cache, columns(&ROWS, from, to));
        below.attention_mask = Some(columns(&mask(), from, to));
        below.stop_at_layer = Some(2);
        let mut above = on(&cache, model.forward(below).unwrap().residual.unwrap());
        above.start_at_layer = Some(2);
        got.push(model.forward(above).unwrap().logits.unwrap());
    }
    assert_close("halves", &Tensor::cat(&got, 1).unwrap().to_vec().unwrap(), &expected, 1e-5);
}

#[test]
fn the_loss_and_the_last_position_are_those_of_the_input() {
    let model = model(&json!({}));
    let cache = model.new_cache(2, None).unwrap();
    in_pieces(&model, &cache, true, &[4]);
    cache.set_frozen(true);
    let mut request = on(&cache, columns(&ROWS, 4, WIDTH));
    request.return_type = ReturnType::Both;
    request.loss_per_token = true;
    let result = model.forward(request.clone()).unwrap();
    let mut whole = ForwardRequest::new(columns(&ROWS, 0, WIDTH));
    whole.attention_mask = Some(columns(&mask(), 0, WIDTH));
    whole.return_type = ReturnType::Loss;
    whole.loss_per_token = true;
    let expected = model.forward(whole).unwrap().loss.unwrap().narrow(1, 4, 4).unwrap();
    assert_close("loss", &result.loss.unwrap().to_vec().unwrap(), &expected.to_vec().unwrap(), 1e-5);

    request.return_type = ReturnType::Logits;
    request.last_position_only = true;
    let all: Vec<f64> = result.logits.unwrap().narrow(1, -1, 1).unwrap().to_vec().unwrap();
    for looked_at in [None, Some("ln_final.hook_normalized"), Some("unembed.hook_out")] {
        let seen = capture(&model, looked_at.as_slice());
        let last = model.forward(request.clone()).unwrap().logits.unwrap();
        assert_eq!(last.dims(), [2, 1, 13]);
        assert_close("last", &last.to_vec().unwrap(), &all, 1e-6);
        if let Some(name) = looked_at {
            assert_eq!(seen.get(name).unwrap().dims()[1], 5, "who looks sees every position");
        }
    }
}

struct Fail;

impl Trampoline for Fail {
    fn call(&self, _: CallbackId, site: CallSite<'_>, _: &Tensor) -> Result<Option<Tensor>> {
        Err(Error::Callback { hook: site.name.into() })
    }
}

#[test]
fn a_forward_that_fails_or_is_abandoned_leaves_the_cache_as_it_was() {
    let model = model(&json!({}));
    let expected = logits(&model, ForwardRequest::new(columns(&ROWS, 0, WIDTH)));
    let cache = model.new_cache(2, None).unwrap();
    in_pieces(&model, &cache, false, &[4]);
    let registry = model.registry();
    registry.set_trampoline(Arc::new(Fail));
    for name in ["blocks.1.attn.hook_z", "unembed.hook_out"] {
        let id = registry.find(name).unwrap();
        let hook =
            registry.add(id, Direction::Forward, HookBody::Callback(CallbackId(0)), AddOptions::default()).unwrap();
        assert_eq!(model.forward(on(&cache, columns(&ROWS, 0, 5))).err().unwrap().code(), "callback");
        registry.remove(hook);
        assert_eq!(cache.len(), 4);
    }
    let mut abandoned = model.start(on(&cache, columns(&ROWS, 0, 5))).unwrap();
    abandoned.step().unwrap();
    assert_eq!(model.forward(on(&cache, columns(&ROWS, 4, 5))).err().unwrap().code(), "invalid_argument");
    assert_eq!(cache.clear().err().unwrap().code(), "invalid_argument");
    drop(abandoned);
    let got = logits(&model, on(&cache, columns(&ROWS, 4, WIDTH)));
    let last: Vec<f64> = expected.chunks(WIDTH * 13).flat_map(|row| row[4 * 13..].to_vec()).collect();
    assert_close("after the failures", &got, &last, 1e-5);
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = model(&json!({}));
    let refused = |request: ForwardRequest| model.forward(request).err().unwrap();
    assert_eq!(model.new_cache(0, None).err().unwrap().code(), "invalid_argument");
    assert_eq!(model.new_cache(1, Some(0)).err().unwrap().code(), "invalid_argument");
    assert!(matches!(model.new_cache(1, Some(13)), Err(Error::ContextLength { required: 13, n_ctx: 12 })));
    let bidirectional = crate::variants::model(&json!({ "attention_dir": "bidirectional" }));
    assert_eq!(bidirectional.new_cache(1, None).err().unwrap().code(), "invalid_argument");

    let one = model.new_cache(1, None).unwrap();
    let error = refused(on(&one, columns(&ROWS, 0, 2)));
    assert!(matches!(&error, Error::ShapeMismatch { detail, .. } if detail.contains("batch of 1")), "{error}");
    let small = model.new_cache(2, Some(4)).unwrap();
    let error = refused(on(&small, columns(&ROWS, 0, 5)));
    assert!(error.to_string().contains("room for 4 positions"), "{error}");
    let full = model.new_cache(2, None).unwrap();
    in_pieces(&model, &full, false, &[WIDTH]);
    assert!(matches!(refused(on(&full, columns(&ROWS, 0, 4))), Error::ContextLength { required: 13, n_ctx: 12 }));
    let other = crate::variants::model(&json!({ "n_layers": 3 })).new_cache(2, None).unwrap();
    assert_eq!(refused(on(&other, columns(&ROWS, 0, 2))).code(), "shape_mismatch");

    let mut masked = on(&full, columns(&ROWS, 0, 2));
    masked.attention_mask = Some(columns(&[1; 18], 0, 3));
    assert_eq!(refused(masked.clone()).code(), "shape_mismatch");
    masked.attention_mask = Some(Tensor::from_slice(&[[1i64; 11], [0; 11]].concat(), &[2, 11]).unwrap());
    assert_eq!(refused(masked.clone()).code(), "invalid_argument");
    masked.attention_mask = Some(Tensor::from_slice(&[1i64; 22], &[2, 11]).unwrap());
    model.forward(masked).unwrap();

    let uneven = model.new_cache(2, None).unwrap();
    let mut below = on(&uneven, columns(&ROWS, 0, 2));
    below.stop_at_layer = Some(1);
    model.forward(below).unwrap();
    assert_eq!((uneven.len(), refused(on(&uneven, columns(&ROWS, 0, 2))).code()), (0, "invalid_argument"));
    assert_eq!(uneven.layer(2).err().unwrap().code(), "index_out_of_range");

    let twin = crate::variants::model(&json!({}));
    let error = twin.forward(on(&full, columns(&ROWS, 0, 2))).err().unwrap();
    assert!(error.to_string().contains("other weights"), "{error}");
    let error = model.processed(Steps::usual()).unwrap().forward(on(&full, columns(&ROWS, 0, 2))).err().unwrap();
    assert_eq!((error.code(), full.len()), ("invalid_argument", WIDTH + 2));
    full.clear().unwrap();
    twin.forward(on(&full, columns(&ROWS, 0, 2))).unwrap();

    model.set_trainable(true).unwrap();
    let cache = model.new_cache(2, None).unwrap();
    assert_eq!(refused(on(&cache, columns(&ROWS, 0, 2))).code(), "autograd");
    no_grad(|| model.forward(on(&cache, columns(&ROWS, 0, 2)))).unwrap();
    assert_eq!(cache.len(), 2);
}

#[test]
fn a_batch_that_no_memory_could_hold_is_refused() {
    let model = model(&json!({}));
    for batch in [1 << 50, (1 << 53) - 1, usize::MAX] {
        let error = model.new_cache(batch, None).err().unwrap();
        assert!(error.to_string().contains("too large"), "{batch}: {error}");
    }
    // Whether a machine promises this much is its own affair: nothing is taken before rows come.
    if let Ok(cache) = model.new_cache(1 << 40, None) {
        assert_eq!(cache.byte_size(), 0);
        let error = model.forward(on(&cache, columns(&ROWS, 0, 2))).err().unwrap();
        assert_eq!(error.code(), "shape_mismatch");
    }
    let unused = model.new_cache(2, None).unwrap();
    unused.clear().unwrap();
    assert_eq!(unused.attention_mask().unwrap().dims(), [2, 0]);
}

//! Writing on from tokens.

use crate::variants::{assert_close, model, variants};
use hooklens_core::hooks::{AddOptions, CallSite, CallbackId, Direction, HookBody, HookFilter, Trampoline};
use hooklens_core::models::{FinishReason, ForwardRequest, Generation, GenerationRequest, GenerationStep, Model};
use hooklens_core::tensor::SamplingOptions;
use hooklens_core::{Error, Result, Tensor};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn ids(ids: &[i64], rows: usize) -> Tensor {
    Tensor::from_slice(ids, &[rows, ids.len() / rows]).unwrap()
}

fn steps(generation: &mut Generation) -> Vec<GenerationStep> {
    let mut steps = Vec::new();
    while !generation.is_done() {
        steps.extend(generation.advance().unwrap());
    }
    assert!(generation.advance().unwrap().is_none());
    steps
}

fn written(model: &Model, request: GenerationRequest) -> Vec<i64> {
    let mut generation = model.generate(request).unwrap();
    steps(&mut generation);
    generation.sequences().unwrap().to_vec().unwrap()
}

/// What whole forwards over and over say.
fn by_hand(model: &Model, prompt: &[i64], count: usize) -> Vec<i64> {
    let mut tokens = prompt.to_vec();
    for _ in 0..count {
        let logits = model.forward(ForwardRequest::new(ids(&tokens, 1))).unwrap().logits.unwrap();
        tokens.push(logits.select(1, -1).unwrap().argmax(Some(-1), false).unwrap().to_vec::<i64>().unwrap()[0]);
    }
    tokens
}

#[test]
fn the_highest_logits_of_whole_forwards_are_written_with_and_without_a_cache() {
    for (name, changes) in variants() {
        // Its tokens could not all come in again.
        if name == "other_outputs" {
            continue;
        }
        let model = model(&changes);
        let expected = by_hand(&model, &[1, 12, 3], 8);
        for use_cache in [false, true] {
            let request = GenerationRequest { use_cache, ..GenerationRequest::greedy(ids(&[1, 12, 3], 1), 8) };
            if use_cache && name == "bidirectional" {
                assert_eq!(model.generate(request).err().unwrap().code(), "invalid_argument");
                continue;
            }
            assert_eq!(written(&model, request), expected, "{name}, cache: {use_cache}");
        }
    }
}

#[test]
fn rows_of_a_padded_batch_are_written_as_if_alone() {
    for changes in [json!({}), json!({ "positional_embedding_type": "rotary", "n_key_value_heads": 1 })] {
        let model = model(&changes);
        let mut request = GenerationRequest::greedy(ids(&[5, 6, 7, 8, 0, 0, 4, 9], 2), 6);
        request.attention_mask = Some(ids(&[1, 1, 1, 1, 0, 0, 1, 1], 2));
        for use_cache in [true, false] {
            for do_sample in [false, true] {
                request.use_cache = use_cache;
                request.sampling.do_sample = do_sample;
                request.sampling.repetition_penalty = 1.5;
                request.seed = Some(3);
                let both = written(&model, request.clone());
                let first =
                    GenerationRequest { tokens: ids(&[5, 6, 7, 8], 1), attention_mask: None, ..request.clone() };
                assert_eq!(both[..10], written(&model, first), "cache: {use_cache}, sampled: {do_sample}");
                if !do_sample {
                    let second = GenerationRequest { tokens: ids(&[4, 9], 1), attention_mask: None, ..request.clone() };
                    assert_eq!(both[12..], written(&model, second), "cache: {use_cache}");
                }
            }
        }
    }
}

#[test]
fn rows_end_with_stop_ids_and_are_filled_up() {
    let model = model(&json!({ "n_ctx": 40 }));
    let prompt = ids(&[1, 2, 3, 7, 8, 9], 2);
    let free = written(&model, GenerationRequest::greedy(prompt.clone(), 8));
    // Where the first row first writes a token that the second row writes later or never.
    let (first, second) = (&free[3..11], &free[14..]);
    let (at, stop) = first
        .iter()
        .enumerate()
        .find(|(i, id)| !second[..=*i].contains(id))
        .map(|(i, &id)| (i, id))
        .expect("rows that differ");
    let mut request = GenerationRequest::greedy(prompt, 8);
    request.stop_ids = vec![stop];
    request.fill_id = Some(11);
    let mut generation = model.generate(request.clone()).unwrap();
    let steps = steps(&mut generation);
    assert_eq!(steps[at].finished[0], Some(FinishReason::Eos));
    assert_eq!(steps[at].tokens[0], Some(stop));
    assert!(steps[at + 1..].iter().all(|step| step.tokens[0].is_none() && step.finished[0].is_none()));
    let all: Vec<i64> = generation.sequences().unwrap().to_vec().unwrap();
    let row = &all[3..all.len() / 2];
    assert_eq!(row[..=at], first[..=at]);
    assert!(row[at + 1..].iter().all(|&id| id == 11));
    let reasons: Vec<FinishReason> = steps.iter().filter_map(|step| step.finished[1]).collect();
    assert_eq!(reasons.len(), 1);

    request.stop_ids.clear();
    let mut generation = model.generate(request).unwrap();
    generation.stop(1).unwrap();
    while !generation.is_done() {
        if generation.advance().unwrap().is_some() {
            generation.stop(0).unwrap();
        }
    }
    let all: Vec<i64> = generation.sequences().unwrap().to_vec().unwrap();
    assert_eq!(all, [&[1, 2, 3, first[0]][..], &[7, 8, 9, 11]].concat());
    assert_eq!(generation.stop(2).err().unwrap().code(), "index_out_of_range");

    let mut generation = model.generate(GenerationRequest::greedy(ids(&[1, 2, 3], 1), 8)).unwrap();
    generation.advance().unwrap();
    generation.end();
    assert!(generation.is_done() && generation.advance().unwrap().is_none());
    assert_eq!(generation.sequences().unwrap().to_vec::<i64>().unwrap(), [1, 2, 3]);
}

#[test]
fn logits_are_those_of_a_forward() {
    let model = model(&json!({}));
    let request = GenerationRequest { keep_logits: true, ..GenerationRequest::greedy(ids(&[1, 12, 3], 1), 4) };
    let mut generation = model.generate(request).unwrap();
    let steps = steps(&mut generation);
    let all: Vec<i64> = generation.sequences().unwrap().to_vec().unwrap();
    let logits = model.forward(ForwardRequest::new(ids(&all[..6], 1))).unwrap().logits.unwrap();
    for (i, step) in steps.iter().enumerate() {
        let expected: Vec<f64> = logits.select(1, i as i64 + 2).unwrap().to_vec().unwrap();
        assert_close("logits", &step.logits.as_ref().unwrap().to_vec().unwrap(), &expected, 1e-5);
    }
}

#[test]
fn seeds_repeat_and_options_change_what_is_drawn() {
    let model = model(&json!({ "n_ctx": 60 }));
    let draw = |seed: u64, sampling: SamplingOptions| {
        let request =
            GenerationRequest { sampling, seed: Some(seed), ..GenerationRequest::greedy(ids(&[1, 2], 1), 50) };
        written(&model, request)
    };
    let options = SamplingOptions { temperature: 2.0, ..SamplingOptions::default() };
    assert_eq!(draw(1, options.clone()), draw(1, options.clone()));
    assert_ne!(draw(1, options.clone()), draw(2, options.clone()));
    let greedy = by_hand(&model, &[1, 2], 50);
    for same in [
        SamplingOptions { temperature: 0.0, ..options.clone() },
        SamplingOptions { temperature: 1e-300, ..options.clone() },
        SamplingOptions { top_k: Some(1), ..options.clone() },
        SamplingOptions { top_p: Some(1e-9), ..options.clone() },
        SamplingOptions { do_sample: false, ..options.clone() },
        SamplingOptions { top_k: Some(1), top_p: Some(1.0), ..options.clone() },
    ] {
        assert_eq!(draw(7, same.clone()), greedy, "{same:?}");
    }
    assert_eq!(draw(3, SamplingOptions { top_k: Some(1000), ..options.clone() }), draw(3, options));
}

/// Counts its calls; fails at one of them.
struct Counting {
    calls: AtomicUsize,
    fails_at: usize,
}

impl Trampoline for Counting {
    fn call(&self, _: CallbackId, site: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.fails_at {
            return Err(Error::Callback { hook: site.name.into() });
        }
        assert!(!value.requires_grad());
        Ok(None)
    }
}

#[test]
fn hooks_run_in_every_step_and_one_that_fails_costs_nothing() {
    let model = model(&json!({}));
    let expected = by_hand(&model, &[1, 12, 3], 5);
    let counting = Arc::new(Counting { calls: AtomicUsize::new(0), fails_at: 7 });
    let registry = model.registry();
    registry.set_trampoline(counting.clone());
    for name in ["hook_embed", "hook_pos_embed", "blocks.1.attn.hook_pattern"] {
        let id = registry.find(name).unwrap();
        registry.add(id, Direction::Forward, HookBody::Callback(CallbackId(0)), AddOptions::default()).unwrap();
    }
    let mut generation = model.generate(GenerationRequest::greedy(ids(&[1, 12, 3], 1), 5)).unwrap();
    let mut failures = 0;
    while !generation.is_done() {
        failures += usize::from(generation.advance().is_err());
    }
    assert_eq!(failures, 1);
    assert_eq!(generation.sequences().unwrap().to_vec::<i64>().unwrap(), expected);
    // Three points in each of five steps, and the step that failed at its second point a second time.
    assert_eq!(counting.calls.load(Ordering::Relaxed), 17);
    registry.remove_where(HookFilter::default());
}

/// Puts NaN in place of the last row of one firing.
struct Spoiling {
    calls: AtomicUsize,
    at: usize,
}

impl Trampoline for Spoiling {
    fn call(&self, _: CallbackId, _: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        if self.calls.fetch_add(1, Ordering::Relaxed) != self.at {
            return Ok(None);
        }
        let mut values: Vec<f32> = value.to_vec()?;
        let row = values.len() / value.dims()[0];
        let from = values.len() - row;
        values[from..].fill(f32::NAN);
        Tensor::from_slice(&values, value.dims()).map(Some)
    }
}

#[test]
fn a_step_without_a_choice_can_be_tried_again() {
    let model = model(&json!({}));
    for use_cache in [true, false] {
        for at in [0, 2] {
            let mut request = GenerationRequest::greedy(ids(&[1, 12, 3, 7, 8, 9], 2), 6);
            request.use_cache = use_cache;
            request.sampling = SamplingOptions { temperature: 2.0, ..SamplingOptions::default() };
            request.seed = Some(5);
            let expected = written(&model, request.clone());
            let registry = model.registry();
            registry.set_trampoline(Arc::new(Spoiling { calls: AtomicUsize::new(0), at }));
            let point = registry.find("unembed.hook_out").unwrap();
            registry.add(point, Direction::Forward, HookBody::Callback(CallbackId(0)), AddOptions::default()).unwrap();
            let mut generation = model.generate(request).unwrap();
            let mut failures = Vec::new();
            while !generation.is_done() {
                failures.extend(generation.advance().err().map(|error| error.code()));
                assert!(failures.len() < 3, "{failures:?}");
            }
            registry.remove_where(HookFilter::default());
            assert_eq!(failures, ["invalid_argument"]);
            assert_eq!(generation.sequences().unwrap().to_vec::<i64>().unwrap(), expected, "{use_cache}, {at}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let model = model(&json!({}));
    let refused = |change: &dyn Fn(&mut GenerationRequest)| {
        let mut request = GenerationRequest::greedy(ids(&[1, 2, 3, 4], 2), 4);
        change(&mut request);
        model.generate(request).err().unwrap()
    };
    assert!(matches!(refused(&|r| r.max_new_tokens = 12), Error::ContextLength { required: 13, n_ctx: 12 }));
    assert!(model.generate(GenerationRequest::greedy(ids(&[1, 2, 3, 4], 2), 11)).is_ok());
    assert_eq!(refused(&|r| r.max_new_tokens = usize::MAX).code(), "context_length");
    assert_eq!(refused(&|r| r.attention_mask = Some(ids(&[1, 1, 1, 0], 2))).code(), "invalid_argument");
    assert_eq!(refused(&|r| r.attention_mask = Some(ids(&[1, 1], 1))).code(), "shape_mismatch");
    assert_eq!(refused(&|r| r.tokens = ids(&[13, 1], 1)).code(), "token_out_of_range");
    assert_eq!(refused(&|r| r.fill_id = Some(-1)).code(), "token_out_of_range");
    let options: [&dyn Fn(&mut SamplingOptions); 9] = [
        &|o| o.temperature = -1.0,
        &|o| o.temperature = f64::NAN,
        &|o| o.top_k = Some(0),
        &|o| o.top_p = Some(0.0),
        &|o| o.top_p = Some(1.5),
        &|o| o.top_p = Some(f64::NAN),
        &|o| o.repetition_penalty = 0.0,
        &|o| o.freq_penalty = -0.5,
        &|o| o.freq_penalty = f64::INFINITY,
    ];
    for change in options {
        assert_eq!(refused(&|r| change(&mut r.sampling)).code(), "invalid_argument");
    }
    let nothing = GenerationRequest::greedy(ids(&[1, 2], 1), 0);
    assert_eq!(written(&model, nothing), [1, 2]);
}

#[test]
fn sampling_follows_its_rules() {
    let logits = |values: &[f32]| Tensor::from_slice(values, &[1, values.len()]).unwrap();
    let options = SamplingOptions { do_sample: false, repetition_penalty: 2.0, ..SamplingOptions::default() };
    let seen = ids(&[0, 1], 1);
    let pick = |values: &[f32], options: &SamplingOptions, seed: u64| {
        logits(values).sample_logits(Some(&seen), options.clone(), Some(seed)).unwrap().to_vec::<i64>().unwrap()[0]
    };
    // Halved where positive, doubled where negative.
    assert_eq!((pick(&[2.0, -1.0, 0.99, 0.0], &options, 0), pick(&[2.0, -1.0, 1.01, 0.0], &options, 0)), (0, 2));
    assert_eq!(pick(&[-3.0, -1.0, -2.1], &options, 0), 1);
    assert_eq!(pick(&[-3.0, -1.0, -1.9], &options, 0), 2);

    let often = SamplingOptions { freq_penalty: 100.0, ..SamplingOptions::default() };
    assert!((0..50).all(|seed| pick(&[3.0, 3.0, 0.0], &often, seed) == 2));
    let counts = |options: &SamplingOptions| {
        let mut counts = [0; 4];
        let values: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        (0..4000).for_each(|seed| counts[pick(&values, options, seed) as usize] += 1);
        counts
    };
    let free = counts(&SamplingOptions::default());
    for (count, p) in free.iter().zip([0.5, 0.3, 0.15, 0.05]) {
        assert!((f64::from(*count) / 4000.0 - p).abs() < 0.03, "{free:?}");
    }
    let nucleus = counts(&SamplingOptions { top_p: Some(0.8), ..SamplingOptions::default() });
    assert!(nucleus[2] > 0 && nucleus[3] == 0, "{nucleus:?}");
    let both = counts(&SamplingOptions { top_p: Some(0.1), top_k: Some(2), ..SamplingOptions::default() });
    assert!(both[1] > 0 && both[2] == 0, "top_k wins: {both:?}");

    let refused = |values: &[f32]| {
        logits(values).sample_logits(None, SamplingOptions::default(), None).err().map(|error| error.code())
    };
    assert_eq!(refused(&[0.0, f32::NAN]), Some("invalid_argument"));
    assert_eq!(refused(&[0.0, f32::INFINITY]), Some("invalid_argument"));
    assert_eq!(refused(&[f32::NEG_INFINITY; 2]), Some("invalid_argument"));
    assert_eq!(refused(&[0.0, f32::NEG_INFINITY]), None);
    assert!(logits(&[1.0]).sample_logits(None, options, None).is_err(), "penalties need tokens");
}

#[test]
fn penalties_that_leave_the_range_of_numbers_are_refused() {
    let pick = |values: &[f64], options: &SamplingOptions| {
        let logits = Tensor::from_slice(values, &[1, values.len()]).unwrap();
        logits.sample_logits(Some(&ids(&[0, 1], 1)), options.clone(), Some(1))
    };
    let repetition = |do_sample: bool, repetition_penalty: f64| SamplingOptions {
        do_sample,
        repetition_penalty,
        ..SamplingOptions::default()
    };
    for (values, options) in [
        (&[1.0, 3.0, 9.0][..], repetition(true, 1e-308)),
        (&[1.0, 3.0, 9.0], repetition(false, 1e-308)),
        (&[-2.0, -3.0], repetition(true, f64::MAX)),
    ] {
        let error = pick(values, &options).err().unwrap_or_else(|| panic!("{values:?}, {options:?} went through"));
        assert_eq!(error.code(), "invalid_argument");
        assert!(error.to_string().contains("repetitionPenalty"), "{error}");
    }
    let frequency = SamplingOptions { freq_penalty: f64::MAX, ..SamplingOptions::default() };
    assert_eq!(pick(&[1.0, 3.0, 0.0], &frequency).unwrap().to_vec::<i64>().unwrap(), [2], "large is not too large");
    let twice = Tensor::from_slice(&[0i64, 0], &[1, 2]).unwrap();
    let lone = Tensor::from_slice(&[1.0f64], &[1, 1]).unwrap();
    assert!(lone.sample_logits(Some(&twice), frequency, Some(1)).is_err(), "-inf is no logit to draw");
}

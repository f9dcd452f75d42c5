//! What every point of every variant promises: it is recorded, its gradient is right, an edit takes effect, and looking
//! changes nothing.

use crate::variants::{assert_close, config, logits, model, tokens, variants};
use hooklens_core::hooks::{
    AddOptions, CacheStore, CallSite, CallbackId, CaptureOptions, Direction, HookBody, HookFilter, HookPointId,
    Trampoline,
};
use hooklens_core::models::{ForwardRequest, Model, ModelConfig, ReturnType};
use hooklens_core::ops::Scalar;
use hooklens_core::{BackwardOptions, Result, Tensor};
use std::sync::Arc;

/// Adds so much of [`direction`] to what passes; integers (tokens) become zero.
struct Nudge(f64);

impl Trampoline for Nudge {
    fn call(&self, _: CallbackId, _: CallSite<'_>, x: &Tensor) -> Result<Option<Tensor>> {
        if !x.dtype().is_float() {
            return x.mul_scalar(Scalar::Int(0)).map(Some);
        }
        let nudge: Vec<f64> = direction(x.elem_count()).map(|d| d * self.0).collect();
        x.add(&Tensor::from_slice(&nudge, x.dims())?.to_dtype(x.dtype())?).map(Some)
    }
}

/// A direction in which no two elements weigh the same; a norm does not undo it, as it would undo scaling.
fn direction(elements: usize) -> impl Iterator<Item = f64> {
    (0..elements).map(|i| (1.0 + i as f64).sin())
}

fn loss(model: &Model) -> Tensor {
    let mut request = ForwardRequest::new(tokens());
    request.return_type = ReturnType::Loss;
    model.forward(request).unwrap().loss.unwrap()
}

#[test]
fn every_point_is_recorded_once_named_and_looking_changes_nothing() {
    for (name, changes) in variants() {
        // Another order of summation is not a change: in double precision it cannot be mistaken for one.
        let mut changes = changes.clone();
        changes["dtype"] = "float64".into();
        let model = model(&changes);
        let registry = model.registry();
        let unobserved = logits(&model, ForwardRequest::new(tokens()));
        for (i, point) in registry.points().enumerate() {
            let cache = CacheStore::new();
            let capture = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            let id = HookPointId(i as u32);
            let hook = registry.add(id, Direction::Forward, capture, AddOptions::default()).unwrap();
            let observed = logits(&model, ForwardRequest::new(tokens()));
            registry.remove(hook);
            assert_close(&format!("{name}: logits with {} observed", point.name), &observed, &unobserved, 1e-10);
            let recorded = cache.get(&point.name).unwrap_or_else(|| panic!("{name}: {} did not fire", point.name));
            assert_eq!(recorded.rank(), point.axes.len(), "{name}: {} has axes {:?}", point.name, point.axes);
        }
    }
}

#[test]
fn every_edit_takes_effect() {
    for (name, changes) in variants() {
        let model = model(&changes);
        let registry = model.registry();
        registry.set_trampoline(Arc::new(Nudge(0.5)));
        let before = logits(&model, ForwardRequest::new(tokens()));
        for (i, point) in registry.points().enumerate() {
            let id = HookPointId(i as u32);
            let body = HookBody::Callback(CallbackId(1));
            let hook = registry.add(id, Direction::Forward, body, AddOptions::default()).unwrap();
            let after = logits(&model, ForwardRequest::new(tokens()));
            registry.remove(hook);
            let change = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(change > 1e-4, "{name}: changing {} changed nothing ({change:e})", point.name);
        }
    }
}

/// The gradient at each point says how the loss changes when what passes there moves a little in one direction.
#[test]
fn every_gradient_agrees_with_a_finite_difference() {
    for (name, changes) in variants() {
        let mut changes = changes.clone();
        changes["dtype"] = "float64".into();
        let model = model(&changes);
        let registry = model.registry();
        for (i, point) in registry.points().enumerate().filter(|(_, point)| point.name != "hook_tokens") {
            let id = HookPointId(i as u32);
            let cache = CacheStore::new();
            let capture = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            registry.add(id, Direction::Backward, capture, AddOptions::default()).unwrap();
            loss(&model).backward(None, BackwardOptions::default()).unwrap();
            registry.remove_where(HookFilter::default());
            let gradient = cache.get(&format!("{}_grad", point.name)).unwrap().to_vec::<f64>().unwrap();
            let slope: f64 = gradient.iter().zip(direction(gradient.len())).map(|(g, d)| g * d).sum();
            let step = 1e-5;
            let moved = |by: f64| {
                registry.set_trampoline(Arc::new(Nudge(by)));
                let body = HookBody::Callback(CallbackId(1));
                let hook = registry.add(id, Direction::Forward, body, AddOptions::default()).unwrap();
                let loss = loss(&model).to_scalar().unwrap();
                registry.remove(hook);
                loss
            };
            let measured = (moved(step) - moved(-step)) / (2.0 * step);
            let allowed = 1e-6 + 1e-6 * measured.abs();
            assert!((slope - measured).abs() < allowed, "{name}: {}: {slope} but measured {measured}", point.name);
        }
    }
}

#[test]
fn a_configuration_survives_being_written() {
    for (name, changes) in variants() {
        let first = ModelConfig::from_json(&config(&changes)).unwrap();
        let second = ModelConfig::from_json(&first.to_json()).unwrap();
        assert_eq!(first, second, "{name}");
    }
}

#[test]
fn split_inputs_belong_to_their_heads() {
    let model = model(&serde_json::json!({}));
    let registry = model.registry();
    let cache = CacheStore::new();
    let capture = |point: &str, cache: &CacheStore| {
        let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
        registry.add(registry.find(point).unwrap(), Direction::Forward, body, AddOptions::default()).unwrap();
    };
    capture("blocks.0.attn.hook_q", &cache);
    capture("blocks.0.attn.hook_k", &cache);
    logits(&model, ForwardRequest::new(tokens()));
    let before = (cache.get("blocks.0.attn.hook_q").unwrap(), cache.get("blocks.0.attn.hook_k").unwrap());

    struct OneHead;
    impl Trampoline for OneHead {
        fn call(&self, _: CallbackId, _: CallSite<'_>, x: &Tensor) -> Result<Option<Tensor>> {
            let parts = [x.narrow(2, 0, 1)?, x.narrow(2, 1, 1)?.mul_scalar(Scalar::Float(-2.0))?, x.narrow(2, 2, 2)?];
            Tensor::cat(&parts, 2).map(Some)
        }
    }
    registry.set_trampoline(Arc::new(OneHead));
    let point = registry.find("blocks.0.hook_q_input").unwrap();
    registry.add(point, Direction::Forward, HookBody::Callback(CallbackId(1)), AddOptions::default()).unwrap();
    logits(&model, ForwardRequest::new(tokens()));
    let after = (cache.get("blocks.0.attn.hook_q").unwrap(), cache.get("blocks.0.attn.hook_k").unwrap());
    let head = |x: &Tensor, h: i64| x.narrow(2, h, 1).unwrap().to_vec::<f64>().unwrap();
    for h in 0..4 {
        let same = head(&before.0, h).iter().zip(head(&after.0, h)).all(|(a, b)| (a - b).abs() < 1e-5);
        assert_eq!(same, h != 1, "query head {h}");
        assert_close("keys", &head(&before.1, h), &head(&after.1, h), 1e-5);
    }
}

/// Queries, keys and values with inputs of their own are normalised one by one, also where they differ in head count.
#[test]
fn split_inputs_have_norms_and_gradients_of_their_own() {
    for (name, changes) in variants() {
        let mut changes = changes.clone();
        changes["dtype"] = "float64".into();
        let model = model(&changes);
        let (registry, cache) = (model.registry(), CacheStore::new());
        if model.config().normalization.is_none() {
            continue;
        }
        let plain = recorded(&model, &["blocks.1.ln1.hook_normalized", "blocks.1.ln1.hook_scale"]);
        for (i, point) in registry.points().enumerate() {
            let floats = point.name != "hook_tokens" && point.name != "blocks.1.hook_attn_in";
            for direction in [Direction::Forward, Direction::Backward].into_iter().filter(|_| floats) {
                let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
                registry.add(HookPointId(i as u32), direction, body, AddOptions::default()).unwrap();
            }
        }
        loss(&model).backward(None, BackwardOptions::default()).unwrap();
        let config = model.config();
        let heads = [("q", config.n_heads), ("k", config.n_key_value_heads), ("v", config.n_key_value_heads)];
        for part in ["hook_normalized", "hook_scale"] {
            let at = format!("blocks.1.ln1.{part}");
            let shared = plain.get(&at).unwrap();
            let total = plain.get(&format!("{at}_grad")).unwrap();
            let mut summed = vec![0.0; total.elem_count()];
            for (branch, count) in heads {
                let value = cache.get(&format!("{at}_{branch}")).unwrap();
                let gradient = cache.get(&format!("{at}_{branch}_grad")).unwrap();
                assert_eq!((value.dims()[2], gradient.dims()), (count, value.dims()), "{name}: {at} {branch}");
                let first = value.narrow(2, 0, 1).unwrap().to_vec::<f64>().unwrap();
                assert_close(&format!("{name}: {at}_{branch}"), &first, &shared.to_vec::<f64>().unwrap(), 1e-12);
                let over_heads = gradient.sum(Some(&[2]), false).unwrap().to_vec::<f64>().unwrap();
                summed.iter_mut().zip(over_heads).for_each(|(sum, g)| *sum += g);
            }
            assert_close(&format!("{name}: {at} gradients"), &summed, &total.to_vec::<f64>().unwrap(), 1e-10);
            let last = cache.get(&format!("{at}_v")).unwrap().to_vec::<f64>().unwrap();
            assert_eq!(cache.get(&at).unwrap().to_vec::<f64>().unwrap(), last, "{name}: the value input's is last");
            let grouped = config.n_heads != config.n_key_value_heads;
            assert_eq!(cache.get(&format!("{at}_grad")).is_none(), grouped, "{name}: a total needs one shape");
        }
    }
}

/// Activations and gradients of these points, with nothing else looked at.
fn recorded(model: &Model, points: &[&str]) -> CacheStore {
    let (registry, cache) = (model.registry(), CacheStore::new());
    for point in points {
        for direction in [Direction::Forward, Direction::Backward] {
            let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            registry.add(registry.find(point).unwrap(), direction, body, AddOptions::default()).unwrap();
        }
    }
    loss(model).backward(None, BackwardOptions::default()).unwrap();
    registry.remove_where(HookFilter::default());
    cache
}

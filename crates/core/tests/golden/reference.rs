//! Fixtures made with the reference implementation: everything at every hook point.

use crate::compare::{Tolerance, Worst};
use crate::fixture::{Fixture, Tensors};
use crate::greedy;
use hooklens_core::hooks::{
    AddOptions, CacheStore, CallSite, CallbackId, CaptureOptions, Direction, HookBody, HookFilter, Trampoline,
};
use hooklens_core::models::{ForwardRequest, LoadOptions, Model, ReturnType};
use hooklens_core::ops::Scalar;
use hooklens_core::weights::{Step, Steps};
use hooklens_core::{BackwardOptions, Result, Tensor};
use std::collections::BTreeSet;
use std::sync::Arc;

const VALUES: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };
const GRADIENTS: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-3 };

/// What an expected file holds beside activations and gradients.
const OUTPUTS: [&str; 4] = ["tokens", "logits", "loss", "loss_per_token"];

pub(crate) fn check(fixture: &Fixture, model: &Model, worst: &mut Worst) {
    let expected = fixture.tensors("expected.safetensors").unwrap();
    let tokens = &expected["tokens"];
    check_outputs(model, tokens, &expected, worst);
    check_points(model, tokens, &expected, "", worst);
    assert_eq!(unfiltered(model), activations(&expected), "{}: an unfiltered cache", fixture.name());
    if let Some(options) = fixture.tensors("expected_options.safetensors") {
        check_points(model, tokens, &options, "options: ", worst);
    }
    if let Some(interventions) = fixture.tensors("expected_interventions.safetensors") {
        check_interventions(model, tokens, &interventions, worst);
    }
    greedy::check(fixture, model);
    if let Some(processed) = fixture.tensors("expected_processed.safetensors") {
        check_processed(fixture, model, tokens, &processed, worst);
    }
}

/// The reference's names of the steps, as fixtures give them.
const STEPS: [(&str, Step); 5] = [
    ("fold_ln", Step::FoldLn),
    ("center_writing_weights", Step::CenterWritingWeights),
    ("center_unembed", Step::CenterUnembed),
    ("fold_value_biases", Step::FoldValueBiases),
    ("refactor_factored_attn_matrices", Step::RefactorFactoredAttnMatrices),
];

/// Weights and activations after processing, whether it is done while loading or afterwards.
fn check_processed(fixture: &Fixture, model: &Model, tokens: &Tensor, expected: &Tensors, worst: &mut Worst) {
    let about = &fixture.json("expected.json")["processed"];
    let steps = match about["flags"].as_object() {
        Some(flags) => {
            STEPS.iter().filter(|(name, _)| flags.get(*name) == Some(&true.into())).map(|(_, step)| *step).collect()
        }
        None => Steps::usual(),
    };
    let options = LoadOptions { process: steps, ..LoadOptions::default() };
    let loaded = Model::load(&fixture.folder, &options).unwrap();
    for (when, model) in [("processed", loaded), ("processed later", model.processed(steps).unwrap())] {
        if let Some(name) = about["tl_cfg"]["normalization_type"].as_str() {
            assert_eq!(model.config().normalization.unwrap().name(), name, "{}", fixture.name());
        }
        for (name, weight) in fixture.tensors("expected_processed_weights.safetensors").into_iter().flatten() {
            match model.parameter(&name) {
                Ok(got) => worst.compare(&format!("{when}: {name}"), &got, &weight, VALUES),
                Err(error) => worst.problem(format!("{when}: {error}")),
            }
        }
        check_points(&model, tokens, expected, &format!("{when}: "), worst);
    }
}

/// With nobody looking, so that the shortest way of computing is what is compared.
fn check_outputs(model: &Model, tokens: &Tensor, expected: &Tensors, worst: &mut Worst) {
    let mut request = ForwardRequest::new(tokens.clone());
    request.return_type = ReturnType::Both;
    let both = model.forward(request.clone()).unwrap();
    worst.compare("logits", &both.logits.unwrap(), &expected["logits"], VALUES);
    worst.compare("loss", &both.loss.unwrap(), &expected["loss"], VALUES);
    request.return_type = ReturnType::Loss;
    request.loss_per_token = true;
    let per_token = model.forward(request).unwrap().loss.unwrap();
    worst.compare("loss_per_token", &per_token, &expected["loss_per_token"], VALUES);
}

/// The points whose activations a file holds.
fn activations(expected: &Tensors) -> BTreeSet<String> {
    let is_point =
        |name: &&String| !OUTPUTS.contains(&name.as_str()) && !name.ends_with("_grad") && !name.ends_with("_grad_sum");
    expected.keys().filter(is_point).cloned().collect()
}

fn unfiltered(model: &Model) -> BTreeSet<String> {
    model.registry().points().filter(|p| p.default).map(|p| p.name.clone()).collect()
}

/// Looks at exactly the points that the file holds, in both directions, and goes back from the loss.
fn check_points(model: &Model, tokens: &Tensor, expected: &Tensors, prefix: &str, worst: &mut Worst) {
    let registry = model.registry();
    let cache = CacheStore::new();
    for name in activations(expected) {
        let Some(point) = registry.find(&name) else {
            worst.problem(format!("{prefix}{name}: there is no such point"));
            continue;
        };
        for direction in [Direction::Forward, Direction::Backward] {
            let capture = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            registry.add(point, direction, capture, AddOptions::default()).unwrap();
        }
    }
    let mut request = ForwardRequest::new(tokens.clone());
    request.return_type = ReturnType::Both;
    let result = model.forward(request).unwrap();
    let loss = result.loss.unwrap();
    loss.backward(None, BackwardOptions::default()).unwrap();
    registry.remove_where(HookFilter::default());

    worst.compare(&format!("{prefix}logits"), &result.logits.unwrap(), &expected["logits"], VALUES);
    worst.compare(&format!("{prefix}loss"), &loss, &expected["loss"], VALUES);
    for (name, value) in expected.iter().filter(|(name, _)| !OUTPUTS.contains(&name.as_str())) {
        let gradient = name.ends_with("_grad") || name.ends_with("_grad_sum");
        // The reference's own gradient of a point that fires several times is that of one firing only.
        if name.ends_with("_grad") && expected.contains_key(&format!("{name}_sum")) {
            continue;
        }
        let key = name.strip_suffix("_sum").filter(|_| gradient).unwrap_or(name);
        // Where the firings have no sum, the reference kept the one of the query input.
        let of_queries = || cache.get(&format!("{}_q_grad", key.strip_suffix("_grad")?));
        let Some(got) = cache.get(key).or_else(of_queries) else {
            worst.problem(format!("{prefix}{name}: was not recorded"));
            continue;
        };
        worst.compare(&format!("{prefix}{name}"), &got, value, if gradient { GRADIENTS } else { VALUES });
    }
}

struct Halve;

impl Trampoline for Halve {
    fn call(&self, _: CallbackId, _: CallSite<'_>, value: &Tensor) -> Result<Option<Tensor>> {
        value.mul_scalar(Scalar::Float(0.5)).map(Some)
    }
}

fn check_interventions(model: &Model, tokens: &Tensor, expected: &Tensors, worst: &mut Worst) {
    let registry = model.registry();
    registry.set_trampoline(Arc::new(Halve));
    for (name, logits) in expected {
        let Some(point) = registry.find(name) else {
            worst.problem(format!("{name}: there is no such point"));
            continue;
        };
        let hook =
            registry.add(point, Direction::Forward, HookBody::Callback(CallbackId(0)), AddOptions::default()).unwrap();
        let got = model.forward(ForwardRequest::new(tokens.clone())).unwrap().logits.unwrap();
        assert!(registry.remove(hook));
        worst.compare(&format!("0.5 * {name}: logits"), &got, logits, VALUES);
    }
}

//! Fixtures made with Hugging Face alone: unusual but valid configurations, at tighter tolerances.

use crate::compare::{Tolerance, Worst};
use crate::fixture::{Fixture, Tensors};
use crate::greedy;
use hooklens_core::BackwardOptions;
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, Direction, HookBody, HookFilter};
use hooklens_core::models::{ForwardRequest, Model, ReturnType};

const LOGITS: Tolerance = Tolerance { absolute: 1e-4, relative: 0.0 };
const RESIDUAL: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-5 };
const GRADIENTS: Tolerance = Tolerance { absolute: 1e-5, relative: 1e-4 };
const PATTERNS: Tolerance = Tolerance { absolute: 1e-5, relative: 0.0 };

pub(crate) fn check(fixture: &Fixture, model: &Model, worst: &mut Worst) {
    let expected = fixture.tensors("expected.safetensors").unwrap();
    check_unpadded(model, &expected, worst);
    check_padded(model, &expected, worst);
    greedy::check(fixture, model);
}

fn check_unpadded(model: &Model, expected: &Tensors, worst: &mut Worst) {
    let registry = model.registry();
    let cache = CacheStore::new();
    for name in expected.keys().filter(|name| name.starts_with("blocks.")) {
        let (name, direction) = match name.strip_suffix("_grad") {
            Some(name) => (name, Direction::Backward),
            None => (name.as_str(), Direction::Forward),
        };
        let point = registry.find(name).unwrap_or_else(|| panic!("there is no point '{name}'"));
        let capture = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
        registry.add(point, direction, capture, AddOptions::default()).unwrap();
    }
    let mut request = ForwardRequest::new(expected["tokens"].clone());
    request.return_type = ReturnType::Both;
    let result = model.forward(request.clone()).unwrap();
    let loss = result.loss.unwrap();
    loss.backward(None, BackwardOptions::default()).unwrap();
    registry.remove_where(HookFilter::default());
    worst.compare("logits", &result.logits.unwrap(), &expected["logits"], LOGITS);
    worst.compare("loss", &loss, &expected["loss"], LOGITS);
    for (name, value) in expected.iter().filter(|(name, _)| name.starts_with("blocks.")) {
        let tolerance = if name.ends_with("_grad") {
            GRADIENTS
        } else if name.ends_with("hook_pattern") {
            PATTERNS
        } else {
            RESIDUAL
        };
        match cache.get(name) {
            Some(got) => worst.compare(name, &got, value, tolerance),
            None => worst.problem(format!("{name}: was not recorded")),
        }
    }
    request.return_type = ReturnType::Loss;
    request.loss_per_token = true;
    let per_token = model.forward(request).unwrap().loss.unwrap();
    worst.compare("loss_per_token", &per_token, &expected["loss_per_token"], LOGITS);
}

/// Positions here count what is kept, as in Hugging Face's generation. The fixture stores that beside its plain numbers
/// only where it makes a difference.
fn check_padded(model: &Model, expected: &Tensors, worst: &mut Worst) {
    let Some(tokens) = expected.get("padded/tokens") else { return };
    let mask = &expected["padded/attention_mask"];
    let logits = expected.get("padded/logits_mask_positions").unwrap_or(&expected["padded/logits"]);
    let mut request = ForwardRequest::new(tokens.clone());
    request.attention_mask = Some(mask.clone());
    let got = model.forward(request).unwrap().logits.unwrap();
    let keep = mask.to_vec::<i64>().unwrap();
    let d_vocab = *logits.dims().last().unwrap();
    worst.compare_where("padded logits", &got, logits, LOGITS, |i| keep[i / d_vocab] == 1);
}

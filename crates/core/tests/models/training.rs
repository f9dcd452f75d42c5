//! Weights that gradients reach.

use crate::variants::{assert_close, logits, model, tokens, variants};
use candle_core::Device;
use hooklens_core::load::write_tensors;
use hooklens_core::models::{ForwardRequest, LoadOptions, Model, ReturnType};
use hooklens_core::ops::Scalar;
use hooklens_core::{BackwardOptions, Tensor};
use serde_json::json;

fn loss(model: &Model) -> Tensor {
    let mut request = ForwardRequest::new(tokens());
    request.return_type = ReturnType::Loss;
    model.forward(request).unwrap().loss.unwrap()
}

#[test]
fn every_weight_has_the_gradient_that_a_finite_difference_measures() {
    for (name, changes) in variants() {
        let mut changes = changes.clone();
        changes["dtype"] = "float64".into();
        let model = model(&changes);
        let frozen = logits(&model, ForwardRequest::new(tokens()));
        assert!(!loss(&model).requires_grad(), "frozen weights record nothing");
        model.set_trainable(true).unwrap();
        assert_close(&format!("{name}: trainable"), &logits(&model, ForwardRequest::new(tokens())), &frozen, 1e-9);
        loss(&model).backward(None, BackwardOptions::default()).unwrap();
        for parameter in model.parameter_names() {
            let leaf = model.parameter(&parameter).unwrap();
            assert!(leaf.is_leaf() && leaf.requires_grad());
            let gradient = leaf.grad().unwrap().unwrap_or_else(|| panic!("{name}: {parameter} has no gradient"));
            // Along one direction that is no axis, in which no two entries weigh the same.
            let direction: Vec<f64> = (0..leaf.elem_count()).map(|i| (1.0 + i as f64).sin()).collect();
            let slope: f64 = gradient.to_vec::<f64>().unwrap().iter().zip(&direction).map(|(g, d)| g * d).sum();
            let direction = Tensor::from_slice(&direction, leaf.dims()).unwrap();
            let original = Tensor::constant(leaf.data().copy().unwrap()).unwrap();
            let moved = |by: f64| {
                let value = original.add(&direction.mul_scalar(Scalar::Float(by)).unwrap()).unwrap();
                leaf.assign(&value).unwrap();
                loss(&model).to_scalar().unwrap()
            };
            let step = 1e-5;
            let measured = (moved(step) - moved(-step)) / (2.0 * step);
            leaf.assign(&original).unwrap();
            let allowed = 1e-6 + 1e-5 * measured.abs();
            assert!((slope - measured).abs() < allowed, "{name}: {parameter}: {slope} but measured {measured}");
        }
    }
}

#[test]
fn freezing_keeps_what_was_learned() {
    let model = model(&json!({}));
    let before = logits(&model, ForwardRequest::new(tokens()));
    model.set_trainable(true).unwrap();
    assert!(model.is_trainable());
    for name in ["blocks.0.attn.W_K", "blocks.1.attn.b_V", "unembed.b_U", "embed.W_E"] {
        let leaf = model.parameter(name).unwrap();
        leaf.assign(&leaf.detach().unwrap().mul_scalar(Scalar::Float(0.5)).unwrap()).unwrap();
    }
    let trained = logits(&model, ForwardRequest::new(tokens()));
    assert!(before.iter().zip(&trained).any(|(a, b)| (a - b).abs() > 1e-3));
    model.set_trainable(false).unwrap();
    assert_close("frozen again", &logits(&model, ForwardRequest::new(tokens())), &trained, 1e-5);
    assert!(!model.parameter("embed.W_E").unwrap().requires_grad());
}

#[test]
fn a_saved_model_loads_again() {
    for (name, changes) in variants().into_iter().filter(|(name, _)| *name != "double") {
        let model = model(&changes);
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("saved-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tl_config.json"), model.config().to_json().to_string()).unwrap();
        let weights: Vec<_> = model.state_dict().unwrap().into_iter().collect();
        write_tensors(&folder.join("model.safetensors"), &weights, &[]).unwrap();
        let loaded = Model::load(&folder, &LoadOptions::default()).unwrap();
        std::fs::remove_dir_all(&folder).ok();
        let request = || ForwardRequest::new(tokens());
        assert_close(name, &logits(&loaded, request()), &logits(&model, request()), 1e-6);
    }
}

#[test]
fn a_state_that_does_not_fit_changes_nothing() {
    let model = model(&json!({}));
    let before = logits(&model, ForwardRequest::new(tokens()));
    let state = model.state_dict().unwrap();
    let mut missing = state.clone();
    missing.shift_remove("ln_final.w");
    let mut extra = state.clone();
    extra.insert("blocks.7.ln1.w".into(), state["ln_final.w"].clone());
    let mut misshaped = state.clone();
    misshaped["embed.W_E"] = state["unembed.W_U"].clone();
    for wrong in [missing, extra, misshaped] {
        assert_eq!(model.load_state_dict(&wrong).err().unwrap().code(), "weight_mismatch");
    }
    assert_eq!(logits(&model, ForwardRequest::new(tokens())), before);
    assert_eq!(model.device().location(), Device::Cpu.location());
}

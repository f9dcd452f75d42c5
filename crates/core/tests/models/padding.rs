//! Rows padded on either side give what they give alone.

use crate::variants::{assert_close, logits, model, variants};
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, Direction, HookBody, HookFilter};
use hooklens_core::models::{ForwardRequest, ReturnType};
use hooklens_core::{BackwardOptions, Tensor};

const ROW: [i64; 3] = [4, 9, 2];
const FULL: [i64; 5] = [1, 12, 3, 3, 7];

fn alone() -> Tensor {
    Tensor::from_slice(&ROW, &[1, 3]).unwrap()
}

/// The short row beside a full one, with `left` padding tokens before it and the rest after it.
fn padded(left: usize) -> ForwardRequest {
    let (mut ids, mut mask) = ([FULL, [0; 5]].concat(), [[1i64; 5], [0; 5]].concat());
    ids[5 + left..8 + left].copy_from_slice(&ROW);
    mask[5 + left..8 + left].fill(1);
    let mut request = ForwardRequest::new(Tensor::from_slice(&ids, &[2, 5]).unwrap());
    request.attention_mask = Some(Tensor::from_slice(&mask, &[2, 5]).unwrap());
    request
}

#[test]
fn padding_on_either_side_changes_no_logits() {
    for (name, changes) in variants() {
        let model = model(&changes);
        let expected = logits(&model, ForwardRequest::new(alone()));
        let full = logits(&model, ForwardRequest::new(Tensor::from_slice(&FULL, &[1, 5]).unwrap()));
        let width = expected.len() / 3;
        for left in [0, 1, 2] {
            let got = logits(&model, padded(left));
            let row = &got[(5 + left) * width..(8 + left) * width];
            assert_close(&format!("{name}: {left} on the left"), row, &expected, 2e-5);
            assert_close(&format!("{name}: the full row"), &got[..5 * width], &full, 2e-5);
        }
    }
}

#[test]
fn padding_does_not_count_in_the_loss() {
    let model = model(&serde_json::json!({}));
    let mut request = ForwardRequest::new(alone());
    request.return_type = ReturnType::Loss;
    request.loss_per_token = true;
    let expected: Vec<f64> = model.forward(request).unwrap().loss.unwrap().to_vec().unwrap();
    let mut request = padded(2);
    request.return_type = ReturnType::Loss;
    request.loss_per_token = true;
    let per_token: Vec<f64> = model.forward(request.clone()).unwrap().loss.unwrap().to_vec().unwrap();
    assert_eq!(per_token[4..6], [0.0, 0.0]);
    assert_close("the row's own", &per_token[6..], &expected, 1e-5);
    request.loss_per_token = false;
    let mean = model.forward(request).unwrap().loss.unwrap().to_scalar().unwrap();
    assert!((mean - per_token.iter().sum::<f64>() / 6.0).abs() < 1e-6);
}

#[test]
fn rows_without_a_key_have_zero_patterns_zero_positions_and_finite_gradients() {
    let model = model(&serde_json::json!({}));
    let registry = model.registry();
    let cache = CacheStore::new();
    for point in registry.points().filter(|point| point.default) {
        for direction in [Direction::Forward, Direction::Backward] {
            let capture = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            registry.add(registry.find(&point.name).unwrap(), direction, capture, AddOptions::default()).unwrap();
        }
    }
    let mut request = padded(2);
    request.return_type = ReturnType::Loss;
    model.forward(request).unwrap().loss.unwrap().backward(None, BackwardOptions::default()).unwrap();
    registry.remove_where(HookFilter::default());
    let pattern: Vec<f64> = cache.get("blocks.1.attn.hook_pattern").unwrap().to_vec().unwrap();
    for (row, probabilities) in pattern.chunks(5).enumerate() {
        let (batch, query) = (row / 20, row % 5);
        let sum: f64 = probabilities.iter().sum();
        let expected = if batch == 1 && query < 2 { 0.0 } else { 1.0 };
        assert!((sum - expected).abs() < 1e-5, "row {row} sums to {sum}");
    }
    let positions: Vec<f64> = cache.get("hook_pos_embed").unwrap().to_vec().unwrap();
    assert!(positions[5 * 16..7 * 16].iter().all(|&x| x == 0.0));
    assert_eq!(positions[7 * 16..10 * 16], positions[..3 * 16]);
    for key in cache.keys().into_iter().filter(|key| key.ends_with("_grad")) {
        let gradient: Vec<f64> = cache.get(&key).unwrap().to_vec().unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()), "{key} is not finite");
    }
}

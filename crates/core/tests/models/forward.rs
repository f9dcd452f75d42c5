//! Starting, stopping, stepping, and what is refused.

use crate::variants::{assert_close, logits, model, tokens};
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, Direction, HookBody};
use hooklens_core::models::{ForwardRequest, Model, ReturnType};
use hooklens_core::ops::Scalar;
use hooklens_core::{DType, Error, Tensor};
use serde_json::json;

fn deep() -> Model {
    model(&json!({ "n_layers": 4 }))
}

fn residual(model: &Model, start: Option<(i64, &Tensor)>, stop: i64) -> Tensor {
    let mut request = ForwardRequest::new(start.map_or_else(tokens, |(_, x)| x.clone()));
    request.start_at_layer = start.map(|(layer, _)| layer);
    request.stop_at_layer = Some(stop);
    let result = model.forward(request).unwrap();
    assert!(result.logits.is_none() && result.loss.is_none());
    result.residual.unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_vec().unwrap()
}

fn capture(model: &Model, name: &str) -> CacheStore {
    let cache = CacheStore::new();
    let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
    let point = model.registry().find(name).unwrap();
    model.registry().add(point, Direction::Forward, body, AddOptions::default()).unwrap();
    cache
}

#[test]
fn layers_are_sliced_like_an_array() {
    let model = deep();
    let full = logits(&model, ForwardRequest::new(tokens()));
    let pre: Vec<Tensor> = (0..=4).map(|layer| residual(&model, None, layer)).collect();
    let embedded = capture(&model, "blocks.0.hook_resid_pre");
    let last = capture(&model, "blocks.3.hook_resid_post");
    logits(&model, ForwardRequest::new(tokens()));
    assert_eq!(values(&pre[0]), values(&embedded.get("blocks.0.hook_resid_pre").unwrap()));
    assert_eq!(values(&pre[4]), values(&last.get("blocks.3.hook_resid_post").unwrap()));
    for (stop, layer) in [(-1, 3), (-4, 0), (-9, 0), (4, 4), (99, 4)] {
        assert_eq!(values(&residual(&model, None, stop)), values(&pre[layer]), "stop at {stop}");
    }
    for (start, layer) in [(0, 0), (2, 2), (-1, 3), (4, 4), (99, 4), (-99, 0)] {
        let mut request = ForwardRequest::new(pre[layer].clone());
        request.start_at_layer = Some(start);
        assert_close(&format!("start at {start}"), &logits(&model, request), &full, 1e-5);
    }
    assert_eq!(values(&residual(&model, Some((1, &pre[1])), 3)), values(&pre[3]));
    assert_eq!(values(&residual(&model, Some((3, &pre[3])), 1)), values(&pre[3]), "an empty slice runs nothing");
}

#[test]
fn a_forward_ends_where_nobody_cares_any_more() {
    let model = deep();
    let mut request = ForwardRequest::new(tokens());
    request.return_type = ReturnType::None;
    let steps = |model: &Model| {
        let mut run = model.start(request.clone()).unwrap();
        while run.step().unwrap() {}
        let layers = run.next_layer();
        let result = run.finish().unwrap();
        assert!(result.logits.is_none() && result.loss.is_none() && result.residual.is_none());
        layers
    };
    assert_eq!(steps(&model), 0);
    let cache = capture(&model, "blocks.1.attn.hook_z");
    assert_eq!(steps(&model), 2);
    assert!(cache.get("blocks.1.attn.hook_z").is_some());
    let cache = capture(&model, "ln_final.hook_scale");
    assert_eq!(steps(&model), 4);
    assert!(cache.get("ln_final.hook_scale").is_some());
}

#[test]
fn the_loss_is_that_of_the_next_token() {
    let model = deep();
    let mut request = ForwardRequest::new(tokens());
    request.return_type = ReturnType::Both;
    let result = model.forward(request.clone()).unwrap();
    let log_probs = values(&result.logits.unwrap().log_softmax(-1).unwrap());
    let ids = tokens().to_vec::<i64>().unwrap();
    let expected: Vec<f64> = (0..10).filter(|i| i % 5 != 4).map(|i| -log_probs[i * 13 + ids[i + 1] as usize]).collect();
    let mean = expected.iter().sum::<f64>() / 8.0;
    assert!((result.loss.unwrap().to_scalar().unwrap() - mean).abs() < 1e-5);
    request.return_type = ReturnType::Loss;
    request.loss_per_token = true;
    let per_token = model.forward(request.clone()).unwrap().loss.unwrap();
    assert_eq!(per_token.dims(), [2, 4]);
    assert_close("per token", &values(&per_token), &expected, 1e-5);

    request.input = residual(&model, None, 2);
    request.start_at_layer = Some(2);
    assert_eq!(model.forward(request.clone()).err().unwrap().code(), "invalid_argument");
    request.tokens = Some(tokens());
    let resumed = model.forward(request).unwrap().loss.unwrap();
    assert_close("from a residual", &values(&resumed), &expected, 1e-5);
}

#[test]
fn one_row_of_tokens_is_a_batch_of_one() {
    let model = deep();
    let row = Tensor::from_slice(&[1i64, 12, 3, 3, 7], &[5]).unwrap();
    let all = logits(&model, ForwardRequest::new(tokens()));
    assert_close("first row", &logits(&model, ForwardRequest::new(row)), &all[..5 * 13], 1e-5);
}

#[test]
fn bad_requests_are_refused() {
    let model = deep();
    let ids = |ids: &[i64], dims: &[usize]| Tensor::from_slice(ids, dims).unwrap();
    let refused = |request: ForwardRequest| model.forward(request).err().unwrap();
    let with_input = |input: Tensor| refused(ForwardRequest::new(input));
    assert!(matches!(with_input(ids(&[3, 13], &[1, 2])), Error::TokenOutOfRange { id: 13, d_vocab: 13 }));
    assert!(matches!(with_input(ids(&[-1, 3], &[1, 2])), Error::TokenOutOfRange { id: -1, .. }));
    assert!(matches!(with_input(ids(&[1; 13], &[13])), Error::ContextLength { required: 13, n_ctx: 12 }));
    assert_eq!(with_input(ids(&[], &[0])).code(), "shape_mismatch");
    assert_eq!(with_input(ids(&[1; 8], &[2, 2, 2])).code(), "rank_mismatch");
    assert_eq!(with_input(tokens().to_dtype(DType::F32).unwrap()).code(), "wrong_dtype");

    let masked = |mask: Tensor| {
        let mut request = ForwardRequest::new(tokens());
        request.attention_mask = Some(mask);
        refused(request)
    };
    assert_eq!(masked(ids(&[1; 8], &[2, 4])).code(), "shape_mismatch");
    assert_eq!(masked(ids(&[2; 10], &[2, 5])).code(), "invalid_argument");

    let started = |input: Tensor| {
        let mut request = ForwardRequest::new(input);
        request.start_at_layer = Some(1);
        refused(request)
    };
    let floats = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &candle_core::Device::Cpu).unwrap();
    assert_eq!(started(tokens()).code(), "rank_mismatch");
    assert_eq!(started(floats(&[1, 2, 15])).code(), "shape_mismatch");
    assert_eq!(started(floats(&[1, 13, 16])).code(), "context_length");

    let mut request = ForwardRequest::new(ids(&[4], &[1]));
    request.return_type = ReturnType::Loss;
    assert_eq!(refused(request).code(), "invalid_argument");
    assert_eq!(ReturnType::from_name("logit").err().unwrap().code(), "invalid_argument");
    assert!(matches!(model.parameter("blocks.0.attn.W_q"), Err(Error::WeightMismatch { .. })));
}

#[test]
fn a_gated_mlp_has_a_bias_on_either_side_of_its_product() {
    let model = model(&json!({ "gated_mlp": true, "act_fn": "silu" }));
    let looked_at = |name: &str| {
        let cache = capture(&model, name);
        logits(&model, ForwardRequest::new(tokens()));
        values(&cache.get(name).unwrap())
    };
    let points = ["blocks.0.mlp.hook_pre", "blocks.0.mlp.hook_pre_linear", "blocks.0.mlp.hook_post"];
    let before = points.map(looked_at);
    let mut weights = model.state_dict().unwrap();
    for name in ["b_gate", "b_pre_linear", "b_in"] {
        let bias = weights.get_mut(&format!("blocks.0.mlp.{name}")).unwrap();
        *bias = bias.add_scalar(Scalar::Float(1.0)).unwrap();
    }
    model.load_state_dict(&weights).unwrap();
    let after = points.map(looked_at);
    let shifted = |values: &[f64]| values.iter().map(|x| x + 1.0).collect::<Vec<_>>();
    assert_close("pre", &after[0], &shifted(&before[0]), 1e-5);
    assert_close("pre_linear", &after[1], &shifted(&before[1]), 1e-5);
    let silu = |x: f64| x / (1.0 + (-x).exp());
    let bias = weights["blocks.0.mlp.b_in"].to_vec::<f64>().unwrap();
    let product = after[0].iter().zip(&after[1]).map(|(pre, linear)| silu(*pre) * linear);
    let post: Vec<f64> = product.enumerate().map(|(i, x)| x + bias[i % bias.len()]).collect();
    assert_close("post", &after[2], &post, 1e-4);
}

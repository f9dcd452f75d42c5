//! Backward hooks and gradient captures.

use crate::toy::*;
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, PosSlice};
use hooklens_core::{BackwardOptions, DType, Tensor, no_grad};

fn leaf(dims: &[usize]) -> Tensor {
    x(dims).requiring_grad().unwrap()
}

#[test]
fn a_backward_hook_replaces_the_gradient_in_order() {
    let toy = Toy::new();
    let input = leaf(&[2]);
    toy.hook(A, BWD, AddOptions::default(), |g, _| Ok(Some(affine(g, 10.0, 0.0))));
    toy.hook(A, BWD, AddOptions::default(), |g, _| Ok(Some(affine(g, 1.0, 1.0))));
    backward(&toy.total(&input).unwrap()).unwrap();
    // (1 * 10 + 1) at hook_a, times the 2 before it.
    assert_eq!(grad(&input), [22.0, 22.0]);
}

#[test]
fn the_gradient_is_of_the_output_of_the_point() {
    let toy = Toy::new();
    let input = leaf(&[2]);
    let cache = CacheStore::new();
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 7.0, 0.0))));
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    backward(&toy.total(&input).unwrap()).unwrap();
    assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [1.0, 1.0]);
    assert_eq!(grad(&input), [14.0, 14.0]);
}

#[test]
fn gradients_need_no_trainable_weight() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    backward(&toy.total(&x(&[2])).unwrap()).unwrap();
    assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [1.0, 1.0]);
}

#[test]
fn without_recording_nothing_is_stored() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let out = no_grad(|| toy.total(&leaf(&[2]))).unwrap();
    assert!(!out.requires_grad());
    assert!(cache.is_empty());
}

#[test]
fn a_removed_backward_hook_still_runs_in_the_graph_that_it_is_part_of() {
    let toy = Toy::new();
    let input = leaf(&[1]);
    let handle = toy.hook(A, BWD, AddOptions::default(), |g, _| Ok(Some(affine(g, 3.0, 0.0))));
    let out = toy.total(&input).unwrap();
    toy.registry.remove(handle);
    backward(&out).unwrap();
    assert_eq!(grad(&input), [6.0]);
    let later = leaf(&[1]);
    backward(&toy.total(&later).unwrap()).unwrap();
    assert_eq!(grad(&later), [2.0]);
}

#[test]
fn gradient_flows_through_what_a_hook_returns() {
    let toy = Toy::new();
    let weight = leaf(&[2]);
    let inner = weight.clone();
    toy.hook(A, FWD, AddOptions::default(), move |_, _| Ok(Some(affine(&inner, 5.0, 0.0))));
    let input = leaf(&[2]);
    backward(&toy.total(&input).unwrap()).unwrap();
    assert_eq!(grad(&weight), [5.0, 5.0]);
    assert!(input.grad().unwrap().is_none());
}

#[test]
fn a_wrong_gradient_is_refused_and_no_leaf_changes() {
    let toy = Toy::new();
    let input = leaf(&[2]);
    let handle = toy.hook(A, BWD, AddOptions::default(), |_, _| Ok(Some(x(&[3]))));
    let (c, message) = code(backward(&toy.total(&input).unwrap()));
    assert_eq!((c, message.contains("hook_a")), ("hook_shape", true));
    toy.registry.remove(handle);
    toy.hook(A, BWD, AddOptions::default(), |g, _| Ok(Some(Tensor::zeros(g.dims(), DType::F64, g.data().device())?)));
    assert_eq!(code(backward(&toy.total(&input).unwrap())).0, "hook_dtype");
    assert!(input.grad().unwrap().is_none());
}

#[test]
fn an_error_in_a_backward_hook_comes_out() {
    let toy = Toy::new();
    let input = leaf(&[2]);
    let handle = toy.hook(A, BWD, AddOptions::default(), |_, f| Err(thrown(f)));
    assert_eq!(code(backward(&toy.total(&input).unwrap())).0, "callback");
    assert!(input.grad().unwrap().is_none());
    toy.registry.remove(handle);
    backward(&toy.total(&input).unwrap()).unwrap();
    assert_eq!(grad(&input), [2.0, 2.0]);
}

#[test]
fn a_backward_capture_sees_the_edits_of_earlier_hooks_only() {
    let toy = Toy::new();
    let (before, after) = (CacheStore::new(), CacheStore::new());
    toy.capture(B, BWD, &before, CaptureOptions::default()).unwrap();
    toy.hook(B, BWD, AddOptions::default(), |g, _| Ok(Some(affine(g, 4.0, 0.0))));
    toy.capture(B, BWD, &after, CaptureOptions::default()).unwrap();
    backward(&toy.total(&x(&[1])).unwrap()).unwrap();
    assert_eq!(values(&before.get("hook_b_grad").unwrap()), [1.0]);
    assert_eq!(values(&after.get("hook_b_grad").unwrap()), [4.0]);
}

#[test]
fn firings_of_one_walk_add_up_and_the_next_walk_starts_anew() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let twice = |scale: f64| {
        let first = toy.registry.fire(A, x(&[2])).unwrap();
        let second = toy.registry.fire(A, affine(&first, 3.0, 0.0)).unwrap();
        sum(&affine(&second, scale, 0.0))
    };
    let read = || values(&cache.get("hook_a_grad").unwrap());
    // d/d(second) = 1, d/d(first) = 3.
    let out = twice(1.0);
    out.backward(None, BackwardOptions { retain_graph: true }).unwrap();
    assert_eq!(read(), [4.0, 4.0]);
    out.backward(None, BackwardOptions::default()).unwrap();
    assert_eq!(read(), [4.0, 4.0], "a second walk of the same graph overwrites");
    backward(&twice(10.0)).unwrap();
    assert_eq!(read(), [40.0, 40.0]);
}

#[test]
fn sums_in_half_precision_keep_the_dtype_asked_for() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    let options = CaptureOptions { dtype: Some(DType::F16), key: Some("g".into()), ..CaptureOptions::default() };
    toy.capture(A, BWD, &cache, options).unwrap();
    let first = toy.registry.fire(A, x(&[2])).unwrap();
    let second = toy.registry.fire(A, affine(&first, 3.0, 0.0)).unwrap();
    backward(&sum(&second)).unwrap();
    let stored = cache.get("g").unwrap();
    assert_eq!((stored.dtype(), values(&stored)), (DType::F16, vec![4.0, 4.0]));
}

#[test]
fn gradients_of_different_shapes_cannot_be_summed() {
    let toy = Toy::new();
    toy.capture(A, BWD, &CacheStore::new(), CaptureOptions::default()).unwrap();
    let first = toy.registry.fire(A, x(&[2])).unwrap();
    let second = toy.registry.fire(A, sum(&first)).unwrap();
    let (c, message) = code(backward(&second));
    assert_eq!((c, message.contains("hook_a_grad")), ("shape_mismatch", true));
}

#[test]
fn firings_with_names_of_their_own_are_told_apart() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, FWD, &cache, CaptureOptions::default()).unwrap();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let names = log();
    for direction in [FWD, BWD] {
        let write = names.clone();
        toy.hook(A, direction, AddOptions::default(), move |_, site| {
            write.lock().unwrap().push((site.direction, site.name.to_owned()));
            Ok(None)
        });
    }
    let first = toy.registry.fire_as(A, "hook_a_q", x(&[2])).unwrap();
    let second = toy.registry.fire_as(A, "hook_a_k", affine(&first, 3.0, 0.0)).unwrap();
    assert_eq!(values(&cache.get("hook_a").unwrap()), [3.0, 6.0], "the last one");
    assert_eq!(values(&cache.get("hook_a_q").unwrap()), [1.0, 2.0]);
    assert_eq!(values(&cache.get("hook_a_k").unwrap()), [3.0, 6.0]);
    backward(&sum(&second)).unwrap();
    assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [4.0, 4.0], "the sum");
    assert_eq!(values(&cache.get("hook_a_q_grad").unwrap()), [3.0, 3.0]);
    assert_eq!(values(&cache.get("hook_a_k_grad").unwrap()), [1.0, 1.0]);
    let told: Vec<_> = [(FWD, "q"), (FWD, "k"), (BWD, "k"), (BWD, "q")].map(|(d, n)| (d, format!("hook_a_{n}"))).into();
    assert_eq!(read(&names), told);
}

#[test]
fn firings_of_different_shapes_with_names_of_their_own_have_no_total() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let first = toy.registry.fire_as(A, "one", x(&[2])).unwrap();
    let second = toy.registry.fire_as(A, "two", sum(&first)).unwrap();
    let third = toy.registry.fire_as(A, "three", affine(&second, 2.0, 0.0)).unwrap();
    third.backward(None, BackwardOptions { retain_graph: true }).unwrap();
    assert!(cache.get("hook_a_grad").is_none());
    assert_eq!(cache.keys(), ["three_grad", "two_grad", "one_grad"]);
    assert_eq!((cache.len(), cache.byte_size()), (3, 16));
    assert!(!cache.delete("hook_a_grad"));
    assert_eq!(values(&cache.get("one_grad").unwrap()), [2.0, 2.0]);
}

#[test]
fn gradient_captures_are_sliced_like_activations() {
    let toy = Toy::with_axes(&["batch", "pos", "d_model"]);
    let cache = CacheStore::new();
    let options = CaptureOptions {
        pos_slice: Some(PosSlice::Indices(vec![-1])),
        remove_batch_dim: true,
        ..CaptureOptions::default()
    };
    toy.capture(A, BWD, &cache, options).unwrap();
    backward(&toy.total(&x(&[1, 4, 2])).unwrap()).unwrap();
    assert_eq!(cache.get("hook_a_grad").unwrap().dims(), [1, 2]);
}

#[test]
fn nested_backward_inside_a_backward_hook_keeps_the_walks_apart() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let inner = Toy::new();
    toy.hook(B, BWD, AddOptions::default(), move |_, _| {
        backward(&inner.total(&x(&[2]).requiring_grad()?)?)?;
        Ok(None)
    });
    let first = toy.registry.fire(A, x(&[2])).unwrap();
    let middle = toy.registry.fire(B, first.clone()).unwrap();
    let second = toy.registry.fire(A, middle).unwrap();
    backward(&sum(&second)).unwrap();
    assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [2.0, 2.0]);
}

#[test]
fn integer_activations_have_no_gradient() {
    let toy = Toy::new();
    toy.hook(A, BWD, AddOptions::default(), |_, _| Ok(None));
    let ids = Tensor::from_slice(&[1i64, 2], &[2]).unwrap();
    assert!(!toy.registry.fire(A, ids).unwrap().requires_grad());
}

#[test]
fn recorded_operations_are_counted_as_long_as_they_may_run() {
    let toy = Toy::new();
    let input = leaf(&[2]);
    assert_eq!(toy.registry.recorded(), 0);
    drop(toy.total(&input).unwrap());
    let handle = toy.hook(A, BWD, AddOptions::default(), |_, _| Ok(None));
    toy.hook(B, BWD, AddOptions::default(), |_, _| Ok(None));
    no_grad(|| toy.total(&input)).unwrap();
    assert_eq!(toy.registry.recorded(), 0);
    let out = toy.total(&input).unwrap();
    let forgotten = toy.total(&input).unwrap();
    assert_eq!(toy.registry.recorded(), 4);
    drop(forgotten);
    // Removing a hook changes nothing for the graph that has it.
    toy.registry.remove(handle);
    assert_eq!(toy.registry.recorded(), 2);
    out.backward(None, BackwardOptions { retain_graph: true }).unwrap();
    assert_eq!(toy.registry.recorded(), 2);
    backward(&out).unwrap();
    assert_eq!(toy.registry.recorded(), 0);
}

#[test]
fn gradients_handed_on_from_a_hook_add_up_within_the_walk() {
    let (outer, inner) = (Toy::new(), Toy::new());
    let cache = CacheStore::new();
    inner.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    inner.hook(A, BWD, AddOptions::default(), |g, _| Ok(Some(affine(g, 2.0, 0.0))));
    let registry = inner.registry.clone();
    outer.hook(A, BWD, AddOptions::default(), move |g, _| registry.fire_gradient(A, None, g.clone()).map(Some));
    let input = leaf(&[1]);
    let first = outer.registry.fire(A, input.clone()).unwrap();
    let second = outer.registry.fire(A, affine(&first, 3.0, 0.0)).unwrap();
    let out = sum(&second);
    for walk in 1..=2 {
        out.backward(None, BackwardOptions { retain_graph: true }).unwrap();
        // 1 at the second firing, doubled and times 3 at the first; the next walk starts anew.
        assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [7.0]);
        assert_eq!(grad(&input), [12.0 * walk as f32]);
    }
}

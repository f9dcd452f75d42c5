//! What a firing does: order, replacement, names, changes while running, nesting.

use crate::toy::*;
use hooklens_core::hooks::{AddOptions, CacheStore, CallbackId, CaptureOptions, HookBody, HookFilter, NESTING_LIMIT};
use hooklens_core::{DType, Tensor};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

#[test]
fn an_unobserved_point_hands_on_the_same_tensor() {
    let toy = Toy::new();
    let input = x(&[2, 3]);
    let before = input.data().id();
    assert_eq!(toy.registry.fire(A, input).unwrap().data().id(), before);
}

#[test]
fn each_hook_sees_what_the_one_before_returned() {
    let toy = Toy::new();
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 0.0, 0.0))));
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 1.0, 1.0))));
    assert_eq!(values(&toy.registry.fire(A, x(&[2])).unwrap()), [1.0, 1.0]);
    toy.reset();
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 0.0, 0.0))));
    toy.hook(A, FWD, prepend(), |t, _| Ok(Some(affine(t, 1.0, 1.0))));
    assert_eq!(values(&toy.registry.fire(A, x(&[2])).unwrap()), [0.0, 0.0]);
}

#[test]
fn a_hook_is_told_where_it_runs() {
    let toy = Toy::new();
    let seen = log();
    let write = seen.clone();
    toy.hook(B, FWD, AddOptions::default(), move |_, f| {
        write.lock().unwrap().push((f.point, f.direction, f.name.to_owned()));
        Ok(None)
    });
    toy.forward(&x(&[2])).unwrap();
    assert_eq!(read(&seen), [(B, FWD, "hook_b".to_owned())]);
}

#[test]
fn aliases_run_in_turn_and_keep_the_running_value() {
    let toy = Toy::new();
    let names = log();
    let write = names.clone();
    let aliases = AddOptions { aliases: vec!["old".into(), "new".into()], ..AddOptions::default() };
    toy.hook(A, FWD, aliases, move |t, f| {
        write.lock().unwrap().push((f.name.to_owned(), values(t)));
        Ok((f.name == "old").then(|| affine(t, 10.0, 0.0)))
    });
    assert_eq!(values(&toy.registry.fire(A, x(&[1])).unwrap()), [10.0]);
    assert_eq!(read(&names), [("old".to_owned(), vec![1.0]), ("new".to_owned(), vec![10.0])]);
}

#[test]
fn a_capture_with_aliases_stores_under_each() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
    let aliases = AddOptions { aliases: vec!["old".into(), "hook_a".into()], ..AddOptions::default() };
    toy.registry.add(A, FWD, body, aliases).unwrap();
    toy.forward(&x(&[1])).unwrap();
    assert_eq!(cache.keys(), ["old", "hook_a"]);
}

#[test]
fn a_replacement_must_have_the_same_shape_and_dtype() {
    let toy = Toy::new();
    let handle = toy.hook(A, FWD, AddOptions::default(), |_, _| Ok(Some(x(&[3]))));
    let (c, message) = code(toy.forward(&x(&[2, 2])));
    assert_eq!(c, "hook_shape");
    assert!(message.contains("hook_a") && message.contains("[2, 2]") && message.contains("[3]"), "{message}");
    toy.registry.remove(handle);
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(Tensor::zeros(t.dims(), DType::F64, t.data().device())?)));
    let (c, message) = code(toy.forward(&x(&[2])));
    assert_eq!(c, "hook_dtype");
    assert!(message.contains("float64") && message.contains("float32"), "{message}");
}

#[test]
fn a_hook_may_be_allowed_to_change_the_shape() {
    let reshaping = || AddOptions { allow_shape_change: true, ..AddOptions::default() };
    let toy = Toy::new();
    toy.hook(A, FWD, reshaping(), |t, _| t.narrow(0, 0, 1).map(Some));
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 2.0, 0.0))));
    let cache = CacheStore::new();
    toy.capture(A, FWD, &cache, CaptureOptions::default()).unwrap();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let input = x(&[3, 2]).requiring_grad().unwrap();
    let out = toy.registry.fire(A, input.clone()).unwrap();
    assert_eq!((out.dims(), values(&out)), ([1, 2].as_slice(), vec![2.0, 4.0]));
    backward(&sum(&out)).unwrap();
    assert_eq!(cache.get("hook_a_grad").unwrap().dims(), [1, 2], "the gradient of what flowed on");
    assert_eq!(grad(&input), [2.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    toy.reset();
    toy.hook(A, FWD, reshaping(), |t, _| Ok(Some(Tensor::zeros(t.dims(), DType::F64, t.data().device())?)));
    assert_eq!(code(toy.registry.fire(A, x(&[2]))).0, "hook_dtype", "only the shape is free");
}

#[test]
fn a_changed_shape_keeps_the_axes_that_are_declared() {
    let reshaping = || AddOptions { allow_shape_change: true, ..AddOptions::default() };
    let toy = Toy::with_axes(&["batch", "pos"]);
    toy.hook(A, FWD, reshaping(), |t, _| t.sum(Some(&[0]), false).map(Some));
    assert_eq!(code(toy.registry.fire(A, x(&[2, 3]))).0, "hook_shape");
    toy.reset();
    toy.hook(A, FWD, reshaping(), |t, _| t.sum(Some(&[0]), true).map(Some));
    assert_eq!(toy.registry.fire(A, x(&[2, 3])).unwrap().dims(), [1, 3]);
    let callback = HookBody::Callback(toy.callback(|_, _| Ok(None)));
    assert_eq!(code(toy.registry.add(A, BWD, callback, reshaping())).0, "invalid_argument");
    let capture = HookBody::Capture { cache: CacheStore::new(), options: CaptureOptions::default() };
    assert_eq!(code(toy.registry.add(A, FWD, capture, reshaping())).0, "invalid_argument");
}

#[test]
fn a_callback_that_is_gone_is_skipped() {
    let toy = Toy::new();
    let id = toy.callback(|t, _| Ok(Some(affine(t, 100.0, 0.0))));
    toy.registry.add(A, FWD, HookBody::Callback(id), AddOptions::default()).unwrap();
    toy.functions.forget(id);
    assert_eq!(values(&toy.forward(&x(&[1])).unwrap()), [3.0]);
}

#[test]
fn hooks_may_remove_themselves_and_add_others_while_running() {
    let toy = Toy::new();
    let order = log();
    let (registry, write, own) = (toy.registry.clone(), order.clone(), Arc::new(OnceLock::new()));
    let added = {
        let write = order.clone();
        toy.callback(move |_, _| {
            write.lock().unwrap().push("added");
            Ok(None)
        })
    };
    let handle = {
        let own = Arc::clone(&own);
        toy.hook(A, FWD, AddOptions::default(), move |_, _| {
            write.lock().unwrap().push("first");
            assert!(registry.remove(*own.get().unwrap()));
            registry.add(A, FWD, HookBody::Callback(added), AddOptions::default())?;
            registry.add(A, FWD, HookBody::Callback(added), prepend())?;
            Ok(None)
        })
    };
    own.set(handle).unwrap();
    let write = order.clone();
    let last = toy.hook(A, FWD, AddOptions::default(), move |_, _| {
        write.lock().unwrap().push("last");
        Ok(None)
    });
    toy.forward(&x(&[1])).unwrap();
    assert_eq!(read(&order), ["first", "last"]);
    toy.registry.remove(last);
    toy.forward(&x(&[1])).unwrap();
    assert_eq!(read(&order), ["first", "last", "added", "added"]);
}

#[test]
fn a_hook_that_removes_a_later_one_does_not_disturb_the_firing_in_progress() {
    let toy = Toy::new();
    let registry = toy.registry.clone();
    toy.hook(A, FWD, permanent(), move |_, _| {
        registry.remove_where(HookFilter { point: Some(A), ..HookFilter::default() });
        Ok(None)
    });
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 5.0, 0.0))));
    assert_eq!(values(&toy.registry.fire(A, x(&[1])).unwrap()), [5.0]);
    assert_eq!(values(&toy.registry.fire(A, x(&[1])).unwrap()), [1.0]);
}

#[test]
fn a_hook_may_run_the_model_again() {
    let toy = Toy::new();
    let inner = toy.clone();
    let depth = Arc::new(AtomicUsize::new(0));
    toy.hook(A, FWD, AddOptions::default(), move |t, _| {
        if depth.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(None);
        }
        Ok(Some(inner.forward(t)?))
    });
    // The outer hook_a is replaced by a whole inner run on it: 2 * (2x) + 1.
    assert_eq!(values(&toy.forward(&x(&[2])).unwrap()), [6.0, 10.0]);
}

#[test]
fn endless_nesting_is_an_error_and_the_next_run_works() {
    let toy = Toy::new();
    let inner = toy.clone();
    let handle = toy.hook(A, FWD, AddOptions::default(), move |t, _| inner.forward(t).map(Some));
    let (c, message) = code(toy.forward(&x(&[1])));
    assert_eq!(c, "hooks_nested_too_deep");
    assert!(message.contains("hook_a") && message.contains(&NESTING_LIMIT.to_string()), "{message}");
    toy.registry.remove(handle);
    toy.hook(A, FWD, AddOptions::default(), |_, _| Ok(None));
    assert_eq!(values(&toy.forward(&x(&[1])).unwrap()), [3.0]);
}

#[test]
fn an_error_comes_out_and_leaves_everything_usable() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, FWD, &cache, CaptureOptions::default()).unwrap();
    toy.capture(B, FWD, &cache, CaptureOptions::default()).unwrap();
    let handle = toy.hook(A, FWD, AddOptions::default(), |_, f| Err(thrown(f)));
    let (c, message) = code(toy.forward(&x(&[1])));
    assert_eq!((c, message.contains("hook_a")), ("callback", true));
    assert_eq!(cache.keys(), ["hook_a"]);
    assert_eq!(toy.counts(), [[2, 0], [1, 0]]);
    toy.registry.remove(handle);
    toy.forward(&x(&[1])).unwrap();
    assert_eq!(cache.keys(), ["hook_a", "hook_b"]);
}

#[test]
fn callbacks_shared_by_points_are_one_callback() {
    let toy = Toy::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let id: CallbackId = toy.callback(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(None)
    });
    for p in [A, B] {
        toy.registry.add(p, FWD, HookBody::Callback(id), AddOptions::default()).unwrap();
    }
    toy.forward(&x(&[1])).unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

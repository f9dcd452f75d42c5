//! Adding, removing, listing; scopes.

use crate::toy::*;
use hooklens_core::hooks::{
    AddOptions, BodyKind, CacheStore, CallbackId, CaptureOptions, Direction, HookBody, HookFilter, HookPointId,
    HookRegistry,
};

#[test]
fn names_must_be_unique_and_not_empty() {
    let (c, message) = code(HookRegistry::new(vec![point("a", &[]), point("a", &[])]));
    assert_eq!(c, "invalid_argument");
    assert!(message.contains("'a'"), "{message}");
    assert_eq!(code(HookRegistry::new(vec![point("", &[])])).0, "invalid_argument");
    assert_eq!(code(HookRegistry::new(vec![point("a", &["pos", "pos"])])).0, "invalid_argument");
}

#[test]
fn a_number_that_is_no_point_is_an_error() {
    let toy = Toy::new();
    let none = HookPointId(7);
    assert_eq!(code(toy.registry.fire(none, x(&[1]))).0, "index_out_of_range");
    assert_eq!(code(toy.capture(none, FWD, &CacheStore::new(), CaptureOptions::default())).0, "index_out_of_range");
    assert!(toy.registry.list(Some(none)).is_empty());
}

#[test]
fn a_callback_needs_a_trampoline() {
    let registry = HookRegistry::new(vec![point("a", &[])]).unwrap();
    let added = registry.add(A, FWD, HookBody::Callback(CallbackId(1)), AddOptions::default());
    assert_eq!(code(added).0, "invalid_argument");
    assert!(!registry.observed(A));
}

#[test]
fn directions_have_names() {
    assert_eq!(Direction::from_name("fwd").unwrap(), FWD);
    assert_eq!(Direction::from_name("bwd").unwrap().name(), "bwd");
    assert_eq!(code(Direction::from_name("both")).0, "invalid_argument");
}

#[test]
fn removing_twice_is_harmless() {
    let toy = Toy::new();
    let handle = toy.hook(A, FWD, AddOptions::default(), |_, _| Ok(None));
    assert!(toy.registry.observed(A) && !toy.registry.observed(B));
    assert!(toy.registry.remove(handle));
    assert!(!toy.registry.remove(handle));
    assert!(!toy.registry.observed(A));
}

#[test]
fn level_and_permanence_both_limit_removal() {
    let toy = Toy::new();
    let plain = toy.hook(A, FWD, AddOptions::default(), |_, _| Ok(None));
    let perma = toy.hook(A, FWD, AddOptions { level: Some(1), ..permanent() }, |_, _| Ok(None));
    let scoped = toy.hook(B, BWD, level(1), |_, _| Ok(None));
    let only_level = HookFilter { level: Some(1), ..HookFilter::default() };
    assert_eq!(toy.registry.remove_where(only_level), [scoped]);
    let level_and_permanent = HookFilter { including_permanent: true, ..only_level };
    assert_eq!(toy.registry.remove_where(level_and_permanent), [perma]);
    assert_eq!(toy.registry.list(None).iter().map(|h| h.handle).collect::<Vec<_>>(), [plain]);
    assert!(!toy.registry.remove(perma));
}

#[test]
fn list_follows_execution_order() {
    let toy = Toy::new();
    let (cache, options) = (CacheStore::new(), CaptureOptions::default);
    let on_b = toy.capture(B, FWD, &cache, options()).unwrap();
    let back = toy.hook(A, BWD, level(3), |_, _| Ok(None));
    let second = toy.hook(A, FWD, AddOptions::default(), |_, _| Ok(None));
    let first = toy.hook(A, FWD, prepend(), |_, _| Ok(None));
    let listed = toy.registry.list(None);
    assert_eq!(listed.iter().map(|h| h.handle).collect::<Vec<_>>(), [first, second, back, on_b]);
    assert_eq!(listed[2].level, Some(3));
    assert_eq!(listed[3].body, BodyKind::Capture);
    assert_eq!(toy.registry.list(Some(B)).len(), 1);
    assert!(toy.registry.is_caching());
    toy.registry.remove(on_b);
    assert!(!toy.registry.is_caching());
}

#[test]
fn a_scope_removes_exactly_its_own() {
    let toy = Toy::new();
    let body = || HookBody::Callback(toy.callback(|_, _| Ok(None)));
    let mut outer = toy.registry.scope();
    outer.add(A, FWD, body(), AddOptions::default()).unwrap();
    let plain = toy.hook(A, FWD, level(1), |_, _| Ok(None));
    {
        let mut inner = toy.registry.scope();
        inner.add(A, FWD, body(), AddOptions::default()).unwrap();
        assert_eq!((inner.level(), toy.registry.context_level()), (2, 2));
        assert_eq!(toy.counts()[0], [3, 0]);
        toy.reset();
        assert_eq!(toy.counts()[0], [0, 0]);
    }
    assert_eq!(toy.registry.context_level(), 1);
    assert!(!toy.registry.remove(plain));
    let kept_by_hand = toy.hook(A, FWD, level(1), |_, _| Ok(None));
    outer.close();
    outer.close();
    drop(outer);
    assert_eq!(toy.registry.context_level(), 0);
    assert!(toy.registry.remove(kept_by_hand));
}

#[test]
fn a_scope_ends_while_unwinding_and_keeps_permanent_hooks() {
    let toy = Toy::new();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut scope = toy.registry.scope();
        let body = HookBody::Callback(toy.callback(|_, _| Ok(None)));
        scope.add(A, FWD, body.clone(), AddOptions::default()).unwrap();
        scope.add(B, FWD, body, permanent()).unwrap();
        std::panic::resume_unwind(Box::new("boom"));
    }));
    assert!(caught.is_err());
    assert_eq!(toy.counts(), [[0, 0], [1, 0]]);
    assert_eq!(toy.registry.context_level(), 0);
}

#[test]
fn callbacks_are_released_when_neither_handle_nor_graph_needs_them() {
    let toy = Toy::new();
    let id = toy.callback(|_, _| Ok(None));
    let add = |p, d| toy.registry.add(p, d, HookBody::Callback(id), AddOptions::default()).unwrap();
    let (first, second) = (add(A, FWD), add(B, BWD));
    let out = toy.total(&x(&[2])).unwrap();
    toy.registry.remove(first);
    assert!(toy.registry.drain_released().is_empty());
    toy.registry.remove(second);
    assert!(toy.registry.drain_released().is_empty(), "the graph of `out` still calls it");
    backward(&out).unwrap();
    assert_eq!(toy.registry.drain_released(), [id]);
    assert!(toy.registry.drain_released().is_empty());

    let again = add(A, FWD);
    toy.registry.remove(again);
    let live = add(A, FWD);
    assert!(toy.registry.drain_released().is_empty(), "added again before the queue was read");
    toy.registry.remove(live);
    assert_eq!(toy.registry.drain_released(), [id]);
}

#[test]
fn dropping_a_graph_that_was_never_walked_releases_its_callbacks() {
    let toy = Toy::new();
    let id = toy.callback(|_, _| Ok(None));
    let handle = toy.registry.add(A, BWD, HookBody::Callback(id), AddOptions::default()).unwrap();
    let out = toy.forward(&x(&[2])).unwrap();
    toy.registry.remove(handle);
    assert!(toy.registry.drain_released().is_empty());
    drop(out);
    assert_eq!(toy.registry.drain_released(), [id]);
}

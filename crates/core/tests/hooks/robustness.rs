//! Many firings, threads.

use crate::toy::*;
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, HookBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn a_million_firings() {
    let toy = Toy::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let cache = CacheStore::new();
    toy.hook(A, FWD, AddOptions::default(), move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    });
    toy.capture(A, FWD, &cache, CaptureOptions::default()).unwrap();
    let mut value = x(&[1]);
    for _ in 0..1_000_000 {
        value = toy.registry.fire(A, value).unwrap();
        value = toy.registry.fire(B, value).unwrap();
    }
    assert_eq!(count.load(Ordering::Relaxed), 1_000_000);
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_long_chain_of_recorded_backward_hooks() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let mut value = x(&[1]);
    for _ in 0..100_000 {
        value = toy.registry.fire(A, value).unwrap();
    }
    backward(&value).unwrap();
    assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [100_000.0]);
}

#[test]
fn firing_from_many_threads_while_another_changes_the_hooks() {
    let toy = Toy::new();
    let stop = AtomicBool::new(false);
    let fired = AtomicUsize::new(0);
    let add_one = toy.callback(|t, _| Ok(Some(affine(t, 1.0, 1.0))));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let input = x(&[2]).requiring_grad().unwrap();
                    let out = toy.registry.fire(A, input.clone()).unwrap();
                    let added = values(&out)[0] - 1.0;
                    assert!((0.0..=8.0).contains(&added) && added.fract() == 0.0, "{added}");
                    backward(&sum(&out)).unwrap();
                    let gradient = values(&input.grad().unwrap().unwrap())[0] - 1.0;
                    assert!((0.0..=8.0).contains(&gradient), "{gradient}");
                    fired.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..500 {
                let mut scope = toy.registry.scope();
                for i in 0..8 {
                    let body = HookBody::Callback(add_one);
                    let direction = if i % 2 == 0 { FWD } else { BWD };
                    scope.add(A, direction, body, if i < 4 { prepend() } else { AddOptions::default() }).unwrap();
                }
            }
            while fired.load(Ordering::Relaxed) < 100 {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    assert_eq!(toy.counts(), [[0, 0], [0, 0]]);
    assert!(!toy.registry.observed(A));
    assert_eq!(toy.registry.drain_released(), [add_one]);
}

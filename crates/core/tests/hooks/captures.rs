//! What captures store.

use crate::toy::*;
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, HookPointId, PosSlice};
use hooklens_core::{DType, Tensor};

fn sliced(slice: PosSlice) -> CaptureOptions {
    CaptureOptions { pos_slice: Some(slice), ..CaptureOptions::default() }
}

fn range(start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> PosSlice {
    PosSlice::Range { start, stop, step }
}

/// Captures one firing of a point with those axes.
fn stored(axes: &[&str], input: &Tensor, options: CaptureOptions) -> hooklens_core::Result<Tensor> {
    let toy = Toy::with_axes(axes);
    let cache = CacheStore::new();
    toy.capture(A, FWD, &cache, options)?;
    toy.registry.fire(A, input.clone())?;
    Ok(cache.get("hook_a").unwrap())
}

#[test]
fn a_capture_is_a_detached_reference() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(A, FWD, &cache, CaptureOptions::default()).unwrap();
    let input = x(&[2, 2]).requiring_grad().unwrap();
    let out = toy.registry.fire(A, input.clone()).unwrap();
    let kept = cache.get("hook_a").unwrap();
    assert!(out.requires_grad() && !kept.requires_grad());
    assert_eq!(kept.data().id(), input.data().id(), "no copy");
}

#[test]
fn a_capture_sees_the_edits_of_earlier_hooks_only() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    let keyed = |key: &str| CaptureOptions { key: Some(key.into()), ..CaptureOptions::default() };
    toy.capture(A, FWD, &cache, keyed("before")).unwrap();
    toy.hook(A, FWD, AddOptions::default(), |t, _| Ok(Some(affine(t, 10.0, 0.0))));
    toy.capture(A, FWD, &cache, keyed("after")).unwrap();
    toy.registry.fire(A, x(&[1])).unwrap();
    assert_eq!(cache.keys(), ["before", "after"]);
    assert_eq!(values(&cache.get("before").unwrap()), [1.0]);
    assert_eq!(values(&cache.get("after").unwrap()), [10.0]);
}

#[test]
fn positions_are_cut_along_the_points_own_axis() {
    let last = || sliced(PosSlice::Indices(vec![-1]));
    let residual = x(&[2, 5, 3]);
    assert_eq!(stored(&["batch", "pos", "d_model"], &residual, last()).unwrap().dims(), [2, 1, 3]);
    let rotated = x(&[2, 5, 4, 3]);
    assert_eq!(stored(&["batch", "pos", "head", "d_head"], &rotated, last()).unwrap().dims(), [2, 1, 4, 3]);
    let pattern = x(&[2, 4, 5, 5]);
    let row = stored(&["batch", "head", "query", "key"], &pattern, last()).unwrap();
    assert_eq!(row.dims(), [2, 4, 1, 5]);
    assert_eq!(values(&row)[..5], [21.0, 22.0, 23.0, 24.0, 25.0]);
    let router = x(&[6, 2]);
    assert_eq!(stored(&["token", "expert"], &router, last()).unwrap().dims(), [6, 2], "no position axis");
    assert_eq!(stored(&[], &residual, last()).unwrap().dims(), [2, 1, 3], "undeclared axes count as [batch, pos, …]");
}

#[test]
fn every_form_of_slice_equals_slicing_afterwards() {
    let input = x(&[1, 6, 2]);
    let picked = |slice: PosSlice| {
        let got = values(&stored(&["batch", "pos", "d"], &input, sliced(slice)).unwrap());
        got.chunks(2).map(|row| (row[0] as usize - 1) / 2).collect::<Vec<_>>()
    };
    assert_eq!(picked(range(None, None, None)), [0, 1, 2, 3, 4, 5]);
    assert_eq!(picked(range(Some(1), Some(4), None)), [1, 2, 3]);
    assert_eq!(picked(range(Some(-3), None, None)), [3, 4, 5]);
    assert_eq!(picked(range(None, Some(-1), Some(2))), [0, 2, 4]);
    assert_eq!(picked(range(Some(2), Some(99), None)), [2, 3, 4, 5]);
    assert!(picked(range(Some(4), Some(2), None)).is_empty());
    assert_eq!(picked(PosSlice::Indices(vec![5, 0, -1, 0])), [5, 0, 5, 0]);
    assert_eq!(picked(PosSlice::Indices(vec![0, 2, 2])), [0, 2, 2]);
    assert!(picked(PosSlice::Indices(vec![])).is_empty());
}

#[test]
fn a_slice_does_not_keep_the_whole_activation_alive() {
    let kept = stored(&["batch", "pos", "d"], &x(&[1, 6, 2]), sliced(range(Some(2), Some(4), None))).unwrap();
    let (storage, layout) = kept.data().storage_and_layout();
    let candle_core::Storage::Cpu(cpu) = &*storage else { panic!("on the CPU") };
    assert_eq!((layout.start_offset(), cpu.as_slice::<f32>().unwrap().len()), (0, 4));
}

#[test]
fn bad_slices_are_refused() {
    let axes = ["batch", "pos", "d"];
    let (c, message) = code(stored(&axes, &x(&[1, 6, 2]), sliced(PosSlice::Indices(vec![6]))));
    assert_eq!((c, message.contains('6')), ("index_out_of_range", true));
    let far = sliced(PosSlice::Indices(vec![i64::MIN]));
    assert_eq!(code(stored(&axes, &x(&[1, 6, 2]), far)).0, "index_out_of_range");
    for step in [0, -1] {
        let added = Toy::new().capture(A, FWD, &CacheStore::new(), sliced(range(None, None, Some(step))));
        assert_eq!(code(added).0, "invalid_argument");
    }
}

#[test]
fn the_batch_axis_is_removed_only_from_a_batch_of_one() {
    let remove = || CaptureOptions { remove_batch_dim: true, ..CaptureOptions::default() };
    let axes = ["batch", "pos", "d"];
    assert_eq!(stored(&axes, &x(&[1, 6, 2]), remove()).unwrap().dims(), [6, 2]);
    let (c, message) = code(stored(&axes, &x(&[2, 6, 2]), remove()));
    assert_eq!(c, "invalid_argument");
    assert!(message.contains("hook_a") && message.contains("2 rows"), "{message}");
    assert_eq!(stored(&["token", "expert"], &x(&[6, 2]), remove()).unwrap().dims(), [6, 2]);
    assert_eq!(stored(&[], &x(&[1, 3]), remove()).unwrap().dims(), [3]);
    let both = CaptureOptions { pos_slice: Some(PosSlice::Indices(vec![-1])), ..remove() };
    let kept = stored(&axes, &x(&[1, 6, 2]), both).unwrap();
    assert_eq!((kept.dims(), values(&kept)), ([1, 2].as_slice(), vec![11.0, 12.0]));
}

#[test]
fn floats_are_converted_and_integers_stay() {
    let half = || CaptureOptions { dtype: Some(DType::F16), device: Some("cpu".into()), ..CaptureOptions::default() };
    assert_eq!(stored(&[], &x(&[1, 2]), half()).unwrap().dtype(), DType::F16);
    let ids = Tensor::from_slice(&[1i64, 2], &[1, 2]).unwrap();
    assert_eq!(stored(&[], &ids, half()).unwrap().dtype(), DType::I64);
    let mask = Tensor::zeros(&[1, 2], DType::Bool, ids.data().device()).unwrap();
    assert_eq!(stored(&[], &mask, half()).unwrap().dtype(), DType::Bool);
    let ints = CaptureOptions { dtype: Some(DType::I64), ..CaptureOptions::default() };
    assert_eq!(code(stored(&[], &ids, ints)).0, "wrong_dtype");
    let nowhere = CaptureOptions { device: Some("tpu".into()), ..CaptureOptions::default() };
    assert_eq!(code(stored(&[], &ids, nowhere)).0, "device_unavailable");
}

#[test]
fn a_store_is_an_ordered_map() {
    let cache = CacheStore::new();
    let shared = cache.clone();
    cache.set("b", &x(&[2]).requiring_grad().unwrap()).unwrap();
    cache.set("a", &x(&[3])).unwrap();
    cache.set("b", &x(&[4])).unwrap();
    assert_eq!(shared.keys(), ["b", "a"]);
    assert_eq!((shared.len(), shared.byte_size()), (2, 28));
    assert!(shared.delete("b") && !shared.delete("b"));
    assert!(cache.get("b").is_none());
    cache.clear();
    assert!(shared.is_empty());
}

#[test]
fn firing_a_point_twice_keeps_the_last_value() {
    let toy = Toy::new();
    let cache = CacheStore::new();
    toy.capture(HookPointId(0), FWD, &cache, CaptureOptions::default()).unwrap();
    toy.registry.fire(A, x(&[1, 2])).unwrap();
    toy.registry.fire(A, affine(&x(&[1, 2]), 3.0, 0.0)).unwrap();
    assert_eq!(values(&cache.get("hook_a").unwrap()), [3.0, 6.0]);
}

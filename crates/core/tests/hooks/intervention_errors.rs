//! Interventions that do not fit, and the JSON form.

use crate::interventions::{apply, attached, noise};
use crate::toy::*;
use hooklens_core::hooks::{
    AddOptions, AxisSize, Edit, HookBody, Intervention, Number, Operand, PlaceRange, Places, PointBounds, Reach,
    TensorRef,
};
use hooklens_core::{DType, Tensor};
use std::collections::BTreeMap;

const RESIDUAL: &[&str] = &["batch", "pos", "d_model"];
const MAP: &[&str] = &["batch", "head", "query", "key"];

/// Refused when attached, with a message that names the point and contains `part`.
fn refused(axes: &[&str], json: &str, tensors: &[Tensor], part: &str) {
    let (c, message) = code(attached("hook_here", axes, json, tensors));
    assert_eq!(c, "invalid_intervention", "{json}");
    assert!(message.contains("hook_here") && message.contains(part), "{json}: {message}");
}

#[test]
fn what_cannot_fit_is_refused_before_anything_runs() {
    let tensor = |dims: &[usize]| vec![noise(dims, 1)];
    refused(RESIDUAL, r#"{"kind":"zero","at":{"head":0}}"#, &[], "batch, pos, d_model");
    refused(&[], r#"{"kind":"zero","at":{"pos":0}}"#, &[], "declares no axes");
    refused(MAP, r#"{"kind":"zero","at":{"pos":0,"query":1}}"#, &[], "same axis");
    refused(RESIDUAL, r#"{"kind":"zero","at":{"pos":[]}}"#, &[], "selects nothing");
    refused(RESIDUAL, r#"{"kind":"zero","at":{"pos":{"start":3,"stop":3}}}"#, &[], "selects nothing");
    refused(RESIDUAL, r#"{"kind":"zero","at":{"pos":{"stop":0}}}"#, &[], "selects nothing");
    refused(RESIDUAL, r#"{"kind":"zero","at":{"pos":{"start":-1,"stop":-2}}}"#, &[], "selects nothing");
    refused(RESIDUAL, r#"{"kind":"zero","at":{"pos":{"step":0}}}"#, &[], "step");
    refused(RESIDUAL, r#"{"kind":"scale","factor":1}"#, &[], "changes nothing");
    refused(RESIDUAL, r#"{"kind":"scale","factor":"inf"}"#, &[], "finite");
    refused(RESIDUAL, r#"{"kind":"add","value":0}"#, &[], "changes nothing");
    refused(RESIDUAL, r#"{"kind":"clamp"}"#, &[], "changes nothing");
    refused(RESIDUAL, r#"{"kind":"clamp","min":2,"max":1}"#, &[], "above max");
    refused(RESIDUAL, r#"{"kind":"add","value":{"tensor":1}}"#, &tensor(&[3]), "tensor 1");
    refused(RESIDUAL, r#"{"kind":"add","value":{"tensor":0}}"#, &tensor(&[1, 1, 1, 3]), "more axes");
    refused(RESIDUAL, r#"{"kind":"patch","source":{"tensor":0}}"#, &tensor(&[1, 1, 1, 3]), "more axes");
    refused(RESIDUAL, r#"{"kind":"project_out","direction":{"tensor":0}}"#, &tensor(&[1, 1, 3]), "[d] or [k, d]");
    refused(RESIDUAL, r#"{"kind":"mean_ablate","over":[]}"#, &[], "changes nothing");
    refused(RESIDUAL, r#"{"kind":"mean_ablate","over":["key"]}"#, &[], "no axis 'key'");
    refused(RESIDUAL, r#"{"kind":"mean_ablate","over":["pos"],"mean":{"tensor":0}}"#, &tensor(&[3]), "not both");
    refused(RESIDUAL, r#"{"kind":"knock_out_edges","edges":[[1,0]]}"#, &[], "query and key");
    refused(MAP, r#"{"kind":"knock_out_edges","edges":[]}"#, &[], "no edges");
    refused(MAP, r#"{"kind":"knock_out_edges","edges":[[1,0]]}"#, &[], "hook_attn_scores and hook_pattern");
    for (direction, part) in [([0.0, 0.0], "zero"), ([f64::NAN, 1.0], "not finite")] {
        let direction = Tensor::from_slice(&direction, &[2]).unwrap();
        refused(RESIDUAL, r#"{"kind":"project_out","direction":{"tensor":0}}"#, &[direction], part);
    }
    let tracked = noise(&[3], 1).requiring_grad().unwrap();
    refused(RESIDUAL, r#"{"kind":"project_out","direction":{"tensor":0}}"#, &[tracked], "detach");
}

#[test]
fn renormalising_needs_a_forward_pattern() {
    let json = r#"{"kind":"knock_out_edges","edges":[[1,0]],"renormalize":true}"#;
    assert_eq!(code(attached("hook_attn_scores", MAP, json, &[])).0, "invalid_intervention");
    let toy = Toy::with_points(vec![point("hook_pattern", MAP)]);
    let body = HookBody::Intervention { intervention: Intervention::from_json(json, "").unwrap(), tensors: vec![] };
    assert!(toy.registry.add(A, FWD, body.clone(), AddOptions::default()).is_ok());
    assert_eq!(code(toy.registry.add(A, BWD, body, AddOptions::default())).0, "invalid_intervention");
}

#[test]
fn declared_sizes_are_checked_when_attached() {
    let toy = Toy::with_points(vec![point("hook_z", &["batch", "pos", "head", "d_head"]), point("hook_pattern", MAP)]);
    let sizes = |sizes: &[AxisSize]| PointBounds { sizes: sizes.to_vec(), reach: None };
    let (any, at_most, exactly) = (AxisSize::Any, AxisSize::AtMost, AxisSize::Exactly);
    toy.registry.declare(A, sizes(&[any, at_most(5), exactly(4), exactly(8)])).unwrap();
    toy.registry.declare(B, sizes(&[any, exactly(4), any, any])).unwrap();
    assert_eq!(code(toy.registry.declare(A, sizes(&[any]))).0, "invalid_argument");
    let add = |p, json: &str, dims: &[usize]| {
        let intervention = Intervention::from_json(json, "hook_z")?;
        let body = HookBody::Intervention { intervention, tensors: vec![noise(dims, 1)] };
        toy.registry.add(p, FWD, body, AddOptions::default())
    };
    let (c, message) = code(add(A, r#"{"kind":"zero","at":{"head":4}}"#, &[1]));
    assert_eq!((c, message.contains("outside an axis of size 4")), ("invalid_intervention", true), "{message}");
    assert_eq!(code(add(A, r#"{"kind":"zero","at":{"head":{"start":4}}}"#, &[1])).0, "invalid_intervention");
    assert_eq!(code(add(A, r#"{"kind":"zero","at":{"head":[1,-3]}}"#, &[1])).0, "invalid_intervention");
    assert_eq!(code(add(A, r#"{"kind":"add","value":{"tensor":0}}"#, &[7])).0, "invalid_intervention");
    assert_eq!(code(add(A, r#"{"kind":"patch","source":{"tensor":0}}"#, &[3, 8])).0, "invalid_intervention");
    assert_eq!(code(add(A, r#"{"kind":"project_out","direction":{"tensor":0}}"#, &[1])).0, "invalid_intervention");
    for at in ["5", "-6", "[0,5]", r#"{"start":5}"#, r#"{"stop":-5}"#] {
        let beyond = format!(r#"{{"kind":"zero","at":{{"pos":{at}}}}}"#);
        assert_eq!(code(add(A, &beyond, &[1])).0, "invalid_intervention", "{at} of at most 5");
    }
    for at in ["4", "-5", "[0,-1]", r#"{"start":4}"#, r#"{"start":-9,"stop":9}"#, r#"{"start":-3,"stop":2}"#] {
        let within = format!(r#"{{"kind":"zero","at":{{"pos":{at}}}}}"#);
        assert!(add(A, &within, &[1]).is_ok(), "{at} of at most 5");
    }
    assert_eq!(code(add(A, r#"{"kind":"patch","source":{"tensor":0}}"#, &[6, 4, 8])).0, "invalid_intervention");
    assert!(add(A, r#"{"kind":"patch","source":{"tensor":0}}"#, &[3, 4, 8]).is_ok());
    assert!(add(A, r#"{"kind":"add","value":{"tensor":0}}"#, &[4, 1]).is_ok());
    assert!(add(A, r#"{"kind":"project_out","direction":{"tensor":0}}"#, &[2, 8]).is_ok());
    assert!(
        add(B, r#"{"kind":"knock_out_edges","edges":[[900,-900]]}"#, &[1]).is_ok(),
        "positions vary from run to run"
    );
}

#[test]
fn edits_by_tensors_that_change_nothing_are_refused() {
    let constant = |value: f32| Tensor::from_slice(&[value; 3], &[3]).unwrap();
    let scale = r#"{"kind":"scale","factor":{"tensor":0}}"#;
    let add = r#"{"kind":"add","value":{"tensor":0}}"#;
    refused(RESIDUAL, scale, &[constant(1.0)], "changes nothing");
    refused(RESIDUAL, add, &[constant(0.0)], "changes nothing");
    for half in [DType::F16, DType::BF16, DType::F64] {
        refused(RESIDUAL, scale, &[constant(1.0).to_dtype(half).unwrap()], "changes nothing");
    }
    let nearly = Tensor::from_slice(&[1.0f32, 1.0, 0.5], &[3]).unwrap();
    for (json, tensor) in [(scale, nearly), (scale, constant(f32::NAN)), (add, constant(1.0))] {
        assert!(attached("hook_here", RESIDUAL, json, &[tensor]).is_ok(), "{json}");
    }
    // What is being learned may begin as the identity.
    for (json, value) in [(scale, 1.0), (add, 0.0)] {
        let learned = constant(value).requiring_grad().unwrap();
        assert!(attached("hook_here", RESIDUAL, json, &[learned]).is_ok(), "{json}");
    }
}

#[test]
fn edges_that_do_not_exist_are_refused() {
    let cut = |reach: Reach, edges: &str, direction| {
        let toy = Toy::with_points(vec![point("hook_pattern", MAP)]);
        toy.registry.declare(A, PointBounds { sizes: vec![], reach: Some(reach) }).unwrap();
        let json = format!(r#"{{"kind":"knock_out_edges","edges":{edges}}}"#);
        let intervention = Intervention::from_json(&json, "hook_pattern").unwrap();
        let body = HookBody::Intervention { intervention, tensors: vec![] };
        toy.registry.add(A, direction, body, AddOptions::default())?;
        toy.registry.fire(A, x(&[1, 1, 4, 4]))
    };
    let causal = Reach { causal: true, window: None };
    let local = Reach { causal: true, window: Some(2) };
    let both_ways = Reach { causal: false, window: Some(2) };
    for (reach, edges, part) in [
        (causal, "[[0,1]]", "after itself"),
        (causal, "[[0,1],[2,3]]", "after itself"),
        (causal, "[[-3,-1]]", "after itself"),
        (local, "[[3,1]]", "the 1 keys before it"),
        (local, "[[0,1],[-1,-3]]", "the 1 keys before it"),
        (both_ways, "[[3,0]]", "2 or more"),
    ] {
        for direction in [FWD, BWD] {
            let (c, message) = code(cut(reach, edges, direction));
            assert_eq!(c, "invalid_intervention", "{reach:?} {edges}");
            assert!(message.contains("hook_pattern") && message.contains(part), "{message}");
        }
    }
    // From different ends: only a run shows it.
    assert_eq!(code(cut(causal, "[[-4,3]]", FWD)).0, "invalid_intervention");
    for (reach, edges) in [
        (causal, "[[1,1]]"),
        (causal, "[[0,1],[1,0]]"),
        (causal, "[[-1,3]]"),
        (local, "[[3,2]]"),
        (both_ways, "[[0,3]]"),
    ] {
        assert!(cut(reach, edges, FWD).is_ok(), "{reach:?} {edges}");
    }
}

#[test]
fn edges_of_a_chunk_count_the_keys_before_it() {
    let toy = Toy::with_points(vec![point("hook_pattern", MAP)]);
    toy.registry.declare(A, PointBounds { sizes: vec![], reach: Some(Reach { causal: true, window: None }) }).unwrap();
    let json = r#"{"kind":"knock_out_edges","edges":[[-1,2]]}"#;
    let intervention = Intervention::from_json(json, "hook_pattern").unwrap();
    toy.registry.add(A, FWD, HookBody::Intervention { intervention, tensors: vec![] }, AddOptions::default()).unwrap();
    let one_query = toy.registry.fire(A, x(&[1, 1, 1, 4])).unwrap();
    assert_eq!(values(&one_query), [1.0, 2.0, 0.0, 4.0]);
}

#[test]
fn what_only_a_run_can_show_is_an_error_of_that_run() {
    let input = x(&[2, 3, 4]);
    let run = |axes: &[&str], json: &str, dims: &[usize], input: &Tensor| {
        let (c, message) = code(apply("hook_pattern", axes, json, &[noise(dims, 1)], input));
        assert_eq!(c, "invalid_intervention", "{json}");
        assert!(message.contains("hook_pattern"), "{message}");
    };
    run(RESIDUAL, r#"{"kind":"zero","at":{"pos":3}}"#, &[1], &input);
    run(RESIDUAL, r#"{"kind":"zero","at":{"pos":-4}}"#, &[1], &input);
    run(RESIDUAL, r#"{"kind":"zero","at":{"pos":[0,-3]}}"#, &[1], &input);
    run(RESIDUAL, r#"{"kind":"zero","at":{"pos":{"start":3}}}"#, &[1], &input);
    run(RESIDUAL, r#"{"kind":"zero","at":{"pos":0}}"#, &[1], &x(&[2, 3]));
    run(RESIDUAL, r#"{"kind":"add","value":{"tensor":0}}"#, &[3], &input);
    run(RESIDUAL, r#"{"kind":"add","value":{"tensor":0},"at":{"pos":[0,1]}}"#, &[3, 4], &input);
    run(RESIDUAL, r#"{"kind":"patch","source":{"tensor":0}}"#, &[2, 2, 4], &input);
    run(RESIDUAL, r#"{"kind":"project_out","direction":{"tensor":0}}"#, &[3], &input);
    run(MAP, r#"{"kind":"knock_out_edges","edges":[[3,0]]}"#, &[1], &x(&[1, 1, 3, 3]));
    run(MAP, r#"{"kind":"knock_out_edges","edges":[[1,0]],"at":{"query":2}}"#, &[1], &x(&[1, 1, 3, 3]));
    run(MAP, r#"{"kind":"knock_out_edges","edges":[[1,0]]}"#, &[1], &x(&[3]));
    let ids = Tensor::from_slice(&[1i64, 2], &[1, 2]).unwrap();
    run(&["batch", "pos"], r#"{"kind":"scale","factor":2}"#, &[1], &ids);
    run(&["batch", "pos"], r#"{"kind":"set","value":0.5}"#, &[1], &ids);
}

#[test]
fn an_edit_takes_no_aliases() {
    let toy = Toy::new();
    let intervention = Intervention::from_json(r#"{"kind":"scale","factor":2}"#, "hook_a").unwrap();
    let options = AddOptions { aliases: vec!["a".into(), "b".into()], ..AddOptions::default() };
    let added = toy.registry.add(A, FWD, HookBody::Intervention { intervention, tensors: vec![] }, options);
    assert_eq!(code(added).0, "invalid_intervention");
    assert!(!toy.registry.observed(A));
}

#[test]
fn json_round_trips() {
    for json in [
        r#"{"kind":"zero"}"#,
        r#"{"kind":"zero","at":{"head":3,"pos":[0,-1],"row":{"start":1,"stop":4,"step":2}}}"#,
        r#"{"kind":"scale","factor":0.5}"#,
        r#"{"kind":"scale","factor":{"tensor":2}}"#,
        r#"{"kind":"add","value":-1.0}"#,
        r#"{"kind":"set","value":"-inf","at":{"key":{}}}"#,
        r#"{"kind":"clamp","min":0.0}"#,
        r#"{"kind":"clamp","min":0.0,"max":"inf"}"#,
        r#"{"kind":"project_out","direction":{"tensor":0}}"#,
        r#"{"kind":"mean_ablate"}"#,
        r#"{"kind":"mean_ablate","over":["batch"]}"#,
        r#"{"kind":"mean_ablate","mean":{"tensor":0}}"#,
        r#"{"kind":"patch","source":{"tensor":0}}"#,
        r#"{"kind":"knock_out_edges","edges":[[3,0],[-1,1]],"renormalise":true}"#,
    ] {
        assert_eq!(Intervention::from_json(json, "").unwrap().to_json().unwrap(), json);
    }
    let parsed = Intervention::from_json(r#"{"at":{"pos":{"start":-2}},"value":{"tensor":1},"kind":"add"}"#, "");
    let range = Places::Range(PlaceRange { start: Some(-2), stop: None, step: None });
    let expected = Intervention {
        edit: Edit::Add { value: Operand::Tensor(TensorRef { tensor: 1 }) },
        at: BTreeMap::from([("pos".to_owned(), range)]),
    };
    assert_eq!(parsed.unwrap(), expected);
    let by = Intervention::from_json(r#"{"kind":"scale","by":2}"#, "").unwrap();
    assert_eq!(by.edit, Edit::Scale { factor: Operand::Number(Number(2.0)) });
    assert_eq!(Intervention::from_json(r#"{"kind":"zero","at":null}"#, "").unwrap().edit, Edit::Zero {});
}

#[test]
fn json_of_another_form_is_refused() {
    for (json, part) in [
        ("", "JSON"),
        ("[]", "object"),
        (r#"{"kind":"zap"}"#, "zap"),
        (r#"{"factor":2}"#, "kind"),
        (r#"{"kind":"zero","facter":2}"#, "facter"),
        (r#"{"kind":"scale"}"#, "factor"),
        (r#"{"kind":"scale","factor":null}"#, "expected a number"),
        (r#"{"kind":"set","value":"much"}"#, "expected a number"),
        (r#"{"kind":"set","value":"nan"}"#, "expected a number"),
        (r#"{"kind":"patch","source":{"tensor":-1}}"#, "JSON"),
        (r#"{"kind":"zero","at":{"pos":1.5}}"#, "whole number"),
        (r#"{"kind":"zero","at":{"pos":{"begin":1}}}"#, "start, stop, step"),
        (r#"{"kind":"zero","at":[1]}"#, "at"),
        (r#"{"kind":"knock_out_edges","edges":[[1]]}"#, "JSON"),
    ] {
        let (c, message) = code(Intervention::from_json(json, "hook_here"));
        assert_eq!(c, "invalid_intervention", "{json}");
        assert!(message.contains("hook_here") && message.contains(part), "{json}: {message}");
    }
    let nan = Intervention { edit: Edit::Set { value: Operand::Number(Number(f64::NAN)) }, at: BTreeMap::new() };
    let toy = Toy::new();
    let body = HookBody::Intervention { intervention: nan, tensors: vec![] };
    assert_eq!(code(toy.registry.add(A, FWD, body, AddOptions::default())).0, "invalid_intervention");
}

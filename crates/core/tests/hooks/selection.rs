//! Choosing points by name.

use crate::toy::*;
use hooklens_core::hooks::{HookRegistry, act_name, canonical_name};

fn gpt() -> HookRegistry {
    let mut points = vec![point("hook_embed", &[])];
    for layer in 0..12 {
        for part in
            ["hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_pattern", "ln1.hook_scale", "mlp.hook_pre"]
        {
            points.push(point(&format!("blocks.{layer}.{part}"), &[]));
        }
    }
    points.push(point("ln_final.hook_scale", &[]));
    HookRegistry::new(points).unwrap()
}

fn names(registry: &HookRegistry, wanted: &[&str]) -> Vec<String> {
    let selected = registry.select(wanted).unwrap();
    selected.into_iter().map(|id| registry.info(id).unwrap().name.clone()).collect()
}

#[test]
fn exact_short_and_glob_names_select() {
    let gpt = gpt();
    assert_eq!(names(&gpt, &["blocks.1.attn.hook_q"]), ["blocks.1.attn.hook_q"]);
    assert_eq!(
        names(&gpt, &["k6", "resid_pre1", "embed"]),
        ["hook_embed", "blocks.1.hook_resid_pre", "blocks.6.attn.hook_k"]
    );
    assert_eq!(names(&gpt, &["blocks.*.attn.hook_pattern"]).len(), 12);
    assert_eq!(names(&gpt, &["*hook_scale"]).len(), 13);
    assert_eq!(names(&gpt, &["blocks.1?.attn.hook_{q,k}"]).len(), 4);
    assert_eq!(names(&gpt, &["blocks.[0-2].mlp.*"]).len(), 3);
    assert_eq!(names(&gpt, &["*hook_q", "blocks.0.attn.hook_q"]).len(), 12, "each point once");
    assert_eq!(
        gpt.find("blocks.3.ln1.hook_scale").map(|id| gpt.info(id).unwrap().name.clone()).unwrap(),
        "blocks.3.ln1.hook_scale"
    );
    assert!(gpt.find("scale3ln1").is_none(), "find takes exact names only");
}

#[test]
fn what_selects_nothing_is_an_error() {
    let gpt = gpt();
    let (c, message) = code(gpt.select(&["blocks.1.attn.hook_qq"]));
    assert_eq!(c, "unknown_hook");
    assert!(message.contains("blocks.1.attn.hook_q\""), "{message}");
    let (c, message) = code(gpt.select(&["k6", "pattern99"]));
    assert_eq!(c, "unknown_hook");
    assert!(message.contains("'pattern99'") && message.contains("\"pattern9\""), "{message}");
    let (c, message) = code(gpt.select(&["blocks.*.hook_z"]));
    assert_eq!((c, message.contains("blocks.*.hook_z")), ("invalid_names_filter", true));
    assert_eq!(code(gpt.select(&["blocks.[3"])).0, "invalid_names_filter");
    assert_eq!(code(gpt.select::<&str>(&[])).0, "invalid_names_filter");
    assert_eq!(code(gpt.select(&[""])).0, "unknown_hook");
    // A name that makes no sense resolves, as in the reference, but is refused since no such point exists.
    assert_eq!(act_name("scale", Some(2), Some("m")), "blocks.2.mlp.hook_scale");
    assert_eq!(code(gpt.resolve("scale2m")).0, "unknown_hook");
}

#[test]
fn short_names_resolve() {
    let table: &[(&str, Option<u64>, Option<&str>, &str)] = &[
        ("embed", None, None, "hook_embed"),
        ("pos_embed", None, None, "hook_pos_embed"),
        ("tokens", None, None, "hook_tokens"),
        ("k", Some(6), Some("a"), "blocks.6.attn.hook_k"),
        ("k", Some(6), None, "blocks.6.attn.hook_k"),
        ("k6", None, None, "blocks.6.attn.hook_k"),
        ("k6a", None, None, "blocks.6.attn.hook_k"),
        ("k", Some(2), Some("mlp"), "blocks.2.attn.hook_k"),
        ("resid_pre", Some(2), None, "blocks.2.hook_resid_pre"),
        ("resid_mid", Some(2), None, "blocks.2.hook_resid_mid"),
        ("resid_post", Some(2), None, "blocks.2.hook_resid_post"),
        ("attn_out", Some(2), None, "blocks.2.hook_attn_out"),
        ("mlp_out", Some(0), None, "blocks.0.hook_mlp_out"),
        ("pre", Some(2), None, "blocks.2.mlp.hook_pre"),
        ("pre2", None, None, "blocks.2.mlp.hook_pre"),
        ("pre5", None, None, "blocks.5.mlp.hook_pre"),
        ("mlp_post", Some(2), None, "blocks.2.mlp.hook_post"),
        ("mlp_mid", Some(2), None, "blocks.2.mlp.hook_mid"),
        ("pre_linear", Some(2), None, "blocks.2.mlp.hook_pre_linear"),
        ("pattern", Some(0), None, "blocks.0.attn.hook_pattern"),
        ("pattern3", None, None, "blocks.3.attn.hook_pattern"),
        ("attn", Some(3), None, "blocks.3.attn.hook_pattern"),
        ("attn_scores", Some(0), None, "blocks.0.attn.hook_attn_scores"),
        ("attn_logits", Some(3), None, "blocks.3.attn.hook_attn_scores"),
        ("attn_logits0", None, None, "blocks.0.attn.hook_attn_scores"),
        ("key", Some(1), None, "blocks.1.attn.hook_k"),
        ("query", Some(1), None, "blocks.1.attn.hook_q"),
        ("value", Some(1), None, "blocks.1.attn.hook_v"),
        ("rot_q", Some(1), None, "blocks.1.attn.hook_rot_q"),
        ("result1", None, None, "blocks.1.attn.hook_result"),
        ("scale", Some(4), Some("ln1"), "blocks.4.ln1.hook_scale"),
        ("scale4ln1", None, None, "blocks.4.ln1.hook_scale"),
        ("normalized", Some(0), Some("ln1"), "blocks.0.ln1.hook_normalized"),
        ("normalized", Some(27), Some("ln2"), "blocks.27.ln2.hook_normalized"),
        ("scale", None, None, "ln_final.hook_scale"),
        ("normalized", None, None, "ln_final.hook_normalized"),
        ("attn_in", Some(1), None, "blocks.1.hook_attn_in"),
        ("q_input", Some(1), None, "blocks.1.hook_q_input"),
        ("mlp_in", Some(1), None, "blocks.1.hook_mlp_in"),
        ("resid_pre1", None, None, "blocks.1.hook_resid_pre"),
        ("resid_pre", Some(1), Some("block"), "blocks.1.hook_resid_pre"),
        ("scale", Some(1), Some("attention"), "blocks.1.attn.hook_scale"),
        ("scale", Some(2), Some("m"), "blocks.2.mlp.hook_scale"),
        ("hook_embed", None, None, "hook_embed"),
        ("hook_anything7", None, None, "hook_anything7"),
        ("blocks.3.attn.hook_q", None, None, "blocks.3.attn.hook_q"),
    ];
    for &(name, layer, part, full) in table {
        assert_eq!(act_name(name, layer, part), full, "({name}, {layer:?}, {part:?})");
        if layer.is_none() && part.is_none() {
            assert_eq!(canonical_name(name), full);
        }
    }
}

#[test]
fn odd_input_is_no_panic() {
    for name in ["", "é6", "6", "k99999999999999999999999", "_1", "k6é", "*"] {
        assert!(!canonical_name(name).is_empty());
    }
}

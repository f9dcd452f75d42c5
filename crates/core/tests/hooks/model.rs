//! Interventions on a model: refused before it runs where the configuration already shows that they do not fit.

use crate::toy::*;
use hooklens_core::hooks::{AddOptions, HookBody, Intervention};
use hooklens_core::models::{LoadOptions, Model};
use std::path::PathBuf;

#[test]
fn every_point_knows_the_sizes_that_the_configuration_fixes() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/tl_attn_only");
    let model = Model::load(&folder, &LoadOptions::default()).unwrap();
    let add = |name: &str, json: &str, dims: &[usize]| {
        let body =
            HookBody::Intervention { intervention: Intervention::from_json(json, name)?, tensors: vec![x(dims)] };
        model.registry().add(model.registry().resolve(name)?, FWD, body, AddOptions::default())
    };
    let head = r#"{"kind":"zero","at":{"head":4}}"#;
    for name in ["z0", "q1", "k1", "pattern1", "attn_scores0", "result0"] {
        let (c, message) = code(add(name, head, &[1]));
        assert_eq!(c, "invalid_intervention", "{name}");
        assert!(message.contains("outside an axis of size 4"), "{message}");
    }
    assert!(add("z0", r#"{"kind":"zero","at":{"head":3}}"#, &[1]).is_ok());
    let steer = r#"{"kind":"add","value":{"tensor":0}}"#;
    assert_eq!(code(add("resid_pre0", steer, &[31])).0, "invalid_intervention");
    assert!(add("resid_pre0", steer, &[32]).is_ok());
    for at in ["99", "-99", r#"{"start":99}"#] {
        let beyond = format!(r#"{{"kind":"zero","at":{{"pos":{at}}}}}"#);
        assert_eq!(code(add("resid_pre0", &beyond, &[1])).0, "invalid_intervention", "{at} is beyond the context");
        let keys = format!(r#"{{"kind":"zero","at":{{"key":{at}}}}}"#);
        assert_eq!(code(add("pattern0", &keys, &[1])).0, "invalid_intervention", "{at} is beyond the context");
    }
    let cut = |edges: &str| format!(r#"{{"kind":"knock_out_edges","edges":{edges}}}"#);
    assert_eq!(code(add("pattern0", &cut("[[0,1],[2,5]]"), &[1])).0, "invalid_intervention");
    assert_eq!(code(add("attn_scores1", &cut("[[99,1]]"), &[1])).0, "invalid_intervention");
    assert!(add("pattern0", &cut("[[0,1],[2,1]]"), &[1]).is_ok());
    assert_eq!(code(add("scale0ln1", r#"{"kind":"zero","at":{"one":1}}"#, &[1])).0, "invalid_intervention");
}

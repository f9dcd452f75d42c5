//! JSON that was valid, damaged.

use proptest::prelude::*;
use serde_json::{Value, json};

/// Values that some reader once believed.
pub(crate) fn nasty() -> impl Strategy<Value = Value> {
    let fixed = prop_oneof![
        Just(json!(null)),
        Just(json!(0)),
        Just(json!(-1)),
        Just(json!(1)),
        Just(json!(3)),
        Just(json!(1u64 << 28)),
        Just(json!(1u64 << 31)),
        Just(json!(1u64 << 40)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!(1e300)),
        Just(json!(-1e300)),
        Just(json!(1e-320)),
        Just(json!(0.5)),
        Just(json!(4096)),
        Just(json!(4097)),
        Just(json!(1_000_000_000)),
        Just(json!(true)),
        Just(json!(false)),
        Just(json!("")),
        Just(json!("NaN")),
        Just(json!("gelu")),
        Just(json!("../x")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[[[1]]]])),
        Just(json!({ "type": "linear", "factor": 0 })),
        Just(json!({ "rope_type": "llama3", "factor": 1e300 })),
        Just(json!({ "rope_theta": -1 })),
    ];
    prop_oneof![
        4 => fixed,
        1 => any::<i64>().prop_map(|i| json!(i)),
        1 => any::<f64>().prop_map(|x| json!(x)),
        1 => ".{0,20}".prop_map(|text| json!(text)),
        1 => prop::collection::vec(any::<i8>(), 0..6).prop_map(|list| json!(list)),
    ]
}

/// Numbers where readers have gone wrong: at the ends of single and double precision, near 0 and 1, and any.
pub(crate) fn number() -> impl Strategy<Value = Value> {
    let edge = prop::sample::select(vec![
        0.0, 1.0, 0.5, 2.0, 3.0, 1e-6, 1e6, 1e9, 1e-12, 1e-30, 1e-38, 1e-39, 1e-46, 1e-300, 5e-324, 1e19, 1e30, 3.4e38,
        3.5e38, 1e300, 1.7e308,
    ]);
    prop_oneof![
        3 => (edge, any::<bool>()).prop_map(|(x, negative)| json!(if negative { -x } else { x })),
        2 => (-46.0..46.0f64).prop_map(|exponent| json!(10f64.powf(exponent))),
        2 => (1..70u64).prop_map(|n| json!(n)),
        1 => any::<i64>().prop_map(|n| json!(n)),
        1 => any::<f64>().prop_map(|x| json!(x)),
    ]
}

/// Parameters of a rotation of any type, with sound numbers but for a few.
pub(crate) fn scaling() -> impl Strategy<Value = Value> {
    let kinds = ["default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional"];
    let keys = [
        "factor",
        "rope_theta",
        "partial_rotary_factor",
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ];
    let changes = prop::collection::vec((prop::sample::select(keys.to_vec()), number()), 0..3);
    (prop::sample::select(kinds.to_vec()), changes, number()).prop_map(|(kind, changes, divisor)| {
        let mut scaling = json!({
            "rope_type": kind, "factor": 2.0, "rope_theta": 10000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "short_factor": [1.5], "long_factor": [divisor], "original_max_position_embeddings": 16,
        });
        for (key, value) in changes {
            scaling[key] = value;
        }
        scaling
    })
}

/// Keys that hold numbers and that a configuration of this form may leave out, with values that fit the fixtures.
pub(crate) fn numeric_keys(file: &str) -> Vec<(&'static str, Value)> {
    match file {
        "tl_config.json" => vec![
            ("eps", json!(1e-5)),
            ("attn_scale", json!(2.0)),
            ("attn_scores_soft_cap", json!(3.0)),
            ("output_logits_soft_cap", json!(5.0)),
            ("initializer_range", json!(0.1)),
            ("rotary_base", json!(10000.0)),
            ("rotary_scaling_factor", json!(1.0)),
        ],
        _ => vec![
            ("layer_norm_epsilon", json!(1e-5)),
            ("layer_norm_eps", json!(1e-5)),
            ("rms_norm_eps", json!(1e-6)),
            ("initializer_range", json!(0.02)),
            ("rope_theta", json!(10000.0)),
            ("rotary_emb_base", json!(10000.0)),
            ("rotary_pct", json!(0.25)),
            ("original_max_position_embeddings", json!(16)),
        ],
    }
}

/// What is done to an object: set a key (chosen by number, or a new one), or remove it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(usize, Value),
    Add(String, Value),
    Remove(usize),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (any::<usize>(), nasty()).prop_map(|(i, value)| Change::Set(i, value)),
        1 => ("[a-z_]{1,12}", nasty()).prop_map(|(key, value)| Change::Add(key, value)),
        2 => any::<usize>().prop_map(Change::Remove),
    ];
    prop::collection::vec(change, 1..4)
}

/// `json`, changed; keys of nested objects count too.
pub(crate) fn changed(json: &Value, changes: &[Change]) -> Value {
    let mut json = json.clone();
    for change in changes {
        let Some(map) = json.as_object_mut() else { return json };
        let key = |i: usize, map: &serde_json::Map<String, Value>| map.keys().nth(i % map.len().max(1)).cloned();
        match change {
            Change::Set(i, value) => {
                if let Some(key) = key(*i, map) {
                    map.insert(key, value.clone());
                }
            }
            Change::Add(key, value) => {
                map.insert(key.clone(), value.clone());
            }
            Change::Remove(i) => {
                if let Some(key) = key(*i, map) {
                    map.remove(&key);
                }
            }
        }
    }
    json
}

/// Bytes with some of them overwritten, and cut off somewhere.
pub(crate) fn damaged(bytes: &[u8], writes: &[(usize, u8)], end: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in writes {
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
    }
    bytes.truncate(end % (2 * bytes.len() + 1));
    bytes
}

pub(crate) fn damage() -> impl Strategy<Value = (Vec<(usize, u8)>, usize)> {
    (prop::collection::vec((any::<usize>(), any::<u8>()), 0..8), any::<usize>())
}

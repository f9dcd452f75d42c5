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

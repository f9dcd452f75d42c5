//! The index of shards.

use crate::allocations::peak;
use crate::cases;
use crate::folder::Folder;
use crate::json::{changed, changes, damage, damaged, nasty};
use hooklens_core::Tensor;
use hooklens_core::load::{open_folder, write_tensors};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

fn shards(name: &str) -> (Folder, Value) {
    let outer = Folder::new(name);
    let x = Tensor::from_slice(&[1.0f32, 2.0], &[2]).unwrap();
    write_tensors(&outer.path("secret.safetensors"), &[("x".into(), x.clone())], &[]).unwrap();
    std::fs::create_dir(outer.path("model")).unwrap();
    write_tensors(&outer.path("model/a.safetensors"), &[("x".into(), x.clone()), ("y".into(), x.clone())], &[])
        .unwrap();
    write_tensors(&outer.path("model/b.safetensors"), &[("z".into(), x)], &[]).unwrap();
    let index = json!({
        "metadata": { "total_size": 24 },
        "weight_map": { "x": "a.safetensors", "y": "a.safetensors", "z": "b.safetensors" },
    });
    (outer, index)
}

fn check(folder: &Folder, text: &[u8]) -> Result<(), TestCaseError> {
    std::fs::write(folder.path("model/model.safetensors.index.json"), text).unwrap();
    let (result, peak) = peak(|| open_folder(&folder.path("model")));
    prop_assert!(peak <= (64 << 10) + 40 * text.len(), "{peak} bytes for an index of {}", text.len());
    match result {
        Ok(source) => prop_assert!(source.names().iter().all(|name| ["x", "y", "z"].contains(name))),
        Err(error) => {
            let code = error.code();
            prop_assert!(["invalid_file", "missing_file", "weight_mismatch"].contains(&code), "{error}");
        }
    }
    Ok(())
}

#[test]
fn damaged_text_is_refused_or_read() {
    let (folder, index) = shards("hostile-index-text");
    let good = index.to_string().into_bytes();
    TestRunner::new(cases(5_000))
        .run(&damage(), |(writes, end)| check(&folder, &damaged(&good, &writes, end)))
        .unwrap();
}

#[test]
fn maps_of_anything_to_anything_are_refused_or_read() {
    let (folder, index) = shards("hostile-index-maps");
    let path = prop_oneof![
        nasty(),
        prop::sample::select(vec![
            "a.safetensors",
            "b.safetensors",
            "./a.safetensors",
            "../secret.safetensors",
            "/etc/passwd",
            "..",
            ".",
            "a.safetensors/",
            "model.safetensors.index.json",
            "a.safetensors\0",
            "..\\secret.safetensors",
            "x/../../secret.safetensors",
        ])
        .prop_map(|path| json!(path)),
    ];
    let entry = (prop_oneof![4 => "[w-z]", 1 => "\\PC{0,6}"], path);
    let maps = (prop::collection::vec(entry, 0..5), changes(), any::<bool>());
    TestRunner::new(cases(5_000))
        .run(&maps, |(entries, changes, outside)| {
            let mut index = index.clone();
            let map: serde_json::Map<String, Value> = entries.into_iter().collect();
            index["weight_map"] = Value::Object(map);
            let index = if outside { changed(&index, &changes) } else { index };
            check(&folder, index.to_string().as_bytes())
        })
        .unwrap();
}

#[test]
fn deep_nesting_is_refused() {
    let (folder, _) = shards("hostile-index-deep");
    for text in ["[".repeat(1 << 20), r#"{"weight_map":"#.repeat(1 << 16)] {
        check(&folder, text.as_bytes()).unwrap();
    }
}

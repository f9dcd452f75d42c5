//! Weights on disk: what is written comes back, and files that lie are refused with the right code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test panics")]

mod deliver;
mod folder;
mod upload;

use folder::Folder;
use hooklens_core::load::{open_folder, read_tensors, write_tensors};
use hooklens_core::models::{LoadOptions, Model};
use hooklens_core::{DType, Error, Tensor};
use serde_json::{Value, json};

fn floats(n: usize) -> Tensor {
    let values: Vec<f32> = (0..n).map(|i| i as f32 / 3.0).collect();
    Tensor::from_slice(&values, &[n]).unwrap()
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("no error", |e| e.code())
}

#[test]
fn what_is_written_comes_back() {
    let folder = Folder::new("round-trip");
    let path = folder.path("x.safetensors");
    let x = floats(6).reshape(&[2, 3]).unwrap();
    let tensors: Vec<(String, Tensor)> = DType::ALL
        .into_iter()
        .map(|dtype| (dtype.name().to_owned(), x.to_dtype(dtype).unwrap()))
        .chain([("transposed".to_owned(), x.transpose(0, 1).unwrap())])
        .chain([("empty".to_owned(), Tensor::zeros(&[0, 4], DType::F32, x.data().device()).unwrap())])
        .collect();
    write_tensors(&path, &tensors, &[("step".into(), "12".into())]).unwrap();
    let (read, metadata) = read_tensors(&path).unwrap();
    assert_eq!(metadata, [("step".to_owned(), "12".to_owned())]);
    assert_eq!(read.len(), tensors.len());
    for (name, written) in &tensors {
        let (_, back) = read.iter().find(|(n, _)| n == name).unwrap();
        assert_eq!((back.dtype(), back.dims()), (written.dtype(), written.dims()), "{name}");
        assert_eq!(back.to_vec::<f64>().unwrap(), written.to_vec::<f64>().unwrap(), "{name}");
    }
    assert_eq!(code(write_tensors(&path, &[("a".into(), x.clone()), ("a".into(), x)], &[])), "invalid_argument");
    assert_eq!(read_tensors(&path).unwrap().0.len(), tensors.len(), "a refused write leaves the file alone");
}

#[test]
fn damaged_files_are_refused() {
    let folder = Folder::new("damaged");
    let path = folder.path("model.safetensors");
    write_tensors(&path, &[("x".into(), floats(8))], &[]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for end in [0, 7, 8, 20, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        assert_eq!(code(read_tensors(&path)), "invalid_file", "cut after {end} bytes");
    }
    assert_eq!(code(read_tensors(&folder.path("absent.safetensors"))), "missing_file");
    assert_eq!(code(read_tensors(&folder.path("."))), "invalid_file");
    assert_eq!(code(open_folder(&folder.path("nowhere"))), "missing_file");
}

fn sharded(folder: &Folder, map: Value) -> Result<Vec<String>, Error> {
    std::fs::write(folder.path("model.safetensors.index.json"), json!({ "weight_map": map }).to_string()).unwrap();
    open_folder(&folder.path(".")).map(|source| source.names().into_iter().map(str::to_owned).collect())
}

#[test]
fn an_index_cannot_lie_about_its_shards() {
    let folder = Folder::new("shards");
    write_tensors(&folder.path("a.safetensors"), &[("x".into(), floats(2)), ("y".into(), floats(3))], &[]).unwrap();
    write_tensors(&folder.path("b.safetensors"), &[("z".into(), floats(4))], &[]).unwrap();
    let both = json!({ "x": "a.safetensors", "z": "b.safetensors" });
    assert_eq!(sharded(&folder, both).unwrap(), ["x", "z"]);
    assert_eq!(code(sharded(&folder, json!({ "x": "c.safetensors" }))), "missing_file");
    assert_eq!(code(sharded(&folder, json!({ "z": "a.safetensors" }))), "weight_mismatch");
    assert_eq!(code(sharded(&folder, json!({ "x": 3 }))), "invalid_file");
    assert_eq!(code(sharded(&folder, json!(["x"]))), "invalid_file");
}

#[test]
fn an_index_cannot_lead_outside_its_folder() {
    let outer = Folder::new("escape");
    let secret = outer.path("secret.safetensors");
    write_tensors(&secret, &[("x".into(), floats(2))], &[]).unwrap();
    let inner = Folder::at(outer.path("model"));
    for path in
        ["../secret.safetensors", secret.to_str().unwrap(), "..\\secret.safetensors", "./x/../../secret.safetensors"]
    {
        assert_eq!(code(sharded(&inner, json!({ "x": path }))), "invalid_file", "{path}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, inner.path("link.safetensors")).unwrap();
        assert_eq!(code(sharded(&inner, json!({ "x": "link.safetensors" }))), "invalid_file");
        // The hub's cache is made of such links, into the folder beside its snapshots.
        let blobs = Folder::at(outer.path("blobs"));
        write_tensors(&blobs.path("0123"), &[("x".into(), floats(2))], &[]).unwrap();
        let snapshot = Folder::at(outer.path("snapshots/main"));
        std::os::unix::fs::symlink("../../blobs/0123", snapshot.path("model-1.safetensors")).unwrap();
        assert_eq!(sharded(&snapshot, json!({ "x": "model-1.safetensors" })).unwrap(), ["x"]);
    }
}

fn gpt2_folder(
    name: &str,
    change: impl FnOnce(&mut Value, &mut Vec<(String, Tensor)>),
) -> (Folder, Result<Model, Error>) {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/gpt2");
    let folder = Folder::new(name);
    let mut config: Value = serde_json::from_slice(&std::fs::read(source.join("config.json")).unwrap()).unwrap();
    let (mut tensors, _) = read_tensors(&source.join("model.safetensors")).unwrap();
    change(&mut config, &mut tensors);
    std::fs::write(folder.path("config.json"), config.to_string()).unwrap();
    write_tensors(&folder.path("model.safetensors"), &tensors, &[]).unwrap();
    let model = Model::load(&folder.path("."), &LoadOptions::default());
    (folder, model)
}

#[test]
fn a_checkpoint_that_does_not_fit_names_every_tensor() {
    let (_folder, model) = gpt2_folder("unfit", |_, tensors| {
        tensors.retain(|(name, _)| !name.ends_with("h.0.ln_1.weight") && !name.ends_with("h.1.mlp.c_fc.bias"));
        let wpe = tensors.iter_mut().find(|(name, _)| name.ends_with("wpe.weight")).unwrap();
        wpe.1 = floats(7);
        tensors.push(("transformer.h.0.attn.bias".into(), floats(3)));
        tensors.push(("score.weight".into(), floats(3)));
    });
    let error = model.err().unwrap();
    assert_eq!(error.code(), "weight_mismatch");
    let message = error.to_string();
    for part in [
        "h.0.ln_1.weight' is missing",
        "h.1.mlp.c_fc.bias' is missing",
        "wpe.weight' has shape [7]",
        "'score.weight'",
        "4 of",
    ] {
        assert!(message.contains(part), "'{message}' does not say '{part}'");
    }
    assert!(!message.contains("attn.bias'"), "buffers are not weights: {message}");
}

#[test]
fn an_error_holds_the_names_of_all_tensors_that_do_not_fit() {
    const EXTRA: usize = 3000;
    let (_folder, model) = gpt2_folder("unfit-by-far", |_, tensors| {
        tensors.retain(|(name, _)| !name.ends_with("wpe.weight"));
        tensors.extend((0..EXTRA).map(|i| (format!("adapter.{i}"), floats(1))));
    });
    let error = model.err().unwrap();
    assert!(error.to_string().ends_with(", …"), "the message is shortened");
    let details = error.details();
    let names: Vec<&str> = details["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names.len(), 1 + EXTRA);
    assert!(names[0].ends_with("wpe.weight") && details["name"] == names[0]);
    assert!((0..EXTRA).all(|i| names.contains(&format!("adapter.{i}").as_str())));
}

#[test]
fn keys_that_make_no_sense_or_change_the_function_are_refused_by_name() {
    let cases = [
        ("n_embd", json!(0)),
        ("n_embd", json!(-3)),
        ("n_embd", json!(1.5)),
        ("n_embd", json!("32")),
        ("n_embd", json!(1u64 << 60)),
        ("n_head", json!(5)),
        ("n_head", json!([4])),
        ("n_layer", json!(0)),
        ("n_layer", json!(1e8)),
        ("n_positions", json!(false)),
        ("vocab_size", json!(-1)),
        ("layer_norm_epsilon", json!(-1e-5)),
        ("layer_norm_epsilon", json!("1e-5")),
        ("activation_function", json!("swishy")),
        ("scale_attn_weights", json!(2)),
        ("add_cross_attention", json!(true)),
        ("quantization_config", json!({ "bits": 4 })),
        ("hidden_size", json!(64)),
    ];
    for (key, value) in cases {
        let (_folder, model) = gpt2_folder("refused", |config, _| config[key] = value.clone());
        let named = if key == "hidden_size" { "n_embd" } else { key };
        match model.err() {
            Some(Error::UnsupportedConfig { key, .. }) => assert_eq!(key, named),
            other => panic!("{key} = {value}: {other:?}"),
        }
    }
    let (_folder, model) = gpt2_folder("unknown", |config, _| config["model_type"] = json!("gpt7"));
    assert!(matches!(model.err(), Some(Error::UnsupportedArchitecture { .. })));
    let (folder, _) = gpt2_folder("not-json", |_, _| {});
    std::fs::write(folder.path("config.json"), "{ \"n_embd\": NaN }").unwrap();
    assert_eq!(code(Model::load(&folder.path("."), &LoadOptions::default())), "invalid_file");
}

#[test]
fn names_without_prefix_and_other_dtypes_load() {
    let (_first, plain) = gpt2_folder("plain", |_, _| {});
    let (_second, bare) = gpt2_folder("bare", |config, tensors| {
        config["n_ctx"] = config["n_positions"].clone();
        for (name, tensor) in tensors {
            *name = name.trim_start_matches("transformer.").to_owned();
            *tensor = tensor.to_dtype(DType::F64).unwrap();
        }
    });
    let tokens = Tensor::from_slice(&[5i64, 9, 2], &[3]).unwrap();
    let logits = |model: Result<Model, Error>| {
        let request = hooklens_core::models::ForwardRequest::new(tokens.clone());
        model.unwrap().forward(request).unwrap().logits.unwrap().to_vec::<f32>().unwrap()
    };
    assert_eq!(logits(plain), logits(bare));
}

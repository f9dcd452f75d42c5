//! Configurations of every family, damaged, beside weights that are as they should be; and configurations of models that
//! are to be made from nothing.

use crate::allocations::peak;
use crate::cases;
use crate::folder::Folder;
use crate::json::{changed, changes, damage, damaged};
use candle_core::Device;
use hooklens_core::Tensor;
use hooklens_core::memory;
use hooklens_core::models::{ForwardRequest, LoadOptions, Model, ModelConfig};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a configuration alone may make a loader allocate: lists of the names of the largest model's weights.
const NAMES: usize = 48 << 20;
/// The memory that models made from nothing may take.
const LIMIT: usize = 32 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden").join(name)
}

/// A copy of a fixture's model, and its configuration.
pub(crate) fn copy(family: &str) -> (Folder, &'static str, Value) {
    let folder = Folder::new(&format!("hostile-config-{family}-{:?}", std::thread::current().id()));
    let file = if fixture(family).join("tl_config.json").exists() { "tl_config.json" } else { "config.json" };
    std::fs::copy(fixture(family).join("model.safetensors"), folder.path("model.safetensors")).unwrap();
    let config = serde_json::from_slice(&std::fs::read(fixture(family).join(file)).unwrap()).unwrap();
    (folder, file, config)
}

/// Runs a model that was accepted: its numbers may make no sense, but there must be numbers. Gives the logits.
fn run(model: &Model) -> Result<Vec<f64>, TestCaseError> {
    let config = model.config();
    let ids: Vec<i64> = (0..config.n_ctx.min(5) as i64).map(|i| i % config.d_vocab as i64).collect();
    let tokens = Tensor::from_slice(&ids, &[1, ids.len()]).unwrap();
    let logits = model.forward(ForwardRequest::new(tokens)).unwrap().logits.unwrap();
    prop_assert_eq!(logits.dims().to_vec(), vec![1, ids.len(), config.d_vocab_out]);
    let logits = logits.to_vec::<f64>().unwrap();
    prop_assert!(logits.iter().all(|x| x.is_finite()), "logits that are no numbers");
    Ok(logits)
}

pub(crate) fn load(folder: &Folder, file: &str, text: &[u8]) -> Result<(), TestCaseError> {
    std::fs::write(folder.path(file), text).unwrap();
    let (model, peak) = peak(|| Model::load(&folder.path("."), &LoadOptions::default()));
    prop_assert!(peak <= NAMES, "{peak} bytes for a configuration of {}", text.len());
    match model {
        Ok(model) => {
            prop_assert!(run(&model)?.iter().any(|x| *x != 0.0), "logits that are all zero");
            Ok(())
        }
        Err(error) => {
            let expected = ["invalid_file", "unsupported_config", "unsupported_architecture", "weight_mismatch"];
            prop_assert!(expected.contains(&error.code()), "{}: {error}", error.code());
            Ok(())
        }
    }
}

fn changed_keys(family: &str) {
    let (folder, file, config) = copy(family);
    load(&folder, file, config.to_string().as_bytes()).expect("as it was, it loads");
    let run = |changes: Vec<_>| load(&folder, file, changed(&config, &changes).to_string().as_bytes());
    TestRunner::new(cases(3_000)).run(&changes(), run).unwrap();
}

fn damaged_text(family: &str) {
    let (folder, file, config) = copy(family);
    let good = config.to_string().into_bytes();
    let run = |(writes, end): (Vec<_>, usize)| load(&folder, file, &damaged(&good, &writes, end));
    TestRunner::new(cases(500)).run(&damage(), run).unwrap();
}

macro_rules! families {
    ($($family:ident)*) => { $(
        #[test]
        fn $family() {
            changed_keys(stringify!($family));
            damaged_text(stringify!($family));
        }
    )* };
}
families!(gpt2 gpt_neox llama tl_attn_only);

#[test]
fn models_from_nothing_keep_the_memory_limit() {
    let _alone = crate::allocations::MEMORY_LIMIT.lock().unwrap();
    let base = json!({
        "n_layers": 2, "d_model": 16, "n_ctx": 12, "d_head": 4, "n_heads": 4, "d_mlp": 24, "d_vocab": 13,
        "act_fn": "gelu_new", "normalization_type": "LN", "seed": 3, "positional_embedding_type": "rotary",
        "rotary_dim": 4, "gated_mlp": true, "n_key_value_heads": 2, "window_size": 3, "use_local_attn": true,
        "attn_types": ["local", "global"], "attn_scale": 2.0, "eps": 1e-5, "init_mode": "gpt2",
    });
    let before = memory::limit();
    memory::set_limit(LIMIT + memory::live_bytes());
    let outcome = TestRunner::new(cases(6_000)).run(&changes(), |changes| {
        let (model, peak) = peak(|| {
            let config = ModelConfig::from_json(&changed(&base, &changes))?;
            Model::new_random(config, &Device::Cpu)
        });
        prop_assert!(peak <= NAMES + 2 * LIMIT, "{peak} bytes");
        match model {
            Ok(model) => run(&model).map(drop),
            Err(error) => {
                let expected = ["unsupported_config", "memory_limit", "invalid_argument"];
                prop_assert!(expected.contains(&error.code()), "{}: {error}", error.code());
                Ok(())
            }
        }
    });
    memory::set_limit(before);
    outcome.unwrap();
}

#[test]
fn a_billion_layers_are_refused_at_once() {
    for (family, key) in [("gpt2", "n_layer"), ("gpt_neox", "num_hidden_layers"), ("llama", "num_hidden_layers")] {
        let (folder, file, mut config) = copy(family);
        config[key] = json!(1_000_000_000u64);
        std::fs::write(folder.path(file), config.to_string()).unwrap();
        let (model, peak) = peak(|| Model::load(&folder.path("."), &LoadOptions::default()));
        assert_eq!(model.err().map(|e| e.code()), Some("unsupported_config"), "{family}");
        assert!(peak < 1 << 20, "{family}: {peak} bytes");
    }
}

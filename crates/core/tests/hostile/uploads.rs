//! Files that are brought: damaged ones are refused exactly where they are refused in a folder.

use crate::allocations::peak;
use crate::cases;
use crate::deliver::{Delivery, deliver};
use crate::folder::Folder;
use crate::json::{damage, damaged};
use hooklens_core::load::write_tensors;
use hooklens_core::models::{LoadOptions, Model, ModelConfig};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

/// A model so small that most damage hits its header.
fn small() -> (Folder, Vec<u8>) {
    let config = json!({ "n_layers": 1, "d_model": 2, "n_ctx": 2, "d_head": 1, "d_vocab": 3, "act_fn": "relu" });
    let folder = Folder::new(&format!("hostile-upload-{:?}", std::thread::current().id()));
    std::fs::write(folder.path("tl_config.json"), config.to_string()).unwrap();
    let config = ModelConfig::from_json(&config).unwrap();
    let model = Model::new_random(config, &candle_core::Device::Cpu).unwrap();
    let tensors: Vec<_> = model.state_dict().unwrap().into_iter().collect();
    write_tensors(&folder.path("model.safetensors"), &tensors, &[]).unwrap();
    let bytes = std::fs::read(folder.path("model.safetensors")).unwrap();
    (folder, bytes)
}

#[test]
fn damaged_files_are_refused_as_in_a_folder() {
    let (folder, good) = small();
    let how = (damage(), any::<bool>(), 1usize..600, any::<bool>());
    let loaded = std::cell::Cell::new(0);
    TestRunner::new(cases(8_000))
        .run(&how, |((writes, end), whole, piece, sizes)| {
            let bytes = damaged(&good, &writes, if whole { good.len() } else { end });
            std::fs::write(folder.path("model.safetensors"), &bytes).unwrap();
            let read = Model::load(&folder.path("."), &LoadOptions::default());
            let delivery = Delivery { piece, sizes };
            let ((brought, _), peak) = peak(|| deliver(&folder.path("."), LoadOptions::default(), delivery));
            prop_assert!(peak <= (64 << 10) + 60 * bytes.len(), "{peak} bytes for a file of {}", bytes.len());
            match (read, brought) {
                (Ok(read), Ok(brought)) => {
                    loaded.set(loaded.get() + 1);
                    for (name, tensor) in read.state_dict().unwrap() {
                        let bits = |tensor: &hooklens_core::Tensor| -> Vec<u64> {
                            tensor.to_vec::<f64>().unwrap().into_iter().map(f64::to_bits).collect()
                        };
                        prop_assert_eq!(bits(&tensor), bits(&brought.parameter(&name).unwrap()));
                    }
                }
                // Where sizes are not told, another mistake of the same file may be found before its wrong end.
                (Err(_), Err(brought)) if !sizes => {
                    prop_assert!(
                        ["invalid_file", "weight_mismatch", "wrong_dtype"].contains(&brought.code()),
                        "{brought}"
                    );
                }
                (Err(read), Err(brought)) => prop_assert_eq!(read.code(), brought.code(), "{}; {}", read, brought),
                (read, brought) => prop_assert!(false, "{:?}; {:?}", read.err(), brought.err()),
            }
            Ok(())
        })
        .unwrap();
    assert!(loaded.get() > 100, "damage to numbers alone loads: {}", loaded.get());
}

//! The memory that loading takes: little more than the weights.

use crate::allocations::{MEMORY_LIMIT, peak};
use crate::deliver::{Delivery, deliver};
use crate::folder::Folder;
use hooklens_core::load::write_tensors;
use hooklens_core::models::{LoadOptions, Model, ModelConfig};
use hooklens_core::weights::Steps;
use hooklens_core::{DType, Error, Tensor, memory};
use serde_json::{Value, json};

const LAYERS: usize = 12;
const WIDTH: usize = 256;
const VOCABULARY: usize = 16_384;

/// GPT-NeoX, which stores queries, keys and values head by head, so that they have to be laid out anew. The embedding is
/// larger than the pieces in which weights are cast and processed.
fn tensors(dtype: DType, layers: usize) -> Vec<(String, Tensor)> {
    let mut tensors = Vec::new();
    let mut add = |name: String, dims: &[usize]| {
        let values: Vec<f32> = (0..dims.iter().product()).map(|i| (i % 97) as f32 / 970.0).collect();
        tensors.push((name, Tensor::from_slice(&values, dims).unwrap().to_dtype(dtype).unwrap()));
    };
    let mut affine = |name: String, dims: &[usize]| {
        add(format!("{name}.weight"), dims);
        add(format!("{name}.bias"), &dims[..1]);
    };
    for layer in (0..layers).map(|i| format!("gpt_neox.layers.{i}")) {
        affine(format!("{layer}.input_layernorm"), &[WIDTH]);
        affine(format!("{layer}.post_attention_layernorm"), &[WIDTH]);
        affine(format!("{layer}.attention.query_key_value"), &[3 * WIDTH, WIDTH]);
        affine(format!("{layer}.attention.dense"), &[WIDTH, WIDTH]);
        affine(format!("{layer}.mlp.dense_h_to_4h"), &[4 * WIDTH, WIDTH]);
        affine(format!("{layer}.mlp.dense_4h_to_h"), &[WIDTH, 4 * WIDTH]);
    }
    affine("gpt_neox.final_layer_norm".into(), &[WIDTH]);
    add("gpt_neox.embed_in.weight".into(), &[VOCABULARY, WIDTH]);
    add("embed_out.weight".into(), &[VOCABULARY, WIDTH]);
    tensors
}

fn write(folder: &Folder, tensors: &[(String, Tensor)], shards: usize, layers: usize, tied: bool) {
    let config = json!({
        "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "hidden_act": "gelu",
        "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 4, "num_hidden_layers": layers,
        "max_position_embeddings": 64, "vocab_size": VOCABULARY, "layer_norm_eps": 1e-5, "rotary_pct": 0.25,
        "rotary_emb_base": 10000, "use_parallel_residual": true, "tie_word_embeddings": tied,
    });
    std::fs::write(folder.path("config.json"), config.to_string()).unwrap();
    if shards == 1 {
        return write_tensors(&folder.path("model.safetensors"), tensors, &[]).unwrap();
    }
    let mut map = serde_json::Map::new();
    for (i, shard) in tensors.chunks(tensors.len().div_ceil(shards)).enumerate() {
        let file = format!("model-{i}.safetensors");
        write_tensors(&folder.path(&file), shard, &[]).unwrap();
        map.extend(shard.iter().map(|(name, _)| (name.clone(), Value::from(file.as_str()))));
    }
    std::fs::write(folder.path("model.safetensors.index.json"), json!({ "weight_map": map }).to_string()).unwrap();
}

/// A checkpoint, and how it is loaded.
struct Case {
    stored: DType,
    wanted: DType,
    shards: usize,
    layers: usize,
    tied: bool,
    process: Steps,
}

#[test]
fn loading_takes_at_most_a_fifth_more_than_the_weights() {
    let _alone = MEMORY_LIMIT.lock().unwrap();
    let (f32, f16) = (DType::F32, DType::F16);
    let plain = |stored, wanted, shards| Case {
        stored,
        wanted,
        shards,
        layers: LAYERS,
        tied: false,
        process: Steps::default(),
    };
    let processed = |layers, tied, wanted| Case { layers, tied, process: Steps::usual(), ..plain(f32, wanted, 1) };
    let processed_cases = [
        processed(LAYERS, false, f32),
        processed(LAYERS, false, f16),
        // Tied matrices are two once they are processed.
        processed(LAYERS, true, f32),
        // A block is a large part of the model.
        processed(2, false, f32),
        processed(2, true, f16),
    ];
    let cases = CASES.map(|(stored, wanted, shards)| plain(stored, wanted, shards)).into_iter().chain(processed_cases);
    for (i, Case { stored, wanted, shards, layers, tied, process }) in cases.enumerate() {
        let folder = Folder::new(&format!("peak-{i}"));
        let mut tensors = tensors(stored, layers);
        let elements: usize = tensors.iter().map(|(_, tensor)| tensor.elem_count()).sum();
        if tied {
            tensors.retain(|(name, _)| name != "embed_out.weight");
        }
        write(&folder, &tensors, shards, layers, tied);
        drop(tensors);
        let options = LoadOptions { dtype: wanted, process, ..LoadOptions::default() };
        let (model, peak) = peak(|| Model::load(&folder.path("."), &options).unwrap());
        assert_eq!((model.dtype(), model.processing()), (wanted, process));
        let size = if wanted == DType::F16 { 2 } else { 4 };
        let ratio = peak as f64 / (elements * size) as f64;
        assert!((1.0..=1.2).contains(&ratio), "case {i}: {ratio:.3} times the weights");
    }
}

/// A GPT-NeoX of so many files, and how many elements its weights have.
fn checkpoint(name: &str, stored: DType, shards: usize) -> (Folder, usize) {
    let folder = Folder::new(&format!("{name}-{}-{shards}", stored.name()));
    let tensors = tensors(stored, LAYERS);
    write(&folder, &tensors, shards, LAYERS, false);
    (folder, tensors.iter().map(|(_, tensor)| tensor.elem_count()).sum())
}

/// Stored as, loaded as, from so many files.
const CASES: [(DType, DType, usize); 6] = [
    (DType::F32, DType::F32, 1),
    (DType::F32, DType::F32, 3),
    (DType::F16, DType::F32, 1),
    (DType::F16, DType::F16, 1),
    (DType::F16, DType::F16, 3),
    (DType::F32, DType::F16, 3),
];

#[test]
fn files_that_are_brought_take_at_most_a_fifth_more_than_the_weights() {
    let _alone = MEMORY_LIMIT.lock().unwrap();
    let delivery = Delivery { piece: 65_537, sizes: true };
    for (stored, wanted, shards) in CASES {
        let (folder, elements) = checkpoint("peak-brought", stored, shards);
        let options = LoadOptions { dtype: wanted, ..LoadOptions::default() };
        let (model, peak) = peak(|| deliver(&folder.path("."), options, delivery).0.unwrap());
        assert_eq!(model.dtype(), wanted);
        let ratio = peak as f64 / (elements * wanted.size()) as f64;
        let what = format!("{} as {} from {shards} files", stored.name(), wanted.name());
        assert!((1.0..=1.2).contains(&ratio), "{what}: {ratio:.3} times the weights");
    }
}

#[test]
fn weights_over_the_limit_are_refused_before_they_are_asked_for() {
    let (folder, elements) = checkpoint("over-the-limit", DType::F16, 3);
    let _alone = MEMORY_LIMIT.lock().unwrap();
    let limit = memory::live_bytes() + 2 * elements;
    memory::set_limit(limit);
    let options = LoadOptions::default();
    let ((model, asked), peak) = peak(|| deliver(&folder.path("."), options, Delivery { piece: 65_536, sizes: true }));
    memory::set_limit(0);
    assert!(asked.is_empty() && peak < 1 << 20, "{peak} bytes, {asked:?}");
    match model.err() {
        Some(error @ Error::MemoryLimit { requested, limit: told, .. }) => {
            assert_eq!((requested, told), (4 * elements, limit));
            assert!(error.to_string().starts_with("weights of"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_upload_that_fails_frees_what_has_come() {
    let (folder, elements) = checkpoint("cut-short", DType::F32, 1);
    let path = folder.path("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let ((model, live), peak) = peak(|| {
        let before = memory::thread_bytes();
        let (model, _) = deliver(&folder.path("."), LoadOptions::default(), Delivery { piece: 99_999, sizes: false });
        (model.err(), memory::thread_bytes() - before)
    });
    assert_eq!(model.map(|error| error.code()), Some("invalid_file"));
    assert!(peak > 3 * elements, "nearly all had come: {peak}");
    assert!(live < 1 << 16, "{live} bytes are still held");
}

#[test]
fn the_references_own_form_takes_at_most_a_fifth_more_than_the_weights() {
    let _alone = MEMORY_LIMIT.lock().unwrap();
    let plain = json!({});
    let attn_only = json!({ "attn_only": true });
    let grouped = json!({ "n_key_value_heads": 2, "gated_mlp": true });
    // Blocks are nearly all of these models, and attention is all of some of their blocks.
    for (layers, changes) in [(6, &plain), (1, &plain), (1, &attn_only), (2, &grouped)] {
        let mut json = json!({
            "n_layers": layers, "d_model": 512, "n_ctx": 8, "d_head": 64, "n_heads": 8, "d_vocab": 16,
            "act_fn": "relu", "seed": 1,
        });
        json.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let folder = Folder::new(&format!("peak-native-{layers}"));
        let config = ModelConfig::from_json(&json).unwrap();
        let stored: Vec<(String, Tensor)> =
            Model::new_random(config, &candle_core::Device::Cpu).unwrap().state_dict().unwrap().into_iter().collect();
        let elements: usize = stored.iter().map(|(_, tensor)| tensor.elem_count()).sum();
        std::fs::write(folder.path("tl_config.json"), json.to_string()).unwrap();
        write_tensors(&folder.path("model.safetensors"), &stored, &[]).unwrap();
        for wanted in [DType::F32, DType::F16] {
            let options = LoadOptions { dtype: wanted, ..LoadOptions::default() };
            let (model, peak) = peak(|| Model::load(&folder.path("."), &options).unwrap());
            let ratio = peak as f64 / (elements * wanted.size()) as f64;
            assert!((1.0..=1.2).contains(&ratio), "{layers} layers, {changes}: {ratio:.3} times the weights");
            for (name, tensor) in &stored {
                let expected = tensor.to_dtype(wanted).unwrap().to_vec::<f32>().unwrap();
                assert_eq!(model.parameter(name).unwrap().to_vec::<f32>().unwrap(), expected, "{name}");
            }
        }
    }
}

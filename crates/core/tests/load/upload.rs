//! Models whose files are brought: exactly those that are read from a folder.

use crate::code;
use crate::deliver::{Delivery, deliver};
use crate::folder::Folder;
use hooklens_core::load::{LoadProgress, write_tensors};
use hooklens_core::models::{LoadOptions, Model, Need, Upload};
use hooklens_core::weights::Steps;
use hooklens_core::{DType, Error, Tensor};
use std::path::{Path, PathBuf};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden")
}

/// Every folder of a model below the fixtures.
fn folders() -> Vec<PathBuf> {
    let below = |root: PathBuf| std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let folders = below(golden()).chain(below(golden().join("hf")));
    folders.filter(|path| path.join("expected.safetensors").exists()).collect()
}

/// Both fail with the same words about the checkpoint, or both give the same weights and notices.
fn assert_equal(what: &str, read: &Result<Model, Error>, brought: &Result<Model, Error>) {
    match (read, brought) {
        (Ok(read), Ok(brought)) => {
            assert_eq!(read.notices(), brought.notices(), "{what}");
            let (read, brought) = (read.state_dict().unwrap(), brought.state_dict().unwrap());
            assert!(read.keys().eq(brought.keys()), "{what}");
            for (name, tensor) in &read {
                let other = &brought[name];
                assert_eq!((tensor.dtype(), tensor.dims()), (other.dtype(), other.dims()), "{what}: {name}");
                let bits = |tensor: &Tensor| -> Vec<u64> {
                    tensor.to_vec::<f64>().unwrap().into_iter().map(f64::to_bits).collect()
                };
                assert_eq!(bits(tensor), bits(other), "{what}: {name}");
            }
        }
        (Err(read), Err(brought)) => assert_eq!(read.code(), brought.code(), "{what}: {read}; {brought}"),
        (read, brought) => panic!("{what}: {:?}, but {:?}", read.as_ref().err(), brought.as_ref().err()),
    }
}

#[test]
fn what_is_brought_is_what_is_read() {
    let mut loaded = 0;
    for folder in folders() {
        for (i, dtype) in [DType::F32, DType::F16, DType::BF16, DType::F64].into_iter().enumerate() {
            let options = |process| LoadOptions { dtype, process, ..LoadOptions::default() };
            let process = if dtype == DType::F32 { Steps::usual() } else { Steps::default() };
            // Pieces that cut elements in two, and that hold many tensors.
            let delivery = Delivery { piece: [7, 4096, 1 << 20, 33][i], sizes: i % 2 == 0 };
            let read = Model::load(&folder, &options(process));
            let (brought, _) = deliver(&folder, options(process), delivery);
            assert_equal(&format!("{folder:?} as {}", dtype.name()), &read, &brought);
            loaded += usize::from(read.is_ok());
        }
    }
    assert!(loaded >= 4 * 13, "only {loaded} loads");
}

#[test]
fn only_what_is_needed_is_asked_for() {
    let size = |folder: &Path| -> u64 {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let weights = files.filter(|file| file.file_name().to_string_lossy().starts_with("model"));
        weights.map(|file| file.metadata().unwrap().len()).sum()
    };
    for name in ["gpt2", "gpt2_sharded", "gpt_neox", "llama", "tl_attn_only"] {
        let folder = golden().join(name);
        let options = LoadOptions { first_n_layers: Some(1), n_ctx: Some(3), ..LoadOptions::default() };
        let progress = options.progress.clone();
        let read = Model::load(&folder, &options);
        let read_bytes = progress.bytes();
        let (brought, asked) = deliver(&folder, options, Delivery { piece: 1000, sizes: true });
        assert_equal(name, &read, &brought);
        let bytes: u64 = asked.iter().map(|(_, bytes)| bytes).sum();
        assert!(bytes < size(&folder), "{name}: {asked:?}");
        assert_eq!(progress.bytes(), (bytes, bytes), "{name}: the fixtures hold floats of 32 bits");
        assert_eq!(read_bytes, (bytes, bytes), "{name}: as much is read as is brought");
    }
}

/// A copy of the GPT-2 fixture whose weights were changed.
fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Folder {
    let folder = Folder::new(name);
    let mut weights = std::fs::read(golden().join("gpt2/model.safetensors")).unwrap();
    change(&mut weights);
    std::fs::copy(golden().join("gpt2/config.json"), folder.path("config.json")).unwrap();
    std::fs::write(folder.path("model.safetensors"), weights).unwrap();
    folder
}

#[test]
fn sizes_that_disagree_are_refused_with_their_numbers() {
    let length = std::fs::metadata(golden().join("gpt2/model.safetensors")).unwrap().len() as usize;
    let message = |folder: &Folder, sizes: bool| {
        let options = LoadOptions::default();
        let (model, _) = deliver(&folder.path("."), options, Delivery { piece: 5000, sizes });
        match model.err() {
            Some(Error::InvalidFile { detail, .. }) => detail,
            other => panic!("{other:?}"),
        }
    };
    let short = changed("upload-short", |bytes| bytes.truncate(length - 10));
    assert!(
        message(&short, true).contains("bytes 0 to") || message(&short, true).contains("within"),
        "{}",
        message(&short, true)
    );
    let ended = message(&short, false);
    assert!(
        ended.contains(&format!("ends after {} bytes", length - 10)) && ended.contains(&length.to_string()),
        "{ended}"
    );
    let long = changed("upload-long", |bytes| bytes.extend([0; 10]));
    for sizes in [true, false] {
        assert!(message(&long, sizes).contains("of which its tensors describe"), "{}", message(&long, sizes));
    }
    for end in [0, 7, 100] {
        let cut = changed(&format!("upload-cut-{end}"), |bytes| bytes.truncate(end));
        for sizes in [true, false] {
            let text = message(&cut, sizes);
            assert!(text.contains("at least 8") || text.contains("only 92 follow"), "{text}");
        }
    }
    let pointer = changed("upload-lfs", |bytes| {
        *bytes = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n".to_vec();
    });
    assert!(message(&pointer, true).contains("git lfs pull"));
}

#[test]
fn a_shard_of_another_checkpoint_is_refused() {
    let folder = Folder::new("upload-shards");
    for entry in std::fs::read_dir(golden().join("gpt2_sharded")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let shard = |i: usize| folder.path(&format!("model-0000{i}-of-00004.safetensors"));
    std::fs::copy(shard(2), shard(3)).unwrap();
    let delivery = Delivery { piece: 4096, sizes: true };
    let (model, asked) = deliver(&folder.path("."), LoadOptions::default(), delivery);
    assert_eq!(code(model), "weight_mismatch");
    assert!(asked.is_empty(), "no weights were asked for: {asked:?}");
    std::fs::remove_file(shard(3)).unwrap();
    let (model, _) = deliver(&folder.path("."), LoadOptions::default(), delivery);
    assert_eq!(code(model), "missing_file");
    std::fs::write(folder.path("model.safetensors.index.json"), r#"{"weight_map":{"x":"../x.safetensors"}}"#).unwrap();
    let (model, _) = deliver(&folder.path("."), LoadOptions::default(), delivery);
    assert_eq!(code(model), "invalid_file");
    std::fs::remove_file(folder.path("model.safetensors.index.json")).unwrap();
    let (model, _) = deliver(&folder.path("."), LoadOptions::default(), delivery);
    let error = model.err().unwrap();
    assert!(error.code() == "missing_file" && error.to_string().contains("pickled"), "{error}");
}

/// An upload of the GPT-2 fixture that needs ranges now, and the whole file.
fn begun(options: LoadOptions) -> (Upload, Vec<u8>) {
    let folder = golden().join("gpt2");
    let mut upload = Upload::new(options);
    upload.absent(Path::new("tl_config.json")).unwrap();
    upload.text(Path::new("config.json"), &std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    upload.start(Path::new("model.safetensors"), None, &weights).unwrap();
    (upload, weights)
}

fn ranges(upload: &mut Upload) -> Vec<std::ops::Range<u64>> {
    match upload.need().unwrap() {
        Some(Need::Ranges { ranges, .. }) => ranges,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_missing_is_asked_for_again() {
    let (mut upload, weights) = begun(LoadOptions::default());
    let whole = ranges(&mut upload);
    assert_eq!(whole.len(), 1, "all that lies side by side is one range");
    let (start, end) = (whole[0].start, whole[0].end);
    assert_eq!(end, weights.len() as u64);
    let mut at = start;
    for step in [1, 3, 1000, 0, 77_777] {
        upload.feed(&weights[at as usize..(at + step) as usize]).unwrap();
        at += step;
        assert_eq!(ranges(&mut upload), vec![at..end; 1]);
    }
    upload.feed(&weights[at as usize..]).unwrap();
    assert_eq!(upload.need().unwrap(), None);
    let read = Model::load(&golden().join("gpt2"), &LoadOptions::default());
    assert_equal("in steps", &read, &upload.finish());
    assert_eq!(code(upload.finish()), "invalid_argument", "a model is taken once");
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let x = Path::new("x");
    let mut upload = Upload::new(LoadOptions::default());
    assert_eq!(code(upload.feed(&[1])), "invalid_argument");
    assert_eq!(code(upload.need()), "invalid_argument", "nothing comes of an upload that has failed");
    for wrong in [
        |upload: &mut Upload| upload.start(Path::new("x"), None, &[0; 100]),
        |upload: &mut Upload| upload.end(7),
        |upload: &mut Upload| upload.text(Path::new("x"), b"not json"),
        |upload: &mut Upload| upload.text(Path::new("x"), b"{}"),
        |upload: &mut Upload| upload.finish().map(|_| ()),
    ] {
        let mut upload = Upload::new(LoadOptions::default());
        let code = code(wrong(&mut upload));
        assert!(["invalid_argument", "invalid_file", "unsupported_config"].contains(&code), "{code}");
    }
    let (mut upload, weights) = begun(LoadOptions::default());
    assert_eq!(code(upload.text(x, b"{}")), "invalid_argument");
    assert_eq!(code(upload.feed(&weights)), "invalid_argument");
    let (mut upload, mut weights) = begun(LoadOptions::default());
    weights.push(0);
    let start = ranges(&mut upload)[0].start as usize;
    let error = upload.feed(&weights[start..]).unwrap_err();
    assert!(error.to_string().contains("1 bytes more"), "{error}");
    let (mut upload, _) = begun(LoadOptions::default());
    assert_eq!(code(upload.finish()), "invalid_argument");
    let (mut upload, _) = begun(LoadOptions::default());
    assert_eq!(code(upload.absent(x)), "missing_file");
}

#[test]
fn a_cancelled_upload_stops() {
    let options = LoadOptions::default();
    let progress = options.progress.clone();
    let (mut upload, weights) = begun(options);
    let start = ranges(&mut upload)[0].start as usize;
    upload.feed(&weights[start..start + 100_000]).unwrap();
    progress.cancel();
    assert_eq!(code(upload.feed(&weights[start + 100_000..start + 100_001])), "cancelled");
    assert!(upload.need().is_err());
    let (mut upload, _) = begun(LoadOptions::default());
    upload.progress().cancel();
    assert_eq!(code(upload.need()), "cancelled");
    assert_eq!(code(upload.finish()), "cancelled");
}

#[test]
fn weights_that_are_no_floats_are_refused_before_they_are_asked_for() {
    let folder = changed("upload-integers", |_| {});
    let (mut tensors, _) = hooklens_core::load::read_tensors(&folder.path("model.safetensors")).unwrap();
    for (name, tensor) in &mut tensors {
        if name.ends_with("wpe.weight") {
            *tensor = tensor.to_dtype(DType::I64).unwrap();
        }
    }
    write_tensors(&folder.path("model.safetensors"), &tensors, &[]).unwrap();
    let (model, asked) = deliver(&folder.path("."), LoadOptions::default(), Delivery { piece: 99, sizes: true });
    let error = model.err().unwrap();
    assert!(error.code() == "wrong_dtype" && error.to_string().contains("wpe.weight"), "{error}");
    assert!(asked.is_empty());
    assert_eq!(code(Model::load(&folder.path("."), &LoadOptions::default())), "wrong_dtype");
}

#[test]
fn progress_counts_what_has_come() {
    let options = LoadOptions { dtype: DType::F16, ..LoadOptions::default() };
    let progress: std::sync::Arc<LoadProgress> = options.progress.clone();
    let (mut upload, weights) = begun(options);
    let start = ranges(&mut upload)[0].start as usize;
    let total = (weights.len() - start) as u64 / 2;
    assert_eq!(progress.bytes(), (0, total), "in the dtype that they are loaded as");
    upload.feed(&weights[start..start + 1001]).unwrap();
    assert_eq!(progress.bytes(), (500, total));
    upload.feed(&weights[start + 1001..]).unwrap();
    assert_eq!(progress.bytes(), (total, total));
    assert_eq!(upload.finish().unwrap().dtype(), DType::F16);
}

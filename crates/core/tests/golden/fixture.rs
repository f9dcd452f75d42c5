//! A fixture's folder and files.

use hooklens_core::load::read_tensors;
use hooklens_core::{Error, Tensor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) type Tensors = BTreeMap<String, Tensor>;

pub(crate) fn root() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden");
    std::env::var_os("HOOKLENS_GOLDEN").map_or_else(default, PathBuf::from)
}

/// Every folder below `root` that holds a model and what it should compute.
pub(crate) fn folders(root: &Path) -> Vec<Fixture> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap_or_else(|e| panic!("{root:?}: {e}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected.safetensors").exists())
        .collect();
    folders.sort();
    folders.into_iter().map(|folder| Fixture { folder }).collect()
}

pub(crate) struct Fixture {
    pub(crate) folder: PathBuf,
}

impl Fixture {
    pub(crate) fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// `model_type`, or `tl` for a reference-native folder.
    pub(crate) fn family(&self) -> String {
        if self.folder.join("tl_config.json").exists() {
            return "tl".into();
        }
        self.json("config.json")["model_type"].as_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.join(file)).unwrap()).unwrap()
    }

    /// The tensors of a file, if it is there.
    pub(crate) fn tensors(&self, file: &str) -> Option<Tensors> {
        let path = self.folder.join(file);
        path.exists().then(|| read_tensors(&path).unwrap().0.into_iter().collect())
    }

    /// Whether `refusable.json` beside the folder allows this error for this fixture.
    pub(crate) fn may_refuse(&self, error: &Error) -> bool {
        let Error::UnsupportedConfig { key, .. } = error else { return false };
        let Ok(text) = std::fs::read(self.folder.with_file_name("refusable.json")) else { return false };
        let refusable: Value = serde_json::from_slice(&text).unwrap();
        refusable[self.name()]["keys"].as_array().is_some_and(|keys| keys.iter().any(|k| k.as_str() == Some(key)))
    }
}

//! A checkpoint in several files, held together by `model.safetensors.index.json`.

use super::index::{MAX_INDEX_BYTES, parse_index};
use super::{LoadProgress, SafetensorsFile, WeightSource, no_such_weight, read_json};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use candle_core::Device;
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// The shards of one checkpoint. The index is the truth: tensors that it does not name do not exist.
pub struct ShardedFiles {
    path: PathBuf,
    files: Vec<SafetensorsFile>,
    /// Tensor name to its file's place in `files`.
    by_name: IndexMap<String, usize>,
}

impl ShardedFiles {
    /// Opens every shard that an index names.
    ///
    /// # Errors
    /// `missing_file` for a shard that is not there; `invalid_file` for an index of another form, or one that points
    /// outside its folder; `weight_mismatch` for a tensor that its shard does not hold.
    pub fn open(index: &Path) -> Result<Self> {
        let folder = index.parent().unwrap_or(Path::new("."));
        let shards = parse_index(&read_json(index, MAX_INDEX_BYTES)?, index)?;
        let mut files = Vec::with_capacity(shards.len());
        let mut by_name = IndexMap::new();
        for (shard, tensors) in shards {
            let file = SafetensorsFile::open(&inside(folder, &shard, index)?)?;
            for tensor in tensors {
                if !file.contains(&tensor) {
                    return Err(no_such_weight(&tensor, &file));
                }
                by_name.insert(tensor, files.len());
            }
            files.push(file);
        }
        Ok(Self { path: index.into(), files, by_name })
    }

    fn file(&self, name: &str) -> Option<&SafetensorsFile> {
        self.by_name.get(name).and_then(|&i| self.files.get(i))
    }
}

/// The path of a shard, once it is certain that no link leads out of the folder.
fn inside(folder: &Path, shard: &str, index: &Path) -> Result<PathBuf> {
    let outside = |detail: String| Error::InvalidFile { path: index.into(), detail };
    let path = folder.join(shard);
    let resolve = |p: &Path| {
        p.canonicalize().map_err(|e| Error::MissingFile {
            path: p.into(),
            detail: format!("{:?} names this file: {e}", index.file_name().unwrap_or_default()),
        })
    };
    let (root, target) = (resolve(folder)?, resolve(&path)?);
    if target.starts_with(&root) || hub_blobs(&root).is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(path);
    }
    Err(outside(format!("points at '{shard}', a link that leads outside its folder, to {target:?}")))
}

/// The hub's download cache keeps `snapshots/<revision>/` full of links into `blobs/` beside it: those are at home.
fn hub_blobs(root: &Path) -> Option<PathBuf> {
    let snapshots = root.parent()?;
    (snapshots.file_name()? == "snapshots").then(|| snapshots.with_file_name("blobs"))
}

impl WeightSource for ShardedFiles {
    fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.file(name)?.shape(name)
    }

    fn read(
        &self,
        name: &str,
        rows: Option<usize>,
        dtype: Option<DType>,
        device: &Device,
        progress: &LoadProgress,
    ) -> Result<Tensor> {
        self.file(name).ok_or_else(|| no_such_weight(name, self))?.read(name, rows, dtype, device, progress)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

//! Reading and writing weights. Files are hostile until proven otherwise: sizes, offsets, shapes and names are checked
//! against the file before anything is allocated for them, and a sharded index cannot lead outside its folder.
//!
//! [`open_folder`] gives a [`WeightSource`] over `model.safetensors`, or over the shards that
//! `model.safetensors.index.json` names. Files are memory-mapped, and each tensor is copied (and cast) once when it is
//! asked for, so that loading needs little more memory than the weights themselves. [`fed`] is the same over files whose
//! bytes somebody else brings: from a network, or from what a user dropped on a page.

pub(crate) mod fed;
mod file;
mod header;
pub(crate) mod index;
mod intake;
mod json;
mod progress;
mod save;
mod shards;

pub use file::SafetensorsFile;
pub(crate) use json::parse_json;
pub use json::read_json;
pub use progress::LoadProgress;
pub use save::{encode_tensors, write_tensors};
pub use shards::ShardedFiles;

use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use candle_core::Device;
use std::fs::File;
use std::path::Path;

/// The weights of a checkpoint in one file.
pub(crate) const SINGLE_FILE: &str = "model.safetensors";
/// The list of the files of a checkpoint in several.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

/// Named tensors in files, whatever the format.
pub trait WeightSource: Send + Sync {
    /// All names, in the order of the files.
    fn names(&self) -> Vec<&str>;

    /// The shape of a tensor, if it is there.
    fn shape(&self, name: &str) -> Option<&[usize]>;

    /// Copies a tensor to `device`: only its first `rows`, if so many are given, and as `dtype` if one is given and
    /// otherwise as it is stored. The other rows are not read, and `progress` counts none of them.
    ///
    /// # Errors
    /// `weight_mismatch` if there is no such tensor; `wrong_dtype` if it is stored in a form that cannot be read;
    /// `cancelled`.
    fn read(
        &self,
        name: &str,
        rows: Option<usize>,
        dtype: Option<DType>,
        device: &Device,
        progress: &LoadProgress,
    ) -> Result<Tensor>;

    /// Where it comes from, for error messages.
    fn path(&self) -> &Path;

    /// Whether there is a tensor of that name.
    fn contains(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }
}

/// Fails with `no_file_system` in a browser's WebAssembly, where every path would seem not to exist.
pub(crate) fn require_files(path: &Path) -> Result<()> {
    if cfg!(all(target_family = "wasm", target_os = "unknown")) {
        return Err(Error::NoFileSystem { path: path.into() });
    }
    Ok(())
}

/// Opens a file and gives its size. Only a regular file is opened: a pipe would wait for its other end, and a device may
/// have no end.
///
/// # Errors
/// `missing_file` if it cannot be opened; `invalid_file` if it is something else than a regular file.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64)> {
    require_files(path)?;
    let missing = |e: std::io::Error| Error::MissingFile { path: path.into(), detail: e.to_string() };
    let found = std::fs::metadata(path).map_err(missing)?;
    if !found.is_file() {
        return Err(Error::InvalidFile { path: path.into(), detail: "is not a regular file".into() });
    }
    Ok((File::open(path).map_err(missing)?, found.len()))
}

/// The weights in a model's folder: `model.safetensors`, or else the shards of `model.safetensors.index.json`.
///
/// # Errors
/// `missing_file` if there is neither; `invalid_file` if what is there is not what it claims to be.
pub fn open_folder(folder: &Path) -> Result<Box<dyn WeightSource>> {
    require_files(folder)?;
    if !folder.is_dir() {
        return Err(Error::MissingFile { path: folder.into(), detail: "there is no such folder".into() });
    }
    let single = folder.join(SINGLE_FILE);
    if single.exists() {
        return Ok(Box::new(SafetensorsFile::open(&single)?));
    }
    let index = folder.join(INDEX_FILE);
    if index.exists() {
        return Ok(Box::new(ShardedFiles::open(&index)?));
    }
    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].iter().any(|name| folder.join(name).exists());
    let detail = if pickled {
        "there are only pickled weights (pytorch_model.bin), which can run code when read; convert them to model.safetensors"
    } else {
        "neither model.safetensors nor model.safetensors.index.json is in this folder"
    };
    Err(Error::MissingFile { path: folder.into(), detail: detail.into() })
}

/// Tensors by name, in the order in which they are stored.
pub type NamedTensors = Vec<(String, Tensor)>;

/// Free-form pairs, in no particular order.
pub type Metadata = Vec<(String, String)>;

/// All tensors of one safetensors file, and the file's metadata.
pub fn read_tensors(path: &Path) -> Result<(NamedTensors, Metadata)> {
    let file = SafetensorsFile::open(path)?;
    let progress = LoadProgress::default();
    let tensors = file
        .names()
        .into_iter()
        .map(|name| Ok((name.to_owned(), file.read(name, None, None, &Device::Cpu, &progress)?)))
        .collect::<Result<_>>()?;
    Ok((tensors, file.metadata().to_vec()))
}

/// [`read_tensors`] where there is no file system: `bytes` are the whole file, `location` is for error messages.
///
/// # Errors
/// `invalid_file`, with the numbers, for what is no such file.
pub fn decode_tensors(location: &Path, bytes: &[u8]) -> Result<(NamedTensors, Metadata)> {
    file::decode_file(location, bytes)
}

/// The `weight_mismatch` for a name that a source does not have.
pub(crate) fn no_such_weight(name: &str, source: &dyn WeightSource) -> Error {
    not_among(name, source.names(), source.path())
}

/// The `weight_mismatch` for a name that is not among those of a file.
fn not_among<'a>(name: &str, names: impl IntoIterator<Item = &'a str>, path: &Path) -> Error {
    let nearest = crate::error::nearest(name, names);
    Error::weight_mismatch(name, format!("is not in {path:?}; nearest: {nearest:?}"))
}

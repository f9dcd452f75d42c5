//! Safetensors files whose bytes somebody else brings. They are checked as files on disk are; there is no file system here
//! and nothing is mapped, so this works wherever bytes can come from.
//!
//! A [`FedFile`] begins with its header. Once those of all files are there, [`FedFiles::deliveries`] says which bytes of
//! which file are needed, and each tensor is cast while its bytes come: [`Delivery::feed`]. [`FedFiles`] is then the
//! [`WeightSource`] of what has come, which it hands out once: a model is made of these very buffers.

use super::header::{self, Header};
use super::intake::{Intake, float};
use super::{LoadProgress, WeightSource, no_such_weight, not_among};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use candle_core::Device;
use indexmap::IndexMap;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file of which the header has come.
pub(crate) struct FedFile {
    /// As an index names it.
    name: String,
    /// Where it comes from, for error messages.
    location: PathBuf,
    header: Header,
}

/// What the first bytes of a file are good for.
pub(crate) enum Start {
    /// The header is complete.
    Complete(FedFile),
    /// So many bytes are needed, from the file's first on.
    Needs(u64),
}

/// How many bytes to ask for first.
pub(crate) const FIRST_BYTES: u64 = header::LENGTH_BYTES;

impl FedFile {
    /// Reads the header in a file's first bytes, of which more may come than needed. `size` is the whole file's, if known.
    ///
    /// # Errors
    /// `invalid_file`, with the numbers, if the header makes no sense or disagrees with the size.
    pub(crate) fn start(name: &str, location: &Path, size: Option<u64>, bytes: &[u8]) -> Result<Start> {
        let invalid = |detail: String| Error::InvalidFile { path: location.into(), detail };
        let end = header::end(bytes, size).map_err(invalid)?;
        let Some(start) = usize::try_from(end).ok().and_then(|end| bytes.get(..end)) else {
            return Ok(Start::Needs(end));
        };
        let header = header::parse_start(start, size).map_err(invalid)?;
        Ok(Start::Complete(Self { name: name.to_owned(), location: location.into(), header }))
    }

    /// The name that it was asked for by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Fails unless the file, which turned out to be so long, is as long as its header says.
    ///
    /// # Errors
    /// `invalid_file`, with the numbers.
    pub(crate) fn check_size(&self, size: u64) -> Result<()> {
        let described = self.header.file_size();
        if size < described {
            let detail = format!("ends after {size} bytes; its header describes {described}");
            return Err(self.invalid(detail));
        }
        self.header.check_size(size).map_err(|detail| self.invalid(detail))
    }

    fn invalid(&self, detail: String) -> Error {
        Error::InvalidFile { path: self.location.clone(), detail }
    }
}

/// The files of one checkpoint, and those of their tensors that have come and were not asked for yet.
pub(crate) struct FedFiles {
    path: PathBuf,
    files: Vec<FedFile>,
    /// Tensor name to its file's place, and to its own place there.
    by_name: IndexMap<String, (usize, usize)>,
    come: Mutex<HashMap<String, Tensor>>,
}

impl FedFiles {
    /// A checkpoint in one file.
    pub(crate) fn single(file: FedFile) -> Self {
        let names = file.header.tensors.iter().enumerate();
        let by_name = names.map(|(i, (name, _))| (name.clone(), (0, i))).collect();
        Self { path: file.location.clone(), files: vec![file], by_name, come: Mutex::default() }
    }

    /// A checkpoint in several files. The index is the truth: tensors that it does not name do not exist.
    ///
    /// # Errors
    /// `weight_mismatch` for a tensor that its shard does not hold.
    pub(crate) fn sharded(path: PathBuf, shards: IndexMap<String, Vec<String>>, files: Vec<FedFile>) -> Result<Self> {
        let mut source = Self { path, files, by_name: IndexMap::new(), come: Mutex::default() };
        for (place, (shard, tensors)) in shards.into_iter().enumerate() {
            let absent = || Error::Internal { detail: format!("the header of '{shard}' did not come in its turn") };
            let file = source.files.get(place).filter(|file| file.name == shard).ok_or_else(absent)?;
            let places: HashMap<&str, usize> =
                file.header.tensors.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)).collect();
            for tensor in tensors {
                let Some(&i) = places.get(tensor.as_str()) else {
                    return Err(not_among(&tensor, places.into_keys(), &file.location));
                };
                source.by_name.insert(tensor, (place, i));
            }
        }
        Ok(source)
    }

    fn info(&self, name: &str) -> Option<(&FedFile, &header::TensorInfo)> {
        let &(file, tensor) = self.by_name.get(name)?;
        let file = self.files.get(file)?;
        file.header.tensors.get(tensor).map(|(_, info)| (file, info))
    }

    /// What must come of each file, in the order of the files and of their bytes: the first rows of the wanted tensors, so
    /// many that they have the wanted shapes.
    ///
    /// # Errors
    /// `wrong_dtype` for a tensor that does not hold floats.
    pub(crate) fn deliveries(&self, wanted: &IndexMap<String, Vec<usize>>) -> Result<VecDeque<Delivery>> {
        let mut deliveries: Vec<Vec<(usize, Expected)>> = self.files.iter().map(|_| Vec::new()).collect();
        for (name, dims) in wanted {
            let missing = || no_such_weight(name, self);
            let &(file, place) = self.by_name.get(name).ok_or_else(missing)?;
            let (holder, info) = self.info(name).ok_or_else(missing)?;
            let stored = float(info.dtype).ok_or_else(|| Error::WrongDtype {
                op: "load",
                expected: format!("floats in '{name}'"),
                got: info.dtype.to_string(),
            })?;
            let stored_range = holder.header.range(info);
            let len = dims.iter().fold(stored.size_in_bytes() as u64, |n, &d| n.saturating_mul(d as u64));
            let end = stored_range.start.saturating_add(len).min(stored_range.end);
            let expected = Expected { name: name.clone(), stored, dims: dims.clone(), range: stored_range.start..end };
            if let Some(list) = deliveries.get_mut(file) {
                list.push((place, expected));
            }
        }
        let in_order = deliveries.into_iter().enumerate().map(|(file, mut list)| {
            crate::order::sort_by_key(&mut list, |(place, _)| *place as u64);
            let expected = list.into_iter().map(|(_, expected)| expected).collect();
            Delivery { file, expected, intake: None }
        });
        Ok(in_order.filter(|delivery| !delivery.expected.is_empty()).collect())
    }

    /// The file of a delivery.
    pub(crate) fn file(&self, delivery: &Delivery) -> Result<&FedFile> {
        let absent = || Error::Internal { detail: format!("there is no file {}", delivery.file) };
        self.files.get(delivery.file).ok_or_else(absent)
    }

    fn keep(&self, name: String, tensor: Tensor) {
        self.come.lock().unwrap_or_else(PoisonError::into_inner).insert(name, tensor);
    }
}

impl WeightSource for FedFiles {
    fn names(&self) -> Vec<&str> {
        self.by_name.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.info(name).map(|(_, info)| info.shape.as_slice())
    }

    /// Hands out a tensor that has come, which is then no longer here.
    fn read(
        &self,
        name: &str,
        rows: Option<usize>,
        dtype: Option<DType>,
        device: &Device,
        progress: &LoadProgress,
    ) -> Result<Tensor> {
        progress.check()?;
        let come = self.come.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let tensor = come.ok_or_else(|| no_such_weight(name, self))?;
        if dtype.is_some_and(|dtype| dtype != tensor.dtype()) {
            return Err(Error::Internal { detail: format!("'{name}' was cast to another dtype than is asked for") });
        }
        if rows.is_some_and(|rows| tensor.dims().first() != Some(&rows)) {
            return Err(Error::Internal { detail: format!("of '{name}' came other rows than are asked for") });
        }
        Tensor::constant(tensor.data().to_device(device)?)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// A tensor that must come.
struct Expected {
    name: String,
    stored: candle_core::DType,
    dims: Vec<usize>,
    range: Range<u64>,
}

/// What must still come of one file.
pub(crate) struct Delivery {
    /// The file's place.
    file: usize,
    expected: VecDeque<Expected>,
    /// What has come of the first of these.
    intake: Option<Intake>,
}

impl Delivery {
    /// The bytes that are missing, as ranges of the file in ascending order. Tensors that lie side by side are in one.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let begun = self.intake.as_ref().map(Intake::missing);
        for (i, Expected { range, .. }) in self.expected.iter().enumerate() {
            let start = begun.filter(|_| i == 0).map_or(range.start, |missing| range.end - missing);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = range.end,
                _ => ranges.push(start..range.end),
            }
        }
        ranges
    }

    /// Whether nothing is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.expected.is_empty()
    }

    /// Takes the next bytes of [`Self::ranges`]: tensors that are complete go to `files`. Gives how many were taken.
    ///
    /// # Errors
    /// `memory_limit` if the system does not give the memory that a tensor needs; `cancelled`.
    pub(crate) fn feed(
        &mut self,
        files: &FedFiles,
        dtype: DType,
        bytes: &[u8],
        progress: &LoadProgress,
    ) -> Result<usize> {
        let mut rest = bytes;
        while let Some(first) = self.expected.front() {
            let intake = match &mut self.intake {
                Some(intake) => intake,
                None => self.intake.insert(Intake::new(first.stored, &first.dims, dtype)?),
            };
            let (piece, others) = rest.split_at(intake.wants(rest.len()));
            intake.push(piece, progress)?;
            rest = others;
            if intake.missing() > 0 {
                break;
            }
            if let (Some(intake), Some(expected)) = (self.intake.take(), self.expected.pop_front()) {
                files.keep(expected.name, Tensor::constant(intake.finish()?)?);
            }
        }
        Ok(bytes.len() - rest.len())
    }
}

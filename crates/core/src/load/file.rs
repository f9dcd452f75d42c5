//! One safetensors file, memory-mapped.

use super::header::TensorInfo;
use super::intake::{Intake, float};
use super::{LoadProgress, Metadata, NamedTensors, WeightSource, header, no_such_weight, open_file};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor};
use candle_core::Device;
use memmap2::Mmap;
use safetensors::Dtype;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// How much is read at a time: what was read is then let go of.
const READ_BYTES: usize = 4 << 20;

/// A safetensors file whose header has been checked and whose tensors are read when asked for.
pub struct SafetensorsFile {
    path: PathBuf,
    bytes: Mmap,
    header: header::Header,
    by_name: HashMap<String, usize>,
}

impl SafetensorsFile {
    /// Maps a file and checks its header.
    ///
    /// # Errors
    /// `missing_file` if it cannot be opened; `invalid_file`, with the numbers, if its header and its size disagree, or
    /// if it is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, _) = open_file(path)?;
        // SAFETY: the mapping is read-only and its bytes are copied out before use. Another process that truncates the
        // file meanwhile can still end this one, which is the known price of mapping files; our own writer replaces
        // files by renaming, so that it never does so.
        let bytes = unsafe { Mmap::map(&file) }
            .map_err(|e| Error::InvalidFile { path: path.into(), detail: format!("cannot be mapped: {e}") })?;
        let header = header::parse(&bytes).map_err(|detail| Error::InvalidFile { path: path.into(), detail })?;
        let by_name = header.tensors.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        Ok(Self { path: path.into(), bytes, header, by_name })
    }

    /// The free-form pairs of the header.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.header.metadata
    }

    /// Lets the system drop pages that have been copied out: otherwise a loaded model would count twice.
    fn forget(&self, offset: usize, len: usize) {
        #[cfg(unix)]
        // SAFETY: the mapping is of a file and read-only, so that a page that is touched again is read again.
        // A refusal changes nothing but memory use.
        let _ = unsafe { self.bytes.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len) };
        #[cfg(not(unix))]
        let _ = (offset, len);
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).and_then(|&i| self.header.tensors.get(i)).map(|(_, info)| info)
    }
}

impl WeightSource for SafetensorsFile {
    fn names(&self) -> Vec<&str> {
        self.header.tensors.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.info(name).map(|info| info.shape.as_slice())
    }

    fn read(
        &self,
        name: &str,
        rows: Option<usize>,
        dtype: Option<DType>,
        device: &Device,
        progress: &LoadProgress,
    ) -> Result<Tensor> {
        let info = self.info(name).ok_or_else(|| no_such_weight(name, self))?;
        let forget = |offset, len| self.forget(offset, len);
        let data = read_tensor(&self.bytes, &self.header, (name, info), rows, dtype, progress, forget)?;
        on_device(&data, info, device)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The shape of a tensor's first rows, and how many of its bytes these are.
fn first_rows(shape: &[usize], rows: Option<usize>, len: usize) -> (Vec<usize>, usize) {
    match (rows, shape) {
        (Some(rows), [all, rest @ ..]) if rows < *all => ([&[rows], rest].concat(), len / all * rows),
        _ => (shape.to_vec(), len),
    }
}

/// Copies a tensor, or its first rows, out of the bytes of a whole file. `forget` is told what has been copied: where it begins, and how much
/// it is.
fn read_tensor(
    bytes: &[u8],
    header: &header::Header,
    (name, info): (&str, &TensorInfo),
    rows: Option<usize>,
    dtype: Option<DType>,
    progress: &LoadProgress,
    forget: impl Fn(usize, usize),
) -> Result<CT> {
    let range = header.range(info);
    let unchecked = || Error::Internal { detail: format!("offsets of '{name}' were not checked") };
    // In range of usize: a checked header ends where the bytes do.
    let (start, end) = (range.start as usize, range.end as usize);
    let (dims, len) = first_rows(&info.shape, rows, end - start);
    let bytes = bytes.get(start..start + len).ok_or_else(unchecked)?;
    if info.dtype == Dtype::BOOL {
        let truths: Vec<u8> = bytes.iter().map(|&b| u8::from(b != 0)).collect();
        return Ok(CT::from_vec(truths, dims, &Device::Cpu)?);
    }
    let Some(stored) = float(info.dtype) else {
        let data = decode(name, bytes, info.dtype, &dims)?;
        forget(start, len);
        return Ok(data);
    };
    let wanted = dtype.filter(|wanted| wanted.is_float()).map_or_else(|| DType::of_storage(stored), Ok)?;
    let mut intake = Intake::new(stored, &dims, wanted)?;
    for (i, part) in bytes.chunks(READ_BYTES).enumerate() {
        intake.push(part, progress)?;
        forget(start + i * READ_BYTES, part.len());
    }
    intake.finish()
}

fn on_device(data: &CT, info: &TensorInfo, device: &Device) -> Result<Tensor> {
    let data = data.to_device(device)?;
    if info.dtype == Dtype::BOOL { Tensor::mask(data) } else { Tensor::constant(data) }
}

/// All tensors and the metadata of a file whose bytes are these. `location` is for error messages.
pub(super) fn decode_file(location: &Path, bytes: &[u8]) -> Result<(NamedTensors, Metadata)> {
    let header = header::parse(bytes).map_err(|detail| Error::InvalidFile { path: location.into(), detail })?;
    let progress = LoadProgress::default();
    let tensors = header
        .tensors
        .iter()
        .map(|(name, info)| {
            let data = read_tensor(bytes, &header, (name, info), None, None, &progress, |_, _| {})?;
            Ok((name.clone(), on_device(&data, info, &Device::Cpu)?))
        })
        .collect::<Result<_>>()?;
    Ok((tensors, header.metadata))
}

/// A tensor of integers.
fn decode(name: &str, bytes: &[u8], dtype: Dtype, dims: &[usize]) -> Result<CT> {
    macro_rules! widened {
        ($ty:ty) => {{
            let (chunks, _) = bytes.as_chunks::<{ size_of::<$ty>() }>();
            let wide: Vec<i64> = chunks.iter().map(|c| i64::from(<$ty>::from_le_bytes(*c))).collect();
            CT::from_vec(wide, dims, &Device::Cpu)?
        }};
    }
    let stored = match dtype {
        Dtype::U8 => candle_core::DType::U8,
        Dtype::U32 => candle_core::DType::U32,
        Dtype::I64 => candle_core::DType::I64,
        Dtype::I8 => return Ok(widened!(i8)),
        Dtype::I16 => return Ok(widened!(i16)),
        Dtype::U16 => return Ok(widened!(u16)),
        Dtype::I32 => return Ok(widened!(i32)),
        other => {
            return Err(Error::WrongDtype {
                op: "load",
                expected: format!(
                    "a dtype that can be read for tensor '{name}' (F64, F32, F16, BF16, BOOL, or an integer up to I64)"
                ),
                got: format!("{other}"),
            });
        }
    };
    Ok(CT::from_raw_buffer(bytes, stored, dims, &Device::Cpu)?)
}

//! A tensor of floats whose bytes come piece by piece. Each piece is cast as it comes into what becomes the tensor's own
//! storage, so that no weight ever exists whole in two forms.

use super::LoadProgress;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::CT;
use candle_core::{DType as Stored, Device};
use half::{bf16, f16};
use safetensors::Dtype;

/// The dtype of stored floats. Only floats are cast, so that an index table never becomes fractions by accident.
pub(super) fn float(stored: Dtype) -> Option<Stored> {
    match stored {
        Dtype::F32 => Some(Stored::F32),
        Dtype::F64 => Some(Stored::F64),
        Dtype::F16 => Some(Stored::F16),
        Dtype::BF16 => Some(Stored::BF16),
        _ => None,
    }
}

/// Bytes of the largest element.
const LARGEST: usize = 8;

/// A tensor on its way.
pub(super) struct Intake {
    stored: Stored,
    dims: Vec<usize>,
    elements: Elements,
    /// Bytes that are still to come, which may be more than there is memory: they may be cast to fewer.
    missing: u64,
    /// The beginning of an element whose other bytes are in the next piece.
    begun: [u8; LARGEST],
    begun_len: usize,
}

enum Elements {
    F32(Vec<f32>),
    F64(Vec<f64>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

impl Intake {
    /// Room for a tensor of that shape. The header that it comes from was checked.
    ///
    /// # Errors
    /// `memory_limit` if the system does not give that much; `wrong_dtype` to cast to anything but floats.
    pub(super) fn new(stored: Stored, dims: &[usize], wanted: DType) -> Result<Self> {
        let count = dims.iter().product::<usize>();
        let elements = match wanted {
            DType::F32 => Elements::F32(room(count)?),
            DType::F64 => Elements::F64(room(count)?),
            DType::F16 => Elements::F16(room(count)?),
            DType::BF16 => Elements::BF16(room(count)?),
            other => {
                let expected = "a float dtype to cast weights to".into();
                return Err(Error::WrongDtype { op: "load", expected, got: other.name().into() });
            }
        };
        let missing = count as u64 * stored.size_in_bytes() as u64;
        Ok(Self { stored, dims: dims.to_vec(), elements, missing, begun: [0; LARGEST], begun_len: 0 })
    }

    /// Bytes that are still to come.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// How many of so many bytes are still to come.
    pub(super) fn wants(&self, bytes: usize) -> usize {
        usize::try_from(self.missing).map_or(bytes, |missing| bytes.min(missing))
    }

    /// Takes the next bytes, at most those that are missing, and counts what became of them.
    ///
    /// # Errors
    /// `cancelled` if somebody has asked for that.
    pub(super) fn push(&mut self, bytes: &[u8], progress: &LoadProgress) -> Result<()> {
        let size = self.stored.size_in_bytes();
        let bytes = bytes.get(..self.wants(bytes.len())).unwrap_or(bytes);
        self.missing -= bytes.len() as u64;
        let before = self.elements.bytes();
        let mut rest = bytes;
        if self.begun_len > 0 {
            let (first, others) = rest.split_at(rest.len().min(size - self.begun_len));
            let begun = self.begun.iter_mut().skip(self.begun_len);
            begun.zip(first).for_each(|(to, from)| *to = *from);
            self.begun_len += first.len();
            rest = others;
            if self.begun_len == size {
                let whole = self.begun;
                self.elements.extend(self.stored, whole.get(..size).unwrap_or(&whole));
                self.begun_len = 0;
            }
        }
        let (whole, end) = rest.split_at(rest.len() / size * size);
        self.elements.extend(self.stored, whole);
        if !end.is_empty() {
            self.begun.iter_mut().zip(end).for_each(|(to, from)| *to = *from);
            self.begun_len = end.len();
        }
        progress.advance(self.elements.bytes() - before)
    }

    /// The tensor, once nothing is missing.
    pub(super) fn finish(self) -> Result<CT> {
        let dims = self.dims.as_slice();
        if self.missing > 0 {
            return Err(Error::Internal { detail: format!("{} bytes of a tensor {dims:?} are missing", self.missing) });
        }
        Ok(match self.elements {
            Elements::F32(all) => CT::from_vec(all, dims, &Device::Cpu),
            Elements::F64(all) => CT::from_vec(all, dims, &Device::Cpu),
            Elements::F16(all) => CT::from_vec(all, dims, &Device::Cpu),
            Elements::BF16(all) => CT::from_vec(all, dims, &Device::Cpu),
        }?)
    }
}

/// An empty list that will not grow again. A failing allocation would end the process, so this asks.
fn room<T>(count: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| memory::refused("weights", count.saturating_mul(size_of::<T>())))?;
    Ok(list)
}

impl Elements {
    /// Bytes of what is there.
    fn bytes(&self) -> usize {
        match self {
            Self::F32(all) => size_of_val(all.as_slice()),
            Self::F64(all) => size_of_val(all.as_slice()),
            Self::F16(all) => size_of_val(all.as_slice()),
            Self::BF16(all) => size_of_val(all.as_slice()),
        }
    }

    /// Appends whole elements, rounded as [`candle_core::Tensor::to_dtype`] rounds.
    fn extend(&mut self, stored: Stored, bytes: &[u8]) {
        macro_rules! append {
            ($all:ident, $stored:ty, $cast:expr) => {{
                let (elements, _) = bytes.as_chunks::<{ size_of::<$stored>() }>();
                $all.extend(elements.iter().map(|e| $cast(<$stored>::from_le_bytes(*e))))
            }};
        }
        macro_rules! append_stored {
            ($all:ident, $f32:expr, $f64:expr, $f16:expr, $bf16:expr) => {
                match stored {
                    Stored::F64 => append!($all, f64, $f64),
                    Stored::F16 => append!($all, f16, $f16),
                    Stored::BF16 => append!($all, bf16, $bf16),
                    _ => append!($all, f32, $f32),
                }
            };
        }
        match self {
            Self::F32(all) => append_stored!(all, |x: f32| x, |x: f64| x as f32, f16::to_f32, bf16::to_f32),
            Self::F64(all) => append_stored!(all, f64::from, |x: f64| x, f16::to_f64, bf16::to_f64),
            Self::F16(all) => {
                append_stored!(all, f16::from_f32, f16::from_f64, |x: f16| x, |x: bf16| f16::from_f32(x.to_f32()))
            }
            Self::BF16(all) => {
                append_stored!(all, bf16::from_f32, bf16::from_f64, |x: f16| bf16::from_f32(x.to_f32()), |x: bf16| x)
            }
        }
    }
}

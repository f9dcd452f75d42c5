//! Dtypes and devices as hooklens names them.

use crate::error::{Error, Result};
use candle_core::{DType as CandleDType, Device as CandleDevice};

/// Element types. `Bool` is stored as `u8` zeros and ones, but is a type of its own: masks index, bytes do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 16-bit float.
    F16,
    /// 16-bit float with the exponent range of `f32`.
    BF16,
    /// Unsigned byte.
    U8,
    /// Unsigned 32-bit integer.
    U32,
    /// Signed 64-bit integer.
    I64,
    /// Truth value.
    Bool,
}

/// Runs an expression with a type name bound to the type that elements of a [`DType`] are stored as.
///
/// ```
/// use hooklens_core::{DType, with_element};
///
/// assert_eq!(with_element!(DType::BF16, T => size_of::<T>()), 2);
/// ```
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {{
        macro_rules! arm {
            ($type:ty) => {{
                type $T = $type;
                $body
            }};
        }
        match $dtype {
            $crate::DType::F32 => arm!(f32),
            $crate::DType::F64 => arm!(f64),
            $crate::DType::F16 => arm!($crate::tensor::half::f16),
            $crate::DType::BF16 => arm!($crate::tensor::half::bf16),
            $crate::DType::U8 | $crate::DType::Bool => arm!(u8),
            $crate::DType::U32 => arm!(u32),
            $crate::DType::I64 => arm!(i64),
        }
    }};
}

impl DType {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::F32, Self::F64, Self::F16, Self::BF16, Self::U8, Self::U32, Self::I64, Self::Bool];

    /// torch's name, as used in every public API: `float32`, `int64`, `bool`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::U8 => "uint8",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::Bool => "bool",
        }
    }

    /// The dtype of that name; safetensors' short names and the usual abbreviations are understood too.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name {
            "float32" | "f32" | "fp32" | "F32" | "float" => Self::F32,
            "float64" | "f64" | "fp64" | "F64" | "double" => Self::F64,
            "float16" | "f16" | "fp16" | "F16" | "half" => Self::F16,
            "bfloat16" | "bf16" | "BF16" => Self::BF16,
            "uint8" | "u8" | "U8" => Self::U8,
            "uint32" | "u32" | "U32" => Self::U32,
            "int64" | "i64" | "I64" | "long" => Self::I64,
            "bool" | "BOOL" => Self::Bool,
            _ => {
                let names: Vec<_> = Self::ALL.iter().map(|d| d.name()).collect();
                return Err(Error::InvalidArgument {
                    op: "dtype",
                    detail: format!("unknown dtype '{name}'; one of {}", names.join(", ")),
                });
            }
        })
    }

    /// Whether gradients can flow through it.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::BF16)
    }

    /// Whether it is an integer (not a float, not a truth value).
    pub const fn is_int(self) -> bool {
        matches!(self, Self::U8 | Self::U32 | Self::I64)
    }

    /// Bytes an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// How candle stores it.
    pub const fn storage(self) -> CandleDType {
        match self {
            Self::F32 => CandleDType::F32,
            Self::F64 => CandleDType::F64,
            Self::F16 => CandleDType::F16,
            Self::BF16 => CandleDType::BF16,
            Self::U8 | Self::Bool => CandleDType::U8,
            Self::U32 => CandleDType::U32,
            Self::I64 => CandleDType::I64,
        }
    }

    /// The dtype of a candle tensor; `u8` is taken for bytes, never for truth values.
    pub fn of_storage(dtype: CandleDType) -> Result<Self> {
        Ok(match dtype {
            CandleDType::F32 => Self::F32,
            CandleDType::F64 => Self::F64,
            CandleDType::F16 => Self::F16,
            CandleDType::BF16 => Self::BF16,
            CandleDType::U8 => Self::U8,
            CandleDType::U32 => Self::U32,
            CandleDType::I64 => Self::I64,
            other => {
                return Err(Error::WrongDtype {
                    op: "dtype",
                    expected: "a supported dtype".into(),
                    got: format!("{other:?}"),
                });
            }
        })
    }
}

/// Whether a tensor is on the host. Engines that have no other device leave out what only others need.
pub(crate) fn on_host(x: &candle_core::Tensor) -> bool {
    cfg!(not(feature = "cuda")) || x.device().is_cpu()
}

/// Where tensors live: `cpu`, or `cuda:N` in a build with CUDA.
pub fn device_from_name(name: &str) -> Result<CandleDevice> {
    if name == "cpu" {
        return Ok(CandleDevice::Cpu);
    }
    let unavailable = |detail: String| Error::DeviceUnavailable { device: name.to_owned(), detail };
    let ordinal = match name.strip_prefix("cuda") {
        Some("") => 0,
        Some(rest) => rest
            .strip_prefix(':')
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| unavailable("expected 'cuda' or 'cuda:N'".into()))?,
        None => return Err(unavailable("expected 'cpu', 'cuda' or 'cuda:N'".into())),
    };
    CandleDevice::new_cuda(ordinal).map_err(|e| unavailable(e.to_string()))
}

/// The name that [`device_from_name`] understands.
pub fn device_name(device: &CandleDevice) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

//! Typed arrays: one copy in, one copy out.

use crate::args::Raw;
use crate::boundary::invalid;
use crate::js::Js;
use crate::results::ToJs;
use hooklens_core::tensor::WithDType;
use hooklens_core::tensor::half::{bf16, f16};
use hooklens_core::{DType, Error, Result, Tensor, memory};

/// JavaScript's typed arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the array of its name")]
pub enum ArrayType {
    Int8,
    Uint8,
    Uint8Clamped,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Float16,
    Float32,
    Float64,
    BigInt64,
    BigUint64,
}

impl ArrayType {
    /// The name of the class in JavaScript.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int8 => "Int8Array",
            Self::Uint8 => "Uint8Array",
            Self::Uint8Clamped => "Uint8ClampedArray",
            Self::Int16 => "Int16Array",
            Self::Uint16 => "Uint16Array",
            Self::Int32 => "Int32Array",
            Self::Uint32 => "Uint32Array",
            Self::Float16 => "Float16Array",
            Self::Float32 => "Float32Array",
            Self::Float64 => "Float64Array",
            Self::BigInt64 => "BigInt64Array",
            Self::BigUint64 => "BigUint64Array",
        }
    }
}

/// An element of a tensor, and the typed array that it travels in.
///
/// # Safety
/// Elements of [`Element::ARRAY`] have the type's size and alignment, and every pattern of bits is a value of it.
pub unsafe trait Element: WithDType {
    /// 16-bit floats travel as their bits.
    const ARRAY: ArrayType;
}

macro_rules! elements {
    ($($type:ty => $array:ident),*) => { $(
        // SAFETY: the array of its name, or of as many bits; numbers have no invalid patterns.
        unsafe impl Element for $type { const ARRAY: ArrayType = ArrayType::$array; }
    )* };
}
elements!(
    f32 => Float32, f64 => Float64, f16 => Uint16, bf16 => Uint16, u8 => Uint8, u32 => Uint32, i64 => BigInt64
);

/// Does `$body` with `$T` standing for the element type of a dtype.
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            DType::F16 => {
                type $T = f16;
                $body
            }
            DType::BF16 => {
                type $T = bf16;
                $body
            }
            DType::U8 | DType::Bool => {
                type $T = u8;
                $body
            }
            DType::U32 => {
                type $T = u32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
        }
    };
}

/// A tensor with a copy of a typed array's elements.
pub(crate) fn tensor_of<J: Js>(
    js: J,
    Raw(data): &Raw<J>,
    dtype: DType,
    dims: &[usize],
    device: &str,
) -> Result<Tensor> {
    let device = hooklens_core::device::device_from_name(device)?;
    let Some(got) = js.array_type(data)? else {
        return Err(invalid("fromData", format!("data must be a typed array, got {}", js.describe(data))));
    };
    with_element!(dtype, T => {
        if got != T::ARRAY {
            return Err(Error::WrongDtype {
                op: "fromData",
                expected: format!("{} for {}", T::ARRAY.name(), dtype.name()),
                got: got.name().into(),
            });
        }
        js.with_elements::<T, _>(data, |elements| Tensor::from_bits(elements, dtype, dims, &device))
    })
}

/// A tensor on its way out as a typed array. The copy is made when JavaScript receives it.
pub(crate) struct Bits(Tensor);

impl Bits {
    /// Fails for more elements than a typed array can have: V8 would end the process, and a view may be far larger than
    /// the memory below it.
    pub(crate) fn of(tensor: Tensor) -> Result<Self> {
        const MAX_LENGTH: usize = u32::MAX as usize;
        memory::require_tensor("toData", tensor.dims(), tensor.dtype().size())?;
        if tensor.elem_count() > MAX_LENGTH {
            return Err(Error::InvalidArgument {
                op: "toData",
                detail: format!(
                    "{} elements do not fit into a typed array, which holds {MAX_LENGTH}",
                    tensor.elem_count()
                ),
            });
        }
        Ok(Self(tensor))
    }
}

impl<J: Js> ToJs<J> for Bits {
    fn to_js(self, js: J) -> Result<J::Value> {
        let Self(tensor) = self;
        with_element!(tensor.dtype(), T => {
            js.typed_array::<T>(tensor.elem_count(), |elements| tensor.write_bits(elements))
        })
    }
}

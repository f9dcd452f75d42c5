//! Typed arrays: one copy in, one copy out.

use crate::args::Raw;
use crate::boundary::invalid;
use crate::js::Js;
use crate::results::ToJs;
use hooklens_core::tensor::half::{bf16, f16};
use hooklens_core::{DType, Error, Result, Tensor, memory, with_element};

macro_rules! array_types {
    ($($array:ident $name:literal),*) => {
        /// JavaScript's typed arrays.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the array of its name")]
        pub enum ArrayType {
            $($array),*
        }

        impl ArrayType {
            /// All of them, each in the place of its [`ArrayType::number`].
            const ALL: &[Self] = &[$(Self::$array),*];

            /// The name of the class in JavaScript.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$array => $name),*
                }
            }
        }
    };
}
// In the order in which Node-API counts them; hosts that count otherwise follow this one.
array_types!(
    Int8 "Int8Array", Uint8 "Uint8Array", Uint8Clamped "Uint8ClampedArray", Int16 "Int16Array", Uint16 "Uint16Array",
    Int32 "Int32Array", Uint32 "Uint32Array", Float32 "Float32Array", Float64 "Float64Array",
    BigInt64 "BigInt64Array", BigUint64 "BigUint64Array", Float16 "Float16Array"
);

impl ArrayType {
    /// What [`ArrayType::numbered`] gives this type for.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The type with this number; `None` for one that no type has.
    pub fn numbered(number: i32) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place).copied())
    }
}

/// An element of a tensor, and the typed array that it travels in.
///
/// # Safety
/// Elements of [`Element::ARRAY`] have the type's size and alignment, and every pattern of bits is a value of it.
pub unsafe trait Element: hooklens_core::tensor::Bits {
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

//! Typed arrays: one copy in, one copy out.

use crate::args::{argument, kind};
use crate::boundary::invalid;
use hooklens_core::tensor::half::{bf16, f16};
use hooklens_core::{DType, Error, Result, Tensor, memory};
use napi::bindgen_prelude::{FromNapiValue, ToNapiValue};
use napi::{check_status, sys};
use std::ffi::c_void;
use std::ptr::null_mut;

argument!(Bits);

/// The elements of a typed array, borrowed for the length of the call: no JavaScript may run while it is looked at.
pub struct Bits {
    of: sys::napi_typedarray_type,
    data: *const c_void,
    len: usize,
}

impl FromNapiValue for Bits {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        let (mut of, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: napi passes a live environment and value; anything but a typed array is refused by the call.
        let status =
            unsafe { sys::napi_get_typedarray_info(env, value, &mut of, &mut len, &mut data, null_mut(), null_mut()) };
        if status != sys::Status::napi_ok {
            // SAFETY: as above.
            let got = unsafe { kind(env, value) };
            return Err(invalid("fromData", format!("data must be a typed array, got {got}")));
        }
        Ok(Self { of, data, len })
    }
}

impl Bits {
    /// A tensor with a copy of the elements.
    pub(crate) fn to_tensor(&self, dtype: DType, dims: &[usize], device: &str) -> Result<Tensor> {
        let device = hooklens_core::device::device_from_name(device)?;
        let (wanted, name) = array_type(dtype);
        if self.of != wanted {
            return Err(Error::WrongDtype {
                op: "fromData",
                expected: format!("{name} for {}", dtype.name()),
                got: format!("{:?}", napi::bindgen_prelude::TypedArrayType::from(self.of)),
            });
        }
        // SAFETY: the array's type was checked, and V8 aligns a typed array's data to its elements.
        unsafe {
            match dtype {
                DType::F32 => Tensor::from_bits(self.elements::<f32>(), dtype, dims, &device),
                DType::F64 => Tensor::from_bits(self.elements::<f64>(), dtype, dims, &device),
                DType::F16 => Tensor::from_bits(self.elements::<f16>(), dtype, dims, &device),
                DType::BF16 => Tensor::from_bits(self.elements::<bf16>(), dtype, dims, &device),
                DType::U8 | DType::Bool => Tensor::from_bits(self.elements::<u8>(), dtype, dims, &device),
                DType::U32 => Tensor::from_bits(self.elements::<u32>(), dtype, dims, &device),
                DType::I64 => Tensor::from_bits(self.elements::<i64>(), dtype, dims, &device),
            }
        }
    }

    /// # Safety
    /// The array must hold elements of `T`'s size.
    unsafe fn elements<T>(&self) -> &[T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: a typed array of `len` elements; a non-empty one has storage.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) }
    }
}

/// The typed array that a dtype travels in; 16-bit floats travel as their bits.
fn array_type(dtype: DType) -> (sys::napi_typedarray_type, &'static str) {
    use sys::TypedarrayType as T;
    match dtype {
        DType::F32 => (T::float32_array, "Float32Array"),
        DType::F64 => (T::float64_array, "Float64Array"),
        DType::F16 | DType::BF16 => (T::uint16_array, "Uint16Array"),
        DType::U8 | DType::Bool => (T::uint8_array, "Uint8Array"),
        DType::U32 => (T::uint32_array, "Uint32Array"),
        DType::I64 => (T::bigint64_array, "BigInt64Array"),
    }
}

/// A tensor on its way out as a typed array. The copy is made when JavaScript receives it.
pub struct TypedArray(Tensor);

impl TypedArray {
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

impl ToNapiValue for TypedArray {
    unsafe fn to_napi_value(env: sys::napi_env, Self(tensor): Self) -> napi::Result<sys::napi_value> {
        let (len, dtype) = (tensor.elem_count(), tensor.dtype());
        let (mut data, mut buffer, mut array) = (null_mut(), null_mut(), null_mut());
        // SAFETY: a fresh buffer of exactly the bytes that are written to it, seen by nobody else yet.
        unsafe {
            check_status!(sys::napi_create_arraybuffer(env, len * dtype.size(), &mut data, &mut buffer))?;
            match dtype {
                DType::F32 => fill::<f32>(&tensor, data, len),
                DType::F64 => fill::<f64>(&tensor, data, len),
                DType::F16 => fill::<f16>(&tensor, data, len),
                DType::BF16 => fill::<bf16>(&tensor, data, len),
                DType::U8 | DType::Bool => fill::<u8>(&tensor, data, len),
                DType::U32 => fill::<u32>(&tensor, data, len),
                DType::I64 => fill::<i64>(&tensor, data, len),
            }
            .map_err(crate::boundary::thrown)?;
            check_status!(sys::napi_create_typedarray(env, array_type(dtype).0, len, buffer, 0, &mut array))?;
        }
        Ok(array)
    }
}

/// # Safety
/// `data` must have room for `len` elements of `T`, unless there are none.
unsafe fn fill<T: hooklens_core::tensor::WithDType>(tensor: &Tensor, data: *mut c_void, len: usize) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    // SAFETY: the caller's promise; a fresh buffer is aligned for every element type.
    tensor.write_bits::<T>(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

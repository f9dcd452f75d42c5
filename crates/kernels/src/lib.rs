//! The loops that models spend their time in, over slices of `f32`; tensors are unknown here.
//!
//! Each kernel is one branch-free loop that the compiler vectorises. [`run`] compiles it several times, for AVX-512,
//! for AVX2 with FMA and for the architecture's baseline, and picks at run time what the machine has: no build flags,
//! one binary. They are a crate of their own because they alone are worth the size that full optimisation takes: the
//! engine for pages is compiled for its size otherwise. Code goes by the crate that it ends up in: what must be fast is
//! neither generic at this crate's border nor inlined across it.

pub mod arithmetic;
pub mod attention;
pub mod bytes;
pub mod cells;
pub mod classes;
pub mod factors;
mod halves;
mod heads;
mod instructions;
pub mod lanes;
mod math;
pub mod norm_parts;
mod operand;
pub mod pointwise;
mod product;
pub mod rows;
pub mod selection;
pub mod threads;
mod vectors;

pub use halves::Half;
pub use heads::{Head, Heads, Mask, Results, Rows, Shape, Stored, attends};
pub use instructions::instructions;
pub use operand::{Operand, Strided};
#[cfg(any(target_family = "wasm", test))]
pub use product::multiply_doubles;
pub use product::{Finish, multiplies, multiply};

#[cfg(all(target_family = "wasm", not(target_feature = "simd128")))]
compile_error!("products in WebAssembly need its vectors: -C target-feature=+simd128");

#[cfg(target_arch = "x86_64")]
use instructions::Instructions;

/// A loop, written so that it vectorises. `FMA` says whether fused multiply-add is one instruction.
trait Kernel {
    /// Runs it. Implementations must be `#[inline(always)]`, or they miss the instructions of the caller.
    fn call<const FMA: bool>(self);
}

/// Runs a kernel with the best instructions that this machine has.
#[inline(never)]
fn run<K: Kernel>(kernel: K) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn with_avx512<K: Kernel>(kernel: K) {
            kernel.call::<true>();
        }
        #[target_feature(enable = "avx2,fma")]
        fn with_avx2<K: Kernel>(kernel: K) {
            kernel.call::<true>();
        }
        match Instructions::chosen() {
            // SAFETY: what is chosen was detected.
            Instructions::Avx512 => return unsafe { with_avx512(kernel) },
            // SAFETY: as above.
            Instructions::Avx2 => return unsafe { with_avx2(kernel) },
            Instructions::Simd128 | Instructions::Baseline => {}
        }
    }
    // Every 64-bit ARM has fused multiply-add; elsewhere it would be a slow library call.
    kernel.call::<{ cfg!(target_arch = "aarch64") }>();
}

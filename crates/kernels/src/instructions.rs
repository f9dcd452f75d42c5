//! Which instructions the kernels use.

use std::sync::OnceLock;

/// Instructions that kernels are compiled for, each set with those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Instructions {
    /// What every machine of the architecture has.
    Baseline,
    /// WebAssembly's vectors of 128 bits; an engine is compiled for them as a whole.
    Simd128,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 with its F, VL, BW and DQ parts.
    Avx512,
}

impl Instructions {
    /// What `HOOKLENS_INSTRUCTIONS` may name.
    const NAMED: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// The best that this machine has, or less if the variable `HOOKLENS_INSTRUCTIONS` names less. Decided once.
    pub(super) fn chosen() -> Self {
        // It has no variables of an environment, and known here, what is for other machines is left out.
        if cfg!(target_family = "wasm") {
            return Self::detected();
        }
        static CHOSEN: OnceLock<Instructions> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let wanted = std::env::var("HOOKLENS_INSTRUCTIONS").ok();
            let ceiling = Self::NAMED.into_iter().find(|level| Some(level.name()) == wanted.as_deref());
            ceiling.map_or(Self::detected(), |ceiling| ceiling.min(Self::detected()))
        })
    }

    fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq");
            return if avx512 { Self::Avx512 } else { Self::Avx2 };
        }
        if cfg!(all(target_family = "wasm", target_feature = "simd128")) { Self::Simd128 } else { Self::Baseline }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Simd128 => "simd128",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// What the `f32` kernels of this process run on: `avx512`, `avx2`, `simd128` (WebAssembly) or `baseline`. It is the best
/// that the machine has, unless the environment variable `HOOKLENS_INSTRUCTIONS` names less of it when the first kernel
/// runs; anything else there changes nothing. With it the results of a smaller machine can be had on a larger one.
pub fn instructions() -> &'static str {
    Instructions::chosen().name()
}

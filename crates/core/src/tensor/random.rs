//! Random tensors, the same on every machine and backend for the same seed.
//!
//! All bits come from ChaCha8 (Bernstein 2008) on the host, keyed with the seed. They become numbers by operations that
//! IEEE 754 defines to the last bit (`+ - * /`, `sqrt`, comparisons), never through a platform's mathematics library:
//! normals by Wichura's rational approximation of the inverse distribution function (AS 241, 1988), which takes one draw
//! each, with a logarithm of our own. So the results may be relied on, and each element follows from its place alone.
//!
//! Without a seed, each call takes the next stream of a process-wide generator, which starts the same in every process
//! and which [`manual_seed`] restarts.

use super::host::upload;
use super::{Tensor, require_float};
use crate::device::{DType, device_from_name};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::Device;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::{Mutex, PoisonError};

/// The seed and the next stream of the process-wide generator. Stream 0 belongs to explicit seeds.
static GENERATOR: Mutex<(u64, u64)> = Mutex::new((0, 1));

/// Restarts the process-wide generator.
pub fn manual_seed(seed: u64) {
    *GENERATOR.lock().unwrap_or_else(PoisonError::into_inner) = (seed, 1);
}

/// A generator for that seed, or without one the next of the process.
pub(super) fn generator(seed: Option<u64>) -> ChaCha8Rng {
    keyed(stream(seed), 0)
}

/// A generator for each row of a batch; that of a row is the same whatever their number, and the first that of
/// [`generator`].
pub(super) fn row_generators(seed: Option<u64>, rows: usize) -> Vec<ChaCha8Rng> {
    let stream = stream(seed);
    (0..rows as u64).map(|row| keyed(stream, row)).collect()
}

/// A seed and its stream.
fn stream(seed: Option<u64>) -> (u64, u64) {
    match seed {
        Some(seed) => (seed, 0),
        None => {
            let mut next = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = *next;
            next.1 += 1;
            taken
        }
    }
}

fn keyed((seed, stream): (u64, u64), row: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&stream.to_le_bytes());
    key[16..24].copy_from_slice(&row.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Uniform in [0, 1): a multiple of `2^-bits`, exact in any float with so many digits.
pub(super) fn uniform(rng: &mut ChaCha8Rng, bits: u32) -> f64 {
    (rng.next_u64() >> (64 - bits)) as f64 / (1u64 << bits) as f64
}

/// How many binary digits a float dtype has.
fn digits(dtype: DType) -> u32 {
    match dtype {
        DType::F64 => 53,
        DType::F16 => 11,
        DType::BF16 => 8,
        _ => 24,
    }
}

/// Uniform among the whole numbers below `n`, without bias: draws beyond the last multiple of `n` are thrown away.
fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    let excess = (u64::MAX % n + 1) % n;
    loop {
        let draw = rng.next_u64();
        if draw <= u64::MAX - excess {
            return draw % n;
        }
    }
}

/// The natural logarithm of a positive normal number, by `+ - * /` only: the series of `2 artanh`.
fn ln(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as f64 - 1023.0;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    // |s| < 0.172: 11 terms leave less than 1e-17.
    let series = (0..11).rev().fold(0.0, |sum, i| sum * square + 1.0 / f64::from(2 * i + 1));
    exponent * LN_2 + 2.0 * s * series
}

/// `e^x` of a number of 0 or less, by `+ - * /` only.
pub(super) fn exp(x: f64) -> f64 {
    /// ln 2 in two parts, the first so short that its products with exponents are exact.
    const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    /// Below it lie no normal numbers.
    const LEAST: f64 = -708.0;
    if x.is_nan() || x < LEAST {
        return if x.is_nan() { x } else { 0.0 };
    }
    let exponent = (x * std::f64::consts::LOG2_E).round();
    let rest = (x - exponent * LN_2.0) - exponent * LN_2.1;
    // |rest| < 0.35: 14 terms leave less than 1e-17.
    let series = (1..14).rev().fold(1.0, |sum, i| 1.0 + sum * rest / f64::from(i));
    series * f64::from_bits(((1023.0 + exponent) as u64) << 52)
}

/// `c[0] + c[1] x + …`
fn polynomial(c: &[f64], x: f64) -> f64 {
    c.iter().rev().fold(0.0, |sum, &c| sum * x + c)
}

/// The standard normal quantile of `p` in (0, 1), to about 16 digits: algorithm AS 241 (PPND16).
#[allow(clippy::excessive_precision, reason = "the coefficients as published")]
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 8] = [
        3.387_132_872_796_366_608,
        1.331_416_678_917_843_774_5e2,
        1.971_590_950_306_551_442_7e3,
        1.373_169_376_550_946_112_5e4,
        4.592_195_393_154_987_145_7e4,
        6.726_577_092_700_870_085_3e4,
        3.343_057_558_358_812_810_5e4,
        2.509_080_928_730_122_672_7e3,
    ];
    const B: [f64; 8] = [
        1.0,
        4.231_333_070_160_091_125_2e1,
        6.871_870_074_920_579_083e2,
        5.394_196_021_424_751_107_7e3,
        2.121_379_430_158_659_586_7e4,
        3.930_789_580_009_271_061e4,
        2.872_908_573_572_194_267_4e4,
        5.226_495_278_852_854_561e3,
    ];
    const C: [f64; 8] = [
        1.423_437_110_749_683_577_34,
        4.630_337_846_156_545_295_9,
        5.769_497_221_460_691_405_5,
        3.647_848_324_763_204_605_04,
        1.270_458_252_452_368_382_58,
        2.417_807_251_774_506_117_7e-1,
        2.272_384_498_926_918_458_33e-2,
        7.745_450_142_783_414_076_4e-4,
    ];
    const D: [f64; 8] = [
        1.0,
        2.053_191_626_637_758_821_87,
        1.676_384_830_183_803_849_4,
        6.897_673_349_851_000_045_5e-1,
        1.481_039_764_274_800_745_9e-1,
        1.519_866_656_361_645_719_66e-2,
        5.475_938_084_995_344_946e-4,
        1.050_750_071_644_416_843_24e-9,
    ];
    const E: [f64; 8] = [
        6.657_904_643_501_103_777_2,
        5.463_784_911_164_114_369_9,
        1.784_826_539_917_291_335_8,
        2.965_605_718_285_048_912_3e-1,
        2.653_218_952_657_612_309_3e-2,
        1.242_660_947_388_078_438_6e-3,
        2.711_555_568_743_487_578_15e-5,
        2.010_334_399_292_288_132_65e-7,
    ];
    const F: [f64; 8] = [
        1.0,
        5.998_322_065_558_879_376_9e-1,
        1.369_298_809_227_358_053_1e-1,
        1.487_536_129_085_061_485_25e-2,
        7.868_691_311_456_132_591e-4,
        1.846_318_317_510_054_681_8e-5,
        1.421_511_758_316_445_888_7e-7,
        2.044_263_103_389_939_785_64e-15,
    ];
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&A, r) / polynomial(&B, r);
    }
    let tail = (-ln(if q < 0.0 { p } else { 1.0 - p })).sqrt();
    let size = if tail <= 5.0 {
        polynomial(&C, tail - 1.6) / polynomial(&D, tail - 1.6)
    } else {
        polynomial(&E, tail - 5.0) / polynomial(&F, tail - 5.0)
    };
    if q < 0.0 { -size } else { size }
}

/// A standard normal number. The draw is centred between multiples of `2^-53`, so that it is never 0 or 1.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    normal_quantile((uniform(rng, 52) * 2.0 + f64::EPSILON) * 0.5)
}

fn floats(dims: &[usize], dtype: DType, device: &Device, mut draw: impl FnMut() -> f64) -> Result<Tensor> {
    let count = dims.iter().product();
    // `f64` to begin with only where it is asked for: a large `f32` tensor needs no second copy twice its size.
    let data = if dtype == DType::F64 {
        upload((0..count).map(|_| draw()).collect::<Vec<f64>>(), dims, device)?
    } else {
        upload((0..count).map(|_| draw() as f32).collect::<Vec<f32>>(), dims, &Device::Cpu)?
            .to_dtype(dtype.storage())?
            .to_device(device)?
    };
    Tensor::constant(data)
}

impl Tensor {
    /// Uniform numbers in [0, 1).
    pub fn rand(dims: &[usize], dtype: DType, device: &Device, seed: Option<u64>) -> Result<Self> {
        require_float("rand", dtype)?;
        crate::memory::require_tensor("rand", dims, dtype.size().max(size_of::<f32>()))?;
        let mut rng = generator(seed);
        floats(dims, dtype, device, || uniform(&mut rng, digits(dtype)))
    }

    /// Standard normal numbers.
    pub fn randn(dims: &[usize], dtype: DType, device: &Device, seed: Option<u64>) -> Result<Self> {
        require_float("randn", dtype)?;
        crate::memory::require_tensor("randn", dims, dtype.size().max(size_of::<f32>()))?;
        let mut rng = generator(seed);
        floats(dims, dtype, device, || normal(&mut rng))
    }

    /// Uniform whole numbers from `low` to `high - 1`.
    pub fn randint(
        low: i64,
        high: i64,
        dims: &[usize],
        dtype: DType,
        device: &Device,
        seed: Option<u64>,
    ) -> Result<Self> {
        const OP: &str = "randint";
        crate::memory::require_tensor(OP, dims, size_of::<i64>())?;
        if low >= high {
            return Err(Error::InvalidArgument { op: OP, detail: format!("low {low} must be less than high {high}") });
        }
        let range = high.wrapping_sub(low).cast_unsigned();
        let mut rng = generator(seed);
        let draws: Vec<i64> =
            (0..dims.iter().product()).map(|_| low.wrapping_add(below(&mut rng, range).cast_signed())).collect();
        Self::constant(upload(draws, dims, device)?)?.to_dtype(dtype)
    }

    /// The whole numbers below `n` in random order, `int64`.
    pub fn randperm(n: usize, device: &Device, seed: Option<u64>) -> Result<Self> {
        crate::memory::require_tensor("randperm", &[n], size_of::<i64>())?;
        let mut rng = generator(seed);
        let mut order: Vec<i64> = (0..n as i64).collect();
        for i in (1..n).rev() {
            order.swap(i, below(&mut rng, i as u64 + 1) as usize);
        }
        Self::constant(upload(order, &[n], device)?)
    }

    /// 1 with the probability that each element of this tensor gives, else 0, in the same dtype. Not differentiable.
    pub fn bernoulli(&self, seed: Option<u64>) -> Result<Self> {
        const OP: &str = "bernoulli";
        require_float(OP, self.dtype())?;
        let chances = self.to_vec::<f64>()?;
        if let Some(p) = chances.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::InvalidArgument { op: OP, detail: format!("{p} is not a probability") });
        }
        let mut rng = generator(seed);
        let mut chances = chances.into_iter();
        floats(self.dims(), self.dtype(), self.data().device(), || {
            f64::from(u8::from(uniform(&mut rng, 53) < chances.next().unwrap_or(0.0)))
        })
    }

    /// `count` indices for each row of weights `[n]` or `[rows, n]`, drawn in proportion to the weights (which need not
    /// add up to 1), with or without putting back; `int64`.
    pub fn multinomial(&self, count: usize, replacement: bool, seed: Option<u64>) -> Result<Self> {
        const OP: &str = "multinomial";
        require_float(OP, self.dtype())?;
        let invalid = |detail: String| Error::InvalidArgument { op: OP, detail };
        let [.., n] = self.dims() else {
            return Err(Error::RankMismatch {
                op: OP,
                detail: "needs weights [n] or [rows, n], got a 0-d tensor".into(),
            });
        };
        if self.rank() > 2 {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("needs [n] or [rows, n], got {:?}", self.dims()),
            });
        }
        crate::memory::require_tensor(OP, &[self.elem_count().checked_div(*n).unwrap_or(0), count], size_of::<i64>())?;
        let mut weights = self.to_vec::<f64>()?;
        if let Some(w) = weights.iter().find(|w| !(**w >= 0.0 && w.is_finite())) {
            return Err(invalid(format!("{w} is not a weight")));
        }
        let mut rng = generator(seed);
        let mut drawn = Vec::new();
        for row in weights.chunks_mut((*n).max(1)) {
            let choices = row.iter().filter(|w| **w > 0.0).count();
            if choices == 0 || !replacement && choices < count {
                return Err(invalid(format!("cannot draw {count} of {choices} indices with a weight above 0")));
            }
            let mut sums = Vec::new();
            for _ in 0..count {
                if sums.is_empty() || !replacement {
                    sums = row
                        .iter()
                        .scan(0.0, |sum, w| {
                            *sum += w;
                            Some(*sum)
                        })
                        .collect();
                }
                let aim = uniform(&mut rng, 53) * sums.last().copied().unwrap_or(0.0);
                let mut at = sums.partition_point(|&sum| sum <= aim).min(n - 1);
                // Rounding can carry the aim to the very end, behind indices of weight 0.
                while row[at] == 0.0 && at > 0 {
                    at -= 1;
                }
                if !replacement {
                    row[at] = 0.0;
                }
                drawn.push(at as i64);
            }
        }
        let dims = [&self.dims()[..self.rank() - 1], &[count]].concat();
        Self::constant(upload(drawn, &dims, self.data().device())?)
    }
}

fn place(name: Option<String>) -> Result<Device> {
    name.map_or(Ok(Device::Cpu), |name| device_from_name(&name))
}

fn seed(seed: Option<i64>) -> Option<u64> {
    seed.map(i64::cast_unsigned)
}

fn reseed(seed: i64) -> Result<Vec<Tensor>> {
    manual_seed(seed.cast_unsigned());
    Ok(Vec::new())
}

pub(super) const OPS: &[Op] = op_table! {
    manual_seed(; seed: i64) => reseed(seed);
    rand(; size: Vec<usize>, dtype: Option<DType>, device: Option<String>, seed: Option<i64>)
        => Tensor::rand(&size, dtype.unwrap_or(DType::F32), &place(device)?, self::seed(seed));
    randn(; size: Vec<usize>, dtype: Option<DType>, device: Option<String>, seed: Option<i64>)
        => Tensor::randn(&size, dtype.unwrap_or(DType::F32), &place(device)?, self::seed(seed));
    randint(; low: i64, high: i64, size: Vec<usize>, dtype: Option<DType>, device: Option<String>, seed: Option<i64>)
        => Tensor::randint(low, high, &size, dtype.unwrap_or(DType::I64), &place(device)?, self::seed(seed));
    randperm(; n: usize, device: Option<String>, seed: Option<i64>)
        => Tensor::randperm(n, &place(device)?, self::seed(seed));
    bernoulli(p; seed: Option<i64>) => p.bernoulli(self::seed(seed));
    multinomial(weights; num_samples: usize, replacement: Option<bool>, seed: Option<i64>)
        => weights.multinomial(num_samples, replacement.unwrap_or(false), self::seed(seed));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_function_is_right_in_the_middle_and_in_both_tails() {
        let known = [
            (0.5, 0.0),
            (0.6, 0.2533471031357998),
            (0.07, -1.4757910281791702),
            (0.93, 1.4757910281791708),
            (1e-3, -3.090232306167813),
            (0.99999, 4.26489079392384),
            (1e-9, -5.9978070150076865),
            (1e-12, -7.034483825301132),
            (1e-15, -7.941345326170995),
        ];
        for (p, want) in known {
            let got = normal_quantile(p);
            assert!((got - want).abs() <= 1e-14 * want.abs(), "{p}: {got}, expected {want}");
        }
    }

    #[test]
    fn the_exponential_is_right_to_the_last_digits() {
        for x in [0.0, -1e-300, -1e-9, -0.1, -0.35, -0.5, -1.0, -2.5, -10.0, -87.3, -300.0, -707.9] {
            assert!((exp(x) - f64::exp(x)).abs() <= 4e-16 * f64::exp(x), "{x}");
        }
        assert_eq!((exp(f64::NEG_INFINITY), exp(-800.0)), (0.0, 0.0));
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn the_logarithm_is_right_to_the_last_digits() {
        for x in [f64::MIN_POSITIVE, 1e-300, 1e-15, 0.1, 0.5, 0.99, 1.0, 1.4, 1.5, 2.0, 1e10] {
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1e-2), "{x}");
        }
    }
}

//! Branch-free elementary functions of `f32`, accurate to a few units in the last place.
//!
//! NaN passes through everything here: comparisons are written so that NaN takes the branch that keeps it.

/// `a * b + c`, in one rounding where that is one instruction.
#[inline(always)]
pub(super) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// A polynomial by Horner's rule, highest power first.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    const { assert!(N > 0) };
    let mut sum = coefficients[0];
    // Not the array's own iterator: its loop is unrolled too late for those around it to be vectorised.
    for c in &coefficients[1..] {
        sum = fma::<FMA>(sum, x, *c);
    }
    sum
}

#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `e^x`: range reduction by `ln 2` in two parts and the polynomial of Cephes' `expf`. Results below the smallest
/// normal number become zero.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    /// Adding this rounds to a whole number, whose bits then lie in the low end of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    /// The last argument with a finite result, and the first with a normal one.
    const HIGH: f32 = 88.722_83;
    const LOW: f32 = -87.336_54;
    let c = clamp(x, LOW, HIGH);
    let shifted = fma::<FMA>(c, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -0.693_359_4, c);
    let r = fma::<FMA>(n, 2.121_944_4e-4, r);
    let p =
        polynomial::<FMA, 6>(r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    let y = fma::<FMA>(p, r * r, r) + 1.0;
    let y = f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23));
    let y = if x > HIGH { f32::INFINITY } else { y };
    let y = if x < LOW { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// `tanh x`: the rational minimax approximation that Eigen uses, on the range where `tanh` is not yet ±1.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    const LIMIT: f32 = 7.998_811_7;
    let c = clamp(x, -LIMIT, LIMIT);
    let x2 = c * c;
    let p = polynomial::<FMA, 7>(
        x2,
        [
            -2.760_768_5e-16,
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297_1e-8,
            1.485_722_4e-5,
            6.372_619_3e-4,
            4.893_524_6e-3,
        ],
    );
    let q = polynomial::<FMA, 4>(x2, [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3]);
    // Exactly ±1 beyond the limit: slopes multiply 1 - tanh² by what may be infinite.
    if x.abs() >= LIMIT { 1f32.copysign(x) } else { c * p / q }
}

/// The standard normal distribution at `x`: its distribution function and `e^(-x²/2)`.
///
/// The tail is `erfc(z) / 2` with `z = |x| / √2`, where `erfc(z) e^(z²) = t P(t)` with `t = 1 / (1 + 0.4 z)`; `P` is
/// the Chebyshev interpolant of degree 8, fitted for this purpose, exact to 1.5e-7 of the value for all `z`. So the
/// left tail keeps its digits, which `1 + erf` loses.
#[inline(always)]
pub(super) fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    let bell = exp::<FMA>(-0.5 * x * x);
    let t = 1.0 / fma::<FMA>(0.4 * std::f32::consts::FRAC_1_SQRT_2, x.abs(), 1.0);
    let p = polynomial::<FMA, 9>(
        t,
        [
            0.037_263_907,
            -0.121_234_04,
            0.045_252_986,
            0.131_403_82,
            0.050_393_89,
            0.205_610_98,
            0.198_838_35,
            0.226_859_73,
            0.225_610_39,
        ],
    );
    let tail = 0.5 * t * p * bell;
    (if x > 0.0 { 1.0 - tail } else { tail }, bell)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The sum of `f` over a row, in 32 lanes that are added at the end.
#[inline(always)]
pub(super) fn sum<const K: usize>(rows: [&[f32]; K], f: impl Fn([f32; K]) -> f32) -> f32 {
    const LANES: usize = 32;
    let n = rows.iter().map(|row| row.len()).min().unwrap_or(0);
    let whole = n / LANES * LANES;
    let mut lanes = [0f32; LANES];
    let mut start = 0;
    while start < whole {
        let blocks = rows.map(|row| &row[start..start + LANES]);
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += f(blocks.map(|block| block[i]));
        }
        start += LANES;
    }
    let mut rest = 0.0;
    for i in whole..n {
        rest += f(rows.map(|row| row[i]));
    }
    // Pairs of lanes first: the order in which rounding hurts least.
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0] + rest
}

/// The largest element of a row; NaN counts for nothing here.
#[inline(always)]
pub(super) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 32];
    let (blocks, rest) = row.as_chunks::<32>();
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

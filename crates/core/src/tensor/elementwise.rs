//! Mathematical functions of each element.
//!
//! Each is one line: its value, and its gradient from the argument or (where that is cheaper to keep) the result.
//! Integers are taken as `float32` where the result is a fraction, and stay integers where it is not.

use super::composed;
use super::elements::{map, zip};
use super::kernels::{self, ElementKernel};
use super::{CT, Tensor};
use crate::autograd::record_unary;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};

/// `y = f(x)`, with `gradient(g, x)`.
pub(super) fn from_input(
    op: &'static str,
    x: &Tensor,
    f: impl Fn(f64) -> f64 + Sync,
    gradient: impl Fn(f64, f64) -> f64 + Send + Sync + 'static,
) -> Result<Tensor> {
    let x = x.to_float()?;
    let y = map(x.data().dtype(), x.data(), f)?;
    let saved = x.data().clone();
    record_unary(op, y, &x, move |g| zip(g.dtype(), g.dims(), [g.into(), (&saved).into()], &gradient))
}

/// `y = f(x)`, with `gradient(g, y)`.
pub(super) fn from_output(
    op: &'static str,
    x: &Tensor,
    f: impl Fn(f64) -> f64 + Sync,
    gradient: impl Fn(f64, f64) -> f64 + Send + Sync + 'static,
) -> Result<Tensor> {
    let x = x.to_float()?;
    let y = map(x.data().dtype(), x.data(), f)?;
    let saved = y.clone();
    record_unary(op, y, &x, move |g| zip(g.dtype(), g.dims(), [g.into(), (&saved).into()], &gradient))
}

/// A function with a fast kernel: `value` and `slope(saved)` are the general way.
pub(super) fn pointwise(
    op: &'static str,
    x: &Tensor,
    kernel: ElementKernel,
    value: fn(f64) -> f64,
    slope: fn(f64) -> f64,
) -> Result<Tensor> {
    let x = x.to_float()?;
    let y = match kernels::map_value(kernel, x.data())? {
        Some(y) => y,
        None if composed::applies(x.data()) => composed::value(kernel, x.data())?,
        None => map(x.data().dtype(), x.data(), value)?,
    };
    let saved = if kernel.saves_output() { y.clone() } else { x.data().clone() };
    record_unary(op, y, &x, move |g| match kernels::map_slope(kernel, &saved, g)? {
        Some(dx) => Ok(dx),
        None if composed::applies(g) => Ok(g.mul(&composed::slope(kernel, &saved)?)?),
        None => zip(g.dtype(), g.dims(), [g.into(), (&saved).into()], |g: f64, s: f64| g * slope(s)),
    })
}

/// A function that leaves integers as they are and has no slope.
fn step(op: &'static str, x: &Tensor, f: impl Fn(f64) -> f64 + Sync) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return refuse_bool(op, x).map(|()| x.clone());
    }
    record_unary(op, map(x.data().dtype(), x.data(), f)?, x, |g: &CT| Ok(g.zeros_like()?))
}

pub(super) fn refuse_bool(op: &'static str, x: &Tensor) -> Result<()> {
    refuse_bool_dtype(op, x.dtype())
}

pub(super) fn refuse_bool_dtype(op: &'static str, dtype: DType) -> Result<()> {
    if dtype == DType::Bool {
        return Err(Error::WrongDtype { op, expected: "a number dtype".into(), got: "bool".into() });
    }
    Ok(())
}

fn integers(x: &Tensor, f: impl Fn(i64) -> i64 + Sync) -> Result<Tensor> {
    Tensor::constant_as(map(x.data().dtype(), x.data(), f)?, x.dtype())
}

/// torch's sign: 0 for NaN as well as for zero.
fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

impl Tensor {
    /// `-x`.
    pub fn neg(&self) -> Result<Self> {
        refuse_bool("neg", self)?;
        if !self.dtype().is_float() {
            return integers(self, i64::wrapping_neg);
        }
        let negate = |x: &CT| map(x.dtype(), x, |x: f64| -x);
        record_unary("neg", negate(self.data())?, self, negate)
    }

    /// `|x|`; the gradient at 0 is 0.
    pub fn abs(&self) -> Result<Self> {
        if !self.dtype().is_float() {
            return integers(self, i64::wrapping_abs);
        }
        from_input("abs", self, f64::abs, |g, x| g * sign(x))
    }

    /// -1, 0 or 1; NaN gives 0, as in torch.
    pub fn sign(&self) -> Result<Self> {
        if !self.dtype().is_float() {
            return integers(self, i64::signum);
        }
        step("sign", self, sign)
    }

    /// `x²`.
    pub fn square(&self) -> Result<Self> {
        if !self.dtype().is_float() {
            return integers(
                &self.to_dtype(if self.dtype() == DType::Bool { DType::I64 } else { self.dtype() })?,
                |x| x.wrapping_mul(x),
            );
        }
        from_input("square", self, |x| x * x, |g, x| 2.0 * g * x)
    }

    /// `e^x`.
    pub fn exp(&self) -> Result<Self> {
        pointwise("exp", self, ElementKernel::Exp, f64::exp, |y| y)
    }

    /// `tanh x`.
    pub fn tanh(&self) -> Result<Self> {
        pointwise("tanh", self, ElementKernel::Tanh, f64::tanh, |y| 1.0 - y * y)
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident $rule:ident |$x:ident| $value:expr, |$g:ident, $s:ident| $gradient:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            pub fn $name(&self) -> Result<Self> {
                $rule(stringify!($name), self, |$x: f64| $value, |$g: f64, $s: f64| $gradient)
            }
        )* }
    };
}

functions! {
    /// `ln x`.
    log from_input |x| x.ln(), |g, x| g / x;
    /// `log₂ x`.
    log2 from_input |x| x.log2(), |g, x| g / (x * std::f64::consts::LN_2);
    /// `log₁₀ x`.
    log10 from_input |x| x.log10(), |g, x| g / (x * std::f64::consts::LN_10);
    /// `ln(1 + x)`, exact near 0.
    log1p from_input |x| x.ln_1p(), |g, x| g / (1.0 + x);
    /// `e^x - 1`, exact near 0.
    expm1 from_output |x| x.exp_m1(), |g, y| g * (y + 1.0);
    /// `2^x`.
    exp2 from_output |x| x.exp2(), |g, y| g * y * std::f64::consts::LN_2;
    /// `√x`.
    sqrt from_output |x| x.sqrt(), |g, y| g / (2.0 * y);
    /// `1 / √x`.
    rsqrt from_output |x| 1.0 / x.sqrt(), |g, y| -0.5 * g * y * y * y;
    /// `1 / x`.
    reciprocal from_output |x| 1.0 / x, |g, y| -g * y * y;
    /// `sin x`, in radians.
    sin from_input |x| x.sin(), |g, x| g * x.cos();
    /// `cos x`, in radians.
    cos from_input |x| x.cos(), |g, x| -g * x.sin();
    /// `tan x`, in radians.
    tan from_output |x| x.tan(), |g, y| g * (1.0 + y * y);
    /// `arcsin x`.
    asin from_input |x| x.asin(), |g, x| g / (1.0 - x * x).sqrt();
    /// `arccos x`.
    acos from_input |x| x.acos(), |g, x| -g / (1.0 - x * x).sqrt();
    /// `arctan x`.
    atan from_input |x| x.atan(), |g, x| g / (1.0 + x * x);
    /// `sinh x`.
    sinh from_input |x| x.sinh(), |g, x| g * x.cosh();
    /// `cosh x`.
    cosh from_input |x| x.cosh(), |g, x| g * x.sinh();
    /// `arsinh x`.
    asinh from_input |x| x.asinh(), |g, x| g / (x * x + 1.0).sqrt();
    /// `arcosh x`.
    acosh from_input |x| x.acosh(), |g, x| g / (x * x - 1.0).sqrt();
    /// `artanh x`.
    atanh from_input |x| x.atanh(), |g, x| g / (1.0 - x * x);
    /// The error function.
    erf from_input |x| libm::erf(x), |g, x| g * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
    /// `1 - erf x`, exact where that is small.
    erfc from_input |x| libm::erfc(x), |g, x| -g * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident $f:expr;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            pub fn $name(&self) -> Result<Self> {
                step(stringify!($name), self, $f)
            }
        )* }
    };
}

steps! {
    /// The largest whole number that is not larger.
    floor f64::floor;
    /// The smallest whole number that is not smaller.
    ceil f64::ceil;
    /// The nearest whole number, halves to even.
    round f64::round_ties_even;
    /// The whole part.
    trunc f64::trunc;
}

impl Tensor {
    /// The fraction that [`Tensor::trunc`] drops.
    pub fn frac(&self) -> Result<Self> {
        super::require_float("frac", self.dtype())?;
        record_unary("frac", map(self.data().dtype(), self.data(), |x: f64| x - x.trunc())?, self, |g| Ok(g.clone()))
    }
}

pub(super) const OPS: &[Op] = op_table! {
    neg(x) => x.neg();
    abs(x) => x.abs();
    sign(x) => x.sign();
    square(x) => x.square();
    exp(x) => x.exp();
    tanh(x) => x.tanh();
    log(x) => x.log();
    log2(x) => x.log2();
    log10(x) => x.log10();
    log1p(x) => x.log1p();
    expm1(x) => x.expm1();
    exp2(x) => x.exp2();
    sqrt(x) => x.sqrt();
    rsqrt(x) => x.rsqrt();
    reciprocal(x) => x.reciprocal();
    sin(x) => x.sin();
    cos(x) => x.cos();
    tan(x) => x.tan();
    asin(x) => x.asin();
    acos(x) => x.acos();
    atan(x) => x.atan();
    sinh(x) => x.sinh();
    cosh(x) => x.cosh();
    asinh(x) => x.asinh();
    acosh(x) => x.acosh();
    atanh(x) => x.atanh();
    erf(x) => x.erf();
    erfc(x) => x.erfc();
    floor(x) => x.floor();
    ceil(x) => x.ceil();
    round(x) => x.round();
    trunc(x) => x.trunc();
    frac(x) => x.frac();
};

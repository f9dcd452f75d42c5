//! Comparisons and logic: truth values of each element.

use super::elements::{map, zip};
use super::promotion::{Operand, operands, result_type};
use super::{Tensor, broadcast_dims};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};
use candle_core::DType as Storage;

/// A comparison of floats and of integers.
struct Comparison {
    op: &'static str,
    floats: fn(f64, f64) -> bool,
    integers: fn(i64, i64) -> bool,
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident $scalar:ident $f:expr;)*) => {
        $(fn $name(sides: [Operand; 2]) -> Result<Tensor> {
            compare(&Comparison { op: stringify!($name), floats: |a, b| $f(&a, &b), integers: |a, b| $f(&a, &b) }, sides)
        })*
        impl Tensor { $(
            $(#[$doc])*
            pub fn $name(&self, other: &Tensor) -> Result<Self> {
                $name([Operand::Tensor(self.clone()), Operand::Tensor(other.clone())])
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] with a number on the right.")]
            pub fn $scalar(&self, other: Scalar) -> Result<Self> {
                $name([Operand::Tensor(self.clone()), Operand::Number(other)])
            }
        )* }
    };
}

comparisons! {
    /// Where `a == b`; NaN equals nothing.
    eq eq_scalar PartialEq::eq;
    /// Where `a != b`; NaN differs from everything.
    ne ne_scalar PartialEq::ne;
    /// Where `a < b`.
    lt lt_scalar PartialOrd::lt;
    /// Where `a <= b`.
    le le_scalar PartialOrd::le;
    /// Where `a > b`.
    gt gt_scalar PartialOrd::gt;
    /// Where `a >= b`.
    ge ge_scalar PartialOrd::ge;
}

fn compare(comparison: &Comparison, [a, b]: [Operand; 2]) -> Result<Tensor> {
    let dtype = result_type(&a, &b);
    let dims = broadcast_dims(comparison.op, a.dims(), b.dims())?;
    // Operands are constants here: truth values carry no gradient.
    let side = |x: &Operand| -> Result<Operand> {
        match x {
            Operand::Tensor(x) => Operand::Tensor(x.untracked()).cast(dtype),
            // A number is compared in the tensor's precision: 0.1 equals what float16 holds for it.
            Operand::Number(n) if dtype.is_float() => {
                let rounded = Tensor::from_slice(&[n.as_f64()], &[])?.to_dtype(dtype)?;
                Ok(Operand::Number(Scalar::Float(rounded.to_scalar()?)))
            }
            Operand::Number(n) => Ok(Operand::Number(*n)),
        }
    };
    let terms = [side(&a)?.term(dtype), side(&b)?.term(dtype)];
    let mask = if dtype.is_float() {
        zip(Storage::U8, &dims, terms, |a, b| i64::from((comparison.floats)(a, b)))
    } else {
        zip(Storage::U8, &dims, terms, |a, b| i64::from((comparison.integers)(a, b)))
    };
    Tensor::mask(mask?)
}

fn logic(op: &'static str, [a, b]: [Operand; 2], f: impl Fn(bool, bool) -> bool + Sync) -> Result<Tensor> {
    let dims = broadcast_dims(op, a.dims(), b.dims())?;
    let truth = |x: &Operand| -> Result<Operand> {
        match x {
            Operand::Tensor(x) => Operand::Tensor(x.untracked()).cast(DType::Bool),
            Operand::Number(n) => Ok(Operand::Number(Scalar::Bool(n.as_f64() != 0.0))),
        }
    };
    let terms = [truth(&a)?.term(DType::Bool), truth(&b)?.term(DType::Bool)];
    Tensor::mask(zip(Storage::U8, &dims, terms, |a: i64, b: i64| i64::from(f(a != 0, b != 0)))?)
}

fn bits(op: &'static str, [a, b]: [Operand; 2], f: impl Fn(i64, i64) -> i64 + Sync) -> Result<Tensor> {
    let dtype = result_type(&a, &b);
    if dtype.is_float() {
        return Err(Error::WrongDtype { op, expected: "integers or truth values".into(), got: dtype.name().into() });
    }
    let dims = broadcast_dims(op, a.dims(), b.dims())?;
    let terms = [a.cast(dtype)?.term(dtype), b.cast(dtype)?.term(dtype)];
    Tensor::constant_as(zip(dtype.storage(), &dims, terms, f)?, dtype)
}

/// A test of floats; integers and truth values answer `otherwise`.
fn test(x: &Tensor, f: impl Fn(f64) -> bool + Sync, otherwise: bool) -> Result<Tensor> {
    let mask = if x.dtype().is_float() {
        map(Storage::U8, x.data(), |x: f64| i64::from(f(x)))?
    } else {
        map(Storage::U8, x.data(), |_: i64| i64::from(otherwise))?
    };
    Tensor::mask(mask)
}

impl Tensor {
    /// Where an element is NaN.
    pub fn isnan(&self) -> Result<Self> {
        test(self, f64::is_nan, false)
    }

    /// Where an element is neither infinite nor NaN.
    pub fn isfinite(&self) -> Result<Self> {
        test(self, f64::is_finite, true)
    }

    /// Where two numbers are within `atol + rtol |b|` of each other, or the same infinity, or (`equal_nan`) both NaN.
    pub fn isclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Self> {
        let dims = broadcast_dims("isclose", self.dims(), other.dims())?;
        let terms = [self.data().into(), other.data().into()];
        let near = |a: f64, b: f64| {
            a == b
                || (b.is_finite() && (a - b).abs() <= atol + rtol * b.abs())
                || (equal_nan && a.is_nan() && b.is_nan())
        };
        Self::mask(zip(Storage::U8, &dims, terms, |a, b| i64::from(near(a, b)))?)
    }

    /// Where an element is infinite.
    pub fn isinf(&self) -> Result<Self> {
        test(self, f64::is_infinite, false)
    }

    /// Where both are true (anything but zero is).
    pub fn logical_and(&self, other: &Tensor) -> Result<Self> {
        logic("logical_and", [Operand::Tensor(self.clone()), Operand::Tensor(other.clone())], |a, b| a && b)
    }

    /// Where at least one is true.
    pub fn logical_or(&self, other: &Tensor) -> Result<Self> {
        logic("logical_or", [Operand::Tensor(self.clone()), Operand::Tensor(other.clone())], |a, b| a || b)
    }

    /// Where exactly one is true.
    pub fn logical_xor(&self, other: &Tensor) -> Result<Self> {
        logic("logical_xor", [Operand::Tensor(self.clone()), Operand::Tensor(other.clone())], |a, b| a != b)
    }

    /// Where an element is zero.
    pub fn logical_not(&self) -> Result<Self> {
        let truth = self.untracked().to_dtype(DType::Bool)?;
        Self::mask(map(Storage::U8, truth.data(), |x: i64| i64::from(x == 0))?)
    }

    /// The complement of each bit; of truth values, not.
    pub fn bitwise_not(&self) -> Result<Self> {
        match self.dtype() {
            DType::Bool => self.logical_not(),
            d if d.is_float() => Err(Error::WrongDtype {
                op: "bitwise_not",
                expected: "integers or truth values".into(),
                got: d.name().into(),
            }),
            _ => Self::constant(map(self.data().dtype(), self.data(), |x: i64| !x)?),
        }
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[broadcast] eq[inputs](; other: Option<Scalar>, this: Option<Scalar>) => eq(operands("eq", inputs, other, this)?);
    #[broadcast] ne[inputs](; other: Option<Scalar>, this: Option<Scalar>) => ne(operands("ne", inputs, other, this)?);
    #[broadcast] lt[inputs](; other: Option<Scalar>, this: Option<Scalar>) => lt(operands("lt", inputs, other, this)?);
    #[broadcast] le[inputs](; other: Option<Scalar>, this: Option<Scalar>) => le(operands("le", inputs, other, this)?);
    #[broadcast] gt[inputs](; other: Option<Scalar>, this: Option<Scalar>) => gt(operands("gt", inputs, other, this)?);
    #[broadcast] ge[inputs](; other: Option<Scalar>, this: Option<Scalar>) => ge(operands("ge", inputs, other, this)?);
    #[broadcast] logical_and(a, b) => a.logical_and(b);
    #[broadcast] logical_or(a, b) => a.logical_or(b);
    #[broadcast] logical_xor(a, b) => a.logical_xor(b);
    logical_not(x) => x.logical_not();
    #[broadcast] bitwise_and[inputs](; other: Option<Scalar>) => bits("bitwise_and", operands("bitwise_and", inputs, other, None)?, |a, b| a & b);
    #[broadcast] bitwise_or[inputs](; other: Option<Scalar>) => bits("bitwise_or", operands("bitwise_or", inputs, other, None)?, |a, b| a | b);
    #[broadcast] bitwise_xor[inputs](; other: Option<Scalar>) => bits("bitwise_xor", operands("bitwise_xor", inputs, other, None)?, |a, b| a ^ b);
    bitwise_not(x) => x.bitwise_not();
    isnan(x) => x.isnan();
    isfinite(x) => x.isfinite();
    isinf(x) => x.isinf();
    #[broadcast] isclose(a, b; rtol: Option<f64>, atol: Option<f64>, equal_nan: Option<bool>) => a.isclose(b, rtol.unwrap_or(1e-5), atol.unwrap_or(1e-8), equal_nan.unwrap_or(false));
    #[broadcast] allclose(a, b; rtol: Option<f64>, atol: Option<f64>, equal_nan: Option<bool>) => a.isclose(b, rtol.unwrap_or(1e-5), atol.unwrap_or(1e-8), equal_nan.unwrap_or(false))?.all(None, false);
    isposinf(x) => test(x, |x| x == f64::INFINITY, false);
    isneginf(x) => test(x, |x| x == f64::NEG_INFINITY, false);
};

//! Which dtype comes out when dtypes meet: torch's type promotion.

use super::Tensor;
use super::elements::Term;
use crate::autograd::record_unary;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};

/// One side of a binary operation.
#[derive(Clone)]
pub(crate) enum Operand {
    /// A tensor.
    Tensor(Tensor),
    /// A number, which yields to the tensor's dtype where it can.
    Number(Scalar),
}

impl Operand {
    /// The operand as data of that dtype: the cast of a tensor is recorded.
    pub(crate) fn cast(&self, dtype: DType) -> Result<Self> {
        Ok(match self {
            Self::Tensor(x) => Self::Tensor(x.to_dtype(dtype)?),
            Self::Number(x) => Self::Number(*x),
        })
    }

    /// What [`super::elements`] computes with. Numbers beside floats of 32 bits and fewer have 32 bits, as in torch.
    pub(crate) fn term(&self, dtype: DType) -> Term {
        match self {
            Self::Tensor(x) => Term::Tensor(x.data().clone()),
            Self::Number(x) if dtype.is_float() && dtype != DType::F64 => {
                Term::Number(Scalar::Float(f64::from(x.as_f64() as f32)))
            }
            Self::Number(x) => Term::Number(*x),
        }
    }

    /// The sizes; a number has none.
    pub(crate) fn dims(&self) -> &[usize] {
        match self {
            Self::Tensor(x) => x.dims(),
            Self::Number(_) => &[],
        }
    }

    /// The tensor, if it is one.
    pub(crate) fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Tensor(x) => Some(x),
            Self::Number(_) => None,
        }
    }
}

/// The operands of an operation that takes two tensors, or one and a number `other` on its right or `this` on its left.
pub(crate) fn operands(
    op: &'static str,
    inputs: &[Tensor],
    other: Option<Scalar>,
    this: Option<Scalar>,
) -> Result<[Operand; 2]> {
    match (inputs, other, this) {
        ([a, b], None, None) => Ok([Operand::Tensor(a.clone()), Operand::Tensor(b.clone())]),
        ([a], Some(other), None) => Ok([Operand::Tensor(a.clone()), Operand::Number(other)]),
        ([b], None, Some(this)) => Ok([Operand::Number(this), Operand::Tensor(b.clone())]),
        _ => Err(Error::InvalidArgument {
            op,
            detail: format!("takes two tensors, or one and a number; got {} tensors", inputs.len()),
        }),
    }
}

impl Scalar {
    /// The dtype that a number brings where no tensor has one of its kind.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::Bool(_) => DType::Bool,
            Self::Int(_) => DType::I64,
            // JavaScript writes the negative zero for `-n` where n is 0: it must not turn integers into floats.
            Self::Float(x) if x == 0.0 && x.is_sign_negative() => DType::I64,
            Self::Float(_) => DType::F32,
        }
    }
}

/// The smallest dtype that holds both.
pub(crate) fn promote(a: DType, b: DType) -> DType {
    let rank = |d: DType| match d {
        DType::Bool => 0,
        DType::U8 => 1,
        DType::U32 => 2,
        DType::I64 => 3,
        DType::F16 | DType::BF16 => 4,
        DType::F32 => 5,
        DType::F64 => 6,
    };
    match (a, b) {
        // Neither holds the other's range.
        (DType::F16, DType::BF16) | (DType::BF16, DType::F16) => DType::F32,
        _ if rank(a) >= rank(b) => a,
        _ => b,
    }
}

/// A dtype met by one of lower priority (a 0-d tensor or a number), which counts only if it is of a higher kind.
fn yield_to(high: DType, low: DType) -> DType {
    if high.is_float() {
        high
    } else if high == DType::Bool || low.is_float() {
        promote(high, low)
    } else {
        high
    }
}

/// The dtype of a result of two operands.
pub(crate) fn result_type(a: &Operand, b: &Operand) -> DType {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => match (a.rank(), b.rank()) {
            (0, 1..) => yield_to(b.dtype(), a.dtype()),
            (1.., 0) => yield_to(a.dtype(), b.dtype()),
            _ => promote(a.dtype(), b.dtype()),
        },
        (Operand::Tensor(x), Operand::Number(n)) | (Operand::Number(n), Operand::Tensor(x)) => {
            yield_to(x.dtype(), n.dtype())
        }
        (Operand::Number(a), Operand::Number(b)) => promote(a.dtype(), b.dtype()),
    }
}

/// The dtype that functions with fractional results compute integers in.
pub(crate) fn float_of(dtype: DType) -> DType {
    if dtype.is_float() { dtype } else { DType::F32 }
}

impl Tensor {
    /// The same values in another dtype; the gradient is cast back. Floats become integers by dropping the fraction,
    /// and `bool` by asking whether they differ from zero.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.cast("to", dtype)
    }

    /// [`Tensor::to_dtype`] on behalf of another operation.
    pub(crate) fn cast(&self, op: &'static str, dtype: DType) -> Result<Self> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        // Truth is found by comparing with zeros, which take as much as the tensor.
        let zeros = if dtype == DType::Bool { self.dtype().size() } else { 0 };
        crate::memory::require_tensor(op, self.dims(), dtype.size() + zeros)?;
        let data = if dtype == DType::Bool {
            self.data().ne(&self.data().zeros_like()?)?
        } else {
            self.data().to_dtype(dtype.storage())?
        };
        let from = self.dtype();
        if !(from.is_float() && dtype.is_float()) {
            return Self::constant_as(data, dtype);
        }
        record_unary(op, data, self, move |g| Ok(g.to_dtype(from.storage())?))
    }

    /// As a float: integers and truth values become `float32`.
    pub(crate) fn to_float(&self) -> Result<Self> {
        self.to_dtype(float_of(self.dtype()))
    }
}

fn to(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    match dtype {
        Some(dtype) => x.to_dtype(dtype),
        None => Err(Error::InvalidArgument { op: "to", detail: "needs a dtype".into() }),
    }
}

fn float(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::F32)
}

fn type_as(x: &Tensor, like: &Tensor) -> Result<Tensor> {
    x.to_dtype(like.dtype())
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] to(x; dtype: Option<DType>) => to(x, dtype);
    #[own] float(x) => float(x);
    #[own] type_as(x, like) => type_as(x, like);
};

//! Choosing between values: where, masked fill, clamp.
//!
//! What is not chosen leaves no trace: a NaN or an infinity in it reaches neither the result nor a gradient.

use super::elements::{Term, map, zip, zip3};
use super::promotion::{Operand, result_type};
use super::rows::unbroadcast;
use super::{CT, Tensor, broadcast_dims, kernels};
use crate::autograd::{record, record_unary};
use crate::device::{DType, on_host};
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};

fn require_mask(op: &'static str, mask: &Tensor) -> Result<()> {
    if mask.dtype() == DType::Bool {
        return Ok(());
    }
    Err(Error::WrongDtype { op, expected: "a bool mask".into(), got: mask.dtype().name().into() })
}

/// The gradient where the mask has the value `chosen`, and 0 elsewhere, summed to `dims`.
fn masked(g: &CT, mask: &CT, chosen: bool, dims: &[usize]) -> Result<CT> {
    let (g_term, zero) = (Term::from(g), Term::Number(Scalar::Float(0.0)));
    let (a, b) = if chosen { (&g_term, &zero) } else { (&zero, &g_term) };
    if let Some(kept) = kernels::select(mask, a, b, g.dims())? {
        return unbroadcast(&kept, dims);
    }
    let keep = f64::from(u8::from(chosen));
    let kept = zip(g.dtype(), g.dims(), [g.into(), mask.into()], |g: f64, m: f64| if m == keep { g } else { 0.0 })?;
    unbroadcast(&kept, dims)
}

/// `a` where `mask` is not 0, `b` elsewhere, all of one shape, without a record of it.
pub(crate) fn chosen(mask: &CT, a: &CT, b: &CT) -> Result<CT> {
    if !on_host(a) {
        return Ok(mask.where_cond(a, b)?);
    }
    let terms = [mask.into(), Term::from(a), Term::from(b)];
    if let Some(y) = kernels::select(mask, &terms[1], &terms[2], a.dims())? {
        return Ok(y);
    }
    if a.dtype().is_float() {
        return zip3(a.dtype(), a.dims(), terms, |m: f64, a: f64, b: f64| if m != 0.0 { a } else { b });
    }
    zip3(a.dtype(), a.dims(), terms, |m: i64, a: i64, b: i64| if m != 0 { a } else { b })
}

fn choose(op: &'static str, mask: &Tensor, a: Operand, b: Operand, dtype: DType) -> Result<Tensor> {
    require_mask(op, mask)?;
    let (a, b) = (a.cast(dtype)?, b.cast(dtype)?);
    let dims = broadcast_dims(op, mask.dims(), &broadcast_dims(op, a.dims(), b.dims())?)?;
    let terms = [mask.data().into(), a.term(dtype), b.term(dtype)];
    if !dtype.is_float() {
        let data = zip3(dtype.storage(), &dims, terms, |m: i64, a: i64, b: i64| if m != 0 { a } else { b })?;
        return Tensor::constant_as(data, dtype);
    }
    let [_, a_term, b_term] = &terms;
    let fast = (dtype == DType::F32).then(|| kernels::select(mask.data(), a_term, b_term, &dims)).transpose()?;
    let data = match fast.flatten() {
        Some(data) => data,
        None => zip3(dtype.storage(), &dims, terms, |m: f64, a: f64, b: f64| if m != 0.0 { a } else { b })?,
    };
    let parents: Vec<&Tensor> = [a.tensor(), b.tensor()].into_iter().flatten().collect();
    // Which value of the mask chooses each parent, and the parent's shape.
    let sides: Vec<(bool, Vec<usize>)> = [(true, a.tensor()), (false, b.tensor())]
        .into_iter()
        .filter_map(|(chosen, x)| Some((chosen, x?.dims().to_vec())))
        .collect();
    let mask = mask.data().clone();
    record(op, data, &parents, move |g, needs| {
        let gradient = |((chosen, dims), needed): (&(bool, Vec<usize>), &bool)| {
            needed.then(|| masked(g, &mask, *chosen, dims)).transpose()
        };
        sides.iter().zip(needs).map(gradient).collect()
    })
}

impl Tensor {
    /// `a` where this mask is true, `b` elsewhere; all three broadcast.
    pub fn where_(&self, a: &Tensor, b: &Tensor) -> Result<Self> {
        let (a, b) = (Operand::Tensor(a.clone()), Operand::Tensor(b.clone()));
        let dtype = result_type(&a, &b);
        choose("where", self, a, b, dtype)
    }

    /// `value` where the mask is true, this tensor elsewhere. The dtype stays.
    pub fn masked_fill(&self, mask: &Tensor, value: Scalar) -> Result<Self> {
        let fits = match value {
            Scalar::Float(x) => self.dtype().is_float() || x.fract() == 0.0,
            Scalar::Int(_) => self.dtype() != DType::Bool,
            Scalar::Bool(_) => true,
        };
        if !fits {
            return Err(Error::WrongDtype {
                op: "masked_fill",
                expected: format!("a value that {} can hold", self.dtype().name()),
                got: format!("{value:?}"),
            });
        }
        value.check_range("masked_fill", self.dtype())?;
        choose("masked_fill", mask, Operand::Number(value), Operand::Tensor(self.clone()), self.dtype())
    }

    /// The nearest value between `min` and `max` (`max` if they cross); NaN stays NaN, the gradient is 0 outside and
    /// at the bounds.
    pub fn clamp(&self, min: Option<Scalar>, max: Option<Scalar>) -> Result<Self> {
        if min.is_none() && max.is_none() {
            return Err(Error::InvalidArgument { op: "clamp", detail: "needs 'min', 'max' or both".into() });
        }
        super::elementwise::refuse_bool("clamp", self)?;
        let bounds = [min, max].into_iter().flatten();
        let dtype =
            bounds.fold(
                self.dtype(),
                |dtype, bound| {
                    if !dtype.is_float() && bound.dtype().is_float() { DType::F32 } else { dtype }
                },
            );
        let x = self.to_dtype(dtype)?;
        if !dtype.is_float() {
            let int = |x: Scalar| <i64 as super::elements::Carrier>::number(x);
            let (low, high) = (min.map_or(i64::MIN, int), max.map_or(i64::MAX, int));
            return Self::constant(map(x.data().dtype(), x.data(), |x: i64| x.max(low).min(high))?);
        }
        let low = min.map_or(f64::NEG_INFINITY, Scalar::as_f64);
        let high = max.map_or(f64::INFINITY, Scalar::as_f64);
        let inside = move |x: f64| {
            let x = if x < low { low } else { x };
            if x > high { high } else { x }
        };
        let y = map(x.data().dtype(), x.data(), inside)?;
        let saved = x.data().clone();
        record_unary("clamp", y, &x, move |g| {
            let slope = |g: f64, x: f64| if x > low && x < high { g } else { 0.0 };
            zip(g.dtype(), g.dims(), [g.into(), (&saved).into()], slope)
        })
    }

    /// NaN and the infinities replaced by numbers.
    pub fn nan_to_num(&self, nan: f64, posinf: Option<f64>, neginf: Option<f64>) -> Result<Self> {
        if !self.dtype().is_float() {
            return Ok(self.clone());
        }
        let largest = match self.dtype() {
            DType::F64 => f64::MAX,
            DType::F16 => f64::from(half::f16::MAX),
            DType::BF16 => f64::from(half::bf16::MAX),
            _ => f64::from(f32::MAX),
        };
        let (high, low) = (posinf.unwrap_or(largest), neginf.unwrap_or(-largest));
        let value = move |x: f64| match x {
            x if x.is_nan() => nan,
            f64::INFINITY => high,
            f64::NEG_INFINITY => low,
            x => x,
        };
        super::elementwise::from_input("nan_to_num", self, value, |g, x| if x.is_finite() { g } else { 0.0 })
    }
}

/// `where` with tensors, or a number in place of one of them.
fn where_any(inputs: &[Tensor], other: Option<Scalar>, this: Option<Scalar>) -> Result<Tensor> {
    let tensor = |x: &Tensor| Operand::Tensor(x.clone());
    let (mask, a, b) = match (inputs, this, other) {
        ([mask, a, b], None, None) => (mask, tensor(a), tensor(b)),
        ([mask, a], None, Some(b)) => (mask, tensor(a), Operand::Number(b)),
        ([mask, b], Some(a), None) => (mask, Operand::Number(a), tensor(b)),
        ([mask], Some(a), Some(b)) => (mask, Operand::Number(a), Operand::Number(b)),
        _ => {
            return Err(Error::InvalidArgument {
                op: "where",
                detail: format!("takes a mask and two values, got {} tensors", inputs.len()),
            });
        }
    };
    let dtype = result_type(&a, &b);
    choose("where", mask, a, b, dtype)
}

fn masked_fill(inputs: &[Tensor], value: Option<Scalar>) -> Result<Tensor> {
    match (inputs, value) {
        ([x, mask], Some(value)) => x.masked_fill(mask, value),
        ([x, mask, value], None) if value.rank() == 0 => {
            choose("masked_fill", mask, Operand::Tensor(value.clone()), Operand::Tensor(x.clone()), x.dtype())
        }
        _ => Err(Error::InvalidArgument {
            op: "masked_fill",
            detail: "takes a tensor, a mask and a value (a number or a 0-d tensor)".into(),
        }),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[broadcast] where[inputs](; other: Option<Scalar>, this: Option<Scalar>) => where_any(inputs, other, this);
    #[broadcast] masked_fill[inputs](; value: Option<Scalar>) => masked_fill(inputs, value);
    clamp(x; min: Option<Scalar>, max: Option<Scalar>) => x.clamp(min, max);
    clamp_min(x; min: Scalar) => x.clamp(Some(min), None);
    clamp_max(x; max: Scalar) => x.clamp(None, Some(max));
    nan_to_num(x; nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>) => x.nan_to_num(nan.unwrap_or(0.0), posinf, neginf);
};

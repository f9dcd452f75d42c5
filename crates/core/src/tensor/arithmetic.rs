//! Operations of two operands that broadcast: sums, products, quotients, powers and the like.
//!
//! Operands meet in the dtype that torch's promotion gives ([`super::promotion`]); a gradient is summed over the axes
//! along which its operand was broadcast.

use super::composed::{self, Side};
use super::elements::{Term, zip, zip3};
use super::kernels::{self, Arithmetic};
use super::promotion::{Operand, float_of, operands, result_type};
use super::rows::unbroadcast;
use super::{CT, Tensor, broadcast_dims};
use crate::autograd::record;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, Scalar, op_table};

/// The gradient of one side, in the broadcast shape.
type SideRule = Box<dyn Fn(&CT) -> Result<CT> + Send + Sync>;

/// Two operands in the dtype and for the shape of their result.
struct Pair {
    sides: [Operand; 2],
    dims: Vec<usize>,
    dtype: DType,
}

impl Pair {
    fn new(op: &'static str, sides: [Operand; 2], dtype: DType) -> Result<Self> {
        let [a, b] = sides;
        let sides = [a.cast(dtype)?, b.cast(dtype)?];
        let dims = broadcast_dims(op, sides[0].dims(), sides[1].dims())?;
        Ok(Self { sides, dims, dtype })
    }

    fn promoted(op: &'static str, sides: [Operand; 2]) -> Result<Self> {
        let dtype = result_type(&sides[0], &sides[1]);
        Self::new(op, sides, dtype)
    }

    fn terms(&self) -> [Term; 2] {
        [self.sides[0].term(self.dtype), self.sides[1].term(self.dtype)]
    }

    fn basic(&self, op: Arithmetic) -> Result<CT> {
        let [a, b] = self.terms();
        basic(op, self.dtype, &self.dims, &a, &b)
    }

    /// Records `data` with gradients that `left` and `right` give in the broadcast shape.
    fn record(
        self,
        op: &'static str,
        data: CT,
        left: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static,
        right: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let [a, b] = &self.sides;
        let (a, b) = (a.tensor(), b.tensor());
        let parents: Vec<&Tensor> = [a, b].into_iter().flatten().collect();
        // What an untracked side would need is dropped here, before it is kept alive until backward.
        let mut rules: Vec<(Option<SideRule>, Vec<usize>)> = Vec::new();
        if let Some(a) = a {
            rules.push((a.requires_grad().then(|| Box::new(left) as SideRule), a.dims().to_vec()));
        }
        if let Some(b) = b {
            rules.push((b.requires_grad().then(|| Box::new(right) as SideRule), b.dims().to_vec()));
        }
        record(op, data, &parents, move |g, _| {
            let gradient = |(rule, dims): &(Option<SideRule>, Vec<usize>)| {
                rule.as_ref().map(|rule| unbroadcast(&rule(g)?, dims)).transpose()
            };
            rules.iter().map(gradient).collect()
        })
    }
}

fn side(term: &Term) -> Side<'_> {
    match term {
        Term::Tensor(x) => Side::Tensor(x),
        Term::Number(x) => Side::Number(*x),
    }
}

/// `a op b` in a float dtype.
pub(super) fn basic(op: Arithmetic, dtype: DType, dims: &[usize], a: &Term, b: &Term) -> Result<CT> {
    if let Some(fast) = kernels::arithmetic(op, a, b, dims)? {
        return Ok(fast);
    }
    if [a, b].iter().any(|term| matches!(term, Term::Tensor(x) if composed::applies(x)))
        && let Some(y) = composed::arithmetic(op, side(a), side(b))?
    {
        return Ok(y);
    }
    let terms = [a.clone(), b.clone()];
    let dtype = dtype.storage();
    match op {
        Arithmetic::Add => zip(dtype, dims, terms, |a: f64, b: f64| a + b),
        Arithmetic::Sub => zip(dtype, dims, terms, |a: f64, b: f64| a - b),
        Arithmetic::Mul => zip(dtype, dims, terms, |a: f64, b: f64| a * b),
        Arithmetic::Div => zip(dtype, dims, terms, |a: f64, b: f64| a / b),
    }
}

/// `a * b` of gradients and saved values.
pub(super) fn product(a: &CT, b: &Term) -> Result<CT> {
    basic(Arithmetic::Mul, DType::of_storage(a.dtype())?, a.dims(), &a.into(), b)
}

fn negated(g: &CT) -> Result<CT> {
    product(g, &Term::Number(Scalar::Float(-1.0)))
}

fn integers(pair: &Pair, f: impl Fn(i64, i64) -> i64 + Sync) -> Result<Tensor> {
    Tensor::constant_as(zip(pair.dtype.storage(), &pair.dims, pair.terms(), f)?, pair.dtype)
}

/// Fails if an integer divisor is zero anywhere.
fn require_divisor(op: &'static str, pair: &Pair) -> Result<()> {
    let zero = match &pair.sides[1] {
        Operand::Number(n) => n.as_f64() == 0.0,
        Operand::Tensor(x) => super::elements::to_vec::<i64>(x.data())?.contains(&0),
    };
    // Nothing is divided when there are no elements.
    if zero && pair.dims.iter().product::<usize>() > 0 { Err(Error::DivisionByZero { op }) } else { Ok(()) }
}

fn add(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let pair = Pair::promoted(op, sides)?;
    match pair.dtype {
        DType::Bool => integers(&pair, |a, b| a | b),
        d if d.is_float() => {
            let y = pair.basic(Arithmetic::Add)?;
            pair.record(op, y, |g| Ok(g.clone()), |g| Ok(g.clone()))
        }
        _ => integers(&pair, i64::wrapping_add),
    }
}

fn sub(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let pair = Pair::promoted(op, sides)?;
    match pair.dtype {
        DType::Bool => Err(Error::WrongDtype {
            op,
            expected: "numbers (logical_xor or logical_not serve truth values)".into(),
            got: "bool".into(),
        }),
        d if d.is_float() => {
            let y = pair.basic(Arithmetic::Sub)?;
            pair.record(op, y, |g| Ok(g.clone()), negated)
        }
        _ => integers(&pair, i64::wrapping_sub),
    }
}

fn mul(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let pair = Pair::promoted(op, sides)?;
    match pair.dtype {
        DType::Bool => integers(&pair, |a, b| a & b),
        d if d.is_float() => {
            let y = pair.basic(Arithmetic::Mul)?;
            let [a, b] = pair.terms();
            pair.record(op, y, move |g| product(g, &b), move |g| product(g, &a))
        }
        _ => integers(&pair, i64::wrapping_mul),
    }
}

fn div(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let dtype = float_of(result_type(&sides[0], &sides[1]));
    let pair = Pair::new(op, sides, dtype)?;
    let y = pair.basic(Arithmetic::Div)?;
    let [_, b] = pair.terms();
    let over = b.clone();
    let quotient = y.clone();
    let by_divisor = move |g: &CT| basic(Arithmetic::Div, dtype, g.dims(), &g.into(), &b);
    // d(a/b)/db = -(a/b)/b
    let by_dividend = move |g: &CT| {
        let terms = [g.into(), (&quotient).into(), over.clone()];
        zip3(g.dtype(), g.dims(), terms, |g: f64, y: f64, b: f64| -g * y / b)
    };
    pair.record(op, y, by_divisor, by_dividend)
}

/// How a quotient becomes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards zero.
    Trunc,
    /// Towards minus infinity, as Python's `//`.
    Floor,
}

impl Rounding {
    fn from_name(op: &'static str, name: &str) -> Result<Self> {
        match name {
            "trunc" => Ok(Self::Trunc),
            "floor" => Ok(Self::Floor),
            _ => Err(Error::InvalidArgument {
                op,
                detail: format!("'rounding_mode' must be null, 'trunc' or 'floor', got '{name}'"),
            }),
        }
    }
}

/// Python's `//`, which goes by the exact remainder: `1 // 0.1` is 9.
fn floor_quotient(a: f64, b: f64) -> f64 {
    if b == 0.0 {
        return a / b;
    }
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

/// Python's `%`: the result has the sign of the divisor.
fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) { rest + b } else { rest }
}

fn int_floor_quotient(a: i64, b: i64) -> i64 {
    let quotient = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

fn int_modulo(a: i64, b: i64) -> i64 {
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

fn rounded_div(op: &'static str, sides: [Operand; 2], rounding: Rounding) -> Result<Tensor> {
    let mut pair = Pair::promoted(op, sides)?;
    if pair.dtype == DType::Bool {
        pair = Pair::new(op, pair.sides, DType::I64)?;
    }
    if !pair.dtype.is_float() {
        require_divisor(op, &pair)?;
        return match rounding {
            Rounding::Trunc => integers(&pair, i64::wrapping_div),
            Rounding::Floor => integers(&pair, int_floor_quotient),
        };
    }
    let f = match rounding {
        Rounding::Trunc => |a: f64, b: f64| (a / b).trunc(),
        Rounding::Floor => floor_quotient,
    };
    let y = zip(pair.dtype.storage(), &pair.dims, pair.terms(), f)?;
    pair.record(op, y, |g| Ok(g.zeros_like()?), |g| Ok(g.zeros_like()?))
}

/// A float operation whose gradients are functions of the output's gradient and the two operands.
fn general(
    op: &'static str,
    pair: Pair,
    f: impl Fn(f64, f64) -> f64 + Sync,
    left: impl Fn(f64, f64, f64) -> f64 + Send + Sync + 'static,
    right: impl Fn(f64, f64, f64) -> f64 + Send + Sync + 'static,
) -> Result<Tensor> {
    let y = zip(pair.dtype.storage(), &pair.dims, pair.terms(), f)?;
    let ([a, b], [c, d]) = (pair.terms(), pair.terms());
    pair.record(
        op,
        y,
        move |g| zip3(g.dtype(), g.dims(), [g.into(), a.clone(), b.clone()], &left),
        move |g| zip3(g.dtype(), g.dims(), [g.into(), c.clone(), d.clone()], &right),
    )
}

fn fmod(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let pair = Pair::promoted(op, sides)?;
    if !pair.dtype.is_float() {
        super::elementwise::refuse_bool_dtype(op, pair.dtype)?;
        require_divisor(op, &pair)?;
        return integers(&pair, i64::wrapping_rem);
    }
    general(op, pair, |a, b| a % b, |g, _, _| g, |g, a, b| -g * (a / b).trunc())
}

fn remainder(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let pair = Pair::promoted(op, sides)?;
    if !pair.dtype.is_float() {
        super::elementwise::refuse_bool_dtype(op, pair.dtype)?;
        require_divisor(op, &pair)?;
        return integers(&pair, int_modulo);
    }
    general(op, pair, modulo, |g, _, _| g, |g, a, b| -g * floor_quotient(a, b))
}

fn int_pow(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, e) => {
            if e % 2 == 0 {
                1
            } else {
                -1
            }
        }
        (_, ..0) => 0,
        (b, e) => {
            let (mut result, mut b, mut e) = (1i64, b, e);
            while e > 0 {
                if e & 1 == 1 {
                    result = result.wrapping_mul(b);
                }
                b = b.wrapping_mul(b);
                e >>= 1;
            }
            result
        }
    }
}

fn pow(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let mut pair = Pair::promoted(op, sides)?;
    if pair.dtype == DType::Bool {
        pair = Pair::new(op, pair.sides, DType::I64)?;
    }
    if !pair.dtype.is_float() {
        if let Operand::Number(n) = &pair.sides[1]
            && n.as_f64() < 0.0
        {
            return Err(Error::InvalidArgument {
                op,
                detail: format!("integers have no integer power of {}; convert to a float dtype first", n.as_f64()),
            });
        }
        return integers(&pair, int_pow);
    }
    let base = |g: f64, a: f64, b: f64| if b == 0.0 { 0.0 } else { g * b * a.powf(b - 1.0) };
    let exponent = |g: f64, a: f64, b: f64| if a == 0.0 && b >= 0.0 { 0.0 } else { g * a.powf(b) * a.ln() };
    general(op, pair, f64::powf, base, exponent)
}

/// `maximum` or `minimum`: NaN wins, equal elements share the gradient.
fn extremum(op: &'static str, sides: [Operand; 2], max: bool) -> Result<Tensor> {
    let pair = Pair::promoted(op, sides)?;
    if !pair.dtype.is_float() {
        return if max { integers(&pair, i64::max) } else { integers(&pair, i64::min) };
    }
    let wins = move |a: f64, b: f64| if max { a > b } else { a < b };
    let pick = move |a: f64, b: f64| if a.is_nan() || wins(a, b) { a } else { b };
    let share = move |g: f64, a: f64, b: f64| {
        if a == b {
            g / 2.0
        } else if wins(b, a) {
            0.0
        } else {
            g
        }
    };
    general(op, pair, pick, share, move |g, a, b| share(g, b, a))
}

fn atan2(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let dtype = float_of(result_type(&sides[0], &sides[1]));
    let pair = Pair::new(op, sides, dtype)?;
    let over = |a: f64, b: f64| {
        let r = a * a + b * b;
        if r == 0.0 { 0.0 } else { 1.0 / r }
    };
    general(op, pair, f64::atan2, move |g, a, b| g * b * over(a, b), move |g, a, b| -g * a * over(a, b))
}

/// `ln(e^a + e^b)`.
fn logaddexp(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    let dtype = float_of(result_type(&sides[0], &sides[1]));
    let pair = Pair::new(op, sides, dtype)?;
    let value = |a: f64, b: f64| {
        // Equal infinities have no difference.
        if a == b { a + std::f64::consts::LN_2 } else { a.max(b) + (-(a - b).abs()).exp().ln_1p() }
    };
    let share = |g: f64, a: f64, b: f64| if a == b { g / 2.0 } else { g / (1.0 + (b - a).exp()) };
    general(op, pair, value, share, move |g, a, b| share(g, b, a))
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $scalar:ident;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            pub fn $name(&self, other: &Tensor) -> Result<Self> {
                $name(stringify!($name), [Operand::Tensor(self.clone()), Operand::Tensor(other.clone())])
            }

            #[doc = concat!("[`Tensor::", stringify!($name), "`] with a number on the right.")]
            pub fn $scalar(&self, other: Scalar) -> Result<Self> {
                $name(stringify!($name), [Operand::Tensor(self.clone()), Operand::Number(other)])
            }
        )* }
    };
}

fn maximum(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    extremum(op, sides, true)
}

fn minimum(op: &'static str, sides: [Operand; 2]) -> Result<Tensor> {
    extremum(op, sides, false)
}

binary! {
    /// `a + b`; of truth values, or.
    add add_scalar;
    /// `a - b`.
    sub sub_scalar;
    /// `a * b`; of truth values, and.
    mul mul_scalar;
    /// `a / b`; integers give `float32`.
    div div_scalar;
    /// `a` to the power `b`.
    pow pow_scalar;
    /// The larger of each pair; NaN wins, equal elements share the gradient half and half.
    maximum maximum_scalar;
    /// The smaller of each pair; NaN wins, equal elements share the gradient half and half.
    minimum minimum_scalar;
    /// The remainder with the sign of `a`. Integers by zero are an error.
    fmod fmod_scalar;
    /// The remainder with the sign of `b`, as Python's `%`. Integers by zero are an error.
    remainder remainder_scalar;
    /// `ln(e^a + e^b)`, exact however large they are.
    logaddexp logaddexp_scalar;
    /// The angle of the point `(b, a)`, in radians.
    atan2 atan2_scalar;
}

impl Tensor {
    /// The quotient, rounded to a whole number; integers stay integers, and by zero are an error.
    pub fn div_rounded(&self, other: &Tensor, rounding: Rounding) -> Result<Self> {
        rounded_div("div", [Operand::Tensor(self.clone()), Operand::Tensor(other.clone())], rounding)
    }

    /// `self + weight (end - self)`.
    pub fn lerp(&self, end: &Tensor, weight: f64) -> Result<Self> {
        self.add(&end.sub(self)?.mul_scalar(Scalar::Float(weight))?)
    }
}

fn divide(sides: [Operand; 2], rounding_mode: Option<String>) -> Result<Tensor> {
    match rounding_mode {
        None => div("div", sides),
        Some(name) => rounded_div("div", sides, Rounding::from_name("div", &name)?),
    }
}

/// `x + alpha y`.
fn scaled(op: &'static str, sides: [Operand; 2], alpha: Option<Scalar>) -> Result<[Operand; 2]> {
    let [a, b] = sides;
    let b = match alpha {
        None => b,
        Some(alpha) => match b {
            Operand::Tensor(b) => Operand::Tensor(b.mul_scalar(alpha)?),
            Operand::Number(_) => {
                return Err(Error::InvalidArgument { op, detail: "'alpha' goes with a second tensor".into() });
            }
        },
    };
    Ok([a, b])
}

pub(super) const OPS: &[Op] = op_table! {
    #[broadcast] add[inputs](; other: Option<Scalar>, this: Option<Scalar>, alpha: Option<Scalar>) => add("add", scaled("add", operands("add", inputs, other, this)?, alpha)?);
    #[broadcast] sub[inputs](; other: Option<Scalar>, this: Option<Scalar>, alpha: Option<Scalar>) => sub("sub", scaled("sub", operands("sub", inputs, other, this)?, alpha)?);
    #[broadcast] mul[inputs](; other: Option<Scalar>, this: Option<Scalar>) => mul("mul", operands("mul", inputs, other, this)?);
    #[broadcast] div[inputs](; other: Option<Scalar>, this: Option<Scalar>, rounding_mode: Option<String>) => divide(operands("div", inputs, other, this)?, rounding_mode);
    #[broadcast] floor_divide[inputs](; other: Option<Scalar>, this: Option<Scalar>) => rounded_div("floor_divide", operands("floor_divide", inputs, other, this)?, Rounding::Floor);
    #[broadcast] pow[inputs](; other: Option<Scalar>, this: Option<Scalar>) => pow("pow", operands("pow", inputs, other, this)?);
    #[broadcast] maximum[inputs](; other: Option<Scalar>, this: Option<Scalar>) => maximum("maximum", operands("maximum", inputs, other, this)?);
    #[broadcast] minimum[inputs](; other: Option<Scalar>, this: Option<Scalar>) => minimum("minimum", operands("minimum", inputs, other, this)?);
    #[broadcast] fmod[inputs](; other: Option<Scalar>, this: Option<Scalar>) => fmod("fmod", operands("fmod", inputs, other, this)?);
    #[broadcast] remainder[inputs](; other: Option<Scalar>, this: Option<Scalar>) => remainder("remainder", operands("remainder", inputs, other, this)?);
    #[broadcast] atan2[inputs](; other: Option<Scalar>, this: Option<Scalar>) => atan2("atan2", operands("atan2", inputs, other, this)?);
    #[broadcast] logaddexp[inputs](; other: Option<Scalar>, this: Option<Scalar>) => logaddexp("logaddexp", operands("logaddexp", inputs, other, this)?);
    #[broadcast] lerp(start, end; weight: f64) => start.lerp(end, weight);
};

//! Activation functions and their slopes.

use super::math::{exp, fma, normal, sigmoid, tanh};
use super::{Kernel, run};

/// A function of one number and its derivative.
trait Pointwise: Copy + Sync {
    /// The function. Implementations must be `#[inline(always)]`.
    fn value<const FMA: bool>(x: f32) -> f32;
    /// The derivative, from what [`Self::SAVES_OUTPUT`] names.
    fn slope<const FMA: bool>(saved: f32) -> f32;
    /// Whether the derivative is computed from the function's value instead of its argument.
    const SAVES_OUTPUT: bool = false;
}

macro_rules! pointwise {
    ($($(#[$doc:meta])* $name:ident $(saves $output:literal)?: |$x:ident| $value:expr, |$s:ident| $slope:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $name;
        impl Pointwise for $name {
            #[inline(always)]
            fn value<const FMA: bool>($x: f32) -> f32 { $value }
            #[inline(always)]
            fn slope<const FMA: bool>($s: f32) -> f32 { $slope }
            $(const SAVES_OUTPUT: bool = $output;)?
        }
    )* };
}

/// `sqrt(2 / π)`, of gelu's tanh form.
const GELU: f32 = 0.797_884_6;

pointwise! {
    /// `e^x`.
    Exp saves true: |x| exp::<FMA>(x), |y| y;
    /// `tanh x`.
    Tanh saves true: |x| tanh::<FMA>(x), |y| 1.0 - y * y;
    /// `1 / (1 + e^-x)`.
    Sigmoid saves true: |x| sigmoid::<FMA>(x), |y| y * (1.0 - y);
    /// `max(x, 0)`; NaN stays NaN.
    Relu saves true: |x| if x < 0.0 { 0.0 } else { x }, |y| if y <= 0.0 { 0.0 } else { 1.0 };
    /// `x sigmoid(x)`.
    Silu: |x| x * sigmoid::<FMA>(x), |x| {
        let s = sigmoid::<FMA>(x);
        s * fma::<FMA>(x, 1.0 - s, 1.0)
    };
    /// `x sigmoid(1.702 x)`.
    QuickGelu: |x| x * sigmoid::<FMA>(1.702 * x), |x| {
        let s = sigmoid::<FMA>(1.702 * x);
        s * fma::<FMA>(1.702 * x, 1.0 - s, 1.0)
    };
    /// Gelu in its tanh form, as `x sigmoid(2u)`: in the left tail `1 + tanh(u)` would lose all digits.
    GeluTanh: |x| {
        let u = fma::<FMA>(0.044_715 * x, x * x, x);
        x * sigmoid::<FMA>(2.0 * GELU * u)
    }, |x| {
        let u = fma::<FMA>(0.044_715 * x, x * x, x);
        let s = sigmoid::<FMA>(2.0 * GELU * u);
        let du = 2.0 * GELU * fma::<FMA>(0.134_145 * x, x, 1.0);
        // The inner slope may be infinite where the sigmoid no longer moves.
        let moving = s * (1.0 - s);
        let bend = if moving == 0.0 { 0.0 } else { x * moving * du };
        s + bend
    };
    /// Gelu: `x Φ(x)`.
    GeluErf: |x| x * normal::<FMA>(x).0, |x| {
        let (cdf, bell) = normal::<FMA>(x);
        let bend = if bell == 0.0 { 0.0 } else { x * bell * 0.398_942_3 };
        cdf + bend
    };
}

struct Value<'a, P> {
    _function: P,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl<P: Pointwise> Kernel for Value<'_, P> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for (o, &x) in self.out.iter_mut().zip(self.x) {
            *o = P::value::<FMA>(x);
        }
    }
}

struct Slope<'a, P> {
    _function: P,
    saved: &'a [f32],
    g: &'a [f32],
    out: &'a mut [f32],
}

impl<P: Pointwise> Kernel for Slope<'_, P> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for ((o, &s), &g) in self.out.iter_mut().zip(self.saved).zip(self.g) {
            *o = g * P::slope::<FMA>(s);
        }
    }
}

struct InPlace<'a, P> {
    _function: P,
    x: &'a mut [f32],
}

impl<P: Pointwise> Kernel for InPlace<'_, P> {
    #[inline(always)]
    fn call<const FMA: bool>(self) {
        for x in self.x {
            *x = P::value::<FMA>(*x);
        }
    }
}

/// A function of each element, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementKernel {
    /// `e^x`.
    Exp,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// Gelu: `x Φ(x)`.
    GeluErf,
    /// Gelu in its tanh form.
    GeluTanh,
    /// `x sigmoid(1.702 x)`.
    QuickGelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `tanh x`.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

impl ElementKernel {
    /// Whether [`Self::slope`] is computed from the function's value instead of its argument.
    pub const fn saves_output(self) -> bool {
        match self {
            Self::Exp => Exp::SAVES_OUTPUT,
            Self::Relu => Relu::SAVES_OUTPUT,
            Self::GeluErf => GeluErf::SAVES_OUTPUT,
            Self::GeluTanh => GeluTanh::SAVES_OUTPUT,
            Self::QuickGelu => QuickGelu::SAVES_OUTPUT,
            Self::Silu => Silu::SAVES_OUTPUT,
            Self::Tanh => Tanh::SAVES_OUTPUT,
            Self::Sigmoid => Sigmoid::SAVES_OUTPUT,
        }
    }

    /// The function of each element of `x`.
    pub fn value(self, x: &[f32], out: &mut [f32]) {
        match self {
            Self::Exp => run(Value { _function: Exp, x, out }),
            Self::Relu => run(Value { _function: Relu, x, out }),
            Self::GeluErf => run(Value { _function: GeluErf, x, out }),
            Self::GeluTanh => run(Value { _function: GeluTanh, x, out }),
            Self::QuickGelu => run(Value { _function: QuickGelu, x, out }),
            Self::Silu => run(Value { _function: Silu, x, out }),
            Self::Tanh => run(Value { _function: Tanh, x, out }),
            Self::Sigmoid => run(Value { _function: Sigmoid, x, out }),
        }
    }

    /// `g` times the derivative, from the values or the arguments as [`Self::saves_output`] says.
    pub fn slope(self, saved: &[f32], g: &[f32], out: &mut [f32]) {
        match self {
            Self::Exp => run(Slope { _function: Exp, saved, g, out }),
            Self::Relu => run(Slope { _function: Relu, saved, g, out }),
            Self::GeluErf => run(Slope { _function: GeluErf, saved, g, out }),
            Self::GeluTanh => run(Slope { _function: GeluTanh, saved, g, out }),
            Self::QuickGelu => run(Slope { _function: QuickGelu, saved, g, out }),
            Self::Silu => run(Slope { _function: Silu, saved, g, out }),
            Self::Tanh => run(Slope { _function: Tanh, saved, g, out }),
            Self::Sigmoid => run(Slope { _function: Sigmoid, saved, g, out }),
        }
    }

    /// Replaces each element by the function of it.
    pub fn apply(self, x: &mut [f32]) {
        match self {
            Self::Exp => run(InPlace { _function: Exp, x }),
            Self::Relu => run(InPlace { _function: Relu, x }),
            Self::GeluErf => run(InPlace { _function: GeluErf, x }),
            Self::GeluTanh => run(InPlace { _function: GeluTanh, x }),
            Self::QuickGelu => run(InPlace { _function: QuickGelu, x }),
            Self::Silu => run(InPlace { _function: Silu, x }),
            Self::Tanh => run(InPlace { _function: Tanh, x }),
            Self::Sigmoid => run(InPlace { _function: Sigmoid, x }),
        }
    }
}

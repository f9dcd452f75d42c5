//! Activation functions and their slopes.

use super::math::{exp, fma, normal, sigmoid, tanh};
use super::{Kernel, PARALLEL_HEAVY, run, tensor, with_slices};
use crate::error::Result;
use crate::tensor::CT;

/// A function of one number and its derivative.
pub(crate) trait Pointwise: Copy + Sync {
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
        pub(crate) struct $name;
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

/// The function of each element.
pub(crate) fn map_value<P: Pointwise>(function: P, x: &CT) -> Result<Option<CT>> {
    with_slices([x], |[values]| {
        tensor(x.dims(), 1, PARALLEL_HEAVY, |start, out| {
            run(Value { _function: function, x: &values[start..start + out.len()], out });
        })
    })?
    .transpose()
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
pub(crate) enum ElementKernel {
    /// [`struct@Relu`].
    Relu,
    /// [`struct@GeluErf`].
    GeluErf,
    /// [`struct@GeluTanh`].
    GeluTanh,
    /// [`struct@QuickGelu`].
    QuickGelu,
    /// [`struct@Silu`].
    Silu,
    /// [`struct@Tanh`].
    Tanh,
    /// [`struct@Sigmoid`].
    Sigmoid,
}

impl ElementKernel {
    /// Replaces each element by the function of it.
    pub(crate) fn apply(self, x: &mut [f32]) {
        match self {
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

/// The gradient `g` times the function's slope.
pub(crate) fn map_slope<P: Pointwise>(function: P, saved: &CT, g: &CT) -> Result<Option<CT>> {
    with_slices([saved, g], |[values, gs]| {
        tensor(saved.dims(), 1, PARALLEL_HEAVY, |start, out| {
            let range = start..start + out.len();
            run(Slope { _function: function, saved: &values[range.clone()], g: &gs[range], out });
        })
    })?
    .transpose()
}

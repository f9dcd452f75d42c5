//! Activation functions.

use super::elementwise::{from_input, from_output, pointwise, refuse_bool};
use super::kernels::ElementKernel;
use super::{Tensor, require_float};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Which form of gelu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Gelu {
    /// `x Φ(x)`, with the error function.
    #[default]
    Exact,
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    Tanh,
}

impl Gelu {
    /// torch's names for them: `none` and `tanh`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::Exact),
            "tanh" => Ok(Self::Tanh),
            _ => Err(Error::InvalidArgument {
                op: "gelu",
                detail: format!("'approximate' must be 'none' or 'tanh', got '{name}'"),
            }),
        }
    }
}

/// `sqrt(2 / π)`.
const GELU: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + (GELU * (x + 0.044715 * x * x * x)).tanh())
}

fn gelu_tanh_slope(x: f64) -> f64 {
    let t = (GELU * (x + 0.044715 * x * x * x)).tanh();
    let rest = 1.0 - t * t;
    // The inner slope may be infinite where tanh no longer moves.
    let bend = if rest == 0.0 { 0.0 } else { 0.5 * x * rest * GELU * (1.0 + 0.134145 * x * x) };
    0.5 * (1.0 + t) + bend
}

fn gelu_exact(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2)
}

fn gelu_exact_slope(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() * 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    let bend = if density == 0.0 { 0.0 } else { x * density };
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2) + bend
}

fn silu_slope(x: f64) -> f64 {
    let s = sigmoid(x);
    s * (1.0 + x * (1.0 - s))
}

fn quick_gelu_slope(x: f64) -> f64 {
    silu_slope(1.702 * x)
}

impl Tensor {
    /// `1 / (1 + e^-x)`.
    pub fn sigmoid(&self) -> Result<Self> {
        pointwise("sigmoid", self, ElementKernel::Sigmoid, sigmoid, |y| y * (1.0 - y))
    }

    /// `max(x, 0)`; NaN stays NaN, the gradient at 0 is 0.
    pub fn relu(&self) -> Result<Self> {
        if !self.dtype().is_float() {
            refuse_bool("relu", self)?;
            return self.clamp(Some(crate::ops::Scalar::Int(0)), None);
        }
        let value = |x: f64| if x < 0.0 { 0.0 } else { x };
        pointwise("relu", self, ElementKernel::Relu, value, |y| if y <= 0.0 { 0.0 } else { 1.0 })
    }

    /// `relu(x)²`.
    pub fn relu_squared(&self) -> Result<Self> {
        from_input(
            "relu_squared",
            self,
            |x| if x < 0.0 { 0.0 } else { x * x },
            |g, x| if x <= 0.0 { 0.0 } else { 2.0 * g * x },
        )
    }

    /// `x sigmoid(x)`, also called swish.
    pub fn silu(&self) -> Result<Self> {
        require_float("silu", self.dtype())?;
        pointwise("silu", self, ElementKernel::Silu, |x| x * sigmoid(x), silu_slope)
    }

    /// Gaussian error linear unit (Hendrycks and Gimpel 2016, arXiv:1606.08415).
    pub fn gelu(&self, form: Gelu) -> Result<Self> {
        require_float("gelu", self.dtype())?;
        match form {
            Gelu::Exact => pointwise("gelu", self, ElementKernel::GeluErf, gelu_exact, gelu_exact_slope),
            Gelu::Tanh => pointwise("gelu", self, ElementKernel::GeluTanh, gelu_tanh, gelu_tanh_slope),
        }
    }

    /// The name that some models give to [`Gelu::Tanh`].
    pub fn gelu_fast(&self) -> Result<Self> {
        self.gelu(Gelu::Tanh)
    }

    /// `x sigmoid(1.702 x)`, as CLIP uses.
    pub fn quick_gelu(&self) -> Result<Self> {
        require_float("quick_gelu", self.dtype())?;
        pointwise("quick_gelu", self, ElementKernel::QuickGelu, |x| x * sigmoid(1.702 * x), quick_gelu_slope)
    }

    /// `x softmax(x, dim)`: the softmax linear unit (Elhage et al. 2022).
    pub fn solu(&self, dim: i64) -> Result<Self> {
        self.mul(&self.softmax(dim)?)
    }

    /// `ln(1 + e^(beta x)) / beta`, and `x` itself where `beta x` exceeds `threshold`.
    pub fn softplus(&self, beta: f64, threshold: f64) -> Result<Self> {
        require_float("softplus", self.dtype())?;
        from_input(
            "softplus",
            self,
            move |x| if beta * x > threshold { x } else { (beta * x).exp().ln_1p() / beta },
            move |g, x| if beta * x > threshold { g } else { g * sigmoid(beta * x) },
        )
    }

    /// `√ln(1 + e^x)`.
    pub fn sqrt_softplus(&self) -> Result<Self> {
        require_float("sqrt_softplus", self.dtype())?;
        let root = |x: f64| if x > 20.0 { x.sqrt() } else { x.exp().ln_1p().sqrt() };
        // Far to the left the root is e^(x/2), whose slope is half of it.
        let slope = move |x: f64| if x < -40.0 { 0.5 * (0.5 * x).exp() } else { 0.5 * sigmoid(x) / root(x) };
        from_input("sqrt_softplus", self, root, move |g, x| g * slope(x))
    }

    /// The distribution function of a normal distribution, as Ma et al. 2022 (arXiv:2209.10655) round its parameters:
    /// mean 0.707107, standard deviation 0.282095.
    pub fn laplace(&self) -> Result<Self> {
        #[allow(clippy::approx_constant, reason = "rounded in the definition")]
        const MEAN: f64 = 0.707107;
        const SPREAD: f64 = 0.282095 * std::f64::consts::SQRT_2;
        require_float("laplace", self.dtype())?;
        from_input(
            "laplace",
            self,
            |x| 0.5 * libm::erfc((MEAN - x) / SPREAD),
            |g, x| g * 0.5 * FRAC_2_SQRT_PI / SPREAD * (-((x - MEAN) / SPREAD).powi(2)).exp(),
        )
    }

    /// `ln sigmoid(x)`, exact where that is very negative.
    pub fn logsigmoid(&self) -> Result<Self> {
        require_float("logsigmoid", self.dtype())?;
        let value = |x: f64| if x < 0.0 { x - x.exp().ln_1p() } else { -(-x).exp().ln_1p() };
        from_input("logsigmoid", self, value, |g, x| g * sigmoid(-x))
    }

    /// `x`, times `slope` where negative.
    pub fn leaky_relu(&self, slope: f64) -> Result<Self> {
        require_float("leaky_relu", self.dtype())?;
        let at = move |x: f64| if x > 0.0 { 1.0 } else { slope };
        from_input("leaky_relu", self, move |x| if x.is_nan() { x } else { x * at(x) }, move |g, x| g * at(x))
    }

    /// `x`, and `alpha (e^x - 1)` where negative.
    pub fn elu(&self, alpha: f64) -> Result<Self> {
        require_float("elu", self.dtype())?;
        from_input(
            "elu",
            self,
            move |x| if x > 0.0 { x } else { alpha * x.exp_m1() },
            move |g, x| if x > 0.0 { g } else { g * alpha * x.exp() },
        )
    }

    /// `x tanh(softplus(x))`.
    pub fn mish(&self) -> Result<Self> {
        require_float("mish", self.dtype())?;
        let squash = |x: f64| if x > 20.0 { x.tanh() } else { x.exp().ln_1p().tanh() };
        from_input(
            "mish",
            self,
            move |x| x * squash(x),
            move |g, x| {
                let t = squash(x);
                g * (t + x * (1.0 - t * t) * sigmoid(x))
            },
        )
    }

    /// `x` between `low` and `high`; outside them the gradient is 0.
    pub fn hardtanh(&self, low: f64, high: f64) -> Result<Self> {
        require_float("hardtanh", self.dtype())?;
        let value = move |x: f64| {
            if x < low {
                low
            } else if x > high {
                high
            } else {
                x
            }
        };
        from_input("hardtanh", self, value, move |g, x| if x <= low || x >= high { 0.0 } else { g })
    }

    /// The logit, `ln(x / (1 - x))`.
    pub fn logit(&self) -> Result<Self> {
        from_input("logit", self, |x| (x / (1.0 - x)).ln(), |g, x| g / (x * (1.0 - x)))
    }

    /// `x / (1 + |x|)`.
    pub fn softsign(&self) -> Result<Self> {
        require_float("softsign", self.dtype())?;
        from_input("softsign", self, |x| x / (1.0 + x.abs()), |g, x| g / (1.0 + x.abs()).powi(2))
    }

    /// `x - tanh x`.
    pub fn tanhshrink(&self) -> Result<Self> {
        require_float("tanhshrink", self.dtype())?;
        from_input("tanhshrink", self, |x| x - x.tanh(), |g, x| g * x.tanh().powi(2))
    }

    /// `1.0507 (x, or 1.6733 (e^x - 1) where negative)` (Klambauer et al. 2017, arXiv:1706.02515).
    pub fn selu(&self) -> Result<Self> {
        require_float("selu", self.dtype())?;
        const ALPHA: f64 = 1.673_263_242_354_377_2;
        const SCALE: f64 = 1.050_700_987_355_480_5;
        from_output(
            "selu",
            self,
            |x| if x > 0.0 { SCALE * x } else { SCALE * ALPHA * x.exp_m1() },
            |g, y| if y > 0.0 { g * SCALE } else { g * (y + SCALE * ALPHA) },
        )
    }
}

pub(super) const OPS: &[Op] = op_table! {
    sigmoid(x) => x.sigmoid();
    relu(x) => x.relu();
    relu_squared(x) => x.relu_squared();
    silu(x) => x.silu();
    gelu(x; approximate: Option<String>) => x.gelu(approximate.map_or(Ok(Gelu::Exact), |name| Gelu::from_name(&name))?);
    gelu_fast(x) => x.gelu_fast();
    quick_gelu(x) => x.quick_gelu();
    solu(x; dim: Option<i64>) => x.solu(dim.unwrap_or(-1));
    softplus(x; beta: Option<f64>, threshold: Option<f64>) => x.softplus(beta.unwrap_or(1.0), threshold.unwrap_or(20.0));
    logsigmoid(x) => x.logsigmoid();
    leaky_relu(x; negative_slope: Option<f64>) => x.leaky_relu(negative_slope.unwrap_or(0.01));
    elu(x; alpha: Option<f64>) => x.elu(alpha.unwrap_or(1.0));
    selu(x) => x.selu();
    mish(x) => x.mish();
    hardtanh(x; min_val: Option<f64>, max_val: Option<f64>) => x.hardtanh(min_val.unwrap_or(-1.0), max_val.unwrap_or(1.0));
    relu6(x) => x.hardtanh(0.0, 6.0);
    softsign(x) => x.softsign();
    tanhshrink(x) => x.tanhshrink();
    logit(x) => x.logit();
};

//! The activation functions of MLPs.

use crate::error::Result;
use crate::ops::Scalar;
use crate::tensor::{ElementKernel, Gelu, Tensor};

/// An MLP's activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    Relu2,
    /// The exact form, by the error function (<https://arxiv.org/abs/1606.08415>).
    Gelu,
    /// `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`; `gelu_fast` and `gelu_pytorch_tanh` are the same function.
    GeluTanh,
    /// `x·σ(1.702x)`.
    QuickGelu,
    /// `x·σ(x)`.
    Silu,
    /// `tanh(x)`.
    Tanh,
    /// `σ(x)`.
    Sigmoid,
    /// `x`, a hundredth of it where negative.
    LeakyRelu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x·min(max(x + 3, 0), 6)/6` (<https://arxiv.org/abs/1905.02244>).
    HardSwish,
    /// `x·tanh(ln(1 + e^x))` (<https://arxiv.org/abs/1908.08681>).
    Mish,
    /// [`Activation::Gelu`] kept between -10 and 10.
    ClippedGelu,
    /// `½(1 + erf((x - μ)/(σ√2)))` for `μ = √½` and `σ = 1/√(4π)`, both rounded (<https://arxiv.org/abs/2209.10655>).
    Laplace,
    /// `√ln(1 + e^x)`.
    SqrtSoftplus,
    /// `x`.
    Identity,
    /// `x·softmax(x)` over the neurons (<https://transformer-circuits.pub/2022/solu>).
    Solu,
    /// [`Activation::Solu`] followed by a norm over the neurons.
    SoluLn,
}

impl Activation {
    /// The names of the reference, by which configurations say which they want.
    pub const REFERENCE_NAMES: [&'static str; 9] =
        ["relu", "gelu", "silu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu2", "solu", "solu_ln"];

    /// The function of that name in a reference-native configuration.
    pub fn from_reference_name(name: &str) -> Option<Self> {
        Some(match name {
            "relu" => Self::Relu,
            "relu2" => Self::Relu2,
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Self::GeluTanh,
            "silu" => Self::Silu,
            "solu" => Self::Solu,
            "solu_ln" => Self::SoluLn,
            // Not the reference's, but what a configuration of ours is written with.
            other => return Self::beyond_the_reference(other),
        })
    }

    /// The function of that name in a Hugging Face configuration.
    pub fn from_hugging_face_name(name: &str) -> Option<Self> {
        Some(match name {
            "relu" => Self::Relu,
            "relu2" => Self::Relu2,
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => Self::GeluTanh,
            "silu" | "swish" => Self::Silu,
            other => return Self::beyond_the_reference(other),
        })
    }

    /// Those of Hugging Face that the reference does not know.
    fn beyond_the_reference(name: &str) -> Option<Self> {
        Some(match name {
            "quick_gelu" => Self::QuickGelu,
            "tanh" => Self::Tanh,
            "sigmoid" => Self::Sigmoid,
            "leaky_relu" => Self::LeakyRelu,
            "relu6" => Self::Relu6,
            "hardswish" => Self::HardSwish,
            "mish" => Self::Mish,
            "gelu_10" => Self::ClippedGelu,
            "laplace" => Self::Laplace,
            "sqrtsoftplus" => Self::SqrtSoftplus,
            "linear" => Self::Identity,
            _ => return None,
        })
    }

    /// The reference's name, or the nearest thing to one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu2 => "relu2",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_new",
            Self::QuickGelu => "quick_gelu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::LeakyRelu => "leaky_relu",
            Self::Relu6 => "relu6",
            Self::HardSwish => "hardswish",
            Self::Mish => "mish",
            Self::ClippedGelu => "gelu_10",
            Self::Laplace => "laplace",
            Self::SqrtSoftplus => "sqrtsoftplus",
            Self::Identity => "linear",
            Self::Solu => "solu",
            Self::SoluLn => "solu_ln",
        }
    }

    /// `act(x @ w + b)` in one pass, `x` `[.., d_model]`, `w` `[d_model, d_mlp]`; `None` for functions without a kernel and
    /// where gradients are wanted.
    pub(crate) fn of_affine(self, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Option<Tensor>> {
        let f = match self {
            Self::Relu => ElementKernel::Relu,
            Self::Gelu => ElementKernel::GeluErf,
            Self::GeluTanh => ElementKernel::GeluTanh,
            Self::QuickGelu => ElementKernel::QuickGelu,
            Self::Silu => ElementKernel::Silu,
            Self::Tanh => ElementKernel::Tanh,
            Self::Sigmoid => ElementKernel::Sigmoid,
            _ => return Ok(None),
        };
        x.linear_mapped(&w.transpose(0, 1)?, b, f)
    }

    /// Applies it; [`Activation::SoluLn`]'s norm is the caller's. Any shape; the last axis is the neurons'.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => x.relu(),
            Self::Relu2 => x.relu_squared(),
            Self::Gelu => x.gelu(Gelu::Exact),
            Self::GeluTanh => x.gelu(Gelu::Tanh),
            Self::QuickGelu => x.quick_gelu(),
            Self::Silu => x.silu(),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => x.sigmoid(),
            Self::LeakyRelu => x.leaky_relu(0.01),
            Self::Relu6 => x.hardtanh(0.0, 6.0),
            Self::HardSwish => {
                x.add_scalar(Scalar::Float(3.0))?.hardtanh(0.0, 6.0)?.mul(x)?.mul_scalar(Scalar::Float(1.0 / 6.0))
            }
            Self::Mish => x.mish(),
            Self::ClippedGelu => x.gelu(Gelu::Exact)?.clamp(Some(Scalar::Float(-10.0)), Some(Scalar::Float(10.0))),
            Self::Laplace => x.laplace(),
            Self::SqrtSoftplus => x.sqrt_softplus(),
            Self::Identity => Ok(x.clone()),
            Self::Solu | Self::SoluLn => x.solu(-1),
        }
    }
}

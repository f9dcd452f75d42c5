//! The operations that models spend their time in, composed of candle's own, for devices that the kernels do not run
//! on. Everything else goes through the host there ([`super::elements`]); these stay on the device.
//!
//! Half precision is computed in `f32` and rounded once.

use super::CT;
use super::kernels::{Arithmetic, ElementKernel};
use crate::device::on_host;
use crate::error::Result;
use crate::ops::Scalar;
use candle_core::DType;

/// Whether `x` is on a device that these serve.
pub(crate) fn applies(x: &CT) -> bool {
    !on_host(x)
}

/// `f` of the tensors in at least 32 bits, rounded back to the dtype of the first.
fn widened<const N: usize>(tensors: [&CT; N], f: impl FnOnce([CT; N]) -> Result<CT>) -> Result<CT> {
    let dtype = tensors.first().map_or(DType::F32, |x| x.dtype());
    let wide = if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype };
    let mut converted = tensors.map(Clone::clone);
    for x in &mut converted {
        *x = x.to_dtype(wide)?;
    }
    Ok(f(converted)?.to_dtype(dtype)?)
}

fn sigmoid(x: &CT) -> Result<CT> {
    Ok((x.neg()?.exp()? + 1.0)?.recip()?)
}

/// The slope of `x sigmoid(x)`, from `x`.
fn silu_slope(x: &CT) -> Result<CT> {
    let s = sigmoid(x)?;
    let bend = ((s.affine(-1.0, 1.0)? * x)? + 1.0)?;
    Ok((s * bend)?)
}

/// `2 √(2/π) (x + 0.044715 x³)`, of which gelu's tanh form takes the sigmoid.
fn gelu_inner(x: &CT) -> Result<CT> {
    Ok(((x.sqr()? * 0.044715)? + 1.0)?.mul(x)?.affine(2.0 * GELU, 0.0)?)
}

/// `sqrt(2 / π)`.
const GELU: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;

macro_rules! composed {
    ($($name:ident: |$x:ident| $value:expr, |$s:ident| $slope:expr;)*) => {
        /// A function of each element.
        pub(crate) fn value(function: ElementKernel, x: &CT) -> Result<CT> {
            match function { $( ElementKernel::$name => widened([x], |[$x]| Ok($value?)), )* }
        }

        /// Its slope, from what [`ElementKernel::saves_output`] says.
        pub(crate) fn slope(function: ElementKernel, saved: &CT) -> Result<CT> {
            match function { $( ElementKernel::$name => widened([saved], |[$s]| Ok($slope?)), )* }
        }
    };
}

composed! {
    Exp: |x| x.exp(), |y| Ok::<_, crate::Error>(y);
    Tanh: |x| x.tanh(), |y| y.sqr()?.affine(-1.0, 1.0);
    Sigmoid: |x| sigmoid(&x), |y| &y * y.affine(-1.0, 1.0)?;
    Relu: |x| x.le(0.0)?.where_cond(&x.zeros_like()?, &x), |y| y.le(0.0)?.where_cond(&y.zeros_like()?, &y.ones_like()?);
    Silu: |x| &x * sigmoid(&x)?, |x| silu_slope(&x);
    QuickGelu: |x| &x * sigmoid(&(&x * 1.702)?)?, |x| silu_slope(&(x * 1.702)?);
    GeluTanh: |x| &x * sigmoid(&gelu_inner(&x)?)?, |x| {
        let s = sigmoid(&gelu_inner(&x)?)?;
        let moving = (&s * s.affine(-1.0, 1.0)?)?;
        let inner = x.sqr()?.affine(2.0 * GELU * 0.134145, 2.0 * GELU)?;
        let bend = ((&moving * &x)? * inner)?;
        // The inner slope may be infinite where the sigmoid no longer moves.
        moving.eq(0.0)?.where_cond(&moving, &bend)? + s
    };
    GeluErf: |x| x.gelu_erf(), |x| {
        let cdf = (&x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?.affine(0.5, 0.5)?;
        let bell = (x.sqr()? * -0.5)?.exp()?;
        let bend = ((&bell * &x)? * (0.5 * GELU))?;
        bell.eq(0.0)?.where_cond(&bell, &bend)? + cdf
    };
}

/// One side of an arithmetic operation.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    /// A tensor that broadcasts.
    Tensor(&'a CT),
    /// A number.
    Number(Scalar),
}

/// `a op b`; `None` if both are numbers.
pub(crate) fn arithmetic(op: Arithmetic, a: Side<'_>, b: Side<'_>) -> Result<Option<CT>> {
    let y = match (a, b) {
        (Side::Tensor(a), Side::Tensor(b)) => match op {
            Arithmetic::Add => a.broadcast_add(b)?,
            Arithmetic::Sub => a.broadcast_sub(b)?,
            Arithmetic::Mul => a.broadcast_mul(b)?,
            Arithmetic::Div => a.broadcast_div(b)?,
        },
        (Side::Tensor(a), Side::Number(n)) => {
            let n = n.as_f64();
            widened([a], |[a]| {
                Ok(match op {
                    Arithmetic::Add => a.affine(1.0, n)?,
                    Arithmetic::Sub => a.affine(1.0, -n)?,
                    Arithmetic::Mul => a.affine(n, 0.0)?,
                    Arithmetic::Div => (a / n)?,
                })
            })?
        }
        (Side::Number(n), Side::Tensor(b)) => {
            let n = n.as_f64();
            widened([b], |[b]| {
                Ok(match op {
                    Arithmetic::Add => b.affine(1.0, n)?,
                    Arithmetic::Sub => b.affine(-1.0, n)?,
                    Arithmetic::Mul => b.affine(n, 0.0)?,
                    Arithmetic::Div => (b.recip()? * n)?,
                })
            })?
        }
        (Side::Number(_), Side::Number(_)) => return Ok(None),
    };
    Ok(Some(y))
}

/// The sum over these axes (kept with size 1), times `scale`.
pub(crate) fn sum(x: &CT, axes: &[usize], scale: f64) -> Result<CT> {
    widened([x], |[x]| Ok((x.sum_keepdim(axes.to_vec())? * scale)?))
}

/// Softmax along an axis, or its logarithm.
pub(crate) fn softmax(x: &CT, axis: usize, log: bool) -> Result<CT> {
    widened([x], |[x]| {
        let shifted = x.broadcast_sub(&x.max_keepdim(axis)?)?;
        let powers = shifted.exp()?;
        let total = powers.sum_keepdim(axis)?;
        Ok(if log { shifted.broadcast_sub(&total.log()?)? } else { powers.broadcast_div(&total)? })
    })
}

/// The gradient of [`softmax`], from its result.
pub(crate) fn softmax_gradient(y: &CT, g: &CT, axis: usize, log: bool) -> Result<CT> {
    widened([y, g], |[y, g]| {
        Ok(if log {
            (&g - y.exp()?.broadcast_mul(&g.sum_keepdim(axis)?)?)?
        } else {
            let total = (&y * &g)?.sum_keepdim(axis)?;
            (y * g.broadcast_sub(&total)?)?
        })
    })
}

/// What is known of a norm over the last axis: layer norm where `centred`, RMS norm otherwise.
#[derive(Clone, Copy)]
pub(crate) struct NormForm {
    /// Whether the mean is taken off.
    pub(crate) centred: bool,
    /// Added to the variance.
    pub(crate) eps: f64,
}

impl NormForm {
    /// The normalised rows of `[rows, width]` and their scale `[rows, 1]`.
    fn normed(self, x: &CT) -> Result<(CT, CT)> {
        let x = if self.centred { x.broadcast_sub(&x.mean_keepdim(1)?)? } else { x.clone() };
        let scale = (x.sqr()?.mean_keepdim(1)? + self.eps)?.sqrt()?.recip()?;
        Ok((x.broadcast_mul(&scale)?, scale))
    }

    /// `[rows, width]` normalised, times `weight`, plus `bias` (both `[width]`).
    pub(crate) fn value(self, x: &CT, weight: Option<&CT>, bias: Option<&CT>) -> Result<CT> {
        let (weight, bias) = (weight.cloned(), bias.cloned());
        widened([x], |[x]| {
            let (mut y, _) = self.normed(&x)?;
            if let Some(weight) = weight {
                y = y.broadcast_mul(&weight.to_dtype(y.dtype())?)?;
            }
            if let Some(bias) = bias {
                y = y.broadcast_add(&bias.to_dtype(y.dtype())?)?;
            }
            Ok(y)
        })
    }

    /// The gradient of the input.
    pub(crate) fn input_gradient(self, x: &CT, weight: Option<&CT>, g: &CT) -> Result<CT> {
        let weight = weight.cloned();
        widened([x, g], |[x, g]| {
            let (normed, scale) = self.normed(&x)?;
            let g = match weight {
                Some(weight) => g.broadcast_mul(&weight.to_dtype(g.dtype())?)?,
                None => g,
            };
            let slope = (&g * &normed)?.mean_keepdim(1)?;
            let mut dx = (&g - normed.broadcast_mul(&slope)?)?;
            if self.centred {
                dx = dx.broadcast_sub(&g.mean_keepdim(1)?)?;
            }
            Ok(dx.broadcast_mul(&scale)?)
        })
    }

    /// The gradient of the weight, `[width]`.
    pub(crate) fn weight_gradient(self, x: &CT, g: &CT) -> Result<CT> {
        widened([x, g], |[x, g]| Ok((self.normed(&x)?.0 * g)?.sum(0)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::super::kernels::{self, map_slope, map_value};
    use super::*;
    use candle_core::Device;

    fn numbers(dims: &[usize]) -> CT {
        let n: usize = dims.iter().product();
        let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.618_034 + 0.1).fract() - 0.5) * 8.0).collect();
        CT::from_vec(values, dims, &Device::Cpu).unwrap()
    }

    fn assert_close(name: &str, a: &CT, b: &CT) {
        assert_eq!(a.dims(), b.dims(), "{name}");
        let read = |x: &CT| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (a, b) in read(a).into_iter().zip(read(b)) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{name}: {a}, expected {b}");
        }
    }

    fn check(function: ElementKernel) {
        let name = format!("{function:?}");
        let x = numbers(&[7, 33]);
        let y = map_value(function, &x).unwrap().unwrap();
        assert_close(&name, &value(function, &x).unwrap(), &y);
        let saved = if function.saves_output() { y } else { x };
        let ones = saved.ones_like().unwrap();
        let slopes = map_slope(function, &saved, &ones).unwrap().unwrap();
        assert_close(&name, &slope(function, &saved).unwrap(), &slopes);
    }

    #[test]
    fn functions_equal_their_kernels() {
        check(ElementKernel::Exp);
        check(ElementKernel::Tanh);
        check(ElementKernel::Sigmoid);
        check(ElementKernel::Relu);
        check(ElementKernel::Silu);
        check(ElementKernel::QuickGelu);
        check(ElementKernel::GeluTanh);
        check(ElementKernel::GeluErf);
    }

    #[test]
    fn rows_equal_their_kernels() {
        let (x, g) = (numbers(&[5, 37]), (numbers(&[5, 37]) * 0.5).unwrap().sin().unwrap());
        for log in [false, true] {
            let y = softmax(&x, 1, log).unwrap();
            let (value, gradient) = if log {
                (kernels::log_softmax(&x, 37), kernels::log_softmax_gradient(&y, &g, 37))
            } else {
                (kernels::softmax(&x, 37), kernels::softmax_gradient(&y, &g, 37))
            };
            assert_close("softmax", &y, &value.unwrap().unwrap());
            let composed = softmax_gradient(&y, &g, 1, log).unwrap();
            assert_close("softmax gradient", &composed, &gradient.unwrap().unwrap());
        }
        let (w, b) = (numbers(&[37]), numbers(&[37]));
        for centred in [false, true] {
            let form = NormForm { centred, eps: 1e-5 };
            let value = kernels::layer_norm(&x, Some(&w), Some(&b), 37, centred, 1e-5).unwrap().unwrap();
            assert_close("norm", &form.value(&x, Some(&w), Some(&b)).unwrap(), &value);
            let gradients = kernels::layer_norm_gradients(&x, Some(&w), &g, 37, centred, 1e-5, true).unwrap().unwrap();
            assert_close("norm gradient", &form.input_gradient(&x, Some(&w), &g).unwrap(), &gradients.x);
            let weight = gradients.weight.unwrap();
            assert_close("norm weight gradient", &form.weight_gradient(&x, &g).unwrap(), &weight);
        }
    }

    #[test]
    fn arithmetic_with_numbers() {
        let x = numbers(&[3, 3]);
        let n = Side::Number(Scalar::Float(2.0));
        for (op, right, left) in [
            (Arithmetic::Add, (&x + 2.0).unwrap(), (&x + 2.0).unwrap()),
            (Arithmetic::Sub, (&x - 2.0).unwrap(), (2.0 - &x).unwrap()),
            (Arithmetic::Mul, (&x * 2.0).unwrap(), (&x * 2.0).unwrap()),
            (Arithmetic::Div, (&x / 2.0).unwrap(), (x.recip().unwrap() * 2.0).unwrap()),
        ] {
            assert_close("right", &arithmetic(op, Side::Tensor(&x), n).unwrap().unwrap(), &right);
            assert_close("left", &arithmetic(op, n, Side::Tensor(&x)).unwrap().unwrap(), &left);
        }
    }
}

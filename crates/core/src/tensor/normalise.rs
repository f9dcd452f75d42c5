//! Softmax and the norms of transformer blocks.
//!
//! Rows of `f32` on the host go through the kernels; every other dtype, layout and device through [`Rows`].

use super::composed::{self, NormForm};
use super::kernels::{self, NormGradients};
use super::rows::Rows;
use super::{CT, Tensor, require_float};
use crate::autograd::{record, record_unary};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};

fn softmax_row(x: &[f64], log: bool, out: &mut [f64]) {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, |m, x| if x > m { x } else { m });
    for (o, x) in out.iter_mut().zip(x) {
        *o = (x - top).exp();
    }
    let total: f64 = out.iter().sum();
    for (o, x) in out.iter_mut().zip(x) {
        *o = if log { x - top - total.ln() } else { *o / total };
    }
}

fn softmax_gradient_row(y: &[f64], g: &[f64], log: bool, out: &mut [f64]) {
    let total: f64 = if log { g.iter().sum() } else { y.iter().zip(g).map(|(y, g)| y * g).sum() };
    for ((o, y), g) in out.iter_mut().zip(y).zip(g) {
        *o = if log { g - y.exp() * total } else { y * (g - total) };
    }
}

fn softmax(op: &'static str, x: &Tensor, dim: i64, log: bool) -> Result<Tensor> {
    require_float(op, x.dtype())?;
    let rows = Rows::new(op, x.dims(), Some(&[dim]))?;
    let dtype = x.data().dtype();
    // Kernels want rows one after another.
    let width = if rows.are_trailing() && x.elem_count() > 0 { Some(rows.len()) } else { None };
    let fast = match (width, log) {
        (Some(width), false) => kernels::softmax(x.data(), width)?,
        (Some(width), true) => kernels::log_softmax(x.data(), width)?,
        (None, _) => None,
    };
    // A 0-d tensor has no axis for candle to work along.
    let axis = if composed::applies(x.data()) && x.rank() > 0 { Some(x.dim_index(op, dim)?) } else { None };
    let y = match (fast, axis) {
        (Some(y), _) => y,
        (None, Some(axis)) => composed::softmax(x.data(), axis, log)?,
        (None, None) => rows.map(dtype, &[x.data()], &[], |full, _, out| {
            if let [x] = full {
                softmax_row(x, log, out);
            }
        })?,
    };
    let saved = y.clone();
    record_unary(op, y, x, move |g| {
        let fast = match (width, log) {
            (Some(width), false) => kernels::softmax_gradient(&saved, g, width)?,
            (Some(width), true) => kernels::log_softmax_gradient(&saved, g, width)?,
            (None, _) => None,
        };
        match (fast, axis) {
            (Some(dx), _) => Ok(dx),
            (None, Some(axis)) => composed::softmax_gradient(&saved, g, axis, log),
            (None, None) => rows.map(dtype, &[&saved, g], &[], |full, _, out| {
                if let [y, g] = full {
                    softmax_gradient_row(y, g, log, out);
                }
            }),
        }
    })
}

/// Layer norm, or RMS norm where not `centred`.
#[derive(Clone)]
struct Norm {
    op: &'static str,
    /// How many trailing axes are normalised together.
    axes: usize,
    centred: bool,
    eps: f64,
}

impl Norm {
    fn form(&self) -> NormForm {
        NormForm { centred: self.centred, eps: self.eps }
    }

    /// Mean and scale of a row.
    fn moments(&self, x: &[f64]) -> (f64, f64) {
        let n = x.len() as f64;
        let mean = if self.centred { x.iter().sum::<f64>() / n } else { 0.0 };
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        (mean, 1.0 / (variance + self.eps).sqrt())
    }

    fn value(&self, x: &CT, weight: Option<&CT>, bias: Option<&CT>, width: usize) -> Result<CT> {
        if width > 0
            && let Some(y) = kernels::layer_norm(x, weight, bias, width, self.centred, self.eps)?
        {
            return Ok(y);
        }
        if width > 0 && composed::applies(x) {
            let flat = |t: Option<&CT>| t.map(|t| t.flatten_all()).transpose();
            let (weight, bias) = (flat(weight)?, flat(bias)?);
            let y = self.form().value(&x.reshape(((), width))?, weight.as_ref(), bias.as_ref())?;
            return Ok(y.reshape(x.dims())?);
        }
        let weight = weight.map(super::elements::to_vec::<f64>).transpose()?;
        let bias = bias.map(super::elements::to_vec::<f64>).transpose()?;
        Rows::last(x.dims(), self.axes).map(x.dtype(), &[x], &[], |full, _, out| {
            let [x] = full else { return };
            let (mean, scale) = self.moments(x);
            for (i, (o, x)) in out.iter_mut().zip(x).enumerate() {
                let normed = (x - mean) * scale * weight.as_ref().map_or(1.0, |w| w[i]);
                *o = normed + bias.as_ref().map_or(0.0, |b| b[i]);
            }
        })
    }

    /// Gradients of the input and, if `wants_weight`, the weight.
    fn gradients(
        &self,
        x: &CT,
        weight: Option<&CT>,
        g: &CT,
        width: usize,
        wants_weight: bool,
    ) -> Result<(CT, Option<CT>)> {
        if width > 0
            && let Some(NormGradients { x, weight }) =
                kernels::layer_norm_gradients(x, weight, g, width, self.centred, self.eps, wants_weight)?
        {
            return Ok((x, weight));
        }
        if width > 0 && composed::applies(x) {
            let weight = weight.map(|w| w.flatten_all()).transpose()?;
            let (rows, g) = (x.reshape(((), width))?, g.reshape(((), width))?);
            let dx = self.form().input_gradient(&rows, weight.as_ref(), &g)?.reshape(x.dims())?;
            let dw = if wants_weight { Some(self.form().weight_gradient(&rows, &g)?) } else { None };
            return Ok((dx, dw));
        }
        let rows = Rows::last(x.dims(), self.axes);
        let weights = weight.map(super::elements::to_vec::<f64>).transpose()?;
        let dx = rows.map(x.dtype(), &[x, g], &[], |full, _, out| {
            let [x, g] = full else { return };
            let (mean, scale) = self.moments(x);
            for (i, (o, g)) in out.iter_mut().zip(g).enumerate() {
                *o = g * weights.as_ref().map_or(1.0, |w| w[i]);
            }
            let n = x.len() as f64;
            let average = if self.centred { out.iter().sum::<f64>() / n } else { 0.0 };
            let slope = out.iter().zip(x).map(|(o, x)| o * (x - mean)).sum::<f64>() * scale * scale / n;
            for (o, x) in out.iter_mut().zip(x) {
                *o = scale * (*o - average - (x - mean) * slope);
            }
        })?;
        if !wants_weight {
            return Ok((dx, None));
        }
        let dw = rows.map(x.dtype(), &[x, g], &[], |full, _, out| {
            let [x, g] = full else { return };
            let (mean, scale) = self.moments(x);
            for ((o, x), g) in out.iter_mut().zip(x).zip(g) {
                *o = g * (x - mean) * scale;
            }
        })?;
        Ok((dx, Some(self.over_rows(&dw)?)))
    }

    /// Sums over the axes that are not normalised.
    fn over_rows(&self, x: &CT) -> Result<CT> {
        let kept = &x.dims()[x.rank() - self.axes..];
        super::rows::unbroadcast(x, kept)
    }

    fn apply(self, x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Tensor> {
        require_float(self.op, x.dtype())?;
        if self.axes == 0 || self.axes > x.rank() {
            return Err(Error::RankMismatch {
                op: self.op,
                detail: format!("cannot normalise the last {} axes of shape {:?}", self.axes, x.dims()),
            });
        }
        let shape = x.dims()[x.rank() - self.axes..].to_vec();
        for (name, parameter) in [("weight", weight), ("bias", bias)] {
            if let Some(p) = parameter
                && p.dims() != shape
            {
                return Err(Error::ShapeMismatch {
                    op: self.op,
                    detail: format!("{name} has shape {:?}, the normalised axes have {shape:?}", p.dims()),
                });
            }
        }
        let weight = weight.map(|w| w.to_dtype(x.dtype())).transpose()?;
        let bias = bias.map(|b| b.to_dtype(x.dtype())).transpose()?;
        let width: usize = shape.iter().product();
        let raw = |t: &Option<Tensor>| t.as_ref().map(|t| t.data().clone());
        let (input, weights) = (x.data().clone(), raw(&weight));
        let y = self.value(&input, weights.as_ref(), raw(&bias).as_ref(), width)?;
        let parents: Vec<&Tensor> = [Some(x), weight.as_ref(), bias.as_ref()].into_iter().flatten().collect();
        let (has_weight, has_bias) = (weight.is_some(), bias.is_some());
        let op = self.op;
        record(op, y, &parents, move |g, needs| {
            let wants_weight = has_weight && needs.get(1).copied().unwrap_or(false);
            let wants_input = needs.first().copied().unwrap_or(false);
            let (dx, dw) = if wants_input || wants_weight {
                let (dx, dw) = self.gradients(&input, weights.as_ref(), g, width, wants_weight)?;
                (Some(dx), dw.map(|dw| dw.reshape(shape.as_slice())).transpose()?)
            } else {
                (None, None)
            };
            let mut grads = vec![dx];
            if has_weight {
                grads.push(dw);
            }
            if has_bias {
                let wanted = needs.last().copied().unwrap_or(false);
                grads.push(if wanted { Some(self.over_rows(g)?) } else { None });
            }
            Ok(grads)
        })
    }
}

impl Tensor {
    /// `e^x / Σ e^x` along `dim`. A row of `-inf` alone gives NaN, as in torch.
    pub fn softmax(&self, dim: i64) -> Result<Self> {
        softmax("softmax", self, dim, false)
    }

    /// `ln softmax(x)` along `dim`, exact where softmax underflows.
    pub fn log_softmax(&self, dim: i64) -> Result<Self> {
        softmax("log_softmax", self, dim, true)
    }

    /// Normalises the last `axes` axes to mean 0 and variance 1 (plus `eps`), then scales and shifts
    /// (Ba et al. 2016, arXiv:1607.06450). `weight` and `bias` have the shape of those axes.
    pub fn layer_norm(&self, axes: usize, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Self> {
        Norm { op: "layer_norm", axes, centred: true, eps }.apply(self, weight, bias)
    }

    /// `x / √(mean(x²) + eps)` over the last `axes` axes, times `weight` (Zhang and Sennrich 2019, arXiv:1910.07467).
    pub fn rms_norm(&self, axes: usize, weight: Option<&Tensor>, eps: f64) -> Result<Self> {
        Norm { op: "rms_norm", axes, centred: false, eps }.apply(self, weight, None)
    }
}

/// The number of axes that `normalized_shape` names, after checking that it fits.
fn normalised_axes(op: &'static str, inputs: &[Tensor], shape: Option<&[usize]>) -> Result<usize> {
    let x = inputs.first().ok_or_else(|| Error::InvalidArgument { op, detail: "takes a tensor".into() })?;
    match shape {
        None => Ok(1),
        Some(shape) if x.dims().ends_with(shape) => Ok(shape.len()),
        Some(shape) => Err(Error::ShapeMismatch {
            op,
            detail: format!("normalized_shape {shape:?} is not how the shape {:?} ends", x.dims()),
        }),
    }
}

fn layer_norm(inputs: &[Tensor], shape: Option<Vec<usize>>, eps: Option<f64>) -> Result<Tensor> {
    let axes = normalised_axes("layer_norm", inputs, shape.as_deref())?;
    let eps = eps.unwrap_or(1e-5);
    match inputs {
        [x] => x.layer_norm(axes, None, None, eps),
        [x, weight] => x.layer_norm(axes, Some(weight), None, eps),
        [x, weight, bias] => x.layer_norm(axes, Some(weight), Some(bias), eps),
        _ => Err(Error::InvalidArgument {
            op: "layer_norm",
            detail: format!("takes a tensor, maybe a weight, maybe a bias; got {} tensors", inputs.len()),
        }),
    }
}

fn rms_norm(inputs: &[Tensor], shape: Option<Vec<usize>>, eps: Option<f64>) -> Result<Tensor> {
    let axes = normalised_axes("rms_norm", inputs, shape.as_deref())?;
    match inputs {
        [x] => x.rms_norm(axes, None, eps.unwrap_or(f64::from(f32::EPSILON))),
        [x, weight] => x.rms_norm(axes, Some(weight), eps.unwrap_or(f64::from(f32::EPSILON))),
        _ => Err(Error::InvalidArgument {
            op: "rms_norm",
            detail: format!("takes a tensor and maybe a weight; got {} tensors", inputs.len()),
        }),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    softmax(x; dim: i64) => x.softmax(dim);
    log_softmax(x; dim: i64) => x.log_softmax(dim);
    softmin(x; dim: i64) => x.neg()?.softmax(dim);
    layer_norm[inputs](; normalized_shape: Option<Vec<usize>>, eps: Option<f64>) => layer_norm(inputs, normalized_shape, eps);
    rms_norm[inputs](; normalized_shape: Option<Vec<usize>>, eps: Option<f64>) => rms_norm(inputs, normalized_shape, eps);
};

//! Losses of class predictions.

use super::host::{contiguous, read_all, upload};
use super::kernels::{self, ClassRow, LogSum};
use super::picks::indices;
use super::{CT, Tensor, require_float};
use crate::autograd::record_unary;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::DType as Storage;
use rayon::prelude::*;
use std::sync::Arc;

/// How per-element losses become the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean; for class targets, over those that are not ignored.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// As they are.
    None,
}

impl Reduction {
    /// The reduction of that name: `mean` (also if none is given), `sum` or `none`.
    pub fn from_name(op: &'static str, name: Option<&str>) -> Result<Self> {
        match name {
            None | Some("mean") => Ok(Self::Mean),
            Some("sum") => Ok(Self::Sum),
            Some("none") => Ok(Self::None),
            Some(other) => Err(Error::InvalidArgument {
                op,
                detail: format!("reduction must be 'mean', 'sum' or 'none', got '{other}'"),
            }),
        }
    }
}

/// Settings of [`Tensor::cross_entropy`] and [`Tensor::nll_loss`].
#[derive(Clone, Copy, Debug)]
pub struct ClassLoss {
    /// How per-target losses become the result.
    pub reduction: Reduction,
    /// Targets with this id count for nothing.
    pub ignore_index: i64,
    /// How much of the target probability is spread over all classes; 0 to 1.
    pub label_smoothing: f64,
}

impl Default for ClassLoss {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, ignore_index: -100, label_smoothing: 0.0 }
    }
}

/// Each row's class, or `None` where it is ignored.
type Targets = Arc<Vec<Option<usize>>>;

/// Scores with the classes last, `[rows, classes]`, their targets, and the shape of a result without reduction.
fn rows_and_targets(
    op: &'static str,
    scores: &Tensor,
    targets: &Tensor,
    ignore: i64,
) -> Result<(Tensor, Targets, Vec<i64>)> {
    require_float(op, scores.dtype())?;
    let axis = usize::from(scores.rank() > 1);
    let Some(&classes) = scores.dims().get(axis) else {
        return Err(Error::RankMismatch { op, detail: "scores need an axis of classes, got a 0-d tensor".into() });
    };
    let mut expected = scores.dims().to_vec();
    expected.remove(axis);
    if targets.dims() != expected {
        return Err(Error::ShapeMismatch {
            op,
            detail: format!("scores {:?} need targets {expected:?}, got {:?}", scores.dims(), targets.dims()),
        });
    }
    let targets = indices(op, targets)?
        .into_iter()
        .map(|id| match usize::try_from(id) {
            _ if id == ignore => Ok(None),
            Ok(at) if at < classes => Ok(Some(at)),
            _ => Err(Error::IndexOutOfRange { op, index: id, size: classes }),
        })
        .collect::<Result<Vec<_>>>()?;
    let order: Vec<i64> = (0..scores.rank()).filter(|&d| d != axis).chain([axis]).map(|d| d as i64).collect();
    let rows = scores.permute(&order)?.reshape(&[targets.len() as i64, classes as i64])?;
    Ok((rows, Arc::new(targets), expected.into_iter().map(|n| n as i64).collect()))
}

/// Reduces per-row losses; `f64` sums, so that long batches lose no digits.
fn reduce(losses: &[f64], targets: &[Option<usize>], reduction: Reduction) -> Vec<f64> {
    match reduction {
        Reduction::None => losses.to_vec(),
        Reduction::Sum => vec![losses.iter().sum()],
        Reduction::Mean => vec![losses.iter().sum::<f64>() / targets.iter().flatten().count() as f64],
    }
}

/// How much each row's loss weighs in the result, times the result's gradient.
fn row_weights(g: &CT, targets: &[Option<usize>], reduction: Reduction) -> Result<Vec<f64>> {
    let g: Vec<f64> = contiguous(g)?.flatten_all()?.to_dtype(Storage::F64)?.to_vec1()?;
    let each = |weight: f64| targets.iter().map(|t| if t.is_some() { weight } else { 0.0 }).collect();
    Ok(match (reduction, g.first()) {
        (Reduction::None, _) => g.iter().zip(targets).map(|(&g, t)| if t.is_some() { g } else { 0.0 }).collect(),
        (_, None) => Vec::new(),
        (Reduction::Sum, Some(&g)) => each(g),
        (Reduction::Mean, Some(&g)) => each(g / targets.iter().flatten().count() as f64),
    })
}

/// A tensor of these losses with the dtype and device of `like`, shaped like the targets unless reduced.
fn losses_like(like: &CT, losses: Vec<f64>, reduction: Reduction, shape: &[i64]) -> Result<CT> {
    let dims: Vec<usize> =
        if reduction == Reduction::None { shape.iter().map(|&n| n as usize).collect() } else { Vec::new() };
    Ok(upload(losses, &dims, &candle_core::Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?)
}

/// What is kept of the forward pass for the gradient.
enum Log {
    /// The logarithm of each row's sum of exponentials, where a vectorised kernel computed them.
    Fast(Vec<LogSum>),
    /// The same.
    Sums(Vec<f64>),
}

fn log_sums(x: &CT, classes: usize) -> Result<Vec<f64>> {
    if classes == 0 {
        crate::memory::require_tensor("cross_entropy", &[x.dims()[0]], size_of::<f64>())?;
        return Ok(vec![f64::NEG_INFINITY; x.dims()[0]]);
    }
    let row = |row: &[f64]| {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, |m, v| if v <= m { m } else { v });
        max + row.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
    };
    read_all::<f64, _>(&x.to_dtype(Storage::F64)?, |x| Ok(x.par_chunks(classes).map(row).collect()))
}

/// The loss of each row, 0 where it is ignored.
fn target_losses(x: &CT, log: &Log, classes: usize, targets: &[Option<usize>], smoothing: f64) -> Result<Vec<f64>> {
    let losses = |at: &(dyn Fn(usize, usize) -> f64 + Sync)| -> Vec<f64> {
        let one = |(i, target): (usize, &Option<usize>)| {
            let Some(t) = *target else { return 0.0 };
            if smoothing == 0.0 {
                return -at(i, t);
            }
            let mean = (0..classes).map(|class| at(i, class)).sum::<f64>() / classes as f64;
            -(1.0 - smoothing) * at(i, t) - smoothing * mean
        };
        targets.iter().enumerate().map(one).collect()
    };
    match log {
        Log::Fast(sums) => read_all::<f32, _>(x, |x| {
            Ok(losses(&|i, class| {
                let [top, shift] = sums[i];
                f64::from(x[i * classes + class] - top) - f64::from(shift)
            }))
        }),
        Log::Sums(sums) => {
            read_all::<f64, _>(&x.to_dtype(Storage::F64)?, |x| Ok(losses(&|i, class| x[i * classes + class] - sums[i])))
        }
    }
}

/// `weight · (probability - wanted probability)` for each score; rows that are ignored get exactly zero, whatever they
/// hold.
fn scores_gradient(
    x: &CT,
    log: &Log,
    classes: usize,
    targets: &[Option<usize>],
    weights: &[f64],
    smoothing: f64,
) -> Result<CT> {
    let dims = [targets.len(), classes];
    let shared = smoothing / classes.max(1) as f64;
    match log {
        Log::Fast(sums) => {
            let row = |((&log_sum, &target), &weight)| ClassRow { log_sum, target, weight: weight as f32 };
            let rows: Vec<ClassRow> = sums.iter().zip(targets).zip(weights).map(row).collect();
            kernels::class_gradient(x, &rows, classes, smoothing as f32)?
                .ok_or_else(|| Error::Internal { detail: "cross entropy without its gradient".into() })
        }
        Log::Sums(sums) => {
            let grads = read_all::<f64, _>(&x.to_dtype(Storage::F64)?, |x| {
                Ok(class_grads(x, classes, targets, |i, x, class| {
                    let wanted = if targets[i] == Some(class) { 1.0 - smoothing } else { 0.0 } + shared;
                    weights[i] * ((x - sums[i]).exp() - wanted)
                }))
            })?;
            Ok(upload(grads, &dims, x.device())?.to_dtype(x.dtype())?)
        }
    }
}

impl Tensor {
    /// The cross entropy of logits `[n, classes, ..]` (or `[classes]`) against class ids `[n, ..]` (or a 0-d id).
    ///
    /// Computed from the logits by their log-sum-exp: no probability underflows on the way.
    pub fn cross_entropy(&self, targets: &Self, loss: ClassLoss) -> Result<Self> {
        const OP: &str = "cross_entropy";
        let smoothing = loss.label_smoothing;
        if !(0.0..=1.0).contains(&smoothing) {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("label smoothing must be from 0 to 1, got {smoothing}"),
            });
        }
        let (rows, targets, shape) = rows_and_targets(OP, self, targets, loss.ignore_index)?;
        let classes = rows.dims()[1];
        let x = rows.data();
        let fast = if classes > 0 { kernels::log_sums(x, classes)? } else { None };
        let log = match fast {
            Some(sums) => Log::Fast(sums),
            None => Log::Sums(log_sums(x, classes)?),
        };
        let losses = target_losses(x, &log, classes, &targets, smoothing)?;
        let out = losses_like(x, reduce(&losses, &targets, loss.reduction), loss.reduction, &shape)?;
        let x = x.clone();
        record_unary(OP, out, &rows, move |g| {
            let weights = row_weights(g, &targets, loss.reduction)?;
            scores_gradient(&x, &log, classes, &targets, &weights, smoothing)
        })
    }

    /// The negative log likelihood of log-probabilities `[n, classes, ..]` against class ids `[n, ..]`.
    pub fn nll_loss(&self, targets: &Self, loss: ClassLoss) -> Result<Self> {
        const OP: &str = "nll_loss";
        let (rows, targets, shape) = rows_and_targets(OP, self, targets, loss.ignore_index)?;
        let classes = rows.dims()[1];
        let x = rows.data().to_dtype(Storage::F64)?;
        let losses: Vec<f64> = read_all::<f64, _>(&x, |x| {
            Ok(targets.iter().enumerate().map(|(i, t)| t.map_or(0.0, |t| -x[i * classes + t])).collect())
        })?;
        let out = losses_like(rows.data(), reduce(&losses, &targets, loss.reduction), loss.reduction, &shape)?;
        let own = rows.data().dtype();
        record_unary(OP, out, &rows, move |g| {
            let weights = row_weights(g, &targets, loss.reduction)?;
            let mut grads = vec![0f64; targets.len() * classes];
            for (i, target) in targets.iter().enumerate() {
                if let Some(t) = target {
                    grads[i * classes + t] = -weights[i];
                }
            }
            Ok(upload(grads, &[targets.len(), classes], g.device())?.to_dtype(own)?)
        })
    }
}

/// `grad(row, score, class)` for each score of a row that is not ignored, else 0.
fn class_grads(
    x: &[f64],
    classes: usize,
    targets: &[Option<usize>],
    grad: impl Fn(usize, f64, usize) -> f64 + Sync,
) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    if classes > 0 {
        out.par_chunks_mut(classes).zip(x.par_chunks(classes)).enumerate().for_each(|(i, (out, x))| {
            if targets[i].is_some() {
                out.iter_mut().zip(x).enumerate().for_each(|(class, (out, &x))| *out = grad(i, x, class));
            }
        });
    }
    out
}

fn class_loss(
    op: &'static str,
    reduction: Option<String>,
    ignore_index: Option<i64>,
    label_smoothing: Option<f64>,
) -> Result<ClassLoss> {
    let default = ClassLoss::default();
    Ok(ClassLoss {
        reduction: Reduction::from_name(op, reduction.as_deref())?,
        ignore_index: ignore_index.unwrap_or(default.ignore_index),
        label_smoothing: label_smoothing.unwrap_or(default.label_smoothing),
    })
}

pub(super) const OPS: &[Op] = op_table! {
    cross_entropy(x, targets; reduction: Option<String>, ignore_index: Option<i64>, label_smoothing: Option<f64>)
        => x.cross_entropy(targets, class_loss("cross_entropy", reduction, ignore_index, label_smoothing)?);
    nll_loss(x, targets; reduction: Option<String>, ignore_index: Option<i64>)
        => x.nll_loss(targets, class_loss("nll_loss", reduction, ignore_index, None)?);
};

//! Checking an intervention against the point that it is attached to.

use super::directions::orthonormal;
use super::selection::{Narrowed, axis, narrow};
use super::{Edit, Intervention, Number, Operand, TensorRef, apply::Plan};
use crate::error::{Error, Result};
use crate::hooks::{AxisSize, Direction, PointBounds, PointInfo, Reach};
use crate::tensor::{CT, Tensor};
use std::sync::{Arc, Mutex};

/// A number or a tensor, looked up.
pub(super) enum Value {
    Number(f64),
    Tensor(Tensor),
}

/// What is done, with everything looked up.
pub(super) enum Action {
    Scale(Value),
    Add(Value),
    Set(Value),
    Clamp {
        min: f64,
        max: f64,
    },
    /// Orthonormal rows `[k, d]`.
    ProjectOut(CT),
    Mean {
        axes: Vec<usize>,
    },
    Patch(Tensor),
    KnockOut {
        edges: Vec<(i64, i64)>,
        reach: Option<Reach>,
        query: usize,
        key: usize,
        value: f64,
        renormalise: bool,
    },
}

/// An intervention that fits its point.
pub(in crate::hooks) struct Attached {
    pub(super) action: Action,
    pub(super) narrowed: Vec<Narrowed>,
    /// What the last shape needed: runs of one shape follow one another.
    pub(super) plan: Mutex<Option<Arc<Plan>>>,
}

impl Attached {
    /// # Errors
    /// `invalid_intervention` for axes and tensors that do not fit, and for edits that would change nothing.
    pub(in crate::hooks) fn new(
        intervention: &Intervention,
        tensors: &[Tensor],
        point: &PointInfo,
        bounds: &PointBounds,
        direction: Direction,
    ) -> Result<Self> {
        let check = Check { tensors, point, bounds };
        let narrowed = narrow(point, bounds, &intervention.at)?;
        let action = check.action(&intervention.edit, direction)?;
        check.widths(&action, &narrowed)?;
        Ok(Self { action, narrowed, plan: Mutex::new(None) })
    }
}

struct Check<'a> {
    tensors: &'a [Tensor],
    point: &'a PointInfo,
    bounds: &'a PointBounds,
}

impl Check<'_> {
    fn invalid(&self, detail: impl Into<String>) -> Error {
        Error::InvalidIntervention { hook: self.point.name.clone(), detail: detail.into() }
    }

    fn action(&self, edit: &Edit, direction: Direction) -> Result<Action> {
        Ok(match edit {
            Edit::Zero {} => Action::Set(Value::Number(0.0)),
            Edit::Scale { factor } => match self.value(*factor)? {
                Value::Number(1.0) => return Err(self.invalid("scaling by 1 changes nothing")),
                Value::Tensor(factor) if all_are(&factor, 1.0)? => {
                    return Err(self.invalid("the factor is 1 everywhere, which changes nothing"));
                }
                Value::Number(x) if x.is_infinite() => return Err(self.invalid("the factor must be finite")),
                factor => Action::Scale(factor),
            },
            Edit::Add { value } => match self.value(*value)? {
                Value::Number(0.0) => return Err(self.invalid("adding 0 changes nothing")),
                Value::Tensor(value) if all_are(&value, 0.0)? => {
                    return Err(self.invalid("the value is 0 everywhere, which changes nothing"));
                }
                value => Action::Add(value),
            },
            Edit::Set { value } => Action::Set(self.value(*value)?),
            Edit::Clamp { min, max } => {
                let min = min.map_or(Ok(f64::NEG_INFINITY), |x| self.number(x))?;
                let max = max.map_or(Ok(f64::INFINITY), |x| self.number(x))?;
                if min > max {
                    return Err(self.invalid(format!("clamp: min {min} is above max {max}")));
                }
                if min == f64::NEG_INFINITY && max == f64::INFINITY {
                    return Err(self.invalid("clamp without a bound changes nothing"));
                }
                Action::Clamp { min, max }
            }
            Edit::ProjectOut { direction } => {
                let direction = self.tensor(*direction)?;
                if direction.requires_grad() {
                    return Err(self.invalid("directions are constants: detach() them"));
                }
                Action::ProjectOut(orthonormal(direction).map_err(|detail| self.invalid(detail))?)
            }
            Edit::MeanAblate { over: Some(_), mean: Some(_) } => {
                return Err(self.invalid("mean_ablate takes either `over` or `mean`, not both"));
            }
            Edit::MeanAblate { over: None, mean: Some(mean) } => {
                Action::Set(Value::Tensor(self.tensor(*mean)?.clone()))
            }
            Edit::MeanAblate { over, mean: None } => {
                let default = ["batch".to_owned(), "pos".to_owned()];
                let over = over.as_deref().unwrap_or(&default);
                let mut axes = over.iter().map(|name| axis(self.point, name)).collect::<Result<Vec<_>>>()?;
                crate::order::sort_by_key(&mut axes, |&axis| axis as u64);
                axes.dedup();
                if axes.is_empty() {
                    return Err(self.invalid("a mean over no axis changes nothing"));
                }
                Action::Mean { axes }
            }
            Edit::Patch { source } => Action::Patch(self.tensor(*source)?.clone()),
            Edit::KnockOutEdges { edges, renormalise } => self.knock_out(edges, *renormalise, direction)?,
        })
    }

    fn knock_out(&self, edges: &[(i64, i64)], renormalise: bool, direction: Direction) -> Result<Action> {
        let position = |name: &str| self.point.axes.iter().position(|a| a == name);
        let (Some(query), Some(key)) = (position("query"), position("key")) else {
            return Err(self.invalid(format!(
                "only points with the axes query and key have attention edges; this one has [{}]",
                self.point.axes.join(", ")
            )));
        };
        if edges.is_empty() {
            return Err(self.invalid("no edges are given, so nothing would change"));
        }
        let scores = self.point.name.ends_with("attn_scores");
        if !scores && !self.point.name.ends_with("pattern") {
            return Err(self.invalid("edges can be cut at hook_attn_scores and hook_pattern"));
        }
        if renormalise && (scores || direction == Direction::Backward) {
            return Err(
                self.invalid("renormalise is for hook_pattern in forward direction: elsewhere rows have no sum")
            );
        }
        for (axis, name, index) in edges.iter().flat_map(|&(q, k)| [(query, "query", q), (key, "key", k)]) {
            if let Some(most) = self.bounds.size(axis).most() {
                super::selection::place(self.point, name, index, most)?;
            }
        }
        let reach = self.bounds.reach;
        // Positions from different ends can be compared only when a run shows how far apart the ends are.
        let same_end = |(q, k): (i64, i64)| (q < 0) == (k < 0);
        if let Some(reach) = reach
            && edges.iter().all(|&(q, k)| same_end((q, k)) && reach.hides(q, k))
        {
            return Err(self.invalid(unreachable(&reach)));
        }
        let value = if scores && direction == Direction::Forward { f64::NEG_INFINITY } else { 0.0 };
        Ok(Action::KnockOut { edges: edges.to_vec(), reach, query, key, value, renormalise })
    }

    fn number(&self, number: Number) -> Result<f64> {
        if number.0.is_nan() { Err(self.invalid("NaN is no value for an edit")) } else { Ok(number.0) }
    }

    fn value(&self, operand: Operand) -> Result<Value> {
        Ok(match operand {
            Operand::Number(number) => Value::Number(self.number(number)?),
            Operand::Tensor(tensor) => Value::Tensor(self.tensor(tensor)?.clone()),
        })
    }

    fn tensor(&self, TensorRef { tensor: index }: TensorRef) -> Result<&Tensor> {
        self.tensors
            .get(index)
            .ok_or_else(|| self.invalid(format!("refers to tensor {index}, but {} are given", self.tensors.len())))
    }

    /// Checks the shapes of tensors as far as the point's rank and sizes are known.
    fn widths(&self, action: &Action, narrowed: &[Narrowed]) -> Result<()> {
        let (tensor, narrowed) = match action {
            Action::Scale(Value::Tensor(t)) | Action::Add(Value::Tensor(t)) | Action::Set(Value::Tensor(t)) => {
                (t.dims(), narrowed)
            }
            Action::Patch(t) => (t.dims(), &[][..]),
            Action::ProjectOut(basis) => (&basis.dims()[1..], &[][..]),
            _ => return Ok(()),
        };
        let rank = self.point.axes.len();
        if rank == 0 {
            return Ok(());
        }
        if tensor.len() > rank {
            return Err(self.invalid(format!(
                "a tensor of shape {tensor:?} has more axes than the activation [{}]",
                self.point.axes.join(", ")
            )));
        }
        // Axes narrowed by `at` shift what the tensor's axes stand for; those shapes are checked when it runs.
        if !narrowed.is_empty() {
            return Ok(());
        }
        let must_equal = matches!(action, Action::ProjectOut(_));
        for (&got, axis) in tensor.iter().rev().zip((0..rank).rev()) {
            let (fits, size) = match self.bounds.size(axis) {
                AxisSize::Any => continue,
                AxisSize::Exactly(size) => (got == size || (got == 1 && !must_equal), size.to_string()),
                AxisSize::AtMost(size) => (got <= size, format!("at most {size}")),
            };
            if !fits {
                return Err(self.invalid(format!(
                    "a tensor of shape {tensor:?} does not fit axis '{}' of size {size}",
                    self.point.axes[axis]
                )));
            }
        }
        Ok(())
    }
}

/// Whether a tensor is that number everywhere and will be: one that is being learned may begin so.
fn all_are(tensor: &Tensor, number: f64) -> Result<bool> {
    if tensor.requires_grad() {
        return Ok(false);
    }
    let other = tensor.data().ne(&tensor.data().affine(0.0, number)?)?;
    let flat = other.flatten_all()?;
    Ok(flat.elem_count() == 0 || flat.max(0)?.to_scalar::<u8>()? == 0)
}

/// What is wrong with edges that do not exist.
pub(super) fn unreachable(reach: &Reach) -> String {
    let why = match (reach.causal, reach.window) {
        (true, Some(window)) => format!("a query sees itself and the {} keys before it", window.saturating_sub(1)),
        (true, None) => "a query sees no key after itself".to_owned(),
        (false, window) => format!("a query sees no key {} or more before itself", window.unwrap_or_default()),
    };
    format!("none of the edges exists: in this layer {why}. Edges are pairs [query, key]")
}

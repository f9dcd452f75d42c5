//! Running an intervention: the arithmetic and its gradients.
//!
//! Everything is written as "where the mask says so, the edited value, otherwise the old one", in operations that every
//! device has. Masks and constants are laid out once for each shape that comes by.

use super::attach::{Action, Attached, Value, unreachable};
use super::selection::{Selection, place};
use crate::autograd::{lock, record};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::hooks::{PointInfo, Reach};
use crate::tensor::{CT, Tensor, chosen, product, unbroadcast};
use candle_core::{DType as Storage, Device};
use std::sync::Arc;

const OP: &str = "intervention";

/// What an intervention needs for activations of one shape, dtype and device.
pub(super) struct Plan {
    selection: Selection,
    dtype: DType,
    device: Device,
    /// Ones where the activation is edited, of its full shape; `None` if everywhere.
    mask: Option<CT>,
    /// For renormalisation: ones in rows that lost an edge.
    rows: Option<CT>,
    /// For projections: the basis in the dtype computed in.
    basis: Option<CT>,
}

/// Sums and products of half-precision values are computed in single precision.
fn wide(dtype: Storage) -> Storage {
    if matches!(dtype, Storage::F16 | Storage::BF16) { Storage::F32 } else { dtype }
}

fn masked(mask: Option<&CT>, selected: &CT, otherwise: &CT) -> Result<CT> {
    match mask {
        None => Ok(selected.clone()),
        Some(mask) => chosen(mask, selected, otherwise),
    }
}

fn filled(value: f64, like: &CT) -> Result<CT> {
    if value == 0.0 {
        return Ok(like.zeros_like()?);
    }
    let one = CT::new(value, &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())?;
    Ok(one.broadcast_as(like.shape())?.contiguous()?)
}

impl Attached {
    /// The edited activation, or in backward direction the edited gradient, of the same shape and dtype.
    pub(in crate::hooks) fn apply(&self, point: &PointInfo, x: &Tensor) -> Result<Tensor> {
        let plan = self.plan(point, x)?;
        let float = x.dtype().is_float();
        let invalid = |detail: String| Error::InvalidIntervention { hook: point.name.clone(), detail };
        if !float && !matches!(self.action, Action::Set(_) | Action::Patch(_)) {
            return Err(invalid(format!("this edit needs a float activation, got {}", x.dtype().name())));
        }
        match &self.action {
            Action::Set(Value::Number(value)) => {
                if !float && (value.fract() != 0.0 || !value.is_finite()) {
                    return Err(invalid(format!("{value} is no {}", x.dtype().name())));
                }
                plan.set_number(x, *value)
            }
            Action::Set(Value::Tensor(value)) => plan.set(x, plan.spread(point, value)?),
            Action::Patch(source) => plan.set(x, plan.whole(point, source)?),
            Action::Add(Value::Number(value)) => plan.affine(x, 1.0, *value),
            Action::Add(Value::Tensor(value)) => plan.add(x, plan.spread(point, value)?),
            Action::Scale(Value::Number(factor)) => plan.affine(x, *factor, 0.0),
            Action::Scale(Value::Tensor(factor)) => plan.scale(x, plan.spread(point, factor)?),
            Action::Clamp { min, max } => plan.clamp(x, *min, *max),
            Action::ProjectOut(_) => plan.project_out(point, x),
            Action::Mean { axes } => plan.mean(x, axes),
            Action::KnockOut { value, renormalise: false, .. } => plan.set_number(x, *value),
            Action::KnockOut { key, .. } => plan.renormalise(x, *key),
        }
    }

    fn plan(&self, point: &PointInfo, x: &Tensor) -> Result<Arc<Plan>> {
        let device = x.data().device();
        let known = lock(&self.plan).clone();
        let known =
            known.filter(|p| p.selection.dims == x.dims() && p.dtype == x.dtype() && p.device.same_device(device));
        if let Some(plan) = known {
            return Ok(plan);
        }
        let plan = Arc::new(self.make_plan(point, x)?);
        *lock(&self.plan) = Some(Arc::clone(&plan));
        Ok(plan)
    }

    fn make_plan(&self, point: &PointInfo, x: &Tensor) -> Result<Plan> {
        let (dims, device) = (x.dims(), x.data().device());
        let selection = Selection::new(point, &self.narrowed, dims)?;
        let mut mask = selection.mask()?;
        let mut rows = None;
        if let Action::KnockOut { edges, reach, query, key, renormalise, .. } = &self.action {
            let cut = edge_mask(point, edges, *reach, *query, *key, dims)?;
            let cut = match mask {
                None => cut,
                Some(mask) => mask.broadcast_mul(&cut)?,
            };
            let row = cut.max_keepdim(*key)?;
            if row.to_dtype(Storage::F32)?.sum_all()?.to_scalar::<f32>()? == 0.0 {
                return Err(Error::InvalidIntervention {
                    hook: point.name.clone(),
                    detail: "none of the edges lies in the part selected by `at`".into(),
                });
            }
            if *renormalise {
                rows = Some(row.broadcast_as(dims)?.contiguous()?.to_device(device)?);
            }
            mask = Some(cut);
        }
        let mask = match mask {
            None => None,
            Some(mask) => Some(mask.broadcast_as(dims)?.contiguous()?.to_device(device)?),
        };
        let basis = match &self.action {
            Action::ProjectOut(basis) => Some(basis.to_dtype(wide(x.data().dtype()))?.to_device(device)?),
            _ => None,
        };
        Ok(Plan { selection, dtype: x.dtype(), device: device.clone(), mask, rows, basis })
    }
}

/// Ones at the given (query, key) pairs, one of which at least must be an edge.
fn edge_mask(
    point: &PointInfo,
    edges: &[(i64, i64)],
    reach: Option<Reach>,
    query: usize,
    key: usize,
    dims: &[usize],
) -> Result<CT> {
    let (Some(&queries), Some(&keys)) = (dims.get(query), dims.get(key)) else {
        return Err(Error::InvalidIntervention {
            hook: point.name.clone(),
            detail: format!("the activation has shape {dims:?}, not the axes {}", point.axes.join(", ")),
        });
    };
    let mut cut = vec![0u8; queries * keys];
    let mut exists = false;
    // Queries are the last of the keys.
    let before = keys.saturating_sub(queries) as i64;
    for &(q, k) in edges {
        let (q, k) = (place(point, "query", q, queries)? as usize, place(point, "key", k, keys)? as usize);
        exists |= !reach.is_some_and(|reach| reach.hides(q as i64 + before, k as i64));
        cut[if query < key { q * keys + k } else { k * queries + q }] = 1;
    }
    if let (false, Some(reach)) = (exists, &reach) {
        return Err(Error::InvalidIntervention { hook: point.name.clone(), detail: unreachable(reach) });
    }
    let mut shape = vec![1; dims.len()];
    shape[query] = queries;
    shape[key] = keys;
    Ok(CT::from_vec(cut, shape, &Device::Cpu)?)
}

impl Plan {
    fn mask(&self) -> Option<&CT> {
        self.mask.as_ref()
    }

    /// A tensor given for the selected part, as one that broadcasts to the whole activation.
    fn spread(&self, point: &PointInfo, value: &Tensor) -> Result<Tensor> {
        self.selection.spread(point, &value.cast(OP, self.dtype)?)?.to_device(&self.device)
    }

    /// A tensor given for the whole activation.
    fn whole(&self, point: &PointInfo, source: &Tensor) -> Result<Tensor> {
        let dims = &self.selection.dims;
        let fits = source.rank() <= dims.len()
            && source.dims().iter().rev().zip(dims.iter().rev()).all(|(&s, &d)| s == d || s == 1);
        if !fits {
            return Err(Error::InvalidIntervention {
                hook: point.name.clone(),
                detail: format!("the source of the patch has shape {:?}, the activation {dims:?}", source.dims()),
            });
        }
        source.cast(OP, self.dtype)?.to_device(&self.device)
    }

    /// Records an edit of `x`; an integer or bool has no gradient and keeps its dtype.
    fn edited(&self, x: &Tensor, data: CT, rule: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static) -> Result<Tensor> {
        if !self.dtype.is_float() {
            return Tensor::constant_as(data, self.dtype);
        }
        record(OP, data, &[x], move |g, _| Ok(vec![Some(rule(g)?)]))
    }

    /// The same with a second operand, whose gradient `rule` gives in the shape of the activation.
    fn edited_with(
        &self,
        x: &Tensor,
        value: &Tensor,
        data: CT,
        rule: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static,
        value_rule: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        if !self.dtype.is_float() {
            return Tensor::constant_as(data, self.dtype);
        }
        let dims = value.dims().to_vec();
        record(OP, data, &[x, value], move |g, needs| {
            let wanted = |i: usize| needs.get(i).copied().unwrap_or(false);
            Ok(vec![
                wanted(0).then(|| rule(g)).transpose()?,
                wanted(1).then(|| unbroadcast(&value_rule(g)?, &dims)).transpose()?,
            ])
        })
    }

    fn set_number(&self, x: &Tensor, value: f64) -> Result<Tensor> {
        let data = masked(self.mask(), &filled(value, x.data())?, x.data())?;
        let mask = self.mask.clone();
        self.edited(x, data, move |g| masked(mask.as_ref(), &g.zeros_like()?, g))
    }

    fn set(&self, x: &Tensor, value: Tensor) -> Result<Tensor> {
        let full = value.data().broadcast_as(x.dims())?.contiguous()?;
        let data = masked(self.mask(), &full, x.data())?;
        let (mask, same) = (self.mask.clone(), self.mask.clone());
        self.edited_with(
            x,
            &value,
            data,
            move |g| masked(mask.as_ref(), &g.zeros_like()?, g),
            move |g| masked(same.as_ref(), g, &g.zeros_like()?),
        )
    }

    fn affine(&self, x: &Tensor, factor: f64, offset: f64) -> Result<Tensor> {
        let data = masked(self.mask(), &x.data().affine(factor, offset)?, x.data())?;
        let mask = self.mask.clone();
        self.edited(x, data, move |g| {
            if factor == 1.0 { Ok(g.clone()) } else { masked(mask.as_ref(), &g.affine(factor, 0.0)?, g) }
        })
    }

    fn add(&self, x: &Tensor, value: Tensor) -> Result<Tensor> {
        let data = masked(self.mask(), &x.data().broadcast_add(value.data())?, x.data())?;
        let mask = self.mask.clone();
        let value_rule = move |g: &CT| masked(mask.as_ref(), g, &g.zeros_like()?);
        self.edited_with(x, &value, data, |g| Ok(g.clone()), value_rule)
    }

    fn scale(&self, x: &Tensor, factor: Tensor) -> Result<Tensor> {
        let data = masked(self.mask(), &x.data().broadcast_mul(factor.data())?, x.data())?;
        let (mask, same) = (self.mask.clone(), self.mask.clone());
        let (by, old) = (factor.data().clone(), x.data().clone());
        self.edited_with(
            x,
            &factor,
            data,
            move |g| masked(mask.as_ref(), &g.broadcast_mul(&by)?, g),
            move |g| masked(same.as_ref(), &g.mul(&old)?, &g.zeros_like()?),
        )
    }

    fn clamp(&self, x: &Tensor, min: f64, max: f64) -> Result<Tensor> {
        let (low, high) = (filled(min, x.data())?, filled(max, x.data())?);
        let (below, above) = (x.data().lt(&low)?, x.data().gt(&high)?);
        let clamped = chosen(&above, &high, &chosen(&below, &low, x.data())?)?;
        let data = masked(self.mask(), &clamped, x.data())?;
        let mask = self.mask.clone();
        self.edited(x, data, move |g| {
            let zero = g.zeros_like()?;
            masked(mask.as_ref(), &chosen(&above, &zero, &chosen(&below, &zero, g)?)?, g)
        })
    }

    fn project_out(&self, point: &PointInfo, x: &Tensor) -> Result<Tensor> {
        let basis =
            self.basis.clone().ok_or_else(|| Error::Internal { detail: "a projection without basis".into() })?;
        let width = basis.dims()[1];
        if x.dims().last() != Some(&width) {
            return Err(Error::InvalidIntervention {
                hook: point.name.clone(),
                detail: format!("directions of width {width} do not fit the last axis of {:?}", x.dims()),
            });
        }
        let data = masked(self.mask(), &without(x.data(), &basis)?, x.data())?;
        let mask = self.mask.clone();
        self.edited(x, data, move |g| match &mask {
            None => without(g, &basis),
            Some(mask) => {
                let zero = g.zeros_like()?;
                let selected = without(&chosen(mask, g, &zero)?, &basis)?;
                Ok(selected.add(&chosen(mask, &zero, g)?)?)
            }
        })
    }

    fn mean(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let dims = x.dims().to_vec();
        let spread = |t: &CT, dtype: Storage, dims: &[usize]| -> Result<CT> {
            Ok(t.to_dtype(dtype)?.broadcast_as(dims)?.contiguous()?)
        };
        let own = x.data().dtype();
        let count = axes.iter().map(|&a| dims[a]).product::<usize>() as f64;
        let mean = (x.data().to_dtype(wide(own))?.sum_keepdim(axes)? / count)?;
        let data = masked(self.mask(), &spread(&mean, own, &dims)?, x.data())?;
        let (mask, axes) = (self.mask.clone(), axes.to_vec());
        self.edited(x, data, move |g| {
            let zero = g.zeros_like()?;
            let selected = masked(mask.as_ref(), g, &zero)?.to_dtype(wide(own))?;
            let shared = (selected.sum_keepdim(axes.as_slice())? / count)?;
            Ok(masked(mask.as_ref(), &zero, g)?.add(&spread(&shared, own, &dims)?)?)
        })
    }

    /// Cuts edges from a pattern and rescales the rows that lost some to sum 1; a row that lost all stays 0.
    fn renormalise(&self, x: &Tensor, key: usize) -> Result<Tensor> {
        let rows = self.rows.clone().ok_or_else(|| Error::Internal { detail: "no rows to renormalise".into() })?;
        let own = x.data().dtype();
        let left = masked(self.mask(), &x.data().zeros_like()?, x.data())?.to_dtype(wide(own))?;
        let sum = left.sum_keepdim(key)?;
        let sum = chosen(&sum.eq(&sum.zeros_like()?)?, &sum.ones_like()?, &sum)?;
        let scaled = left.broadcast_div(&sum)?;
        let data = chosen(&rows, &scaled.to_dtype(own)?, x.data())?;
        let mask = self.mask.clone();
        self.edited(x, data, move |g| {
            let wide_g = g.to_dtype(wide(own))?;
            let along = wide_g.mul(&scaled)?.sum_keepdim(key)?;
            let inside = wide_g.broadcast_sub(&along)?.broadcast_div(&sum)?.to_dtype(own)?;
            chosen(&rows, &masked(mask.as_ref(), &g.zeros_like()?, &inside)?, g)
        })
    }
}

/// Up to this many directions, a pass over the rows for each is faster than two matrix products with so thin a matrix.
const FEW_DIRECTIONS: usize = 8;

/// `x` without its component in the span of the orthonormal rows of `basis`, along the last axis.
fn without(x: &CT, basis: &CT) -> Result<CT> {
    let (dims, own) = (x.dims().to_vec(), x.dtype());
    let (count, width) = basis.dims2()?;
    let rows = x.to_dtype(basis.dtype())?.contiguous()?.reshape(((), width))?;
    let rest = if count <= FEW_DIRECTIONS {
        let mut rest = rows.clone();
        for i in 0..count {
            let direction = basis.narrow(0, i, 1)?;
            let along = rows.broadcast_mul(&direction)?.sum_keepdim(1)?;
            rest = rest.sub(&along.broadcast_mul(&direction)?)?;
        }
        rest
    } else {
        const OP: &str = "without";
        rows.sub(&product(OP, &product(OP, &rows, &basis.t()?, None)?, basis, None)?)?
    };
    Ok(rest.to_dtype(own)?.reshape(dims)?)
}

//! The part of an activation that an intervention edits.

use super::{PlaceRange, Places};
use crate::error::{Error, Result};
use crate::hooks::capture::range_indices;
use crate::hooks::{AxisSize, PointBounds, PointInfo};
use crate::tensor::{CT, Tensor};
use candle_core::Device;
use std::collections::BTreeMap;

/// An axis of a point and the places along it, checked as far as that goes without knowing the size.
#[derive(Clone, Debug)]
pub(super) struct Narrowed {
    pub(super) axis: usize,
    name: String,
    places: Places,
}

fn invalid(point: &PointInfo, detail: String) -> Error {
    Error::InvalidIntervention { hook: point.name.clone(), detail }
}

/// The axis of that name or a synonym.
pub(super) fn axis(point: &PointInfo, name: &str) -> Result<usize> {
    if point.axes.is_empty() {
        return Err(invalid(point, format!("the point declares no axes, so that '{name}' cannot be found")));
    }
    point.axis(name).ok_or_else(|| invalid(point, format!("no axis '{name}'; the point has {}", point.axes.join(", "))))
}

/// Checks `at` against the axes of a point.
pub(super) fn narrow(point: &PointInfo, bounds: &PointBounds, at: &BTreeMap<String, Places>) -> Result<Vec<Narrowed>> {
    let mut narrowed: Vec<Narrowed> = Vec::with_capacity(at.len());
    for (name, places) in at {
        let axis = axis(point, name)?;
        if let Some(other) = narrowed.iter().find(|n| n.axis == axis) {
            return Err(invalid(point, format!("at: '{}' and '{name}' are the same axis", other.name)));
        }
        let nothing = match places {
            Places::One(_) => false,
            Places::List(list) => list.is_empty(),
            Places::Range(PlaceRange { step: Some(step), .. }) if *step < 1 => {
                return Err(invalid(point, format!("at.{name}: step must be at least 1, got {step}")));
            }
            Places::Range(PlaceRange { start, stop: Some(stop), .. }) => {
                let start = start.unwrap_or(0);
                *stop == 0 || ((start < 0) == (*stop < 0) && start >= *stop)
            }
            Places::Range(_) => false,
        };
        if nothing {
            return Err(invalid(point, format!("at.{name} selects nothing")));
        }
        let entry = Narrowed { axis, name: name.clone(), places: places.clone() };
        match bounds.size(axis) {
            AxisSize::Any => {}
            AxisSize::Exactly(size) => drop(entry.resolve(point, size)?),
            AxisSize::AtMost(most) => entry.check_reach(point, most)?,
        }
        narrowed.push(entry);
    }
    crate::order::sort_by_key(&mut narrowed, |n| n.axis as u64);
    Ok(narrowed)
}

/// `index` on an axis of that size, counted from the front.
pub(super) fn place(point: &PointInfo, name: &str, index: i64, size: usize) -> Result<u32> {
    let from_front = if index < 0 { index.saturating_add(size as i64) } else { index };
    match u32::try_from(from_front) {
        Ok(i) if (i as usize) < size => Ok(i),
        _ => Err(invalid(point, format!("at.{name}: {index} is outside an axis of size {size}"))),
    }
}

impl Narrowed {
    /// Fails if no activation has these places.
    fn check_reach(&self, point: &PointInfo, most: usize) -> Result<()> {
        match &self.places {
            Places::One(index) => place(point, &self.name, *index, most).map(drop),
            Places::List(list) => list.iter().try_for_each(|&i| place(point, &self.name, i, most).map(drop)),
            Places::Range(PlaceRange { start, stop, .. }) => {
                let most = most as i64;
                if start.is_some_and(|start| start >= most) || stop.is_some_and(|stop| stop <= -most) {
                    return Err(invalid(
                        point,
                        format!("at.{} selects nothing of an axis of at most {most} places", self.name),
                    ));
                }
                Ok(())
            }
        }
    }

    fn resolve(&self, point: &PointInfo, size: usize) -> Result<Vec<u32>> {
        let indices: Vec<u32> = match &self.places {
            Places::One(index) => vec![place(point, &self.name, *index, size)?],
            Places::List(list) => list.iter().map(|&i| place(point, &self.name, i, size)).collect::<Result<_>>()?,
            Places::Range(PlaceRange { start, stop, step }) => range_indices(size, *start, *stop, *step),
        };
        if indices.is_empty() {
            return Err(invalid(point, format!("at.{} selects nothing of an axis of size {size}", self.name)));
        }
        let mut seen = vec![false; size];
        for &i in &indices {
            if std::mem::replace(&mut seen[i as usize], true) {
                return Err(invalid(point, format!("at.{} names place {i} twice", self.name)));
            }
        }
        Ok(indices)
    }
}

/// The selected part of activations of one shape.
pub(super) struct Selection {
    pub(super) dims: Vec<usize>,
    /// Per axis the selected places, and whether a single number chose them; `None` for a whole axis.
    picks: Vec<Option<(Vec<u32>, bool)>>,
}

impl Selection {
    pub(super) fn new(point: &PointInfo, narrowed: &[Narrowed], dims: &[usize]) -> Result<Self> {
        if !narrowed.is_empty() && dims.len() != point.axes.len() {
            return Err(invalid(
                point,
                format!("the activation has shape {dims:?}, not the axes {}", point.axes.join(", ")),
            ));
        }
        let mut picks = vec![None; dims.len()];
        for entry in narrowed {
            if let (Some(pick), Some(&size)) = (picks.get_mut(entry.axis), dims.get(entry.axis)) {
                *pick = Some((entry.resolve(point, size)?, matches!(entry.places, Places::One(_))));
            }
        }
        Ok(Self { dims: dims.to_vec(), picks })
    }

    /// Ones where selected, on the host, with size 1 along whole axes; `None` if everything is selected.
    pub(super) fn mask(&self) -> Result<Option<CT>> {
        let mut mask: Option<CT> = None;
        for (axis, pick) in self.picks.iter().enumerate() {
            let Some((indices, _)) = pick else { continue };
            let mut along = vec![0u8; self.dims[axis]];
            for &i in indices {
                along[i as usize] = 1;
            }
            let mut shape = vec![1; self.dims.len()];
            shape[axis] = self.dims[axis];
            let along = CT::from_vec(along, shape, &Device::Cpu)?;
            mask = Some(match mask {
                None => along,
                Some(mask) => mask.broadcast_mul(&along)?,
            });
        }
        Ok(mask)
    }

    /// Lays a tensor that broadcasts to the selected part out so that it broadcasts to the whole activation. What lies
    /// outside the selection is arbitrary.
    pub(super) fn spread(&self, point: &PointInfo, value: &Tensor) -> Result<Tensor> {
        let single = |axis: usize| matches!(self.picks[axis], Some((_, true)));
        let part = |axis: usize| self.picks[axis].as_ref().map_or(self.dims[axis], |(indices, _)| indices.len());
        let rank = self.dims.len();
        let kept: Vec<usize> = (0..rank).filter(|&a| !single(a)).collect();
        let all: Vec<usize> = (0..rank).collect();
        let fits = |axes: &[usize]| {
            value.rank() <= axes.len()
                && value.dims().iter().rev().zip(axes.iter().rev()).all(|(&d, &a)| d == 1 || d == part(a))
        };
        let Some(axes) = [&kept, &all].into_iter().find(|axes| fits(axes)) else {
            let dims: Vec<usize> = kept.iter().map(|&a| part(a)).collect();
            return Err(invalid(
                point,
                format!("a tensor of shape {:?} does not broadcast to the selected part {dims:?}", value.dims()),
            ));
        };
        let mut shape = vec![1i64; rank];
        for (&d, &a) in value.dims().iter().rev().zip(axes.iter().rev()) {
            shape[a] = d as i64;
        }
        let mut spread = value.reshape(&shape)?;
        for (axis, pick) in self.picks.iter().enumerate() {
            let Some((indices, _)) = pick else { continue };
            if spread.dims()[axis] == 1 {
                continue;
            }
            let mut source = vec![0i64; self.dims[axis]];
            for (place, &i) in indices.iter().enumerate() {
                source[i as usize] = place as i64;
            }
            spread = spread.index_select(axis as i64, &Tensor::from_slice(&source, &[source.len()])?)?;
        }
        Ok(spread)
    }
}

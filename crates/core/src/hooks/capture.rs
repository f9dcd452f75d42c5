//! Keeping activations and gradients as they pass a point.

use super::cache::{CacheStore, SumId};
use super::{Direction, PointInfo};
use crate::autograd::current_walk;
use crate::device::{DType, device_from_name};
use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor, saturated};
use candle_core::Device;
use std::borrow::Cow;
use std::sync::Arc;

/// What a capture stores, and where.
///
/// Forward captures store the activation itself, without a copy, as edited by the listeners before; of several firings
/// the last one stays. Backward captures store the gradient of the point's output as edited by the listeners before,
/// summed over all firings that one backward walk passes; the next walk (also a second one over a retained graph) starts
/// anew. What passes under a name of its own ([`super::HookRegistry::fire_as`]) is stored under that name as well; if
/// the gradients of such firings differ in shape, then only there.
#[derive(Clone, Debug, Default)]
pub struct CaptureOptions {
    /// Key to store under, and under no other; by default the point's name, with `_grad` for backward captures.
    pub key: Option<String>,
    /// Drop the batch axis, which must have size 1. Activations without one are stored as they are.
    pub remove_batch_dim: bool,
    /// Keep only these positions, along the point's own position axis (`pos`, or `query` on attention maps; the second
    /// axis where the point declares none). The axis stays. Activations without one are stored whole.
    pub pos_slice: Option<PosSlice>,
    /// Convert floats to this float dtype before storing; integers stay what they are.
    pub dtype: Option<DType>,
    /// Move before storing, to a device named as in [`device_from_name`].
    pub device: Option<String>,
}

/// Positions to keep; negative numbers count from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PosSlice {
    /// From `start` up to but without `stop`, every `step`-th; beyond the ends nothing is there, as in Python.
    Range {
        /// First position, by default 0.
        start: Option<i64>,
        /// First position not kept, by default the length.
        stop: Option<i64>,
        /// Distance, by default 1; at least 1.
        step: Option<i64>,
    },
    /// These positions, in this order.
    Indices(Vec<i64>),
}

/// The positions `start..stop` in steps of `step` on an axis of that size, clamped to it as in Python.
pub(super) fn range_indices(size: usize, start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Vec<u32> {
    let size = size as i64;
    let clamp = |i: i64| if i < 0 { i.saturating_add(size).max(0) } else { i.min(size) };
    let (start, stop) = (clamp(start.unwrap_or(0)), clamp(stop.unwrap_or(size)));
    let step = saturated(step.unwrap_or(1)).max(1);
    (start..stop).step_by(step).map(|i| i as u32).collect()
}

impl PosSlice {
    fn check(&self) -> Result<()> {
        match self {
            Self::Range { step: Some(step), .. } if *step < 1 => {
                Err(Error::InvalidArgument { op: "posSlice", detail: format!("step must be at least 1, got {step}") })
            }
            Self::Range { .. } | Self::Indices(_) => Ok(()),
        }
    }

    /// Copies the positions out, so that a slice does not keep the whole activation alive.
    fn apply(&self, x: &CT, axis: usize) -> Result<CT> {
        let size = x.dims()[axis];
        let indices = match self {
            Self::Range { start, stop, step } => range_indices(size, *start, *stop, *step),
            Self::Indices(list) => list
                .iter()
                .map(|&index| {
                    let i = if index < 0 { index.saturating_add(size as i64) } else { index };
                    match u32::try_from(i) {
                        Ok(i) if (i as usize) < size => Ok(i),
                        _ => Err(Error::IndexOutOfRange { op: "posSlice", index, size }),
                    }
                })
                .collect::<Result<_>>()?,
        };
        let count = indices.len();
        let consecutive = indices.windows(2).all(|pair| pair[1] == pair[0] + 1);
        match indices.first() {
            Some(_) if consecutive && count == size => Ok(x.clone()),
            Some(&first) if consecutive => Ok(x.narrow(axis, first as usize, count)?.force_contiguous()?),
            Some(_) => crate::tensor::entries(x, axis, &indices),
            None => {
                let mut dims = x.dims().to_vec();
                dims[axis] = 0;
                Ok(CT::zeros(dims, x.dtype(), x.device())?)
            }
        }
    }
}

/// A capture attached to a point, its options checked.
pub(super) struct Capture {
    id: u64,
    /// Under which values are stored, unless an alias says otherwise.
    key: Arc<str>,
    store: CacheStore,
    options: CaptureOptions,
    device: Option<Device>,
}

/// The key of what passes under a name.
fn default_key(name: &str, direction: Direction) -> Arc<str> {
    match direction {
        Direction::Forward => name.into(),
        Direction::Backward => format!("{name}_grad").into(),
    }
}

impl Capture {
    /// `name` and `direction` are those of the point that it is attached to.
    pub(super) fn new(
        id: u64,
        name: &str,
        direction: Direction,
        store: CacheStore,
        options: CaptureOptions,
    ) -> Result<Self> {
        if let Some(slice) = &options.pos_slice {
            slice.check()?;
        }
        if let Some(dtype) = options.dtype
            && !dtype.is_float()
        {
            return Err(Error::WrongDtype {
                op: "capture",
                expected: "a float dtype".into(),
                got: dtype.name().into(),
            });
        }
        let device = options.device.as_deref().map(device_from_name).transpose()?;
        let key = options.key.as_deref().map_or_else(|| default_key(name, direction), Arc::from);
        Ok(Self { id, key, store, options, device })
    }

    /// Stores `value`, which passes `point`; under an `alias` in place of the point's name, and under the firing's `own`
    /// name besides it.
    pub(super) fn store(
        &self,
        point: &PointInfo,
        direction: Direction,
        alias: Option<&str>,
        own: Option<&str>,
        value: &Tensor,
    ) -> Result<()> {
        let kept = self.reduce(point, value)?;
        let key = match alias {
            Some(alias) if self.options.key.is_none() => &default_key(alias, direction),
            _ => &self.key,
        };
        self.put(key, direction, own.is_some(), &kept)?;
        match own {
            Some(own) if self.options.key.is_none() => self.put(&default_key(own, direction), direction, true, &kept),
            _ => Ok(()),
        }
    }

    fn put(&self, key: &Arc<str>, direction: Direction, kept_apart: bool, kept: &Tensor) -> Result<()> {
        match direction {
            Direction::Forward => self.store.store(key, kept),
            Direction::Backward => {
                let id = SumId { capture: self.id, walk: current_walk() };
                self.store.accumulate(key, kept, id, kept_apart && self.options.key.is_none())
            }
        }
    }

    fn reduce(&self, point: &PointInfo, value: &Tensor) -> Result<Tensor> {
        let options = &self.options;
        let mut data = Cow::Borrowed(value.data());
        if let Some(slice) = &options.pos_slice
            && let Some(axis) = point.position_axis(data.rank())
        {
            data = Cow::Owned(slice.apply(&data, axis)?);
        }
        if options.remove_batch_dim && point.has_batch_axis(data.rank()) {
            let batch = data.dims()[0];
            if batch != 1 {
                return Err(Error::InvalidArgument {
                    op: "removeBatchDim",
                    detail: format!(
                        "'{}' has a batch of {batch} rows; the batch axis can only be removed from a batch of 1",
                        point.name
                    ),
                });
            }
            data = Cow::Owned(data.squeeze(0)?);
        }
        let dtype = options.dtype.filter(|_| value.dtype().is_float()).unwrap_or(value.dtype());
        if dtype.storage() != data.dtype() {
            data = Cow::Owned(data.to_dtype(dtype.storage())?);
        }
        if let Some(device) = &self.device {
            data = Cow::Owned(data.to_device(device)?);
        }
        match data {
            Cow::Borrowed(_) if dtype == value.dtype() => Ok(value.clone()),
            data => Tensor::constant_as(data.into_owned(), dtype),
        }
    }
}

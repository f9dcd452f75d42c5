//! Work along some axes: reductions, scans, normalisations.
//!
//! The axes in question are moved to the end, so that each result depends on one contiguous row of `f64` (or `i64`)
//! values, whatever the dtype and the layout; results are moved back.

use super::composed;
use super::elements::{Carrier, View, store, to_host};
use super::{CT, resolve_dim};
use crate::error::{Error, Result};
use candle_core::{DType, Device};

/// What is done with rows and the numbers that belong to them.
type RowFn<'a, C> = dyn Fn(&[Vec<C>], &[C], &mut [C]) + Sync + 'a;

/// Which axes of a shape are worked along.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    dims: Vec<usize>,
    along: Vec<usize>,
}

impl Rows {
    /// Along the named dims; along all of them when none is named, as in torch.
    pub(crate) fn new(op: &'static str, dims: &[usize], named: Option<&[i64]>) -> Result<Self> {
        let mut along = Vec::new();
        for &dim in named.unwrap_or(&[]) {
            let dim = resolve_dim(op, dim, dims.len())?;
            if along.contains(&dim) {
                return Err(Error::InvalidArgument { op, detail: format!("dim {dim} is named twice") });
            }
            // A 0-d tensor accepts dim 0, which it does not have.
            if dim < dims.len() {
                along.push(dim);
            }
        }
        if named.is_none_or(<[i64]>::is_empty) {
            along = (0..dims.len()).collect();
        }
        crate::order::sort_by_key(&mut along, |&axis| axis as u64);
        Ok(Self { dims: dims.to_vec(), along })
    }

    /// Along the last `n` axes.
    pub(crate) fn last(dims: &[usize], n: usize) -> Self {
        Self { dims: dims.to_vec(), along: (dims.len() - n..dims.len()).collect() }
    }

    /// Elements of a row.
    pub(crate) fn len(&self) -> usize {
        self.along.iter().map(|&i| self.dims[i]).product()
    }

    /// The shape that is worked on.
    pub(crate) fn full_dims(&self) -> &[usize] {
        &self.dims
    }

    /// The shape of the result, with sizes of 1 in place of the axes worked along.
    pub(crate) fn kept_dims(&self) -> Vec<usize> {
        self.dims.iter().enumerate().map(|(i, &d)| if self.along.contains(&i) { 1 } else { d }).collect()
    }

    /// The shape of the result.
    pub(crate) fn out_dims(&self, keepdim: bool) -> Vec<usize> {
        if keepdim {
            return self.kept_dims();
        }
        (0..self.dims.len()).filter(|i| !self.along.contains(i)).map(|i| self.dims[i]).collect()
    }

    /// Fails when rows have no elements but results are asked for.
    pub(crate) fn require_elements(&self, op: &'static str) -> Result<()> {
        if self.len() == 0 && self.out_dims(false).iter().product::<usize>() > 0 {
            return Err(Error::EmptyReduction {
                op,
                detail: format!("has no value over no elements (shape {:?})", self.dims),
            });
        }
        Ok(())
    }

    /// Whether rows lie one after another in row-major order.
    pub(crate) fn are_trailing(&self) -> bool {
        self.along.iter().rev().zip((0..self.dims.len()).rev()).all(|(a, b)| *a == b)
    }

    /// Axes in the order kept, worked along.
    fn order(&self) -> Vec<usize> {
        (0..self.dims.len()).filter(|i| !self.along.contains(i)).chain(self.along.iter().copied()).collect()
    }

    /// The tensor on the host with the axes worked along at the end.
    pub(crate) fn gather(&self, x: &CT) -> Result<CT> {
        if self.are_trailing() { to_host(x) } else { to_host(&x.permute(self.order())?) }
    }

    /// Undoes [`Rows::gather`] for the flat elements of such a tensor.
    fn scatter(&self, x: &CT, device: &Device) -> Result<CT> {
        let order = self.order();
        let moved: Vec<usize> = order.iter().map(|&i| self.dims[i]).collect();
        let x = x.reshape(moved)?.to_device(device)?;
        if self.are_trailing() {
            return Ok(x);
        }
        let mut back = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            back[from] = to;
        }
        Ok(x.permute(back)?)
    }

    /// One result of each row.
    pub(crate) fn reduce<C: Carrier, O: Carrier>(
        &self,
        dtype: DType,
        x: &CT,
        keepdim: bool,
        f: impl Fn(&[C]) -> O + Sync,
    ) -> Result<CT> {
        self.reduce_by(dtype, x, keepdim, &f)
    }

    /// [`Rows::reduce`], compiled once for all reductions.
    fn reduce_by<C: Carrier, O: Carrier>(
        &self,
        dtype: DType,
        x: &CT,
        keepdim: bool,
        f: &(dyn Fn(&[C]) -> O + Sync),
    ) -> Result<CT> {
        let host = self.gather(x)?;
        let (storage, layout) = host.storage_and_layout();
        let view = View::new(&storage, layout)?;
        let len = self.len();
        store(dtype, &self.out_dims(keepdim), x.device(), 1, &|start, out: &mut [O]| {
            let mut row = vec![C::default(); len];
            for (i, o) in out.iter_mut().enumerate() {
                view.load((start + i) * len, &mut row);
                *o = f(&row);
            }
        })
    }

    /// A row from the rows of `full` tensors and the numbers that belong to them, one of each of `single`, whose
    /// elements are in the order of the kept axes.
    pub(crate) fn map(
        &self,
        dtype: DType,
        full: &[&CT],
        single: &[&CT],
        f: impl Fn(&[Vec<f64>], &[f64], &mut [f64]) + Sync,
    ) -> Result<CT> {
        self.map_as::<f64>(dtype, full, single, &f)
    }

    /// [`Rows::map`] in another carrier.
    pub(crate) fn map_as<C: Carrier>(
        &self,
        dtype: DType,
        full: &[&CT],
        single: &[&CT],
        f: &RowFn<'_, C>,
    ) -> Result<CT> {
        let device = full.first().map_or(Device::Cpu, |x| x.device().clone());
        let full: Vec<CT> = full.iter().map(|x| self.gather(x)).collect::<Result<_>>()?;
        let single: Vec<CT> = single.iter().map(|x| to_host(x)).collect::<Result<_>>()?;
        let full: Vec<_> = full.iter().map(|x| x.storage_and_layout()).collect();
        let single: Vec<_> = single.iter().map(|x| x.storage_and_layout()).collect();
        let full: Vec<View<'_>> = full.iter().map(|(s, l)| View::new(s, l)).collect::<Result<_>>()?;
        let single: Vec<View<'_>> = single.iter().map(|(s, l)| View::new(s, l)).collect::<Result<_>>()?;
        let len = self.len();
        let moved: Vec<usize> = self.order().iter().map(|&i| self.dims[i]).collect();
        let out = store(dtype, &moved, &Device::Cpu, len, &|start, out: &mut [C]| {
            let mut rows = vec![vec![C::default(); len]; full.len()];
            let mut numbers = vec![C::default(); single.len()];
            for (i, out) in out.chunks_mut(len).enumerate() {
                let row = start / len + i;
                for (to, view) in rows.iter_mut().zip(&full) {
                    view.load(row * len, to);
                }
                for (to, view) in numbers.iter_mut().zip(&single) {
                    view.load(row, std::slice::from_mut(to));
                }
                f(&rows, &numbers, out);
            }
        })?;
        self.scatter(&out, &device)
    }

    /// The gradient of a reduction's result, spread over the shape that was reduced (a view).
    pub(crate) fn spread(&self, g: &CT) -> Result<CT> {
        Ok(g.reshape(self.kept_dims())?.broadcast_as(self.dims.as_slice())?)
    }

    /// Sums in `f64`.
    pub(crate) fn sum(&self, x: &CT, keepdim: bool) -> Result<CT> {
        self.sum_scaled(x, keepdim, 1.0)
    }

    /// Sums in `f64`, times `scale`.
    pub(crate) fn sum_scaled(&self, x: &CT, keepdim: bool, scale: f64) -> Result<CT> {
        let dims = self.out_dims(keepdim);
        if composed::applies(x) && !self.along.is_empty() {
            return Ok(composed::sum(x, &self.along, scale)?.reshape(dims)?);
        }
        // The axes of a bias's gradient lead: adding whole rows up needs no transposed copy.
        let leading = self.along.iter().enumerate().all(|(i, a)| i == *a) && self.along.len() < self.dims.len();
        let len = self.len();
        let host = if leading { to_host(x)? } else { self.gather(x)? };
        let (storage, layout) = host.storage_and_layout();
        let view = View::new(&storage, layout)?;
        if !leading {
            return store(x.dtype(), &dims, x.device(), 1, &|start, out: &mut [f64]| {
                for (i, o) in out.iter_mut().enumerate() {
                    *o = view.sum((start + i) * len, len) * scale;
                }
            });
        }
        let width: usize = dims.iter().product();
        store(x.dtype(), &dims, x.device(), 1, &|start, out: &mut [f64]| {
            for row in 0..len {
                view.add_into(row * width + start, out);
            }
            for o in out {
                *o *= scale;
            }
        })
    }
}

/// Sums a gradient over the axes along which an operand of shape `dims` was broadcast.
pub(crate) fn unbroadcast(grad: &CT, dims: &[usize]) -> Result<CT> {
    if grad.dims() == dims {
        return Ok(grad.clone());
    }
    let lead = grad.rank() - dims.len();
    let along = (0..grad.rank()).filter(|&i| i < lead || (dims[i - lead] == 1 && grad.dims()[i] != 1)).collect();
    let rows = Rows { dims: grad.dims().to_vec(), along };
    Ok(rows.sum(grad, true)?.reshape(dims)?)
}

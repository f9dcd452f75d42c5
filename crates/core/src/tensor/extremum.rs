//! The largest and smallest elements, where they are, and the median. NaN wins everywhere, as in torch.

use super::picks::Picks;
use super::rows::Rows;
use super::{CT, Tensor, require_float};
use crate::autograd::{record_many, record_unary};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use crate::order::{float_key, int_key, smallest};
use candle_core::DType as Storage;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Largest,
    Smallest,
}

impl End {
    /// Whether `a` beats `b`; the first NaN beats everything.
    fn beats(self, a: f64, b: f64) -> bool {
        match self {
            _ if b.is_nan() => false,
            _ if a.is_nan() => true,
            Self::Largest => a > b,
            Self::Smallest => a < b,
        }
    }

    /// Where the winner of a row is; the first of equals.
    fn find(self, row: &[f64]) -> usize {
        let mut best = 0;
        for (i, x) in row.iter().enumerate() {
            if self.beats(*x, row[best]) {
                best = i;
            }
        }
        best
    }

    fn find_int(self, row: &[i64]) -> usize {
        let mut best = 0;
        for (i, x) in row.iter().enumerate() {
            if (self == Self::Largest && *x > row[best]) || (self == Self::Smallest && *x < row[best]) {
                best = i;
            }
        }
        best
    }
}

/// Whether two values count as equal for sharing a gradient: NaN ties with NaN.
fn ties(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// The extreme of each row; equals share the gradient evenly.
fn shared(op: &'static str, x: &Tensor, dims: Option<&[i64]>, keepdim: bool, end: End) -> Result<Tensor> {
    let rows = Rows::new(op, x.dims(), dims)?;
    rows.require_elements(op)?;
    let dtype = x.data().dtype();
    if !x.dtype().is_float() {
        let y = rows.reduce(dtype, x.data(), keepdim, |row: &[i64]| row[end.find_int(row)])?;
        return Tensor::constant_as(y, x.dtype());
    }
    let y = rows.reduce(dtype, x.data(), keepdim, |row: &[f64]| row[end.find(row)])?;
    let (saved, result) = (x.data().clone(), y.clone());
    record_unary(op, y, x, move |g| {
        rows.map(dtype, &[&saved], &[g, &result], |full, single, out| {
            if let ([x], [g, y]) = (full, single) {
                let count = x.iter().filter(|x| ties(**x, *y)).count() as f64;
                for (o, x) in out.iter_mut().zip(x) {
                    *o = if ties(*x, *y) { g / count } else { 0.0 };
                }
            }
        })
    })
}

/// Where `find` points in each row, as `int64`.
fn places(
    rows: &Rows,
    x: &Tensor,
    keepdim: bool,
    floats: impl Fn(&[f64]) -> usize + Sync,
    integers: impl Fn(&[i64]) -> usize + Sync,
) -> Result<CT> {
    if x.dtype().is_float() {
        rows.reduce(Storage::I64, x.data(), keepdim, |row: &[f64]| floats(row) as i64)
    } else {
        rows.reduce(Storage::I64, x.data(), keepdim, |row: &[i64]| integers(row) as i64)
    }
}

/// The elements that `at` points to in each row; only they have a gradient.
fn picked(op: &'static str, rows: Rows, x: &Tensor, at: CT, keepdim: bool) -> Result<(Tensor, Tensor)> {
    let dtype = x.data().dtype();
    let places = super::elements::to_vec::<i64>(&at)?;
    let host = rows.gather(x.data())?;
    let len = rows.len();
    let flat: Vec<usize> = places.iter().enumerate().map(|(i, p)| i * len + *p as usize).collect();
    let y = Picks::entries(&[host.elem_count()], 0, &flat).take(&host.flatten_all()?)?;
    let y = y.reshape(rows.out_dims(keepdim))?.to_device(x.data().device())?;
    let indices = Tensor::constant(at.clone())?;
    if !x.dtype().is_float() {
        return Ok((Tensor::constant_as(y, x.dtype())?, indices));
    }
    let outputs = record_many(op, vec![y], &[x], move |grads, _| match grads {
        [Some(g)] => {
            // Positions are exact in f64 up to 2^53.
            let like = CT::zeros(rows.full_dims(), dtype, g.device())?;
            let at = at.to_dtype(Storage::F64)?;
            let dx = rows.map(dtype, &[&like], &[g, &at], |_, single, out| {
                out.fill(0.0);
                if let [g, at] = single
                    && let Some(o) = out.get_mut(*at as usize)
                {
                    *o = *g;
                }
            })?;
            Ok(vec![Some(dx)])
        }
        _ => Ok(vec![None]),
    })?;
    match outputs.into_iter().next() {
        Some(values) => Ok((values, indices)),
        None => Err(Error::Internal { detail: format!("{op} recorded no output") }),
    }
}

/// Values and places of the extremes along one dim.
fn along(op: &'static str, x: &Tensor, dim: i64, keepdim: bool, end: End) -> Result<(Tensor, Tensor)> {
    let rows = Rows::new(op, x.dims(), Some(&[dim]))?;
    rows.require_elements(op)?;
    let at = places(&rows, x, keepdim, |row| end.find(row), |row| end.find_int(row))?;
    picked(op, rows, x, at, keepdim)
}

fn place(op: &'static str, x: &Tensor, dim: Option<i64>, keepdim: bool, end: End) -> Result<Tensor> {
    let dims = dim.map(|d| vec![d]);
    let rows = Rows::new(op, x.dims(), dims.as_deref())?;
    if dim.is_none() && x.elem_count() == 0 {
        return Err(Error::EmptyReduction { op, detail: format!("has no value over shape {:?}", x.dims()) });
    }
    rows.require_elements(op)?;
    Tensor::constant(places(&rows, x, keepdim, |row| end.find(row), |row| end.find_int(row))?)
}

/// Where the lower of the middle values is; NaN wins.
fn middle(row: &[f64]) -> usize {
    if let Some(nan) = row.iter().position(|x| x.is_nan()) {
        return nan;
    }
    lower_middle(row.iter().map(|x| float_key(*x)))
}

fn middle_int(row: &[i64]) -> usize {
    lower_middle(row.iter().map(|x| int_key(*x)))
}

fn lower_middle(keys: impl ExactSizeIterator<Item = u64>) -> usize {
    let half = keys.len().div_ceil(2);
    smallest(keys, half).last().copied().unwrap_or(0)
}

impl Tensor {
    /// The largest elements over `dims` (`None`: all). Equals share the gradient evenly.
    pub fn amax(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        shared("amax", self, dims, keepdim, End::Largest)
    }

    /// The smallest elements over `dims` (`None`: all). Equals share the gradient evenly.
    pub fn amin(&self, dims: Option<&[i64]>, keepdim: bool) -> Result<Self> {
        shared("amin", self, dims, keepdim, End::Smallest)
    }

    /// The largest elements along `dim` and where they are (`int64`): the first of equals, which alone has a gradient.
    pub fn max_along(&self, dim: i64, keepdim: bool) -> Result<(Self, Self)> {
        along("max", self, dim, keepdim, End::Largest)
    }

    /// The smallest elements along `dim` and where they are (`int64`): the first of equals, which alone has a gradient.
    pub fn min_along(&self, dim: i64, keepdim: bool) -> Result<(Self, Self)> {
        along("min", self, dim, keepdim, End::Smallest)
    }

    /// Where the largest element is along `dim` (`None`: in the flattened tensor); the first of equals.
    pub fn argmax(&self, dim: Option<i64>, keepdim: bool) -> Result<Self> {
        place("argmax", self, dim, keepdim, End::Largest)
    }

    /// Where the smallest element is along `dim` (`None`: in the flattened tensor); the first of equals.
    pub fn argmin(&self, dim: Option<i64>, keepdim: bool) -> Result<Self> {
        place("argmin", self, dim, keepdim, End::Smallest)
    }

    /// The lower of the middle elements along `dim`, and where it is.
    pub fn median_along(&self, dim: i64, keepdim: bool) -> Result<(Self, Self)> {
        let rows = Rows::new("median", self.dims(), Some(&[dim]))?;
        rows.require_elements("median")?;
        let at = places(&rows, self, keepdim, middle, middle_int)?;
        picked("median", rows, self, at, keepdim)
    }

    /// The lower of the middle elements of the whole tensor; NaN over no elements.
    pub fn median(&self) -> Result<Self> {
        if self.elem_count() == 0 {
            require_float("median", self.dtype())?;
            return Self::constant(CT::full(f32::NAN, (), self.data().device())?)?.to_dtype(self.dtype());
        }
        let rows = Rows::new("median", self.dims(), None)?;
        let at = places(&rows, self, false, middle, middle_int)?;
        Ok(picked("median", rows, self, at, false)?.0)
    }
}

/// One output without `dim`, values and places with it.
fn extremes(op: &'static str, inputs: &[Tensor], dim: Option<i64>, keepdim: bool, end: End) -> Result<Vec<Tensor>> {
    match (inputs, dim) {
        ([x], Some(dim)) => along(op, x, dim, keepdim, end).map(|(values, places)| vec![values, places]),
        ([x], None) => shared(op, x, None, false, end).map(|y| vec![y]),
        ([a, b], None) if end == End::Largest => a.maximum(b).map(|y| vec![y]),
        ([a, b], None) => a.minimum(b).map(|y| vec![y]),
        _ => Err(Error::InvalidArgument { op, detail: "takes a tensor and maybe 'dim', or two tensors".into() }),
    }
}

fn median(x: &Tensor, dim: Option<i64>, keepdim: bool) -> Result<Vec<Tensor>> {
    match dim {
        Some(dim) => x.median_along(dim, keepdim).map(|(values, places)| vec![values, places]),
        None => x.median().map(|y| vec![y]),
    }
}

/// The smallest and the largest element.
fn aminmax(x: &Tensor, dims: Option<&[i64]>, keepdim: bool) -> Result<(Tensor, Tensor)> {
    Ok((x.amin(dims, keepdim)?, x.amax(dims, keepdim)?))
}

pub(super) const OPS: &[Op] = op_table! {
    amax(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.amax(dim.as_deref(), keepdim.unwrap_or(false));
    amin(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => x.amin(dim.as_deref(), keepdim.unwrap_or(false));
    aminmax(x; dim: Option<Vec<i64>>, keepdim: Option<bool>) => aminmax(x, dim.as_deref(), keepdim.unwrap_or(false));
    max[inputs](; dim: Option<i64>, keepdim: Option<bool>) => extremes("max", inputs, dim, keepdim.unwrap_or(false), End::Largest);
    min[inputs](; dim: Option<i64>, keepdim: Option<bool>) => extremes("min", inputs, dim, keepdim.unwrap_or(false), End::Smallest);
    argmax(x; dim: Option<i64>, keepdim: Option<bool>) => x.argmax(dim, keepdim.unwrap_or(false));
    argmin(x; dim: Option<i64>, keepdim: Option<bool>) => x.argmin(dim, keepdim.unwrap_or(false));
    median(x; dim: Option<i64>, keepdim: Option<bool>) => median(x, dim, keepdim.unwrap_or(false));
};

//! Indexing as in Python: numbers, slices, new axes, an ellipsis, index tensors and masks; and writing there.

use super::cells::{self, Row};
use super::host::{Window, read_all};
use super::picks::{Picks, indices};
use super::slices::{resolve_index, slice_bounds};
use super::{CT, Tensor, broadcast_dims, saturated};
use crate::autograd::record;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Arg, FromArg, Op, Scalar, op_table};

/// One item of an index such as `x[0, 1:, ..., None, ids]`.
#[derive(Clone, Debug)]
pub enum IndexItem {
    /// A place of an axis, which the result lacks; negative numbers count from the back.
    Int(i64),
    /// A part of an axis, as a Python slice.
    Slice {
        /// First place; `None`: from the front.
        start: Option<i64>,
        /// Place before which to stop; `None`: to the end.
        stop: Option<i64>,
        /// Distance between places, 1 or more.
        step: Option<i64>,
    },
    /// A new axis of size 1.
    NewAxis,
    /// All axes that no other item speaks of.
    Ellipsis,
    /// Places of an axis (`int64`, negative ones from the back), or a mask (`bool`) over as many axes as it has.
    Tensor(Tensor),
}

/// A step of the part of an index that needs no index tensors.
enum Step {
    Select { axis: usize, at: usize },
    Part { axis: usize, start: usize, len: usize, step: usize },
    NewAxis { axis: usize },
}

/// An index tensor and the axis that it picks from, once all steps are done.
struct Pick {
    axis: usize,
    places: Vec<i64>,
    dims: Vec<usize>,
}

/// An index, checked against a shape.
struct Plan {
    steps: Vec<Step>,
    picks: Vec<Pick>,
}

fn consumed(item: &IndexItem) -> usize {
    match item {
        IndexItem::Int(_) | IndexItem::Slice { .. } => 1,
        IndexItem::NewAxis | IndexItem::Ellipsis => 0,
        IndexItem::Tensor(t) if t.dtype() == DType::Bool => t.rank(),
        IndexItem::Tensor(_) => 1,
    }
}

impl Plan {
    fn new(op: &'static str, dims: &[usize], items: &[IndexItem]) -> Result<Self> {
        let named: usize = items.iter().map(consumed).sum();
        let Some(unnamed) = dims.len().checked_sub(named) else {
            return Err(Error::RankMismatch { op, detail: format!("the index names {named} axes of shape {dims:?}") });
        };
        if items.iter().filter(|i| matches!(i, IndexItem::Ellipsis)).count() > 1 {
            return Err(Error::InvalidArgument { op, detail: "an index can have one ellipsis".into() });
        }
        let mut plan = Self { steps: Vec::new(), picks: Vec::new() };
        // `from` walks the axes of the tensor, `axis` those of the result of the steps.
        let (mut from, mut axis) = (0, 0);
        for item in items {
            match item {
                IndexItem::Int(i) => {
                    plan.steps.push(Step::Select { axis, at: resolve_index(op, *i, dims[from])? });
                    from += 1;
                }
                IndexItem::Slice { start, stop, step } => {
                    let step = step.unwrap_or(1);
                    if step < 1 {
                        return Err(Error::InvalidArgument {
                            op,
                            detail: format!("step must be 1 or more, got {step}"),
                        });
                    }
                    let (start, len) = slice_bounds(dims[from], *start, *stop, step);
                    plan.steps.push(Step::Part { axis, start, len, step: saturated(step).min(dims[from].max(1)) });
                    (from, axis) = (from + 1, axis + 1);
                }
                IndexItem::NewAxis => {
                    plan.steps.push(Step::NewAxis { axis });
                    axis += 1;
                }
                IndexItem::Ellipsis => (from, axis) = (from + unnamed, axis + unnamed),
                IndexItem::Tensor(t) if t.dtype() == DType::Bool => {
                    let covered = &dims[from..from + t.rank()];
                    if t.dims() != covered {
                        return Err(Error::ShapeMismatch {
                            op,
                            detail: format!("a mask of shape {:?} over axes of shape {covered:?}", t.dims()),
                        });
                    }
                    if t.rank() == 0 {
                        plan.steps.push(Step::NewAxis { axis });
                    }
                    plan.picks.extend(mask_picks(t, axis)?);
                    (from, axis) = (from + t.rank(), axis + t.rank().max(1));
                }
                // As in torch, a 0-d index tensor is a number.
                IndexItem::Tensor(t) if t.rank() == 0 => {
                    let place = indices(op, t)?.first().copied().unwrap_or_default();
                    plan.steps.push(Step::Select { axis, at: resolve_index(op, place, dims[from])? });
                    from += 1;
                }
                IndexItem::Tensor(t) => {
                    plan.picks.push(Pick { axis, places: indices(op, t)?, dims: t.dims().to_vec() });
                    (from, axis) = (from + 1, axis + 1);
                }
            }
        }
        Ok(plan)
    }

    /// Where the elements that the steps leave lie in a row-major tensor of shape `dims`.
    fn window(&self, dims: &[usize]) -> Window {
        self.steps.iter().fold(Window::row_major(dims), |mut w, step| match *step {
            Step::Select { axis, at } => {
                w.offset += at * w.strides[axis] as usize;
                w.dims.remove(axis);
                w.strides.remove(axis);
                w
            }
            Step::Part { axis, start, len, step } => w.stepped(axis, start, len, step as isize),
            Step::NewAxis { axis } => {
                w.dims.insert(axis, 1);
                w.strides.insert(axis, 0);
                w
            }
        })
    }
}

/// The places where a mask is true, one index tensor for each of its axes.
fn mask_picks(mask: &Tensor, axis: usize) -> Result<Vec<Pick>> {
    let flags = read_all::<u8, _>(mask.data(), |flags| Ok(flags.to_vec()))?;
    let set: Vec<usize> = (0..flags.len()).filter(|&i| flags[i] != 0).collect();
    if mask.rank() == 0 {
        return Ok(vec![Pick { axis, places: vec![0; set.len()], dims: vec![set.len()] }]);
    }
    let mut picks = Vec::with_capacity(mask.rank());
    let mut inner: usize = mask.dims().iter().product();
    for (d, &n) in mask.dims().iter().enumerate() {
        inner = inner.checked_div(n).unwrap_or(0);
        let places = set.iter().map(|&i| (i / inner % n) as i64).collect();
        picks.push(Pick { axis: axis + d, places, dims: vec![set.len()] });
    }
    Ok(picks)
}

/// All sums of one offset of each list, the last list varying fastest.
fn offsets(lists: &[Vec<isize>]) -> Vec<isize> {
    lists.iter().fold(vec![0], |sums, list| sums.iter().flat_map(|&s| list.iter().map(move |&o| s + o)).collect())
}

/// Bytes that each place picked takes while places are worked out.
const PLACE: usize = 3 * size_of::<usize>();

/// What index tensors pick from the elements under `window` of a row-major tensor of shape `source`.
///
/// Index tensors broadcast against each other. Their axes take the place of the axes they pick from where those are
/// neighbours, and go to the front otherwise.
fn picks(op: &'static str, source: &[usize], window: &Window, list: &[Pick]) -> Result<Picks> {
    let shared = list.iter().try_fold(Vec::new(), |dims, pick| broadcast_dims(op, &dims, &pick.dims))?;
    let count: usize = shared.iter().product();
    crate::memory::require_tensor(op, &shared, PLACE)?;
    let mut picked = vec![0isize; count];
    for pick in list {
        let (size, stride) = (window.dims[pick.axis], window.strides[pick.axis]);
        let places = pick.places.iter().map(|&i| resolve_index(op, i, size)).collect::<Result<Vec<_>>>()?;
        let mut stretched = Window::row_major(&pick.dims);
        let lead = shared.len() - pick.dims.len();
        stretched.strides.splice(0..0, std::iter::repeat_n(0, lead));
        for (d, &n) in pick.dims.iter().enumerate() {
            if n == 1 {
                stretched.strides[lead + d] = 0;
            }
        }
        stretched.dims.clone_from(&shared);
        picked.iter_mut().zip(stretched.places()?).for_each(|(sum, at)| *sum += places[at] as isize * stride);
    }
    let axes: Vec<usize> = list.iter().map(|p| p.axis).collect();
    let (first, last) = (axes.iter().min().copied().unwrap_or(0), axes.iter().max().copied().unwrap_or(0));
    let neighbours = last - first + 1 == axes.len();
    let free = |from: usize, to: usize| (from..to).filter(|d| !axes.contains(d)).collect::<Vec<_>>();
    let (front, behind) = if neighbours { (free(0, first), Vec::new()) } else { (Vec::new(), free(0, last)) };
    let tail = free(last + 1, window.dims.len());

    let axis_offsets = |&d: &usize| (0..window.dims[d] as isize).map(|i| i * window.strides[d]).collect::<Vec<_>>();
    // The axes behind the last picked one are copied as whole blocks, if they lie together.
    let mut block = 1usize;
    let together = tail.iter().rev().all(|&d| {
        let fits = window.dims[d] == 1 || window.strides[d] == block as isize;
        block *= window.dims[d];
        fits
    });
    let size = |d: &usize| window.dims[*d];
    let unrolled: &[usize] = if together { &[] } else { &tail };
    let walked = front.iter().chain(&behind).chain(unrolled).map(size).chain(shared.iter().copied());
    crate::memory::require_tensor(op, &walked.map(|n| n.max(1)).collect::<Vec<_>>(), PLACE)?;
    let mut lists: Vec<Vec<isize>> = front.iter().map(axis_offsets).collect();
    lists.push(picked);
    lists.extend(behind.iter().map(axis_offsets));
    if !together {
        lists.extend(tail.iter().map(axis_offsets));
        block = 1;
    }
    let dims: Vec<usize> = front
        .iter()
        .map(size)
        .chain(shared.iter().copied())
        .chain(behind.iter().map(size))
        .chain(tail.iter().map(size))
        .collect();
    let starts = if dims.contains(&0) {
        Vec::new()
    } else {
        offsets(&lists).into_iter().map(|o| window.offset.wrapping_add_signed(o)).collect()
    };
    Ok(Picks { source: source.to_vec(), dims, starts, block })
}

/// `x` with `values` (as many as the window shows) written or added under `window`.
fn write_through(x: &CT, window: &Window, values: &CT, add: bool) -> Result<CT> {
    crate::memory::require_tensor("index_put", x.dims(), x.dtype().size_in_bytes())?;
    let mut out = Row::of(x)?.copied()?;
    if add { window.add(&mut out, values) } else { window.set(&mut out, values) }?;
    cells::tensor(out, x.dims(), x.device())
}

/// What `window` shows of `x`, which is seen as row-major.
fn read_through(x: &CT, window: &Window) -> Result<CT> {
    let rows = super::host::brought(&super::host::contiguous(x)?)?;
    let start = rows.layout().start_offset();
    Ok(Window { offset: window.offset + start, ..window.clone() }.collect(&rows)?.to_device(x.device())?)
}

impl Tensor {
    /// `x[items]` with torch's rules. Numbers, slices of step 1, new axes and the ellipsis give views.
    pub fn index(&self, items: &[IndexItem]) -> Result<Self> {
        const OP: &str = "index";
        let plan = Plan::new(OP, self.dims(), items)?;
        let x = plan.steps.iter().try_fold(self.clone(), |x, step| match *step {
            Step::Select { axis, at } => x.select_at(OP, axis, at),
            Step::Part { axis, start, len, step: 1 } => x.part(OP, axis, start, len),
            Step::Part { axis, start, len, step } => {
                super::host::windowed(OP, &x, move |w| w.stepped(axis, start, len, step as isize))
            }
            Step::NewAxis { axis } => x.unsqueeze(axis as i64),
        })?;
        if plan.picks.is_empty() {
            return Ok(x);
        }
        let picks = picks(OP, x.dims(), &Window::row_major(x.dims()), &plan.picks)?;
        x.pick(OP, picks)
    }

    /// A copy in which `x[items]` is `values` (broadcast to that place), or has `values` added if `accumulate`.
    ///
    /// Without `accumulate`, a place that is named twice gets the last value.
    pub fn index_put(&self, items: &[IndexItem], values: &Self, accumulate: bool) -> Result<Self> {
        const OP: &str = "index_put";
        if values.dtype().is_float() && !self.dtype().is_float() || self.dtype() == DType::Bool && accumulate {
            return Err(Error::WrongDtype {
                op: OP,
                expected: format!("values for {}", self.dtype().name()),
                got: values.dtype().name().into(),
            });
        }
        let values = values.cast(OP, self.dtype())?;
        let plan = Plan::new(OP, self.dims(), items)?;
        let window = plan.window(self.dims());
        if plan.picks.is_empty() {
            let values = values.fitted(OP, &window.dims)?;
            return self.put_through(OP, window, &values, accumulate);
        }
        let picks = picks(OP, self.dims(), &window, &plan.picks)?;
        let values = values.fitted(OP, &picks.dims)?;
        self.write(OP, picks, &values, accumulate)
    }

    /// [`Tensor::index_put`] of a number.
    pub fn index_fill(&self, items: &[IndexItem], value: Scalar, accumulate: bool) -> Result<Self> {
        if !self.dtype().is_float() && matches!(value, Scalar::Float(x) if x.fract() != 0.0 || !x.is_finite()) {
            return Err(Error::WrongDtype {
                op: "index_put",
                expected: format!("a value for {}", self.dtype().name()),
                got: format!("{}", value.as_f64()),
            });
        }
        value.check_range("index_put", self.dtype())?;
        self.index_put(items, &Self::filled(&[], self, value)?, accumulate)
    }

    /// Broadcast to the shape of the place written.
    fn fitted(&self, op: &'static str, dims: &[usize]) -> Result<Self> {
        let extra = self.rank().saturating_sub(dims.len());
        let own = &self.dims()[extra..];
        let lead = dims.len().saturating_sub(own.len());
        let fits = self.dims()[..extra].iter().all(|&n| n == 1)
            && own.iter().zip(dims.iter().skip(lead)).all(|(&have, &want)| have == want || have == 1);
        if !fits {
            return Err(Error::ShapeMismatch {
                op,
                detail: format!("values of shape {:?} cannot be broadcast to the place written, {dims:?}", self.dims()),
            });
        }
        let own: Vec<i64> = own.iter().map(|&n| n as i64).collect();
        let x = if extra > 0 { self.reshape(&own)? } else { self.clone() };
        x.expand_to(op, dims)
    }

    fn put_through(&self, op: &'static str, window: Window, values: &Self, add: bool) -> Result<Self> {
        let out = write_through(self.data(), &window, values.data(), add)?;
        if !self.dtype().is_float() {
            return Self::constant_as(out, self.dtype());
        }
        let dims = values.dims().to_vec();
        record(op, out, &[self, values], move |g, needs| {
            let base = match (needs[0], add) {
                (false, _) => None,
                (true, true) => Some(g.clone()),
                (true, false) => {
                    let zeros = CT::zeros(window.dims.as_slice(), g.dtype(), g.device())?;
                    Some(write_through(g, &window, &zeros, false)?)
                }
            };
            let written = needs[1].then(|| read_through(g, &window)?.reshape(dims.as_slice()).map_err(Error::from));
            Ok(vec![base, written.transpose()?])
        })
    }
}

/// The items of an index given as lists that start with their kind: `["int", 1]`, `["slice", start, stop, step]`,
/// `["none"]`, `["ellipsis"]`, `["tensor", k]` and `["mask", k]`, where `k` is the number of an input.
fn items(op: &'static str, inputs: &[Tensor], index: &Arg) -> Result<Vec<IndexItem>> {
    let invalid = |item: &Arg| Error::InvalidArgument { op, detail: format!("not an index item: {item:?}") };
    let Arg::List(list) = index else { return Err(invalid(index)) };
    let one = |item: &Arg| -> Option<Result<IndexItem>> {
        let Arg::List(parts) = item else { return None };
        let Some((Arg::Text(kind), rest)) = parts.split_first() else { return None };
        let at = |i: usize| rest.get(i).unwrap_or(&Arg::Null);
        Some(Ok(match kind.as_str() {
            "int" => IndexItem::Int(i64::from_arg(at(0))?),
            "slice" => IndexItem::Slice {
                start: Option::from_arg(at(0))?,
                stop: Option::from_arg(at(1))?,
                step: Option::from_arg(at(2))?,
            },
            "none" => IndexItem::NewAxis,
            "ellipsis" => IndexItem::Ellipsis,
            "tensor" | "mask" => {
                let t = inputs.get(usize::from_arg(at(0))?)?;
                if kind == "mask" && t.dtype() != DType::Bool {
                    return Some(Err(Error::WrongDtype { op, expected: "bool".into(), got: t.dtype().name().into() }));
                }
                IndexItem::Tensor(t.clone())
            }
            _ => return None,
        }))
    };
    list.iter().map(|item| one(item).unwrap_or_else(|| Err(invalid(item)))).collect()
}

fn index_put_op(
    inputs: &[Tensor],
    index: &Arg,
    values_input: Option<usize>,
    value: Option<Scalar>,
    accumulate: bool,
) -> Result<Tensor> {
    const OP: &str = "index_put";
    let items = items(OP, inputs, index)?;
    match (inputs.first(), values_input.map(|i| inputs.get(i)), value) {
        (Some(x), Some(Some(values)), None) => x.index_put(&items, values, accumulate),
        (Some(x), None, Some(value)) => x.index_fill(&items, value, accumulate),
        _ => Err(Error::InvalidArgument {
            op: OP,
            detail: "takes a tensor and either 'values_input', the number of an input, or 'value'".into(),
        }),
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] index[inputs](; index: Arg) => match inputs.first() {
        Some(x) => x.index(&items("index", inputs, &index)?),
        None => Err(Error::InvalidArgument { op: "index", detail: "takes at least 1 tensor, got 0".into() }),
    };
    index_put[inputs](; index: Arg, values_input: Option<usize>, value: Option<Scalar>, accumulate: Option<bool>)
        => index_put_op(inputs, &index, values_input, value, accumulate.unwrap_or(false));
};

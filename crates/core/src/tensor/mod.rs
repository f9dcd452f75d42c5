//! Tensors: candle storage plus, where gradients are wanted, a place on the tape.
//!
//! A [`Tensor`] is an immutable value, cheap to clone and safe to send. The operations are methods, one file a
//! subject; each file ends with the table through which bindings and fixtures reach them by name (see [`crate::ops`]).

mod activation;
mod arithmetic;
mod attention;
mod bits;
mod cells;
mod compare;
mod composed;
mod create;
mod cross_entropy;
mod display;
mod dropout;
mod einops;
mod einops_pattern;
mod einsum;
mod einsum_equation;
mod elements;
mod elementwise;
mod extremum;
mod factorizations;
mod fill;
mod gathering;
mod gemm;
mod host;
mod indexing;
mod joins;
mod kernels;
mod linalg;
mod losses;
mod matmul;
mod norm_parts;
mod normalise;
mod picks;
mod promotion;
mod random;
mod reduce;
mod rope;
mod rows;
mod sampling;
mod scan;
mod select;
mod shape;
mod slices;
mod sorting;
mod statistics;
mod transfer;
mod triangle;

pub use activation::Gelu;
pub use arithmetic::Rounding;
pub use attention::AttentionOptions;
pub use bits::Bits;
pub use cross_entropy::{ClassLoss, Reduction};
pub use einops::AxisReduction;
pub(crate) use gemm::product;
pub use indexing::IndexItem;
pub use kernels::instructions;
pub(crate) use kernels::{ElementKernel, Sight};
pub(crate) use picks::entries;
pub(crate) use promotion::promote;
pub use random::manual_seed;
pub use rope::RopePairs;
pub(crate) use rows::unbroadcast;
pub use sampling::{Sampler, SamplingOptions};
pub(crate) use select::chosen;

use crate::autograd::{Edge, Node};
use crate::device::{DType, device_name};
use crate::error::{Error, Result};
use candle_core::Var;
use std::sync::Arc;

pub use half;

/// More axes than anybody names; printing and nesting recurse over them.
const MAX_RANK: usize = 64;

/// The raw candle tensor below a [`Tensor`].
pub type CT = candle_core::Tensor;

/// An n-dimensional array of one [`DType`] on one device, with its history if gradients are tracked.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

struct Inner {
    data: CT,
    dtype: DType,
    edge: Option<Edge>,
    /// For parameters: the handle through which candle lets us overwrite the shared storage.
    variable: Option<Var>,
    /// Whether the storage is a parameter's, so that an update would show here: see [`Tensor::detach`].
    of_parameter: bool,
}

impl Tensor {
    /// Whether both are the very same tensor: data, history and gradient.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn build(data: CT, dtype: DType, edge: Option<Edge>) -> Self {
        Self(Arc::new(Inner { data, dtype, edge, variable: None, of_parameter: false }))
    }

    /// Wraps data that carry no history.
    pub fn constant(data: CT) -> Result<Self> {
        if data.rank() > MAX_RANK {
            let detail = format!("{} axes; a tensor has at most {MAX_RANK}", data.rank());
            return Err(Error::RankMismatch { op: "tensor", detail });
        }
        let dtype = DType::of_storage(data.dtype())?;
        Ok(Self::build(data, dtype, None))
    }

    /// Wraps a `u8` tensor of zeros and ones as truth values.
    pub fn mask(data: CT) -> Result<Self> {
        if data.dtype() != candle_core::DType::U8 {
            return Err(Error::WrongDtype { op: "mask", expected: "uint8".into(), got: format!("{:?}", data.dtype()) });
        }
        Ok(Self::build(data, DType::Bool, None))
    }

    /// Like [`Tensor::constant`], keeping `bool` where `like` is `bool`: for operations that only move elements.
    pub(crate) fn constant_as(data: CT, dtype: DType) -> Result<Self> {
        if dtype == DType::Bool { Self::mask(data) } else { Self::constant(data) }
    }

    /// A trainable tensor: a leaf of the graph whose data [`Tensor::assign`] can overwrite. Copies `data` once.
    pub fn parameter(data: &CT) -> Result<Self> {
        let dtype = DType::of_storage(data.dtype())?;
        require_float("parameter", dtype)?;
        crate::memory::require_tensor("parameter", data.dims(), dtype.size())?;
        let variable = Var::from_tensor(data)?;
        // The detached view shares storage without candle's own gradient tracking, which must never run beside ours.
        let view = variable.as_detached_tensor();
        let edge = Some(Edge { node: Node::leaf(), index: 0 });
        Ok(Self(Arc::new(Inner { data: view, dtype, edge, variable: Some(variable), of_parameter: true })))
    }

    /// The same values as a new leaf that requires a gradient.
    pub fn requiring_grad(&self) -> Result<Self> {
        require_float("requiresGrad", self.dtype())?;
        let leaf = Edge { node: Node::leaf(), index: 0 };
        Ok(Self::build(self.own_data()?, self.0.dtype, Some(leaf)))
    }

    /// The same values without history. Shares memory, except with a parameter: that may be overwritten, and a value
    /// must not change under its holder.
    pub fn detach(&self) -> Result<Self> {
        Ok(Self::build(self.own_data()?, self.0.dtype, None))
    }

    fn own_data(&self) -> Result<CT> {
        Ok(if self.0.of_parameter { self.0.data.copy()? } else { self.0.data.clone() })
    }

    /// Like [`Tensor::detach`] without ever copying: for use within one operation.
    pub(crate) fn untracked(&self) -> Self {
        Self::build(self.0.data.clone(), self.0.dtype, None)
    }

    pub(crate) fn with_edge(self, edge: Edge, of_parameter: bool) -> Self {
        Self(Arc::new(Inner {
            data: self.0.data.clone(),
            dtype: self.0.dtype,
            edge: Some(edge),
            variable: None,
            of_parameter,
        }))
    }

    /// Whether `data` lies in the memory of this tensor.
    pub(crate) fn shares_memory(&self, data: &CT) -> bool {
        // Two guards of one lock would deadlock with a waiting writer only if held across it: each lives for one line.
        let address = |tensor: &CT| std::ptr::from_ref(&*tensor.storage_and_layout().0).addr();
        address(&self.0.data) == address(data)
    }

    /// [`Tensor::shares_memory`], of a parameter.
    pub(crate) fn lends_parameter_to(&self, data: &CT) -> bool {
        self.0.of_parameter && self.shares_memory(data)
    }

    pub(crate) fn edge(&self) -> Option<&Edge> {
        self.0.edge.as_ref()
    }

    /// Overwrites a parameter's data in place: every handle of the parameter sees the change, values made from it
    /// before do not.
    pub fn assign(&self, value: &Tensor) -> Result<()> {
        let variable = self.0.variable.as_ref().ok_or_else(|| Error::InvalidArgument {
            op: "assign",
            detail: "only parameters can be overwritten".into(),
        })?;
        if value.dims() != self.dims() {
            return Err(Error::ShapeMismatch {
                op: "assign",
                detail: format!("{:?} into a parameter of shape {:?}", value.dims(), self.dims()),
            });
        }
        let mut new = value.data().to_dtype(self.data().dtype())?;
        if self.lends_parameter_to(&new) {
            new = new.copy()?;
        }
        variable.set(&new)?;
        if let Some(edge) = self.edge() {
            edge.node.bump_version();
        }
        Ok(())
    }

    /// The candle tensor.
    pub fn data(&self) -> &CT {
        &self.0.data
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The size of each axis.
    pub fn dims(&self) -> &[usize] {
        self.0.data.dims()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.data.rank()
    }

    /// The number of elements.
    pub fn elem_count(&self) -> usize {
        self.0.data.elem_count()
    }

    /// Bytes that the elements take.
    pub fn byte_size(&self) -> usize {
        self.elem_count().saturating_mul(self.dtype().size())
    }

    /// The name of the device that holds it.
    pub fn device_name(&self) -> String {
        device_name(self.0.data.device())
    }

    /// Whether gradients flow to it.
    pub fn requires_grad(&self) -> bool {
        self.0.edge.is_some()
    }

    /// Whether it is the start of a graph: a constant, or a tensor made to require a gradient.
    pub fn is_leaf(&self) -> bool {
        self.edge().is_none_or(|e| e.node.is_leaf())
    }

    /// The name of the operation that made it, if that was recorded.
    pub fn grad_fn(&self) -> Option<&'static str> {
        self.edge().filter(|e| !e.node.is_leaf()).map(|e| e.node.op())
    }

    /// The gradient accumulated by [`Tensor::backward`], for leaves and for tensors that retain theirs.
    pub fn grad(&self) -> Result<Option<Self>> {
        self.edge().and_then(|e| e.node.grad(e.index)).map(Self::constant).transpose()
    }

    /// Overwrites (or with `None` clears) the accumulated gradient.
    pub fn set_grad(&self, grad: Option<&Tensor>) -> Result<()> {
        let edge = self
            .edge()
            .ok_or_else(|| Error::Autograd { op: "grad", detail: "this tensor does not require a gradient".into() })?;
        if let Some(grad) = grad
            && grad.dims() != self.dims()
        {
            return Err(Error::ShapeMismatch {
                op: "grad",
                detail: format!("gradient {:?} for shape {:?}", grad.dims(), self.dims()),
            });
        }
        edge.node.set_grad(edge.index, grad.map(|g| g.data().clone()));
        Ok(())
    }

    /// Asks backward to keep this intermediate's gradient.
    pub fn retain_grad(&self) -> Result<()> {
        let edge = self.edge().ok_or_else(|| Error::Autograd {
            op: "retainGrad",
            detail: "this tensor does not require a gradient".into(),
        })?;
        edge.node.set_retain(edge.index, true);
        Ok(())
    }

    /// `dim` counted from the front; negative numbers count from the back.
    pub fn dim_index(&self, op: &'static str, dim: i64) -> Result<usize> {
        resolve_dim(op, dim, self.rank())
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({:?}, {})", self.dims(), self.dtype().name())
    }
}

/// A count that came as `i64`, 0 or more. One beyond all addresses stays beyond them, so that whoever checks sizes
/// refuses it on 32 bits too.
pub(crate) fn saturated(count: i64) -> usize {
    usize::try_from(count).unwrap_or(if count < 0 { 0 } else { usize::MAX })
}

/// `dim` of a tensor of that rank, counted from the front. As in torch, a 0-d tensor has the dims -1 and 0.
pub(crate) fn resolve_dim(op: &'static str, dim: i64, rank: usize) -> Result<usize> {
    let span = rank.max(1) as i64;
    let index = if dim < 0 { dim + span } else { dim };
    if (0..span).contains(&index) { Ok(index as usize) } else { Err(Error::DimOutOfRange { op, dim, rank }) }
}

/// Fails unless `dtype` is a float.
pub(crate) fn require_float(op: &'static str, dtype: DType) -> Result<()> {
    if dtype.is_float() {
        return Ok(());
    }
    Err(Error::WrongDtype { op, expected: "a float dtype".into(), got: dtype.name().into() })
}

/// The shape that two shapes broadcast to, as in NumPy.
pub(crate) fn broadcast_dims(op: &'static str, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| if i + dims.len() < rank { 1 } else { dims[i + dims.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => {
                Err(Error::ShapeMismatch { op, detail: format!("shapes {a:?} and {b:?} cannot be broadcast together") })
            }
        })
        .collect()
}

/// The tables of all files, in a fixed order.
pub(crate) const OP_TABLES: &[&[crate::ops::Op]] = &[
    elementwise::OPS,
    activation::OPS,
    arithmetic::OPS,
    compare::OPS,
    select::OPS,
    promotion::OPS,
    reduce::OPS,
    extremum::OPS,
    statistics::OPS,
    scan::OPS,
    fill::OPS,
    dropout::OPS,
    normalise::OPS,
    matmul::OPS,
    shape::OPS,
    slices::OPS,
    joins::OPS,
    gathering::OPS,
    triangle::OPS,
    cross_entropy::OPS,
    losses::OPS,
    einsum::OPS,
    indexing::OPS,
    sorting::OPS,
    rope::OPS,
    attention::OPS,
    linalg::OPS,
    einops::OPS,
    random::OPS,
    sampling::OPS,
];

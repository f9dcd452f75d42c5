//! Matrix and vector products.

use super::gemm::{finished_product, product};
use super::host::{contiguous, reshape};
use super::kernels::{self, ElementKernel, Finish};
use super::{CT, Tensor, unbroadcast};
use crate::autograd::{grad_enabled, record};
use crate::device::DType;
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};

const OP: &str = "linear";

/// Fails unless both have the same dtype, one that can be multiplied and summed.
fn require_same(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        return Err(Error::WrongDtype { op, expected: a.dtype().name().into(), got: b.dtype().name().into() });
    }
    if a.dtype() == DType::Bool {
        return Err(Error::WrongDtype { op, expected: "numbers".into(), got: "bool".into() });
    }
    Ok(())
}

/// The transpose of the last two axes, as a view.
fn t(x: &CT) -> Result<CT> {
    let rank = x.rank();
    Ok(x.transpose(rank - 2, rank - 1)?)
}

/// All axes but the last as one: `[.., n] -> [rows, n]`.
fn rows(x: &CT) -> Result<CT> {
    let last = x.dims().last().copied().unwrap_or(1);
    let count = x.dims().iter().rev().skip(1).product();
    reshape(x, &[count, last])
}

/// `Σ over rows` of a matrix, through the matrix product: faster than a strided reduction on every device.
fn sum_rows(op: &'static str, x: &CT) -> Result<CT> {
    let ones = CT::ones((1, x.dims()[0]), x.dtype(), x.device())?;
    Ok(product(op, &ones, x, None)?.reshape(x.dims()[1])?)
}

fn matrices(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = product(op, a.data(), b.data(), None)?;
    if !a.dtype().is_float() {
        return Tensor::constant(y);
    }
    let (x, w) = (a.data().clone(), b.data().clone());
    record(op, y, &[a, b], move |g, needs| {
        let left = || -> Result<CT> { unbroadcast(&product(op, g, &t(&w)?, None)?, x.dims()) };
        let right = || -> Result<CT> {
            if w.rank() == 2 && x.rank() > 2 {
                return product(op, &t(&rows(&x)?)?, &rows(g)?, None);
            }
            unbroadcast(&product(op, &t(&x)?, g, None)?, w.dims())
        };
        Ok(vec![needs[0].then(left).transpose()?, needs[1].then(right).transpose()?])
    })
}

impl Tensor {
    /// The matrix product `[.., m, k] @ [.., k, n] -> [.., m, n]` with broadcast batch axes; vectors count as a row on
    /// the left, as a column on the right, and lose that axis in the result. Integers wrap around.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        require_same("matmul", self, other)?;
        match (self.rank(), other.rank()) {
            (0, _) | (_, 0) => Err(Error::RankMismatch {
                op: "matmul",
                detail: format!("needs at least one axis on both sides, got {:?} and {:?}", self.dims(), other.dims()),
            }),
            (1, 1) => matrices("matmul", &self.unsqueeze(0)?, &other.unsqueeze(1)?)?.reshape(&[]),
            (1, _) => matrices("matmul", &self.unsqueeze(0)?, other)?.squeeze(Some(&[-2])),
            (_, 1) => matrices("matmul", self, &other.unsqueeze(1)?)?.squeeze(Some(&[-1])),
            _ => matrices("matmul", self, other),
        }
    }

    /// The matrix product of two batches of equal size: `[b, m, k] @ [b, k, n] -> [b, m, n]`, without broadcasting.
    pub fn bmm(&self, other: &Self) -> Result<Self> {
        require_same("bmm", self, other)?;
        let (a, b) = (self.dims(), other.dims());
        if a.len() != 3 || b.len() != 3 {
            return Err(Error::RankMismatch { op: "bmm", detail: format!("needs rank 3 twice, got {a:?} and {b:?}") });
        }
        if a[0] != b[0] {
            return Err(Error::ShapeMismatch {
                op: "bmm",
                detail: format!("batch sizes {} and {} differ; matmul broadcasts", a[0], b[0]),
            });
        }
        matrices("bmm", self, other)
    }

    /// The inner product of two vectors of equal length.
    pub fn dot(&self, other: &Self) -> Result<Self> {
        require_same("dot", self, other)?;
        match (self.dims(), other.dims()) {
            ([a], [b]) if a == b => self.matmul(other),
            ([a], [b]) => Err(Error::ShapeMismatch { op: "dot", detail: format!("lengths {a} and {b} differ") }),
            (a, b) => Err(Error::RankMismatch { op: "dot", detail: format!("needs two vectors, got {a:?} and {b:?}") }),
        }
    }

    /// The outer product `[m], [n] -> [m, n]`; dtypes are promoted.
    pub fn outer(&self, other: &Self) -> Result<Self> {
        if self.rank() != 1 || other.rank() != 1 {
            return Err(Error::RankMismatch {
                op: "outer",
                detail: format!("needs two vectors, got {:?} and {:?}", self.dims(), other.dims()),
            });
        }
        let dtype = super::promote(self.dtype(), other.dtype());
        let (a, b) = (self.cast("outer", dtype)?, other.cast("outer", dtype)?);
        require_same("outer", &a, &b)?;
        matrices("outer", &a.unsqueeze(1)?, &b.unsqueeze(0)?)
    }

    /// `x @ weightᵀ + bias`: `[.., in], [out, in], [out] -> [.., out]`.
    pub fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        self.check_linear(weight, bias)?;
        let bias_data = bias.filter(|_| self.dtype().is_float()).map(Self::data);
        let y = product(OP, &self.as_rows()?, &t(weight.data())?, bias_data)?;
        let dims = [&self.dims()[..self.rank() - 1], &weight.dims()[..1]].concat();
        let y = y.reshape(dims)?;
        if !self.dtype().is_float() {
            let y = Self::constant(y)?;
            return match bias {
                Some(bias) => Self::constant(y.data().broadcast_add(bias.data())?),
                None => Ok(y),
            };
        }
        self.record_linear(y, weight, bias, None)
    }

    /// `onto + linear(x)`, where `onto` is shaped as that. The sum is taken while its terms are in the cache.
    pub(crate) fn linear_onto(&self, weight: &Self, bias: Option<&Self>, onto: &Self) -> Result<Self> {
        self.check_linear(weight, bias)?;
        let fits = onto.dtype() == self.dtype()
            && onto.rank() == self.rank()
            && onto.dims().split_last() == Some((&weight.dims()[0], &self.dims()[..self.rank() - 1]));
        let fused = match fits {
            true => kernels::with_slices([onto.data()], |[onto]| {
                let add = |first: usize, sums: &mut [f32]| {
                    sums.iter_mut().zip(&onto[first..]).for_each(|(sum, x)| *sum += x);
                };
                self.finished_linear(weight, bias, &add)
            })?
            .transpose()?
            .flatten(),
            false => None,
        };
        match fused {
            Some(y) => self.record_linear(y, weight, bias, Some(onto)),
            None => onto.add(&self.linear(weight, bias)?),
        }
    }

    /// `f` of each element of `linear(x)`, in one pass; `None` where that cannot be, or where gradients are wanted: they
    /// need the argument of `f`.
    pub(crate) fn linear_mapped(&self, weight: &Self, bias: Option<&Self>, f: ElementKernel) -> Result<Option<Self>> {
        if grad_enabled() && [Some(self), Some(weight), bias].into_iter().flatten().any(Self::requires_grad) {
            return Ok(None);
        }
        self.check_linear(weight, bias)?;
        self.finished_linear(weight, bias, &|_, sums| f.apply(sums))?.map(Self::constant).transpose()
    }

    /// [`Tensor::linear`] in `f32`, finished in the same pass; `None` where our kernels do not apply.
    fn finished_linear(&self, weight: &Self, bias: Option<&Self>, finish: Finish<'_>) -> Result<Option<CT>> {
        let y = finished_product(OP, &self.as_rows()?, &t(weight.data())?, bias.map(Self::data), finish)?;
        let dims = [&self.dims()[..self.rank() - 1], &weight.dims()[..1]].concat();
        Ok(y.map(|y| y.reshape(dims)).transpose()?)
    }

    /// A vector as a matrix of one row.
    fn as_rows(&self) -> Result<CT> {
        Ok(if self.rank() == 1 { self.data().unsqueeze(0)? } else { self.data().clone() })
    }

    /// Fails unless the arguments of [`Tensor::linear`] fit each other.
    fn check_linear(&self, weight: &Self, bias: Option<&Self>) -> Result<()> {
        require_same(OP, self, weight)?;
        let (Some(&features), &[out, wanted]) = (self.dims().last(), weight.dims()) else {
            return Err(Error::RankMismatch {
                op: OP,
                detail: format!("needs x [.., in] and weight [out, in], got {:?}, {:?}", self.dims(), weight.dims()),
            });
        };
        if features != wanted {
            return Err(Error::ShapeMismatch {
                op: OP,
                detail: format!("x has {features} features, weight {:?} takes {wanted}", weight.dims()),
            });
        }
        if let Some(bias) = bias {
            require_same(OP, self, bias)?;
            if bias.dims() != [out] {
                return Err(Error::ShapeMismatch {
                    op: OP,
                    detail: format!("bias {:?} for {out} outputs", bias.dims()),
                });
            }
        }
        Ok(())
    }

    /// The result `y` of a linear map, added to `onto` if given, with its gradients.
    fn record_linear(&self, y: CT, weight: &Self, bias: Option<&Self>, onto: Option<&Self>) -> Result<Self> {
        let (w, x, x_dims) = (weight.data().clone(), self.as_rows()?, self.dims().to_vec());
        let parents: Vec<&Self> = [self, weight].into_iter().chain(bias).chain(onto).collect();
        let onto = onto.map(|_| parents.len() - 1);
        let bias = bias.map(|_| 2);
        record(OP, y, &parents, move |g, needs| {
            let mut grads = vec![None; needs.len()];
            if let Some(onto) = onto.filter(|&i| needs[i]) {
                grads[onto] = Some(g.clone());
            }
            let g = rows(g)?;
            if needs[0] {
                grads[0] = Some(product(OP, &g, &w, None)?.reshape(x_dims.as_slice())?);
            }
            if needs[1] {
                grads[1] = Some(product(OP, &t(&g)?, &rows(&x)?, None)?);
            }
            if let Some(bias) = bias.filter(|&i| needs[i]) {
                grads[bias] = Some(sum_rows(OP, &contiguous(&g)?)?);
            }
            Ok(grads)
        })
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] matmul(a, b) => a.matmul(b);
    #[own] bmm(a, b) => a.bmm(b);
    #[own] dot(a, b) => a.dot(b);
    #[own] outer(a, b) => a.outer(b);
    #[own] linear[inputs]() => match inputs {
        [x, w] => x.linear(w, None),
        [x, w, b] => x.linear(w, Some(b)),
        _ => Err(Error::InvalidArgument { op: "linear", detail: format!("takes 2 or 3 tensors, got {}", inputs.len()) }),
    };
};

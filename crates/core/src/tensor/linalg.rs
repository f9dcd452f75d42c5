//! Linear algebra with gradients. Computed in `f64` on the host, whatever the dtype and device of the input.
//!
//! The gradients of decompositions follow Giles 2008, "Collected matrix derivative results for forward and reverse mode
//! algorithmic differentiation", and, for QR, Walter and Lehmann 2012, <https://arxiv.org/abs/1001.1654>.

use super::factorizations as host;
use super::gemm::product;
use super::host::{contiguous, read_all, upload};
use super::{CT, Tensor, broadcast_dims, require_float};
use crate::autograd::{record, record_many, record_unary};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use candle_core::{DType, Device};

/// The matrices of a tensor `[.., m, n]`, in `f64` on the host.
struct Matrices {
    data: CT,
    batch: Vec<usize>,
    m: usize,
    n: usize,
}

impl Matrices {
    fn of(op: &'static str, x: &Tensor) -> Result<Self> {
        require_float(op, x.dtype())?;
        Self::new(op, x.data())
    }

    fn new(op: &'static str, x: &CT) -> Result<Self> {
        let &[ref batch @ .., m, n] = x.dims() else {
            return Err(Error::RankMismatch { op, detail: format!("needs matrices, got shape {:?}", x.dims()) });
        };
        crate::memory::require_tensor(op, x.dims(), size_of::<f64>())?;
        crate::memory::require_tensor(op, batch, size_of::<f64>())?;
        let data = contiguous(&wide(x)?)?;
        Ok(Self { batch: batch.to_vec(), m, n, data })
    }

    fn square(op: &'static str, x: &Tensor) -> Result<Self> {
        let all = Self::of(op, x)?;
        if all.m != all.n {
            return Err(Error::ShapeMismatch { op, detail: format!("needs square matrices, got {:?}", x.dims()) });
        }
        Ok(all)
    }

    /// Applies `f` to each matrix; gives each of its `K` results for all matrices, one tensor of shape `batch + dims` each.
    fn map<const K: usize>(
        &self,
        dims: [&[usize]; K],
        mut f: impl FnMut(usize, &[f64]) -> Result<[Vec<f64>; K]>,
    ) -> Result<[CT; K]> {
        let mut all: [Vec<f64>; K] = std::array::from_fn(|_| Vec::new());
        let size = self.m * self.n;
        read_all::<f64, _>(&self.data, |data| {
            for i in 0..self.batch.iter().product() {
                let parts = f(i, &data[i * size..(i + 1) * size])?;
                all.iter_mut().zip(parts).for_each(|(all, part)| all.extend(part));
            }
            Ok(())
        })?;
        let mut out = all
            .into_iter()
            .zip(dims)
            .map(|(data, dims)| upload(data, &[self.batch.as_slice(), dims].concat(), &Device::Cpu));
        let mut results = Vec::with_capacity(K);
        for _ in 0..K {
            results.extend(out.next().transpose()?);
        }
        results.try_into().map_err(|_| Error::Internal { detail: "a factor was lost".into() })
    }
}

/// In `f64` on the host, where gradient rules of this file compute.
fn wide(x: &CT) -> Result<CT> {
    Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
}

/// Back to the dtype and device of an input.
fn like(x: &CT, model: &Model) -> Result<CT> {
    Ok(x.to_dtype(model.dtype)?.to_device(&model.device)?)
}

/// Where results and gradients belong.
#[derive(Clone)]
struct Model {
    dtype: DType,
    device: Device,
}

impl Model {
    fn of(x: &Tensor) -> Self {
        Self { dtype: x.data().dtype(), device: x.data().device().clone() }
    }
}

fn t(x: &CT) -> Result<CT> {
    Ok(x.transpose(x.rank() - 2, x.rank() - 1)?)
}

fn mul(op: &'static str, a: &CT, b: &CT) -> Result<CT> {
    product(op, a, b, None)
}

/// `a · diag(d)`: columns scaled.
fn columns_times(a: &CT, d: &CT) -> Result<CT> {
    Ok(a.broadcast_mul(&d.unsqueeze(d.rank() - 1)?)?)
}

/// Applies `f(matrix entries, row, column)` to each entry of each square matrix of `x`.
fn map_entries(x: &CT, mut f: impl FnMut(&[f64], usize, usize) -> f64) -> Result<CT> {
    let n = x.dims().last().copied().unwrap_or(0);
    let data: Vec<f64> = read_all::<f64, _>(x, |data| {
        let matrices = data.chunks_exact((n * n).max(1));
        Ok(matrices.flat_map(|m| (0..n * n).map(|at| f(m, at / n, at % n)).collect::<Vec<_>>()).collect())
    })?;
    upload(data, x.dims(), &Device::Cpu)
}

/// `A⁻¹ B` for tensors on the host with the same batch.
fn solve_all(op: &'static str, a: &CT, b: &CT) -> Result<CT> {
    let (left, right) = (Matrices::new(op, a)?, Matrices::new(op, b)?);
    let (n, k) = (left.n, right.n);
    let [x] = read_all::<f64, _>(&right.data, |b| {
        left.map([&[n, k]], |i, a| Ok([host::solve(op, a, &b[i * n * k..(i + 1) * n * k], n, k)?]))
    })?;
    Ok(x)
}

fn identity(like: &Matrices) -> Result<CT> {
    let n = like.n;
    let eye: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n.max(1) == at % n.max(1)))).collect();
    let dims = [like.batch.as_slice(), &[n, n]].concat();
    Ok(upload(eye, &[n, n], &Device::Cpu)?.broadcast_as(dims)?)
}

/// The numerator of a divided difference over `gap`; where the gap is 0, only a numerator of (nearly) 0 has a limit.
fn divided(op: &'static str, numerator: f64, gap: f64, scale: f64) -> Result<f64> {
    if gap != 0.0 {
        return Ok(numerator / gap);
    }
    if numerator.abs() <= 1e-9 * scale.max(f64::MIN_POSITIVE) {
        return Ok(0.0);
    }
    Err(Error::Autograd { op, detail: "repeated values: the gradient of their vectors does not exist".into() })
}

impl Tensor {
    /// The thin singular value decomposition of `[.., m, n]`: `U [.., m, k]`, `S [.., k]` in descending order and
    /// `Vᵀ [.., k, n]` with `k = min(m, n)`.
    ///
    /// Singular vectors are defined up to sign only; a gradient through them where singular values repeat is an error.
    pub fn svd(&self) -> Result<(Self, Self, Self)> {
        const OP: &str = "svd";
        let a = Matrices::of(OP, self)?;
        let (m, n, k) = (a.m, a.n, a.m.min(a.n));
        let [u, s, vt] = a.map([&[m, k], &[k], &[k, n]], |_, a| host::svd(OP, a, m, n))?;
        let model = Model::of(self);
        let outputs = [&u, &s, &vt].iter().map(|x| like(x, &model)).collect::<Result<Vec<_>>>()?;
        let mut parts = record_many(OP, outputs, &[self], move |grads, _| {
            let grads = grads.iter().map(|g| g.as_ref().map(wide).transpose()).collect::<Result<Vec<_>>>()?;
            Ok(vec![Some(like(&svd_gradient(&u, &s, &vt, &grads)?, &model)?)])
        })?
        .into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(u), Some(s), Some(vt)) => Ok((u, s, vt)),
            _ => Err(Error::Internal { detail: "svd lost a factor".into() }),
        }
    }

    /// The singular values of `[.., m, n]` in descending order.
    pub fn svdvals(&self) -> Result<Self> {
        const OP: &str = "svdvals";
        let a = Matrices::of(OP, self)?;
        let (m, n, k) = (a.m, a.n, a.m.min(a.n));
        let [u, s, vt] = a.map([&[m, k], &[k], &[k, n]], |_, a| host::svd(OP, a, m, n))?;
        let model = Model::of(self);
        record_unary(OP, like(&s, &model)?, self, move |g| like(&mul(OP, &columns_times(&u, &wide(g)?)?, &vt)?, &model))
    }

    /// The eigenvalues, ascending, and the eigenvectors (columns) of symmetric matrices `[.., n, n]`; only the lower
    /// triangle is read.
    pub fn eigh(&self) -> Result<(Self, Self)> {
        const OP: &str = "eigh";
        let a = Matrices::square(OP, self)?;
        let n = a.n;
        let [w, v] = a.map([&[n], &[n, n]], |_, a| host::eigh(OP, a, n))?;
        let model = Model::of(self);
        let outputs = vec![like(&w, &model)?, like(&v, &model)?];
        let mut parts = record_many(OP, outputs, &[self], move |grads, _| {
            let mut inner = CT::zeros(v.dims(), DType::F64, &Device::Cpu)?;
            if let Some(g) = &grads[1] {
                inner = divided_differences(OP, &mul(OP, &t(&v)?, &wide(g)?)?, &w, |w, i, j| w[j] - w[i])?;
            }
            let mut grad = mul(OP, &mul(OP, &v, &inner)?, &t(&v)?)?;
            if let Some(g) = &grads[0] {
                grad = grad.add(&mul(OP, &columns_times(&v, &wide(g)?)?, &t(&v)?)?)?;
            }
            Ok(vec![Some(like(&grad, &model)?)])
        })?
        .into_iter();
        match (parts.next(), parts.next()) {
            (Some(w), Some(v)) => Ok((w, v)),
            _ => Err(Error::Internal { detail: "eigh lost a factor".into() }),
        }
    }

    /// The eigenvalues of symmetric matrices `[.., n, n]`, ascending; only the lower triangle is read, the gradient is
    /// symmetric.
    pub fn eigvalsh(&self) -> Result<Self> {
        Ok(self.eigh()?.0)
    }

    /// The reduced QR decomposition of `[.., m, n]`: `Q [.., m, k]` with orthonormal columns and upper triangular
    /// `R [.., k, n]`, `k = min(m, n)`.
    pub fn qr(&self) -> Result<(Self, Self)> {
        const OP: &str = "qr";
        let a = Matrices::of(OP, self)?;
        let (m, n, k) = (a.m, a.n, a.m.min(a.n));
        let [q, r] = a.map([&[m, k], &[k, n]], |_, a| Ok(host::qr(a, m, n)))?;
        let model = Model::of(self);
        let outputs = vec![like(&q, &model)?, like(&r, &model)?];
        let source = a.data;
        let mut parts = record_many(OP, outputs, &[self], move |grads, _| {
            let grad = |i: usize, of: &CT| grads[i].as_ref().map_or_else(|| Ok(of.zeros_like()?), wide);
            let (mut to_q, to_r) = (grad(0, &q)?, grad(1, &r)?);
            let last = r.rank() - 1;
            let grad = if n <= m {
                tall_qr_gradient(&q, &r, &to_q, &to_r)?
            } else {
                // With more columns than rows, A = [A1 A2] = Q [R1 R2]: R2 = Qᵀ A2 is a product, A1 = Q R1 square.
                let (to_r1, to_r2) = (to_r.narrow(last, 0, m)?, to_r.narrow(last, m, n - m)?);
                to_q = to_q.add(&mul(OP, &source.narrow(last, m, n - m)?, &t(&to_r2)?)?)?;
                let left = tall_qr_gradient(&q, &r.narrow(last, 0, m)?, &to_q, &to_r1)?;
                CT::cat(&[left, mul(OP, &q, &to_r2)?], last)?
            };
            Ok(vec![Some(like(&grad, &model)?)])
        })?
        .into_iter();
        match (parts.next(), parts.next()) {
            (Some(q), Some(r)) => Ok((q, r)),
            _ => Err(Error::Internal { detail: "qr lost a factor".into() }),
        }
    }

    /// The solution `X` of `A X = B` for `A [.., n, n]` (this tensor) and `B [.., n, k]` or a vector `[.., n]`; leading
    /// axes broadcast.
    pub fn solve(&self, b: &Self) -> Result<Self> {
        const OP: &str = "solve";
        let a = Matrices::square(OP, self)?;
        if self.dtype() != b.dtype() {
            return Err(Error::WrongDtype {
                op: OP,
                expected: self.dtype().name().into(),
                got: b.dtype().name().into(),
            });
        }
        // As in torch: B is a vector (or a batch of them) if it has A's shape without the last axis, or one axis.
        if b.rank() == 1 || b.dims() == &self.dims()[..self.rank() - 1] {
            return self.solve(&b.unsqueeze(-1)?)?.squeeze(Some(&[-1]));
        }
        let &[ref b_batch @ .., rows, k] = b.dims() else {
            return Err(Error::RankMismatch { op: OP, detail: format!("needs B [.., n, k], got {:?}", b.dims()) });
        };
        if rows != a.n {
            return Err(Error::ShapeMismatch { op: OP, detail: format!("A {:?} and B {:?}", self.dims(), b.dims()) });
        }
        let batch = broadcast_dims(OP, &a.batch, b_batch)?;
        let left = self.expand_to(OP, &[batch.as_slice(), &[a.n, a.n]].concat())?;
        let right = b.expand_to(OP, &[batch.as_slice(), &[a.n, k]].concat())?;
        let (a, model) = (wide(left.data())?, Model::of(self));
        let x = solve_all(OP, &a, &wide(right.data())?)?;
        record(OP, like(&x, &model)?, &[&left, &right], move |g, needs| {
            let to_b = solve_all(OP, &t(&a)?, &wide(g)?)?;
            let to_a = needs[0].then(|| like(&mul(OP, &to_b, &t(&x)?)?.neg()?, &model)).transpose()?;
            Ok(vec![to_a, Some(like(&to_b, &model)?)])
        })
    }

    /// The inverses of square matrices `[.., n, n]`.
    pub fn inverse(&self) -> Result<Self> {
        const OP: &str = "inverse";
        let a = Matrices::square(OP, self)?;
        let inverse = solve_all(OP, &a.data, &identity(&a)?)?;
        let model = Model::of(self);
        record_unary(OP, like(&inverse, &model)?, self, move |g| {
            let transposed = t(&inverse)?;
            like(&mul(OP, &mul(OP, &transposed, &wide(g)?)?, &transposed)?.neg()?, &model)
        })
    }

    /// The determinants of square matrices `[.., n, n]`; singular matrices have a gradient too.
    pub fn det(&self) -> Result<Self> {
        const OP: &str = "det";
        let a = Matrices::square(OP, self)?;
        let n = a.n;
        let [det] = a.map([&[]], |_, a| {
            let (sign, factors) = host::pivots(a, n);
            Ok([vec![sign * factors.into_iter().product::<f64>()]])
        })?;
        let model = Model::of(self);
        record_unary(OP, like(&det, &model)?, self, move |g| {
            let [cofactors] = a.map([&[n, n]], |_, a| Ok([host::cofactors(OP, a, n)?]))?;
            let g = wide(g)?;
            let g = g.reshape([g.dims(), &[1, 1]].concat())?;
            like(&cofactors.broadcast_mul(&g)?, &model)
        })
    }

    /// The sign and the logarithm of the absolute value of the determinants of `[.., n, n]`.
    pub fn slogdet(&self) -> Result<(Self, Self)> {
        const OP: &str = "slogdet";
        let a = Matrices::square(OP, self)?;
        let n = a.n;
        let [sign, log] = a.map([&[], &[]], |_, a| {
            let (sign, factors) = host::pivots(a, n);
            let sign = if factors.contains(&0.0) { 0.0 } else { sign };
            Ok([vec![sign], vec![factors.iter().map(|x| x.ln()).sum()]])
        })?;
        let model = Model::of(self);
        let sign = Self::constant(like(&sign, &model)?)?;
        let log = record_unary(OP, like(&log, &model)?, self, move |g| {
            let inverse = solve_all(OP, &a.data, &identity(&a)?)?;
            let g = wide(g)?;
            like(&t(&inverse)?.broadcast_mul(&g.reshape([g.dims(), &[1, 1]].concat())?)?, &model)
        })?;
        Ok((sign, log))
    }
}

/// `x` with each entry divided by `gap(values, row, column)`, the diagonal set to 0.
fn divided_differences(op: &'static str, x: &CT, values: &CT, gap: impl Fn(&[f64], usize, usize) -> f64) -> Result<CT> {
    let n = x.dims().last().copied().unwrap_or(0);
    read_all::<f64, _>(values, |values| {
        let mut failed = None;
        let mut seen = 0;
        let out = map_entries(x, |entries, i, j| {
            let values = &values[seen / (n * n) * n..][..n];
            seen += 1;
            if i == j {
                return 0.0;
            }
            let scale = entries.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            divided(op, entries[i * n + j], gap(values, i, j), scale).unwrap_or_else(|e| {
                failed = Some(e);
                0.0
            })
        })?;
        failed.map_or(Ok(out), Err)
    })
}

/// The gradient of `A = U diag(S) Vᵀ` from those of its factors.
fn svd_gradient(u: &CT, s: &CT, vt: &CT, grads: &[Option<CT>]) -> Result<CT> {
    const OP: &str = "svd";
    let (m, n, k) = (u.dims()[u.rank() - 2], vt.dims()[vt.rank() - 1], vt.dims()[vt.rank() - 2]);
    let skew = |x: CT| -> Result<CT> { Ok(x.sub(&t(&x)?)?) };
    let v = t(vt)?;
    let scaled_rows = |x: &CT| -> Result<CT> { Ok(x.broadcast_mul(&s.unsqueeze(s.rank())?)?) };
    let mut inner = CT::zeros([&u.dims()[..u.rank() - 2], &[k, k]].concat(), DType::F64, &Device::Cpu)?;
    if let Some(g) = &grads[0] {
        inner = inner.add(&columns_times(&skew(mul(OP, &t(u)?, g)?)?, s)?)?;
    }
    if let Some(g) = &grads[2] {
        inner = inner.add(&scaled_rows(&skew(mul(OP, vt, &t(g)?)?)?)?)?;
    }
    // Numerators of both parts together: where singular values repeat, only their sum can vanish.
    let inner = divided_differences(OP, &inner, s, |s, i, j| (s[j] - s[i]) * (s[j] + s[i]))?;
    let mut grad = mul(OP, &mul(OP, u, &inner)?, vt)?;
    if let Some(g) = &grads[1] {
        grad = grad.add(&mul(OP, &columns_times(u, g)?, vt)?)?;
    }
    let outside = |g: &CT, basis: &CT| -> Result<CT> { Ok(g.sub(&mul(OP, basis, &mul(OP, &t(basis)?, g)?)?)?) };
    let inverse = || -> Result<CT> {
        let values: Vec<f64> = s.flatten_all()?.to_vec1()?;
        if values.contains(&0.0) {
            return Err(Error::Autograd {
                op: OP,
                detail: "a singular value is 0: its vectors have no gradient".into(),
            });
        }
        Ok(s.recip()?)
    };
    if let (Some(g), true) = (&grads[0], m > k) {
        grad = grad.add(&mul(OP, &columns_times(&outside(g, u)?, &inverse()?)?, vt)?)?;
    }
    if let (Some(g), true) = (&grads[2], n > k) {
        let rows = columns_times(&outside(&t(g)?, &v)?, &inverse()?)?;
        grad = grad.add(&mul(OP, u, &t(&rows)?)?)?;
    }
    Ok(grad)
}

/// The gradient of `A = Q R` with at least as many rows as columns.
fn tall_qr_gradient(q: &CT, r: &CT, to_q: &CT, to_r: &CT) -> Result<CT> {
    const OP: &str = "qr";
    let n = r.dims()[r.rank() - 1];
    let difference = mul(OP, to_r, &t(r)?)?.sub(&mul(OP, &t(q)?, to_q)?)?;
    // The upper triangle, copied below the diagonal.
    let symmetric = map_entries(&difference, |x, i, j| x[i.min(j) * n + i.max(j)])?;
    let sum = to_q.add(&mul(OP, q, &symmetric)?)?;
    // sum · R⁻ᵀ, as the transposed solution of R X = sumᵀ.
    t(&solve_all(OP, r, &t(&sum)?)?)
}

pub(super) const OPS: &[Op] = op_table! {
    svd(x) => x.svd();
    svdvals(x) => x.svdvals();
    eigh(x) => x.eigh();
    eigvalsh(x) => x.eigvalsh();
    qr(x) => x.qr();
    solve(a, b) => a.solve(b);
    inverse(x) => x.inverse();
    det(x) => x.det();
    slogdet(x) => x.slogdet();
};

//! Einstein summation: every contraction is a matrix product, so that no operand is ever broadcast to the full
//! product of all axes.

use super::einsum_equation::{Equation, Label};
use super::{CT, Tensor, promote, unbroadcast};
use crate::autograd::{record, record_unary};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};
use std::collections::HashMap;

const OP: &str = "einsum";

/// An operand on its way to the result: a tensor and the names of its axes, each once.
struct Term {
    x: Tensor,
    labels: Vec<Label>,
}

impl Term {
    /// Takes the diagonal of axes that share a name.
    fn new(x: &Tensor, labels: &[Label]) -> Result<Self> {
        let mut term = Self { x: x.clone(), labels: labels.to_vec() };
        let mut i = 0;
        while i < term.labels.len() {
            let label = term.labels[i];
            let Some(j) = term.labels[i + 1..].iter().position(|&l| l == label).map(|at| at + i + 1) else {
                i += 1;
                continue;
            };
            let (a, b) = (term.x.dims()[i], term.x.dims()[j]);
            if a != b {
                return Err(Error::ShapeMismatch {
                    op: OP,
                    detail: format!("{label} has sizes {a} and {b} in one operand"),
                });
            }
            term.x = term.x.diagonal(0, i as i64, j as i64)?;
            term.labels.remove(j);
            term.labels.remove(i);
            term.labels.push(label);
        }
        Ok(term)
    }

    fn size(&self, label: Label) -> Option<usize> {
        self.labels.iter().position(|&l| l == label).map(|at| self.x.dims()[at])
    }

    /// Sums over the axes that `keep` refuses.
    fn reduced(&self, keep: impl Fn(Label) -> bool) -> Result<Self> {
        let gone: Vec<usize> = (0..self.labels.len()).filter(|&i| !keep(self.labels[i])).collect();
        let labels = self.labels.iter().copied().filter(|&l| keep(l)).collect();
        Ok(Self { x: sum_out(&self.x, &gone)?, labels })
    }

    /// Drops axes of size 1 that the other operand stretches.
    fn unstretched(&self, other: &Self) -> Result<Self> {
        let stretched = |l: Label, n: usize| n == 1 && other.size(l).is_some_and(|n| n != 1);
        let gone: Vec<i64> =
            (0..self.labels.len()).filter(|&i| stretched(self.labels[i], self.x.dims()[i])).map(|i| i as i64).collect();
        let labels =
            self.labels.iter().enumerate().filter(|(i, _)| !gone.contains(&(*i as i64))).map(|(_, &l)| l).collect();
        let x = if gone.is_empty() { self.x.clone() } else { self.x.squeeze(Some(&gone))? };
        Ok(Self { x, labels })
    }

    /// The tensor with its axes in the order of `groups`, the axes of each group but the first joined into one.
    fn arranged(&self, groups: [&[Label]; 3]) -> Result<Tensor> {
        let order: Vec<i64> = groups
            .iter()
            .flat_map(|g| g.iter())
            .filter_map(|l| self.labels.iter().position(|m| m == l))
            .map(|at| at as i64)
            .collect();
        let x = self.x.permute(&order)?;
        let [batch, rows, columns] = groups.map(<[Label]>::len);
        match (rows, columns) {
            (1, 1) => Ok(x),
            (0, 1) => x.unsqueeze(batch as i64),
            (1, 0) => x.unsqueeze(-1),
            _ => {
                let dims = x.dims();
                let joined = |part: &[usize]| part.iter().product::<usize>() as i64;
                let mut shape: Vec<i64> = dims[..batch].iter().map(|&n| n as i64).collect();
                shape.push(joined(&dims[batch..batch + rows]));
                shape.push(joined(&dims[batch + rows..]));
                x.reshape(&shape)
            }
        }
    }
}

/// The sum over those axes, which the result lacks.
fn sum_out(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    if axes.is_empty() {
        return Ok(x.clone());
    }
    let out = x.data().sum(axes)?;
    if !x.dtype().is_float() {
        return Tensor::constant(out);
    }
    let (dims, axes) = (x.dims().to_vec(), axes.to_vec());
    record_unary(OP, out, x, move |g| {
        let mut g = g.clone();
        for &axis in &axes {
            g = g.unsqueeze(axis)?;
        }
        Ok(g.broadcast_as(dims.as_slice())?)
    })
}

/// The element-wise product with broadcasting, for contractions over nothing.
fn times(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let dims = super::broadcast_dims(OP, a.dims(), b.dims())?;
    crate::memory::require_tensor(OP, &dims, a.data().dtype().size_in_bytes())?;
    let out = a.data().broadcast_mul(b.data())?;
    if !a.dtype().is_float() {
        return Tensor::constant(out);
    }
    let (x, y): (CT, CT) = (a.data().clone(), b.data().clone());
    record(OP, out, &[a, b], move |g, needs| {
        let left = needs[0].then(|| unbroadcast(&g.broadcast_mul(&y)?, x.dims())).transpose()?;
        let right = needs[1].then(|| unbroadcast(&g.broadcast_mul(&x)?, y.dims())).transpose()?;
        Ok(vec![left, right])
    })
}

/// Multiplies two operands and sums over the axes that they share and `keep` refuses.
fn contract(a: Term, b: Term, keep: impl Fn(Label) -> bool) -> Result<Term> {
    let (a, b) = (a.unstretched(&b)?, b.unstretched(&a)?);
    let a = a.reduced(|l| keep(l) || b.labels.contains(&l))?;
    let b = b.reduced(|l| keep(l) || a.labels.contains(&l))?;
    let pick = |from: &Term, test: &dyn Fn(Label) -> bool| -> Vec<Label> {
        from.labels.iter().copied().filter(|&l| test(l)).collect()
    };
    let batch = pick(&a, &|l| b.labels.contains(&l) && keep(l));
    let summed = pick(&a, &|l| b.labels.contains(&l) && !keep(l));
    let rows = pick(&a, &|l| !b.labels.contains(&l));
    let columns = pick(&b, &|l| !a.labels.contains(&l));
    let (left, right) = (a.arranged([&batch, &rows, &summed])?, b.arranged([&batch, &summed, &columns])?);
    let product = if summed.is_empty() { times(&left, &right)? } else { left.matmul(&right)? };
    let labels: Vec<Label> = [batch.as_slice(), &rows, &columns].concat();
    let shape: Vec<i64> = labels.iter().map(|&l| a.size(l).or(b.size(l)).map_or(1, |n| n as i64)).collect();
    Ok(Term { x: product.reshape(&shape)?, labels })
}

impl Tensor {
    /// Einstein summation such as `"bqhd,bkhd->bhqk"`.
    ///
    /// Letters name axes; `...` stands for any number of leading axes that broadcast; a letter that occurs twice in an
    /// operand takes the diagonal; letters missing from the output are summed over. Without `->`, the output has the
    /// axes under `...` and then the letters that occur once, in alphabetical order. Spaces are ignored. Axes of size 1
    /// stretch to their namesake's size. Operands are contracted from left to right.
    pub fn einsum(equation: &str, operands: &[Self]) -> Result<Self> {
        let ranks: Vec<usize> = operands.iter().map(Self::rank).collect();
        let equation = Equation::parse(equation, &ranks)?;
        let mut sizes: HashMap<Label, usize> = HashMap::new();
        let Some(first) = operands.first() else {
            return Err(Error::InvalidArgument { op: OP, detail: "needs at least one operand".into() });
        };
        let dtype = operands.iter().fold(first.dtype(), |d, x| promote(d, x.dtype()));
        let mut terms = Vec::with_capacity(operands.len());
        for (x, labels) in operands.iter().zip(&equation.operands) {
            for (&label, &n) in labels.iter().zip(x.dims()) {
                let seen = sizes.entry(label).or_insert(n);
                if *seen == 1 {
                    *seen = n;
                }
                if n != 1 && *seen != n {
                    return Err(Error::ShapeMismatch { op: OP, detail: format!("{label} has sizes {seen} and {n}") });
                }
            }
            terms.push(Term::new(&x.cast(OP, dtype)?, labels)?);
        }
        let mut rest = terms.into_iter();
        let Some(mut result) = rest.next() else {
            return Err(Error::Internal { detail: "einsum lost its operands".into() });
        };
        for (i, term) in rest.enumerate() {
            let later = &equation.operands[i + 2..];
            let output = &equation.output;
            result = contract(result, term, |l| output.contains(&l) || later.iter().any(|t| t.contains(&l)))?;
        }
        let result = result.reduced(|l| equation.output.contains(&l))?;
        let order: Vec<i64> = equation
            .output
            .iter()
            .filter_map(|l| result.labels.iter().position(|m| m == l))
            .map(|at| at as i64)
            .collect();
        result.x.permute(&order)
    }
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] einsum[operands](; equation: String) => Tensor::einsum(&equation, operands);
};

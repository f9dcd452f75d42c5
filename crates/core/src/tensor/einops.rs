//! Rearranging, reducing and repeating by axis names, in einops notation (see [`super::einops_pattern`]).

use super::Tensor;
use super::einops_pattern::{Axis, Pattern};
use crate::error::{Error, Result};
use crate::ops::{Op, op_table};

/// What [`Tensor::reduce`] does with the axes that the right side lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisReduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their largest element.
    Max,
    /// Their smallest element.
    Min,
    /// Their product.
    Prod,
}

impl AxisReduction {
    /// The reduction of that name: `sum`, `mean`, `max`, `min` or `prod`.
    pub fn from_name(name: &str) -> Result<Self> {
        Ok(match name {
            "sum" => Self::Sum,
            "mean" => Self::Mean,
            "max" => Self::Max,
            "min" => Self::Min,
            "prod" => Self::Prod,
            _ => {
                return Err(Error::InvalidArgument {
                    op: "reduce",
                    detail: format!("the reduction must be 'sum', 'mean', 'max', 'min' or 'prod', got '{name}'"),
                });
            }
        })
    }
}

/// Fails if one of `axes` is not among `others`.
fn require_within(op: &'static str, text: &str, axes: &[&Axis], others: &[&Axis], side: &str) -> Result<()> {
    let missing: Vec<String> = axes.iter().filter(|a| !others.contains(a)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::InvalidArgument { op, detail: format!("pattern '{text}': {} only on the {side}", missing.join(", ")) })
}

/// The elementary axes of `from` in the order of `to`, as axis numbers.
fn order(from: &[&Axis], to: &[&Axis]) -> Vec<i64> {
    to.iter().filter_map(|axis| from.iter().position(|a| a == axis)).map(|at| at as i64).collect()
}

impl Tensor {
    /// Splits, reorders and joins axes: `x.rearrange("b s (h d) -> b h s d", &[("h".into(), 12)])`.
    ///
    /// Every axis of the left side occurs on the right. Parentheses join axes, `1` and `()` are axes of size 1, `...`
    /// stands for any number of axes. Sizes that do not follow from the shape are given by name.
    pub fn rearrange(&self, pattern: &str, sizes: &[(String, usize)]) -> Result<Self> {
        const OP: &str = "rearrange";
        let p = Pattern::new(OP, pattern, self.dims(), sizes)?;
        let (from, to) = (p.from(), p.to());
        require_within(OP, pattern, &from, &to, "left")?;
        require_within(OP, pattern, &to, &from, "right")?;
        self.reshape(&p.sizes_of(&from))?.permute(&order(&from, &to))?.reshape(&p.result())
    }

    /// Like [`Tensor::rearrange`], but reduces over the axes that the right side lacks:
    /// `x.reduce("b c (h 2) (w 2) -> b c h w", AxisReduction::Max, &[])` pools.
    pub fn reduce(&self, pattern: &str, reduction: AxisReduction, sizes: &[(String, usize)]) -> Result<Self> {
        const OP: &str = "reduce";
        let p = Pattern::new(OP, pattern, self.dims(), sizes)?;
        let (from, to) = (p.from(), p.to());
        require_within(OP, pattern, &to, &from, "right")?;
        let x = self.reshape(&p.sizes_of(&from))?;
        let gone: Vec<i64> = (0..from.len()).filter(|&i| !to.contains(&from[i])).map(|i| i as i64).collect();
        let reduced = match reduction {
            _ if gone.is_empty() => x,
            AxisReduction::Sum => x.sum(Some(&gone), false)?,
            AxisReduction::Mean => x.mean(Some(&gone), false)?,
            AxisReduction::Max => x.amax(Some(&gone), false)?,
            AxisReduction::Min => x.amin(Some(&gone), false)?,
            AxisReduction::Prod => gone.iter().rev().try_fold(x, |x, &dim| x.prod(Some(dim), false))?,
        };
        let kept: Vec<&Axis> = from.into_iter().filter(|a| to.contains(a)).collect();
        reduced.permute(&order(&kept, &to))?.reshape(&p.result())
    }

    /// Like [`Tensor::rearrange`], but the right side may have new axes, along which the tensor repeats:
    /// `x.repeat_axes("h w -> h (w 2)", &[])`. Their sizes are numbers in the pattern or given by name.
    pub fn repeat_axes(&self, pattern: &str, sizes: &[(String, usize)]) -> Result<Self> {
        const OP: &str = "repeat";
        let p = Pattern::new(OP, pattern, self.dims(), sizes)?;
        let (from, to) = (p.from(), p.to());
        require_within(OP, pattern, &from, &to, "left")?;
        if let Some(axis) = to.iter().find(|a| !p.sizes.contains_key(a)) {
            return Err(Error::InvalidArgument {
                op: OP,
                detail: format!("pattern '{pattern}': the size of the new axis '{axis}' is unknown; give it by name"),
            });
        }
        let full = p.sizes_of(&to);
        let with_ones: Vec<i64> =
            to.iter().zip(&full).map(|(axis, &n)| if from.contains(axis) { n } else { 1 }).collect();
        self.reshape(&p.sizes_of(&from))?
            .permute(&order(&from, &to))?
            .reshape(&with_ones)?
            .expand(&full)?
            .reshape(&p.result())
    }
}

/// Names and sizes as they come from callers by name: two lists of equal length.
fn named_sizes(
    op: &'static str,
    names: Option<Vec<String>>,
    sizes: Option<Vec<usize>>,
) -> Result<Vec<(String, usize)>> {
    let (names, sizes) = (names.unwrap_or_default(), sizes.unwrap_or_default());
    if names.len() != sizes.len() {
        return Err(Error::InvalidArgument { op, detail: format!("{} names for {} sizes", names.len(), sizes.len()) });
    }
    Ok(names.into_iter().zip(sizes).collect())
}

pub(super) const OPS: &[Op] = op_table! {
    #[own] rearrange(x; pattern: String, names: Option<Vec<String>>, sizes: Option<Vec<usize>>)
        => x.rearrange(&pattern, &named_sizes("rearrange", names, sizes)?);
    reduce(x; pattern: String, reduction: String, names: Option<Vec<String>>, sizes: Option<Vec<usize>>)
        => x.reduce(&pattern, AxisReduction::from_name(&reduction)?, &named_sizes("reduce", names, sizes)?);
    #[own] repeat_axes(x; pattern: String, names: Option<Vec<String>>, sizes: Option<Vec<usize>>)
        => x.repeat_axes(&pattern, &named_sizes("repeat", names, sizes)?);
};

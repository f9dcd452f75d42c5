//! Tensors as text, laid out as torch prints them: aligned columns, four digits, long tensors shortened, and after the
//! elements whatever is not the usual (dtype, device, gradient).

use super::{CT, Tensor};
use crate::device::DType;
use crate::error::Result;
use candle_core::{DType as CandleDType, Device};

/// Digits after the point.
const PRECISION: usize = 4;
/// More elements than this and the middles of long axes are left out, unless the caller says another number.
const THRESHOLD: usize = 1000;
/// How many entries at each end of a shortened axis stay.
const EDGE: usize = 3;
/// Characters a line.
const LINE_WIDTH: usize = 80;
const PREFIX: &str = "tensor(";

impl Tensor {
    /// The tensor as text, shortened if it has more than `threshold` elements, by default as many as torch shows. Copies
    /// no more than the elements that are shown.
    pub fn display(&self, threshold: Option<usize>) -> Result<String> {
        let indent = PREFIX.len();
        let mut text = String::from(PREFIX);
        if self.elem_count() == 0 {
            text.push_str("[]");
        } else {
            let summarize = self.elem_count() > threshold.unwrap_or(THRESHOLD);
            let shown = if summarize { edges(self.data())? } else { self.data().clone() };
            let (cells, width) = cells(&shown, self.dtype())?;
            Layout { shape: self.dims(), summarize, width, cells: cells.into_iter() }.write(&mut text, 0, indent);
        }
        // torch counts two characters more for the line that it starts on.
        let mut used = text.rsplit('\n').next().map_or(0, str::len) + 2;
        for suffix in self.suffixes() {
            if used + suffix.len() + 2 > LINE_WIDTH {
                text.push_str(&format!(",\n{:indent$}", ""));
                used = indent + suffix.len();
            } else {
                text.push_str(", ");
                used += suffix.len() + 2;
            }
            text.push_str(&suffix);
        }
        text.push(')');
        Ok(text)
    }

    fn suffixes(&self) -> Vec<String> {
        let empty = self.elem_count() == 0;
        let mut suffixes = Vec::new();
        if !self.data().device().is_cpu() {
            suffixes.push(format!("device={}", self.device_name()));
        }
        if empty && self.rank() != 1 {
            suffixes.push(format!("size={:?}", self.dims()));
        }
        // Without elements nothing else tells an integer from a float.
        let usual = match self.dtype() {
            DType::F32 => true,
            DType::I64 | DType::Bool => !empty,
            _ => false,
        };
        if !usual {
            suffixes.push(format!("dtype={}", self.dtype().name()));
        }
        match self.grad_fn() {
            Some(op) => suffixes.push(format!("grad_fn=<{op}>")),
            None if self.requires_grad() => suffixes.push("requires_grad=true".into()),
            None => {}
        }
        suffixes
    }
}

/// The first and last entries along each long axis.
fn edges(data: &CT) -> Result<CT> {
    let mut shown = data.clone();
    for (dim, &size) in data.dims().iter().enumerate() {
        if size > 2 * EDGE {
            let (first, last) = (shown.narrow(dim, 0, EDGE)?, shown.narrow(dim, size - EDGE, EDGE)?);
            shown = CT::cat(&[first, last], dim)?;
        }
    }
    Ok(shown)
}

/// The elements as text, and the width of their column.
fn cells(data: &CT, dtype: DType) -> Result<(Vec<String>, usize)> {
    let flat = data.to_device(&Device::Cpu)?.flatten_all()?;
    let (cells, width) = if dtype.is_float() {
        float_cells(&flat.to_dtype(CandleDType::F64)?.to_vec1()?)
    } else {
        let values: Vec<i64> = flat.to_dtype(CandleDType::I64)?.to_vec1()?;
        let text = |v: &i64| if dtype == DType::Bool { (*v != 0).to_string() } else { v.to_string() };
        let cells: Vec<String> = values.iter().map(text).collect();
        let width = cells.iter().map(String::len).max().unwrap_or(0);
        (cells, width)
    };
    Ok((cells.into_iter().map(|cell| format!("{cell:>width$}")).collect(), width))
}

fn float_cells(values: &[f64]) -> (Vec<String>, usize) {
    // Zeros and what is not finite decide nothing, neither the notation nor the width: torch lets them stick out.
    let decisive = |v: f64| v.is_finite() && v != 0.0;
    let sizes = || values.iter().filter(|v| decisive(**v)).map(|v| v.abs());
    let (least, most) = sizes().fold((f64::INFINITY, 0f64), |(lo, hi), v| (lo.min(v), hi.max(v)));
    let whole = sizes().all(|v| v.fract() == 0.0);
    let scientific = most > 0.0 && (most / least > 1000.0 || most > 1e8 || least < 1e-4);
    let text = |v: f64| match v {
        v if v.is_nan() => "nan".into(),
        v if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
        v if scientific => exponent_of_two_digits(&format!("{v:.PRECISION$e}")),
        v if whole => format!("{v:.0}."),
        v => format!("{v:.PRECISION$}"),
    };
    let width = values.iter().filter(|v| decisive(**v)).map(|v| text(*v).len()).max().unwrap_or(1);
    (values.iter().map(|v| text(*v)).collect(), width)
}

/// `1.5e-7` as `1.5e-07`, `1e3` as `1e+03`.
fn exponent_of_two_digits(number: &str) -> String {
    let (digits, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
    format!("{digits}e{sign}{size:0>2}")
}

struct Layout<'a, I> {
    shape: &'a [usize],
    summarize: bool,
    width: usize,
    cells: I,
}

impl<I: Iterator<Item = String>> Layout<'_, I> {
    /// Writes what lies below `axis`; `indent` characters stand before it on the line.
    fn write(&mut self, out: &mut String, axis: usize, indent: usize) {
        let Some(&size) = self.shape.get(axis) else {
            out.extend(self.cells.next());
            return;
        };
        let shortened = self.summarize && size > 2 * EDGE;
        let shown = if shortened { 2 * EDGE } else { size };
        let below = self.shape.len() - axis - 1;
        out.push('[');
        if below == 0 {
            self.write_row(out, shown, shortened, indent);
        } else {
            for i in 0..shown {
                if i > 0 {
                    self.break_line(out, below, indent);
                }
                if shortened && i == EDGE {
                    out.push_str("...");
                    self.break_line(out, below, indent);
                }
                self.write(out, axis + 1, indent + 1);
            }
        }
        out.push(']');
    }

    fn break_line(&self, out: &mut String, below: usize, indent: usize) {
        out.push(',');
        out.extend(std::iter::repeat_n('\n', below));
        out.extend(std::iter::repeat_n(' ', indent + 1));
    }

    fn write_row(&mut self, out: &mut String, shown: usize, shortened: bool, indent: usize) {
        let mut row: Vec<String> = self.cells.by_ref().take(shown).collect();
        if shortened {
            row.insert(EDGE, " ...".into());
        }
        let per_line = (LINE_WIDTH.saturating_sub(indent) / (self.width + 2)).max(1);
        let lines: Vec<String> = row.chunks(per_line).map(|line| line.join(", ")).collect();
        out.push_str(&lines.join(&format!(",\n{:1$}", "", indent + 1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &[f32], dims: &[usize]) -> String {
        Tensor::from_slice(data, dims).and_then(|t| t.display(None)).unwrap_or_else(|e| e.to_string())
    }

    // Layout rules: four digits, scientific notation beyond five orders of magnitude, summaries above 1,000 elements.
    #[test]
    fn numbers_line_up_as_in_torch() {
        assert_eq!(shown(&[1., 2., 3., 4.], &[2, 2]), "tensor([[1., 2.],\n        [3., 4.]])");
        assert_eq!(shown(&[0.5, -1.25, 10.0], &[3]), "tensor([ 0.5000, -1.2500, 10.0000])");
        assert_eq!(shown(&[1e-5, 1.0], &[2]), "tensor([1.0000e-05, 1.0000e+00])");
        assert_eq!(shown(&[1.0, f32::NAN, f32::NEG_INFINITY], &[3]), "tensor([1., nan, -inf])");
        assert_eq!(shown(&[2.5], &[]), "tensor(2.5000)");
        assert_eq!(shown(&[0.0, 0.0], &[2]), "tensor([0., 0.])");
        assert_eq!(shown(&[], &[2, 0]), "tensor([], size=[2, 0])");
    }

    #[test]
    fn axes_are_separated_by_blank_lines() {
        let data: Vec<f32> = (0..8u8).map(f32::from).collect();
        let text = "tensor([[[0., 1.],\n         [2., 3.]],\n\n        [[4., 5.],\n         [6., 7.]]])";
        assert_eq!(shown(&data, &[2, 2, 2]), text);
    }

    #[test]
    fn the_middle_of_long_tensors_is_left_out() {
        let data: Vec<f32> = (0..2000u16).map(f32::from).collect();
        assert_eq!(
            shown(&data, &[2000]),
            "tensor([0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 1.9970e+03, 1.9980e+03,\n        1.9990e+03])"
        );
    }
}

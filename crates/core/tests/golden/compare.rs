//! Comparing tensors at a tolerance, and keeping account of the worst.

use hooklens_core::Tensor;
use std::fmt;

/// What a comparison allows: `absolute + relative * max|expected|`.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) absolute: f64,
    pub(crate) relative: f64,
}

struct Entry {
    name: String,
    error: f64,
    allowed: f64,
}

/// Every comparison of a fixture.
#[derive(Default)]
pub(crate) struct Worst {
    entries: Vec<Entry>,
    problems: Vec<String>,
}

impl Worst {
    pub(crate) fn compare(&mut self, name: &str, got: &Tensor, expected: &Tensor, tolerance: Tolerance) {
        self.compare_where(name, got, expected, tolerance, |_| true);
    }

    /// Compares the elements whose row-major index `counts`.
    pub(crate) fn compare_where(
        &mut self,
        name: &str,
        got: &Tensor,
        expected: &Tensor,
        tolerance: Tolerance,
        counts: impl Fn(usize) -> bool,
    ) {
        if got.dims() != expected.dims() {
            self.problems.push(format!("{name}: shape {:?}, expected {:?}", got.dims(), expected.dims()));
            return;
        }
        let (got, expected) = (got.to_vec::<f64>().unwrap(), expected.to_vec::<f64>().unwrap());
        let largest = expected.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
        let error = |i: usize| match (got[i], expected[i]) {
            (g, e) if g == e => 0.0,
            (g, e) if g.is_finite() && e.is_finite() => (g - e).abs(),
            _ => f64::INFINITY,
        };
        let error = (0..got.len()).filter(|&i| counts(i)).map(error).fold(0.0, f64::max);
        let allowed = tolerance.absolute + tolerance.relative * largest;
        self.entries.push(Entry { name: name.into(), error, allowed });
    }

    pub(crate) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        let wrong = self.entries.iter().filter(|e| e.error.is_nan() || e.error > e.allowed);
        let wrong = wrong.map(|e| format!("{}: error {:.3e}, allowed {:.3e}", e.name, e.error, e.allowed));
        self.problems.iter().cloned().chain(wrong)
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.entries.iter().max_by(|a, b| (a.error / a.allowed).total_cmp(&(b.error / b.allowed)));
        let Some(worst) = worst else { return write!(f, "nothing compared") };
        write!(
            f,
            "{} comparisons, {} failures; worst {}: {:.2e} of {:.2e}",
            self.entries.len(),
            self.failures().count(),
            worst.name,
            worst.error,
            worst.allowed
        )
    }
}

//! What passed and what failed, by operation.

use crate::execute::Outcome;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Default)]
pub(crate) struct Report {
    /// Passed and run, by operation.
    by_op: BTreeMap<String, (usize, usize)>,
    failures: Vec<String>,
}

impl Report {
    /// Runs a case. A panic fails that case alone.
    pub(crate) fn add(&mut self, op: &str, id: &str, case: impl FnOnce() -> Outcome) {
        let outcome = catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|_| Err("panicked".into()));
        let (passed, run) = self.by_op.entry(op.to_owned()).or_default();
        *run += 1;
        match outcome {
            Ok(()) => *passed += 1,
            Err(detail) => self.failures.push(format!("{id}: {detail}")),
        }
    }

    /// Prints the table; panics with the list of failures if there are any.
    pub(crate) fn finish(self, what: &str) {
        let total: usize = self.by_op.values().map(|(_, run)| run).sum();
        let mut table = format!("{what}: {} of {total} cases pass\n", total - self.failures.len());
        for (op, (passed, run)) in &self.by_op {
            let mark = if passed == run { ' ' } else { '!' };
            let _ = writeln!(table, "  {mark} {op:<32} {passed:>3} / {run}");
        }
        eprintln!("{table}");
        assert!(self.failures.is_empty(), "{} failed:\n  {}", self.failures.len(), self.failures.join("\n  "));
    }
}

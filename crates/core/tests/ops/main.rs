//! Every operation against PyTorch's answers: values, gradients and refusals.
//!
//! The fixtures lie in `tests/fixtures/golden/ops` (described by the README there). `HOOKLENS_GOLDEN=<folder>` takes
//! another folder of the same form, `HOOKLENS_OPS=softmax,sum` runs only the cases of those operations. A relative
//! folder is looked up from the root of the repository. Failing cases are listed one a line under a table by
//! operation; `--nocapture` shows the table when all is well too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing test panics")]

mod compare;
mod execute;
mod fixture;
mod report;

use fixture::Fixtures;
use report::Report;

#[test]
fn values_and_gradients_match_pytorch() {
    let fixtures = Fixtures::load();
    let mut report = Report::default();
    for case in fixtures.cases() {
        report.add(&case.op, &case.id, || execute::case(&fixtures, case));
    }
    report.finish("values and gradients");
}

#[test]
fn bad_calls_are_refused_with_the_right_code() {
    let fixtures = Fixtures::load();
    let mut report = Report::default();
    for case in fixtures.fail_cases() {
        report.add(&case.op, &case.id, || execute::fail_case(&fixtures, case));
    }
    report.finish("refusals");
}

#[test]
fn the_fixture_file_is_complete() {
    let fixtures = Fixtures::load();
    let (cases, fail_cases) = fixtures.counts();
    assert_eq!(fixtures.file.cases.len(), cases, "cases in ops.json against case_count");
    assert_eq!(fixtures.file.fail_cases.len(), fail_cases, "fail_cases in ops.json against fail_case_count");
    assert!(cases > 0 && fail_cases > 0, "a set without cases proves nothing");
}

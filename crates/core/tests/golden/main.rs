//! Every model fixture: logits, each activation, each gradient, losses and edits against the reference's numbers.
//!
//! The folder is `tests/fixtures/golden`, or another of the same form in `HOOKLENS_GOLDEN`. Folders of families that are
//! not implemented must be refused by name; nothing is skipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing test panics, and prints what it compared"
)]

mod compare;
mod fixture;
mod greedy;
mod hugging_face;
mod reference;

use compare::Worst;
use fixture::Fixture;
use hooklens_core::Error;
use hooklens_core::models::{LoadOptions, Model};

/// Families that load. A folder of another family must be refused as `unsupported_architecture`.
const FAMILIES: [&str; 4] = ["gpt2", "gpt_neox", "llama", "tl"];

fn check_all(fixtures: Vec<Fixture>, check: fn(&Fixture, &Model, &mut Worst)) {
    assert!(!fixtures.is_empty(), "no fixtures were found");
    let mut failures = Vec::new();
    for fixture in &fixtures {
        match Model::load(&fixture.folder, &LoadOptions::default()) {
            Ok(model) => {
                let mut worst = Worst::default();
                check(fixture, &model, &mut worst);
                println!("{:32} {worst}", fixture.name());
                failures.extend(worst.failures().map(|line| format!("{}: {line}", fixture.name())));
            }
            Err(error @ Error::UnsupportedArchitecture { .. }) if !FAMILIES.contains(&fixture.family().as_str()) => {
                println!("{:32} refused: {error}", fixture.name());
            }
            Err(error) if fixture.may_refuse(&error) => println!("{:32} refused: {error}", fixture.name()),
            Err(error) => failures.push(format!("{}: {error}", fixture.name())),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn models_give_the_references_numbers() {
    check_all(fixture::folders(&fixture::root()), reference::check);
}

#[test]
fn models_give_hugging_faces_numbers() {
    check_all(fixture::folders(&fixture::root().join("hf")), hugging_face::check);
}

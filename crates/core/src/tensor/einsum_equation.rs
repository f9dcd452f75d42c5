//! Einstein-summation equations, read and matched against shapes.

use crate::error::{Error, Result};

const OP: &str = "einsum";

/// An axis name: a letter of the equation, or an axis under the ellipsis, counted from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Label {
    /// The axis under `...` that is so many places before its end.
    Ellipsis(usize),
    /// A letter.
    Letter(char),
}

/// The axes of each operand and of the result.
#[derive(Debug)]
pub(super) struct Equation {
    pub(super) operands: Vec<Vec<Label>>,
    pub(super) output: Vec<Label>,
}

fn invalid(detail: String) -> Error {
    Error::InvalidArgument { op: OP, detail }
}

/// The letters of one term and the place of its ellipsis.
fn term(text: &str) -> Result<(Vec<char>, Option<usize>)> {
    let mut letters = Vec::new();
    let mut ellipsis = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            c if c.is_ascii_alphabetic() => letters.push(c),
            '.' if rest.as_str().starts_with("..") => {
                rest.nth(1);
                if ellipsis.replace(letters.len()).is_some() {
                    return Err(invalid(format!("'{text}' has more than one ellipsis")));
                }
            }
            other => {
                return Err(invalid(format!("unexpected '{other}' in '{text}': axes are letters a-z, A-Z and '...'")));
            }
        }
    }
    Ok((letters, ellipsis))
}

fn labels(letters: &[char], ellipsis: Option<usize>, under: usize) -> Vec<Label> {
    let mut labels: Vec<Label> = letters.iter().map(|&c| Label::Letter(c)).collect();
    if let Some(at) = ellipsis {
        labels.splice(at..at, (0..under).rev().map(Label::Ellipsis));
    }
    labels
}

impl Equation {
    /// Reads an equation such as `bij,bjk->bik` for operands of these ranks.
    pub(super) fn parse(equation: &str, ranks: &[usize]) -> Result<Self> {
        let (inputs, output) = match equation.split_once("->") {
            Some((inputs, output)) => (inputs, Some(term(output)?)),
            None => (equation, None),
        };
        let terms = inputs.split(',').map(term).collect::<Result<Vec<_>>>()?;
        if terms.len() != ranks.len() {
            return Err(invalid(format!("'{equation}' names {} operands, got {}", terms.len(), ranks.len())));
        }
        let mut widest = 0;
        let mut operands = Vec::with_capacity(terms.len());
        for ((letters, ellipsis), &rank) in terms.iter().zip(ranks) {
            let under = rank.checked_sub(letters.len()).filter(|&n| n == 0 || ellipsis.is_some()).ok_or_else(|| {
                let term: String = letters.iter().collect();
                Error::RankMismatch {
                    op: OP,
                    detail: format!("'{term}' names {} axes of a rank-{rank} operand", letters.len()),
                }
            })?;
            widest = widest.max(under);
            operands.push(labels(letters, *ellipsis, under));
        }
        let output = match output {
            Some((letters, ellipsis)) => labels(&letters, ellipsis, widest),
            None => {
                let all: Vec<Label> = operands.iter().flatten().copied().collect();
                let once = |l: &Label| all.iter().filter(|&other| other == l).count() == 1;
                let mut letters: Vec<Label> =
                    all.iter().filter(|l| matches!(l, Label::Letter(_)) && once(l)).copied().collect();
                crate::order::sort_by_key(&mut letters, |label| match label {
                    Label::Letter(letter) => u64::from(*letter),
                    Label::Ellipsis(_) => 0,
                });
                (0..widest).rev().map(Label::Ellipsis).chain(letters).collect()
            }
        };
        for (i, label) in output.iter().enumerate() {
            if output[..i].contains(label) {
                return Err(invalid(format!("the output of '{equation}' names an axis twice")));
            }
            if !operands.iter().flatten().any(|l| l == label) {
                return Err(invalid(format!("the output of '{equation}' names an axis that no operand has: {label}")));
            }
        }
        Ok(Self { operands, output })
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ellipsis(i) => write!(f, "axis {i} from the end under '...'"),
            Self::Letter(c) => write!(f, "'{c}'"),
        }
    }
}

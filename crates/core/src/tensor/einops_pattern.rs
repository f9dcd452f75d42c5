//! Patterns in einops notation (Rogozhnikov 2022, <https://openreview.net/forum?id=oapKSVM2bcj>), such as
//! `b (h d) s -> b s h d`: read, and matched against shapes.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// One elementary axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Axis {
    /// A name.
    Named(String),
    /// All axes under `...`; after matching, one of them.
    Ellipsis(usize),
    /// A number: an axis of that size without a name. The second field tells equal numbers apart.
    Unnamed(usize, usize),
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Ellipsis(_) => f.write_str("..."),
            Self::Unnamed(size, _) => write!(f, "{size}"),
        }
    }
}

/// One side of a pattern: for each axis of the tensor, the elementary axes that it is composed of (none: size 1).
pub(super) type Side = Vec<Vec<Axis>>;

/// A side as written: groups in parentheses are told from axes on their own, for `(...)` joins what `...` leaves apart.
type Written = Vec<(bool, Vec<Axis>)>;

/// A pattern, both sides with the ellipsis written out.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) left: Side,
    pub(super) right: Side,
    /// The size of each elementary axis.
    pub(super) sizes: HashMap<Axis, usize>,
}

/// A pattern's text and the operation that it is for, for error messages.
#[derive(Clone, Copy)]
struct Source<'a> {
    op: &'static str,
    text: &'a str,
}

impl Source<'_> {
    fn invalid(self, detail: impl std::fmt::Display) -> Error {
        Error::InvalidArgument { op: self.op, detail: format!("pattern '{}': {detail}", self.text) }
    }

    /// Reads one side. Unnamed axes get numbers from `next` on.
    fn side(self, text: &str, next: &mut usize) -> Result<Written> {
        let mut side: Written = Vec::new();
        let mut open: Option<Vec<Axis>> = None;
        let mut rest = text.trim_start();
        while let Some(c) = rest.chars().next() {
            let width = match c {
                '(' => {
                    if open.replace(Vec::new()).is_some() {
                        return Err(self.invalid("parentheses cannot be nested"));
                    }
                    1
                }
                ')' => {
                    side.push((true, open.take().ok_or_else(|| self.invalid("')' without '('"))?));
                    1
                }
                '.' if rest.starts_with("...") => {
                    put(&mut side, &mut open, Axis::Ellipsis(0));
                    3
                }
                '…' => {
                    put(&mut side, &mut open, Axis::Ellipsis(0));
                    c.len_utf8()
                }
                c if c.is_ascii_digit() => {
                    let width = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    let size: usize =
                        rest[..width].parse().map_err(|_| self.invalid(format!("'{}' is no size", &rest[..width])))?;
                    match size {
                        0 => return Err(self.invalid("an axis cannot have size 0 by name")),
                        // A 1 outside parentheses is an axis composed of nothing, inside it changes nothing.
                        1 if open.is_none() => side.push((true, Vec::new())),
                        1 => {}
                        size => {
                            put(&mut side, &mut open, Axis::Unnamed(size, *next));
                            *next += 1;
                        }
                    }
                    width
                }
                c if c.is_alphabetic() || c == '_' => {
                    let width = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    put(&mut side, &mut open, Axis::Named(rest[..width].to_owned()));
                    width
                }
                other => return Err(self.invalid(format!("unexpected '{other}'"))),
            };
            rest = rest[width..].trim_start();
        }
        if open.is_some() {
            return Err(self.invalid("'(' without ')'"));
        }
        let axes: Vec<&Axis> = side.iter().flat_map(|(_, group)| group).collect();
        match axes.iter().enumerate().find(|(i, axis)| axes[..*i].contains(axis)) {
            Some((_, twice)) => Err(self.invalid(format!("'{twice}' occurs twice on one side"))),
            None => Ok(side),
        }
    }
}

fn put(side: &mut Written, open: &mut Option<Vec<Axis>>, axis: Axis) {
    match open {
        Some(group) => group.push(axis),
        None => side.push((false, vec![axis])),
    }
}

/// Replaces the ellipsis by as many axes as it stands for: on its own one axis each, inside parentheses joined.
fn written_out(side: Written, count: usize) -> Side {
    let mut out = Side::new();
    for (joined, group) in side {
        if !joined && matches!(group.as_slice(), [Axis::Ellipsis(_)]) {
            out.extend((0..count).map(|i| vec![Axis::Ellipsis(i)]));
        } else {
            let each = |axis| match axis {
                Axis::Ellipsis(_) => (0..count).map(Axis::Ellipsis).collect(),
                other => vec![other],
            };
            out.push(group.into_iter().flat_map(each).collect());
        }
    }
    out
}

impl Pattern {
    /// Reads `text` and matches its left side against the shape `dims`, with the sizes of some axes given by name.
    pub(super) fn new(op: &'static str, text: &str, dims: &[usize], given: &[(String, usize)]) -> Result<Self> {
        let source = Source { op, text };
        let (left, right) = text.split_once("->").ok_or_else(|| source.invalid("needs '->'"))?;
        let mut next = 0;
        let left = source.side(left, &mut next)?;
        let right = source.side(right, &mut next)?;
        let ellipses = |side: &Written| {
            side.iter().flat_map(|(_, group)| group).filter(|a| matches!(a, Axis::Ellipsis(_))).count()
        };
        let has_ellipsis = ellipses(&left) == 1;
        if left.iter().any(|(joined, group)| *joined && group.contains(&Axis::Ellipsis(0))) {
            return Err(source.invalid("'...' inside parentheses is allowed on the right only"));
        }
        if !has_ellipsis && ellipses(&right) > 0 {
            return Err(source.invalid("'...' on the right needs '...' on the left"));
        }
        let written = left.len() - usize::from(has_ellipsis);
        let under = dims.len().checked_sub(written).filter(|&n| n == 0 || has_ellipsis).ok_or_else(|| {
            Error::RankMismatch { op, detail: format!("pattern '{text}' has {written} axes, the tensor {dims:?}") }
        })?;
        let (left, right) = (written_out(left, under), written_out(right, under));
        let mut sizes: HashMap<Axis, usize> = HashMap::new();
        for axis in left.iter().chain(&right).flatten() {
            if let Axis::Unnamed(size, _) = axis {
                sizes.insert(axis.clone(), *size);
            }
        }
        for (name, size) in given {
            let axis = Axis::Named(name.clone());
            if !left.iter().chain(&right).flatten().any(|a| *a == axis) {
                return Err(source.invalid(format!("a size is given for '{name}', which does not occur")));
            }
            sizes.insert(axis, *size);
        }
        for (group, &n) in left.iter().zip(dims) {
            let mut unknown = group.iter().filter(|a| !sizes.contains_key(a));
            let known: usize = group.iter().filter_map(|a| sizes.get(a)).product();
            let misfit = || Error::ShapeMismatch {
                op,
                detail: format!("pattern '{text}': an axis of size {n} is not ({})", spelled(group, &sizes)),
            };
            match (unknown.next(), unknown.next()) {
                (None, _) if known == n => {}
                (Some(axis), None) if known > 0 && n % known == 0 => {
                    sizes.insert(axis.clone(), n / known);
                }
                (Some(a), Some(b)) => {
                    return Err(source.invalid(format!("the sizes of '{a}' and '{b}' are both unknown; give one")));
                }
                _ => return Err(misfit()),
            }
        }
        Ok(Self { left, right, sizes })
    }

    /// The elementary axes of the left side, in order.
    pub(super) fn from(&self) -> Vec<&Axis> {
        self.left.iter().flatten().collect()
    }

    /// The elementary axes of the right side, in order.
    pub(super) fn to(&self) -> Vec<&Axis> {
        self.right.iter().flatten().collect()
    }

    /// The sizes of these axes.
    pub(super) fn sizes_of(&self, axes: &[&Axis]) -> Vec<i64> {
        axes.iter().map(|a| self.sizes.get(a).map_or(1, |&n| n as i64)).collect()
    }

    /// The shape of the right side.
    pub(super) fn result(&self) -> Vec<i64> {
        let size = |group: &Vec<Axis>| group.iter().map(|a| self.sizes.get(a).map_or(1, |&n| n as i64)).product();
        self.right.iter().map(size).collect()
    }
}

fn spelled(group: &[Axis], sizes: &HashMap<Axis, usize>) -> String {
    let one = |a: &Axis| match (a, sizes.get(a)) {
        (Axis::Named(name), Some(n)) => format!("{name}={n}"),
        (axis, _) => axis.to_string(),
    };
    group.iter().map(one).collect::<Vec<_>>().join(" ")
}

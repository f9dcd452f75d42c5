//! Globs over the names of hook points.
//!
//! A glob becomes a list of steps, and a name is read once while all steps that may come next are kept. So matching takes
//! time in proportion to both lengths, whatever the glob. An engine for regular expressions, which crates for globs bring
//! with them, would be a tenth of what a page downloads.

use std::str::Chars;

/// One step of a [`Glob`]; the next one is behind it unless it says otherwise.
enum Step {
    /// One character of these ranges, or, if `negated`, of no such range.
    OneOf { ranges: Vec<(char, char)>, negated: bool },
    /// Any number of characters.
    Many,
    /// On at any of these steps, without a character.
    Either(Vec<usize>),
}

/// `*` and `?`, classes `[0-3]` and `[!0-3]`, alternatives `{q,k}`, which may be nested, and `\` before a character that
/// stands for itself.
pub(super) struct Glob {
    steps: Vec<Step>,
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(glob: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut chars = glob.chars();
        // For each '{' that is open its step, and the steps that end its alternatives.
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        while let Some(c) = chars.next() {
            let one = |c| Step::OneOf { ranges: vec![(c, c)], negated: false };
            match c {
                '*' => steps.push(Step::Many),
                '?' => steps.push(Step::OneOf { ranges: Vec::new(), negated: true }),
                '[' => steps.push(class(&mut chars)?),
                '\\' => steps.push(one(chars.next().ok_or("nothing follows its last '\\'")?)),
                '{' => {
                    open.push((steps.len(), Vec::new()));
                    steps.push(Step::Either(vec![steps.len() + 1]));
                }
                ',' | '}' if !open.is_empty() => {
                    let Some((start, mut ends)) = open.pop() else { continue };
                    ends.push(steps.len());
                    steps.push(Step::Either(Vec::new()));
                    let next = steps.len();
                    if c == ',' {
                        go_on(&mut steps, start, next);
                        open.push((start, ends));
                    } else {
                        ends.into_iter().for_each(|end| go_on(&mut steps, end, next));
                    }
                }
                '}' => return Err("its '}' closes nothing".into()),
                c => steps.push(one(c)),
            }
        }
        if open.is_empty() { Ok(Self { steps }) } else { Err("its '{' is not closed".into()) }
    }

    /// Whether the whole of `name` matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut now = self.reach(vec![0]);
        for c in name.chars() {
            let mut next = Vec::new();
            for at in now {
                match self.steps.get(at) {
                    Some(Step::OneOf { ranges, negated }) => {
                        if ranges.iter().any(|&(first, last)| (first..=last).contains(&c)) != *negated {
                            next.push(at + 1);
                        }
                    }
                    Some(Step::Many) => next.push(at),
                    Some(Step::Either(_)) | None => {}
                }
            }
            now = self.reach(next);
        }
        now.contains(&self.steps.len())
    }

    /// These steps and those that follow without a character, each once.
    fn reach(&self, mut todo: Vec<usize>) -> Vec<usize> {
        let mut seen = vec![false; self.steps.len() + 1];
        let mut reached = Vec::new();
        while let Some(at) = todo.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            reached.push(at);
            match self.steps.get(at) {
                Some(Step::Many) => todo.push(at + 1),
                Some(Step::Either(next)) => todo.extend(next),
                Some(Step::OneOf { .. }) | None => {}
            }
        }
        reached
    }
}

fn go_on(steps: &mut [Step], from: usize, to: usize) {
    if let Some(Step::Either(next)) = steps.get_mut(from) {
        next.push(to);
    }
}

/// What follows a '['. A ']' that comes first stands for itself, as does a '-' that is first or last.
fn class(chars: &mut Chars<'_>) -> Result<Step, String> {
    let negated = chars.as_str().starts_with(['!', '^']);
    if negated {
        chars.next();
    }
    let mut ranges = Vec::new();
    loop {
        let first = chars.next().ok_or("its '[' is not closed")?;
        if first == ']' && !ranges.is_empty() {
            return Ok(Step::OneOf { ranges, negated });
        }
        let mut ahead = chars.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                *chars = ahead;
                last
            }
            _ => first,
        };
        if last < first {
            return Err(format!("'{first}-{last}' is no range"));
        }
        ranges.push((first, last));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("a*c", &["ac", "abc", "a.b/c\nc"], &["a", "acb", "bac"]),
            ("**", &["", "a.b"], &[]),
            ("a?", &["ab", "a.", "aé"], &["a", "abc"]),
            ("[0-3x]", &["0", "3", "x"], &["4", "", "-"]),
            ("[!0-3]", &["4", "-"], &["0", ""]),
            ("[^a]", &["b"], &["a"]),
            ("[]a]", &["]", "a"], &["b", ""]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[-a]", &["a", "-"], &["b"]),
            ("[{,}]", &["{", ",", "}"], &["a"]),
            ("hook_{q,k}", &["hook_q", "hook_k"], &["hook_", "hook_qk", "hook_v"]),
            ("{a,b{c,d*}}e", &["ae", "bce", "bdxe"], &["be", "abce", "e"]),
            ("x{,y}z", &["xz", "xyz"], &["xyyz"]),
            ("{{{a}}}", &["a"], &[""]),
            ("a,b]", &["a,b]"], &["a", "b]"]),
            (r"\*\{\?", &["*{?"], &["a{b"]),
            ("größe*", &["größe1"], &["grosse1"]),
        ];
        for (glob, matching, others) in table {
            let read = Glob::new(glob).unwrap();
            for name in *matching {
                assert!(read.matches(name), "{glob} matches {name:?}");
            }
            for name in *others {
                assert!(!read.matches(name), "{glob} does not match {name:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (glob, why) in [
            ("a[", "'['"),
            ("[]", "'['"),
            ("[!]", "'['"),
            ("[3-0]", "'3-0'"),
            ("{a", "'{'"),
            ("{a{b}", "'{'"),
            ("a}", "'}'"),
            ("a\\", "'\\'"),
        ] {
            assert!(Glob::new(glob).err().unwrap().contains(why), "{glob}");
        }
    }

    #[test]
    fn no_glob_takes_long() {
        let name = "a".repeat(200);
        for glob in ["{*,*}".repeat(300), "*a".repeat(150) + "b", "{".repeat(20_000) + &"}".repeat(20_000)] {
            assert!(!Glob::new(&(glob + "c")).unwrap().matches(&name));
        }
    }
}

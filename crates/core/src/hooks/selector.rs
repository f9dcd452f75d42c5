//! Choosing hook points by name.

use super::glob::Glob;
use super::{HookPointId, HookRegistry, canonical_name};
use crate::error::{Error, Result, nearest};
use std::collections::BTreeSet;

impl HookRegistry {
    /// The points that any of `names` stands for, each once, in the order of the points.
    ///
    /// A name is an exact one, a short one (see [`canonical_name`]), or a glob such as `blocks.*.attn.hook_z`, in which
    /// dots are plain characters: `*` also matches across them. Alternatives are written `hook_{q,k}`, classes `[0-3]`.
    ///
    /// # Errors
    /// `unknown_hook` with the nearest names for a name that no point has; `invalid_names_filter` for a glob that no point
    /// satisfies, one that cannot be read, and an empty list.
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<HookPointId>> {
        if names.is_empty() {
            return Err(Error::InvalidNamesFilter { detail: "an empty list selects no hook point".into() });
        }
        let mut selected = BTreeSet::new();
        for name in names {
            self.select_one(name.as_ref(), &mut selected)?;
        }
        Ok(selected.into_iter().collect())
    }

    /// The point of that exact or short name.
    pub fn resolve(&self, name: &str) -> Result<HookPointId> {
        self.find(name).or_else(|| self.find(&canonical_name(name))).ok_or_else(|| {
            let full = canonical_name(name);
            Error::UnknownHook {
                name: name.to_owned(),
                suggestions: nearest(&full, self.points().map(|p| p.name.as_str())),
            }
        })
    }

    fn select_one(&self, name: &str, selected: &mut BTreeSet<HookPointId>) -> Result<()> {
        if self.find(name).is_some() || !name.contains(['*', '?', '[', '{']) {
            selected.insert(self.resolve(name)?);
            return Ok(());
        }
        let glob = Glob::new(name)
            .map_err(|why| Error::InvalidNamesFilter { detail: format!("'{name}' is no valid glob: {why}") })?;
        let mut matched = false;
        for (i, point) in (0u32..).zip(self.points()) {
            if glob.matches(&point.name) {
                matched = true;
                selected.insert(HookPointId(i));
            }
        }
        if matched {
            return Ok(());
        }
        let near = nearest(name, self.points().map(|p| p.name.as_str()));
        Err(Error::InvalidNamesFilter {
            detail: format!("no hook point matches '{name}'; nearest names: {}", near.join(", ")),
        })
    }
}

//! What is known of a hook point before anything runs.

/// A hook point's number within its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookPointId(pub u32);

/// A hook point as its model declares it.
#[derive(Clone, Debug)]
pub struct PointInfo {
    /// Dotted name, such as `blocks.0.attn.hook_pattern`.
    pub name: String,
    /// The names of the activation's axes, such as `["batch", "head", "query", "key"]`; empty if unknown.
    pub axes: Vec<String>,
    /// Whether an unfiltered cache records it. Points that cost extra work are recorded only when named.
    pub default: bool,
}

/// Names that mean the same axis: on attention maps the query axis is the position axis.
const SYNONYMS: [&[&str]; 4] =
    [&["pos", "query", "query_pos", "position"], &["key", "key_pos"], &["head", "head_index"], &["batch", "row"]];

impl PointInfo {
    /// The place of the axis of that name or of a synonym, if the point has one.
    pub fn axis(&self, name: &str) -> Option<usize> {
        let exact = self.axes.iter().position(|a| a == name);
        exact.or_else(|| {
            let group = SYNONYMS.iter().find(|group| group.contains(&name))?;
            self.axes.iter().position(|a| group.contains(&a.as_str()))
        })
    }

    /// The position axis of an activation of that rank: the axis `pos`, or else `query`. A point that declares no axes
    /// is taken for `[batch, pos, …]`.
    pub(super) fn position_axis(&self, rank: usize) -> Option<usize> {
        let axis = if self.axes.is_empty() { Some(1) } else { self.axis("pos") };
        axis.filter(|&a| a < rank)
    }

    /// Whether the first axis holds the rows of the batch. A point that declares no axes is taken for `[batch, …]`.
    pub(super) fn has_batch_axis(&self, rank: usize) -> bool {
        rank > 0 && (self.axes.is_empty() || self.axis("batch") == Some(0))
    }
}

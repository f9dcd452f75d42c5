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

/// What is known of a point's activations in every run, so that an intervention that cannot fit or cannot take effect is
/// refused when it is attached.
#[derive(Clone, Debug, Default)]
pub struct PointBounds {
    /// The size of each of the point's axes; empty if nothing is known of any.
    pub sizes: Vec<AxisSize>,
    /// On attention maps: which keys a query may see.
    pub reach: Option<Reach>,
}

/// What is known of the size of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisSize {
    /// Nothing.
    Any,
    /// It never is larger.
    AtMost(usize),
    /// It is the same in every run.
    Exactly(usize),
}

impl AxisSize {
    /// The size that is never exceeded, if there is one.
    pub(super) fn most(self) -> Option<usize> {
        match self {
            Self::Any => None,
            Self::AtMost(size) | Self::Exactly(size) => Some(size),
        }
    }
}

/// Which keys a query may see, as far as the layer says it.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// None after itself.
    pub causal: bool,
    /// Only so many, the last of which is its own.
    pub window: Option<usize>,
}

impl Reach {
    /// Whether a query never sees a key, both by their positions.
    pub fn hides(&self, query: i64, key: i64) -> bool {
        (self.causal && key > query)
            || self.window.is_some_and(|window| key.saturating_add_unsigned(window as u64) <= query)
    }
}

impl PointBounds {
    /// What is known of the size of an axis.
    pub(super) fn size(&self, axis: usize) -> AxisSize {
        self.sizes.get(axis).copied().unwrap_or(AxisSize::Any)
    }
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

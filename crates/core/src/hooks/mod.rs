//! Hook points and who listens at them.

use crate::error::Result;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A hook point's number within its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookPointId(pub u32);

/// What is known of a hook point before anything runs.
#[derive(Clone, Debug)]
pub struct PointInfo {
    /// Dotted name, such as `blocks.0.attn.hook_pattern`.
    pub name: String,
    /// The names of the activation's axes, such as `["batch", "head", "query", "key"]`; empty if unknown.
    pub axes: Vec<String>,
    /// Whether an unfiltered cache records it. Points that cost extra work are recorded only when named.
    pub default: bool,
}

/// The hook points of one model and the hooks attached to them. Clones share both.
#[derive(Clone)]
pub struct HookRegistry(Arc<Vec<PointInfo>>);

impl HookRegistry {
    /// A registry with these points, in this order.
    pub fn new(points: Vec<PointInfo>) -> Result<Self> {
        Ok(Self(Arc::new(points)))
    }

    /// The point of that name.
    pub fn find(&self, name: &str) -> Option<HookPointId> {
        self.0.iter().position(|p| p.name == name).map(|i| HookPointId(i as u32))
    }

    /// Whether anything is attached to the point, in either direction: if not, its activation need not exist.
    pub fn observed(&self, _point: HookPointId) -> bool {
        false
    }

    /// Passes an activation through a point; gives what flows on.
    pub fn fire(&self, _point: HookPointId, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }
}

//! Reverse-mode automatic differentiation: a tape of [`Node`]s over candle tensors.
//!
//! Every differentiable operation goes through [`record`], which takes the operation's gradient rule beside its
//! result, so that an operation without a rule cannot be written by accident. A node keeps only what its rule needs.
//! Nodes are numbered in the order in which they were made and parents are always older, so backward walks from the
//! highest number down with a heap: no recursion, and dropping a graph is iterative too (a chain of a million
//! operations is fine).
//!
//! Rules work on plain candle tensors: a gradient is not itself differentiable.

mod backward;

pub(crate) use backward::current_walk;
pub use backward::{BackwardOptions, gradients};

use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maps the gradients of a node's outputs (`None`: nothing flowed there) to those of its parents.
/// The second argument says which parents need one; an entry for another parent may be `None`.
type Rule = Arc<dyn Fn(&[Option<CT>], &[bool]) -> Result<Vec<Option<CT>>> + Send + Sync>;

/// One recorded operation, or a leaf.
pub(crate) struct Node {
    id: u64,
    op: &'static str,
    outputs: usize,
    parents: Vec<Option<Edge>>,
    /// Versions of leaf parents when they were read: an update between forward and backward is an error.
    read_versions: Vec<(usize, u64)>,
    rule: Mutex<Option<Rule>>,
    leaf: bool,
    version: AtomicU64,
    /// Whether gradients of this node's outputs are kept (always, for a leaf).
    retain: Vec<AtomicBool>,
    grads: Mutex<Vec<Option<CT>>>,
}

/// Output `index` of `node`.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) node: Arc<Node>,
    pub(crate) index: usize,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static GRAD_ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// Whether operations are being recorded on this thread.
pub fn grad_enabled() -> bool {
    GRAD_ENABLED.get()
}

/// Switches recording on this thread on or off for good; gives what was set before. Prefer [`GradMode`], which restores.
pub fn set_grad_enabled(enabled: bool) -> bool {
    GRAD_ENABLED.replace(enabled)
}

/// Switches recording on this thread on or off until the guard is dropped.
#[must_use = "recording is restored when the guard is dropped"]
pub struct GradMode(bool);

impl GradMode {
    /// Sets the mode and remembers the one before.
    pub fn set(enabled: bool) -> Self {
        Self(GRAD_ENABLED.replace(enabled))
    }
}

impl Drop for GradMode {
    fn drop(&mut self) {
        GRAD_ENABLED.set(self.0);
    }
}

/// Runs `f` without recording: its results are constants.
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    let _mode = GradMode::set(false);
    f()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    fn new(op: &'static str, outputs: usize, parents: Vec<Option<Edge>>, rule: Option<Rule>) -> Self {
        let leaf = rule.is_none();
        let read_versions = parents
            .iter()
            .enumerate()
            .filter_map(|(i, p)| p.as_ref().filter(|p| p.node.leaf).map(|p| (i, p.node.version())))
            .collect();
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op,
            outputs,
            parents,
            read_versions,
            rule: Mutex::new(rule),
            leaf,
            version: AtomicU64::new(0),
            retain: (0..outputs).map(|_| AtomicBool::new(leaf)).collect(),
            grads: Mutex::new(vec![None; outputs]),
        }
    }

    /// A tensor whose gradient is asked for.
    pub(crate) fn leaf() -> Arc<Self> {
        Arc::new(Self::new("leaf", 1, Vec::new(), None))
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.leaf
    }

    pub(crate) fn op(&self) -> &'static str {
        self.op
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Notes that a leaf's data were overwritten.
    pub(crate) fn bump_version(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets whether backward keeps the gradient of an output; gives what was set before.
    pub(crate) fn set_retain(&self, index: usize, keep: bool) -> bool {
        self.retain.get(index).is_some_and(|retain| retain.swap(keep, Ordering::Relaxed))
    }

    fn retains(&self, index: usize) -> bool {
        self.retain.get(index).is_some_and(|retain| retain.load(Ordering::Relaxed))
    }

    pub(crate) fn grad(&self, index: usize) -> Option<CT> {
        lock(&self.grads).get(index).cloned().flatten()
    }

    pub(crate) fn set_grad(&self, index: usize, grad: Option<CT>) {
        if let Some(slot) = lock(&self.grads).get_mut(index) {
            *slot = grad;
        }
    }

    fn accumulate(&self, index: usize, grad: &CT) -> Result<()> {
        if let Some(slot) = lock(&self.grads).get_mut(index) {
            *slot = Some(match slot.take() {
                None => grad.clone(),
                Some(old) => old.add(grad)?,
            });
        }
        Ok(())
    }

    /// Fails if a leaf that this operation read has been overwritten since.
    fn check_versions(&self) -> Result<()> {
        for &(i, seen) in &self.read_versions {
            if self.parents[i].as_ref().is_some_and(|p| p.node.version() != seen) {
                return Err(Error::Autograd {
                    op: self.op,
                    detail: "a parameter was overwritten between forward and backward (call backward before optimizer.step())".into(),
                });
            }
        }
        Ok(())
    }
}

impl Drop for Node {
    /// Takes the chain of parents apart in a loop: a recursive drop would overflow the stack on long chains.
    fn drop(&mut self) {
        let mut stack = std::mem::take(&mut self.parents);
        while let Some(edge) = stack.pop() {
            if let Some(mut node) = edge.and_then(|e| Arc::into_inner(e.node)) {
                stack.append(&mut node.parents);
            }
        }
    }
}

/// Wraps the result of a differentiable operation of one output.
///
/// `rule(g, needs)` gives the gradient for each of `parents` from the output's gradient `g`; `needs[i]` is false
/// where parent `i` is not tracked, and its entry may then be `None`. Nothing is recorded when no parent is tracked.
pub fn record(
    op: &'static str,
    data: CT,
    parents: &[&Tensor],
    rule: impl Fn(&CT, &[bool]) -> Result<Vec<Option<CT>>> + Send + Sync + 'static,
) -> Result<Tensor> {
    only(
        op,
        record_many(op, vec![data], parents, move |grads, needs| match grads {
            [Some(g)] => rule(g, needs),
            _ => Ok(vec![None; needs.len()]),
        }),
    )
}

fn only(op: &'static str, outputs: Result<Vec<Tensor>>) -> Result<Tensor> {
    outputs?.pop().ok_or_else(|| Error::Internal { detail: format!("{op} recorded no output") })
}

/// [`record`] for the usual case of one parent.
pub fn record_unary(
    op: &'static str,
    data: CT,
    parent: &Tensor,
    rule: impl Fn(&CT) -> Result<CT> + Send + Sync + 'static,
) -> Result<Tensor> {
    record(op, data, &[parent], move |g, _| Ok(vec![Some(rule(g)?)]))
}

/// [`record`] for operations with several outputs; integer outputs are constants whatever the parents are.
pub fn record_many(
    op: &'static str,
    outputs: Vec<CT>,
    parents: &[&Tensor],
    rule: impl Fn(&[Option<CT>], &[bool]) -> Result<Vec<Option<CT>>> + Send + Sync + 'static,
) -> Result<Vec<Tensor>> {
    let mut rule = Some(rule);
    record_lazily(op, outputs, parents, &mut || rule.take().map(|rule| Arc::new(rule) as Rule))
}

/// [`record_many`], compiled once for all rules; a rule is kept only where something is recorded.
fn record_lazily(
    op: &'static str,
    outputs: Vec<CT>,
    parents: &[&Tensor],
    rule: &mut dyn FnMut() -> Option<Rule>,
) -> Result<Vec<Tensor>> {
    let of_parameter = |data: &CT| parents.iter().any(|p| p.lends_parameter_to(data));
    if !grad_enabled() || parents.iter().all(|p| p.edge().is_none()) {
        // A value without history must not change when a parameter that it is a view of is overwritten.
        let own = |data: CT| if of_parameter(&data) { data.copy() } else { Ok(data) };
        return outputs.into_iter().map(|data| Tensor::constant(own(data)?)).collect();
    }
    let edges = parents.iter().map(|p| p.edge().cloned()).collect();
    let node = Arc::new(Node::new(op, outputs.len(), edges, rule()));
    outputs
        .into_iter()
        .enumerate()
        .map(|(index, data)| {
            let shared = of_parameter(&data);
            let tensor = Tensor::constant(data)?;
            Ok(if tensor.dtype().is_float() {
                tensor.with_edge(Edge { node: Arc::clone(&node), index }, shared)
            } else {
                tensor
            })
        })
        .collect()
}

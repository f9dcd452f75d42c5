//! The walk from a result back to the leaves.

use super::{Edge, Node, lock};
use crate::error::{Error, Result};
use crate::tensor::{CT, Tensor};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How [`Tensor::backward`] treats the graph.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackwardOptions {
    /// Keep the graph for another backward pass; otherwise each node's saved tensors are freed as the walk passes.
    pub retain_graph: bool,
}

impl Tensor {
    /// Computes the gradient of this tensor (weighted by `seed`, which a one-element tensor may leave out) with respect
    /// to every leaf that it depends on, and adds it to those leaves' [`Tensor::grad`].
    ///
    /// Either everything succeeds or no leaf's gradient changes.
    pub fn backward(&self, seed: Option<&Tensor>, options: BackwardOptions) -> Result<()> {
        let edge = self.edge().ok_or_else(|| Error::Autograd {
            op: "backward",
            detail: "no tensor that led to this one requires a gradient".into(),
        })?;
        let seed = self.seed("backward", seed)?;
        let kept = walk(edge, seed, options)?;
        for (node, grads) in kept {
            for (index, grad) in grads.iter().enumerate() {
                if let Some(grad) = grad {
                    node.accumulate(index, grad)?;
                }
            }
        }
        Ok(())
    }

    /// The gradient to start from: `seed`, checked, or ones for a single element.
    fn seed(&self, op: &'static str, seed: Option<&Tensor>) -> Result<CT> {
        match seed {
            Some(seed) if seed.dims() != self.dims() => Err(Error::ShapeMismatch {
                op,
                detail: format!("gradient of shape {:?} for a tensor of shape {:?}", seed.dims(), self.dims()),
            }),
            Some(seed) => Ok(seed.data().to_dtype(self.data().dtype())?),
            None if self.elem_count() == 1 => Ok(self.data().ones_like()?),
            None => Err(Error::Autograd {
                op,
                detail: format!(
                    "a result of shape {:?} needs a gradient argument; only one-element results go without",
                    self.dims()
                ),
            }),
        }
    }
}

thread_local! {
    static WALK: Cell<u64> = const { Cell::new(0) };
}

/// The number of the backward walk running on this thread, unique in the process; 0 outside of any.
pub(crate) fn current_walk() -> u64 {
    WALK.get()
}

/// Numbers a walk while it runs; a rule may start another walk inside.
struct WalkNumber(u64);

impl WalkNumber {
    fn enter() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(WALK.replace(NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for WalkNumber {
    fn drop(&mut self) {
        WALK.set(self.0);
    }
}

type Pending = (Arc<Node>, Vec<Option<CT>>);

/// Walks the graph from newest to oldest node; gives the gradients of leaves and of nodes that retain theirs.
fn walk(root: &Edge, seed: CT, options: BackwardOptions) -> Result<Vec<Pending>> {
    let _number = WalkNumber::enter();
    let mut pending: BTreeMap<u64, Pending> = BTreeMap::new();
    add(&mut pending, root, seed)?;
    let mut kept = Vec::new();
    while let Some((_, (node, grads))) = pending.pop_last() {
        if (0..node.outputs).any(|index| node.retains(index)) {
            let retained = grads.iter().enumerate().map(|(i, grad)| grad.clone().filter(|_| node.retains(i)));
            kept.push((Arc::clone(&node), retained.collect()));
        }
        if node.is_leaf() {
            continue;
        }
        node.check_versions()?;
        let rule = if options.retain_graph { lock(&node.rule).clone() } else { lock(&node.rule).take() };
        let rule = rule.ok_or_else(|| Error::Autograd {
            op: node.op(),
            detail: "this graph was already walked and freed; pass retainGraph to walk it twice".into(),
        })?;
        let needs: Vec<bool> = node.parents.iter().map(Option::is_some).collect();
        let parent_grads = rule(&grads, &needs)?;
        if parent_grads.len() != node.parents.len() {
            return Err(Error::Internal {
                detail: format!(
                    "the gradient rule of {} gave {} gradients for {} inputs",
                    node.op(),
                    parent_grads.len(),
                    node.parents.len()
                ),
            });
        }
        for (parent, grad) in node.parents.iter().zip(parent_grads) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                add(&mut pending, parent, grad)?;
            }
        }
    }
    Ok(kept)
}

fn add(pending: &mut BTreeMap<u64, Pending>, edge: &Edge, grad: CT) -> Result<()> {
    let (_, slots) =
        pending.entry(edge.node.id).or_insert_with(|| (Arc::clone(&edge.node), vec![None; edge.node.outputs]));
    let slot = &mut slots[edge.index];
    *slot = Some(match slot.take() {
        None => grad,
        Some(old) => old.add(&grad)?,
    });
    Ok(())
}

/// Gradients of several tensors at once, kept apart from their `.grad`. Used where the caller wants values, not state.
pub fn gradients(
    output: &Tensor,
    seed: Option<&Tensor>,
    of: &[&Tensor],
    options: BackwardOptions,
) -> Result<Vec<Option<CT>>> {
    let edge = output
        .edge()
        .ok_or_else(|| Error::Autograd { op: "grad", detail: "the output requires no gradient".into() })?;
    let seed = output.seed("grad", seed)?;
    let wanted = of
        .iter()
        .map(|tensor| tensor.edge().cloned())
        .collect::<Option<Vec<Edge>>>()
        .ok_or_else(|| Error::Autograd { op: "grad", detail: "an input requires no gradient".into() })?;
    let before: Vec<bool> = wanted.iter().map(|edge| edge.node.set_retain(edge.index, true)).collect();
    let walked = walk(edge, seed, options);
    // Backwards, so that a tensor named twice gets back what it had before the first time.
    for (edge, before) in wanted.iter().zip(before).rev() {
        edge.node.set_retain(edge.index, before);
    }
    let found: HashMap<u64, Vec<Option<CT>>> = walked?.into_iter().map(|(node, grads)| (node.id, grads)).collect();
    Ok(wanted
        .iter()
        .map(|edge| found.get(&edge.node.id).and_then(|grads| grads.get(edge.index).cloned().flatten()))
        .collect())
}

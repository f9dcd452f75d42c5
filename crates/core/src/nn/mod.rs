//! The parts of a transformer that fire hooks: norm, attention, MLP, block. They hold no weights and no hooks of their
//! own; a [`Pass`] brings what one forward shares, and weights come in as arguments.
//!
//! Points are lazy: a tensor that exists only to be looked at is computed when its point is observed, and the order of
//! operations takes the shortest way otherwise.

mod activation;
mod attention;
mod attn_weights;
mod block;
mod mask;
mod mlp;
mod norm;
mod points;
mod rope_parameters;
mod rope_scaling;
mod rotary;
mod weights;

pub use activation::Activation;
pub use rope_scaling::RotaryScaling;
pub use rotary::RotaryConfig;

pub(crate) use attention::soft_cap;
pub(crate) use attn_weights::{PackedAttn, heads_side_by_side};
pub(crate) use block::block;
pub(crate) use mask::AttentionMask;
pub(crate) use norm::{branch_norm, norm};
pub(crate) use points::{BlockPoints, DecoderPoints, bounds as point_bounds};
pub(crate) use rope_parameters::{RopeContext, rope_type};
pub(crate) use rotary::Rotations;
pub(crate) use weights::{BlockWeights, NormWeights, WeightSpec, Weights, affine, weight_specs};

use crate::error::Result;
use crate::hooks::{HookPointId, HookRegistry};
use crate::models::{CacheLease, ModelConfig};
use crate::tensor::Tensor;

/// What one forward shares among all layers.
pub(crate) struct Pass<'a> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) registry: &'a HookRegistry,
    /// Which keys each query may see.
    pub(crate) mask: &'a AttentionMask,
    /// Rotations of this forward's positions, for models that have them.
    pub(crate) rotary: Option<&'a Rotations>,
    /// Position embeddings for queries and keys `[batch or 1, pos, d_model]`, for shortformers.
    pub(crate) shortformer: Option<&'a Tensor>,
    /// Keys and values of the positions before, where this forward continues a sequence.
    pub(crate) cache: Option<&'a CacheLease>,
}

impl Pass<'_> {
    pub(crate) fn fire(&self, point: HookPointId, x: Tensor) -> Result<Tensor> {
        self.registry.fire(point, x)
    }

    /// Fires a point once for each of several branches, under its name with `branch` behind it.
    pub(crate) fn fire_branch(&self, point: HookPointId, branch: Option<&str>, x: Tensor) -> Result<Tensor> {
        match branch {
            Some(branch) if self.registry.observed(point) => {
                let name = format!("{}_{branch}", self.registry.info(point)?.name);
                self.registry.fire_as(point, &name, x)
            }
            _ => self.fire(point, x),
        }
    }

    /// Fires a point that not every model has.
    pub(crate) fn fire_if(&self, point: Option<HookPointId>, x: Tensor) -> Result<Tensor> {
        match point {
            Some(point) => self.fire(point, x),
            None => Ok(x),
        }
    }

    pub(crate) fn observed(&self, point: impl Into<Option<HookPointId>>) -> bool {
        point.into().is_some_and(|point| self.registry.observed(point))
    }
}

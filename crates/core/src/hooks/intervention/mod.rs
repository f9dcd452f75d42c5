//! Interventions: edits of activations and gradients, written as data.
//!
//! An intervention is JSON, with tensors in a list beside it, so that it can be stored, sent and replayed. It runs here,
//! without a crossing into the binding's language, on tracked tensors with gradient, and at a backward hook it edits the
//! gradient. It is checked against its point when it is attached: what can be known wrong then never runs.
//!
//! ```json
//! { "kind": "scale", "factor": 0.5, "at": { "head": 3, "pos": { "start": -2 } } }
//! ```
//!
//! | kind | fields | effect on the selected part |
//! |---|---|---|
//! | `zero` | | 0 |
//! | `scale` | `factor` | times a number or tensor |
//! | `add` | `value` | plus a number or tensor |
//! | `set` | `value` | a number or tensor instead |
//! | `clamp` | `min`, `max`, either may be missing or null | values outside become the bound; NaN stays |
//! | `project_out` | `direction`: a tensor `[d]` or `[k, d]` | without its component in the span of the directions, along the last axis |
//! | `mean_ablate` | `over`: axis names, by default `["batch", "pos"]`, or `mean`: a tensor | the mean over these axes (of the whole activation), or the given mean |
//! | `patch` | `source`: a tensor that broadcasts to the whole activation | what the source has in the same place |
//! | `knock_out_edges` | `edges`: `[[query, key], …]`, `renormalise` | attention from query to key is cut: −∞ on `hook_attn_scores`, 0 on `hook_pattern`, there if wished with rows rescaled to sum 1; a gradient becomes 0 |
//!
//! A tensor is written `{ "tensor": i }`, its place in the list. The tensors of `scale`, `add`, `set` and `mean` broadcast
//! to the selected part, in which, as in indexing, an axis narrowed to a single number is gone (a shape that keeps it
//! with size 1 is taken too). They may be tracked, and then get gradients. Infinities are written `"inf"`, `"-inf"`.
//!
//! What cannot take effect is refused when it is attached: places beyond the sizes that the point's [`super::PointBounds`]
//! declare, a factor that is 1 or a value that is 0 everywhere (unless it is tracked, hence learned), edges that the layer
//! does not have.
//!
//! `at` narrows by axis name: a number, a list of numbers, or `{ "start", "stop", "step" }`; negative numbers count
//! from the end. `pos` and `query`, `head` and `head_index`, `batch` and `row` mean the same axis.

mod apply;
mod attach;
mod directions;
mod selection;

pub(super) use attach::Attached;

use crate::error::{Error, Result};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An edit and where it applies: the parsed form of the JSON that the module's documentation describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervention {
    /// What is done.
    pub edit: Edit,
    /// Where, by axis name; axes that are not named are edited whole.
    pub at: BTreeMap<String, Places>,
}

/// What an intervention does to the selected part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Becomes 0.
    Zero {},
    /// Is multiplied.
    Scale {
        /// By this.
        #[serde(alias = "by")]
        factor: Operand,
    },
    /// Is added to.
    Add {
        /// What is added.
        value: Operand,
    },
    /// Is replaced.
    Set {
        /// By this.
        value: Operand,
    },
    /// Is kept between bounds.
    Clamp {
        /// The lower bound, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<Number>,
        /// The upper bound, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<Number>,
    },
    /// Loses its component in the span of directions along the last axis.
    ProjectOut {
        /// One direction `[d]` or several `[k, d]`, of any length and not necessarily orthogonal.
        #[serde(alias = "directions")]
        direction: TensorRef,
    },
    /// Becomes a mean.
    MeanAblate {
        /// The axes averaged over, by default `batch` and `pos`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<Vec<String>>,
        /// A mean computed before, in place of the activation's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mean: Option<TensorRef>,
    },
    /// Becomes what another activation has in the same place.
    Patch {
        /// The other activation.
        #[serde(alias = "from")]
        source: TensorRef,
    },
    /// Attention edges are cut.
    KnockOutEdges {
        /// Pairs of query and key position.
        edges: Vec<(i64, i64)>,
        /// Rescale the rows that lost edges to sum 1; on patterns only.
        #[serde(default, alias = "renormalize")]
        renormalise: bool,
    },
}

/// A number that JSON may have to spell: `"inf"`, `"-inf"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Spelled", into = "Spelled")]
pub struct Number(pub f64);

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, \"inf\" or \"-inf\"")]
enum Spelled {
    Plain(f64),
    Word(String),
}

impl TryFrom<Spelled> for Number {
    type Error = String;
    fn try_from(spelled: Spelled) -> std::result::Result<Self, String> {
        match spelled {
            Spelled::Plain(x) => Ok(Self(x)),
            Spelled::Word(word) => match word.as_str() {
                "inf" => Ok(Self(f64::INFINITY)),
                "-inf" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(format!("'{word}' is no number; expected a number, \"inf\" or \"-inf\"")),
            },
        }
    }
}

impl From<Number> for Spelled {
    fn from(number: Number) -> Self {
        match number.0 {
            f64::INFINITY => Self::Word("inf".into()),
            f64::NEG_INFINITY => Self::Word("-inf".into()),
            x => Self::Plain(x),
        }
    }
}

/// A number or a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, \"inf\", \"-inf\" or { \"tensor\": index }")]
pub enum Operand {
    /// The number.
    Number(Number),
    /// The tensor.
    Tensor(TensorRef),
}

/// A tensor in the list beside the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorRef {
    /// Its place in the list.
    pub tensor: usize,
}

/// Positions along an axis; negative numbers count from the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, a list of them, or { start, stop, step }")]
pub enum Places {
    /// One position.
    One(i64),
    /// These positions, each once.
    List(Vec<i64>),
    /// A range.
    Range(PlaceRange),
}

/// The positions from `start` up to but without `stop`, every `step`-th, clamped to the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceRange {
    /// First position, by default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// First position left out, by default the size of the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<i64>,
    /// Distance, by default 1; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
}

impl Intervention {
    /// Reads the JSON form; `hook` is the point that it is meant for, to be named in errors.
    ///
    /// # Errors
    /// `invalid_intervention` for anything else than the module's documentation describes, unknown fields included.
    pub fn from_json(json: &str, hook: &str) -> Result<Self> {
        let invalid =
            |detail: String| Error::InvalidIntervention { hook: hook.to_owned(), detail: format!("JSON: {detail}") };
        let mut value: serde_json::Value = serde_json::from_str(json).map_err(|e| invalid(e.to_string()))?;
        let fields = value.as_object_mut().ok_or_else(|| invalid("expected an object".into()))?;
        let at = match fields.shift_remove("at") {
            None | Some(serde_json::Value::Null) => BTreeMap::new(),
            Some(at) => serde_json::from_value(at).map_err(|e| invalid(format!("at: {e}")))?,
        };
        let edit = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
        Ok(Self { edit, at })
    }

    /// Writes the JSON form: [`Intervention::from_json`] gives the same intervention back.
    pub fn to_json(&self) -> Result<String> {
        let failed = |e: serde_json::Error| Error::Internal { detail: e.to_string() };
        let mut value = serde_json::to_value(&self.edit).map_err(failed)?;
        if let Some(fields) = value.as_object_mut()
            && !self.at.is_empty()
        {
            fields.insert("at".into(), serde_json::to_value(&self.at).map_err(failed)?);
        }
        serde_json::to_string(&value).map_err(failed)
    }
}

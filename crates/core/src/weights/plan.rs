//! Which steps there are, and which of them keep what a model computes.

use crate::error::{Error, Result, nearest};
use crate::models::{ModelConfig, Positions};
use std::fmt;

/// One way of rewriting weights. The names are those of the reference's flags, in camelCase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    FoldLn,
    CenterWritingWeights,
    CenterUnembed,
    FoldValueBiases,
    RefactorFactoredAttnMatrices,
}

impl Step {
    /// All of them, in the order in which they are done.
    pub const ALL: [Self; 5] = [
        Self::FoldLn,
        Self::CenterWritingWeights,
        Self::CenterUnembed,
        Self::FoldValueBiases,
        Self::RefactorFactoredAttnMatrices,
    ];

    /// Its name, such as `foldLn`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FoldLn => "foldLn",
            Self::CenterWritingWeights => "centerWritingWeights",
            Self::CenterUnembed => "centerUnembed",
            Self::FoldValueBiases => "foldValueBiases",
            Self::RefactorFactoredAttnMatrices => "refactorFactoredAttnMatrices",
        }
    }

    /// The step of that name.
    ///
    /// # Errors
    /// `invalid_argument` with the nearest name.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name).ok_or_else(|| Error::InvalidArgument {
            op: "process",
            detail: format!(
                "there is no step '{name}'; nearest: {:?}",
                nearest(name, Self::ALL.into_iter().map(Self::name))
            ),
        })
    }
}

/// A set of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps(u8);

impl Steps {
    /// What the reference does unless it is told otherwise: all but refactoring attention.
    pub fn usual() -> Self {
        Step::ALL.into_iter().filter(|step| *step != Step::RefactorFactoredAttnMatrices).collect()
    }

    /// Whether a step is among them.
    pub fn contains(self, step: Step) -> bool {
        self.0 & Self::bit(step) != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The steps in either set.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The steps, in order.
    pub fn iter(self) -> impl Iterator<Item = Step> {
        Step::ALL.into_iter().filter(move |step| self.contains(*step))
    }

    fn bit(step: Step) -> u8 {
        1 << step as u8
    }
}

impl FromIterator<Step> for Steps {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().fold(0, |bits, step| bits | Self::bit(step)))
    }
}

/// A step that was asked for and not done.
pub(crate) struct Skipped {
    step: Step,
    /// Why it would have changed what the model computes.
    reason: &'static str,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was left out: {}", self.step.name(), self.reason)
    }
}

/// Splits the steps that were asked for into those to do and those that this model cannot have without computing
/// something else.
///
/// # Errors
/// `not_supported_on_this_model` for factors that cannot be changed at all.
pub(super) fn plan(config: &ModelConfig, asked: Steps) -> Result<(Steps, Vec<Skipped>)> {
    let mut skipped = Vec::new();
    let mut done = Vec::new();
    for step in asked.iter() {
        match obstacle(config, step) {
            None => done.push(step),
            Some(reason) if step == Step::RefactorFactoredAttnMatrices => {
                return Err(Error::NotSupportedOnThisModel { feature: step.name().into(), reason: reason.into() });
            }
            Some(reason) => skipped.push(Skipped { step, reason }),
        }
    }
    Ok((done.into_iter().collect(), skipped))
}

/// Why a step would change what the model computes, if it would.
fn obstacle(config: &ModelConfig, step: Step) -> Option<&'static str> {
    let centered = config.normalization.is_some_and(|kind| kind.centered);
    let shortformer = config.positions == Positions::Shortformer;
    match step {
        Step::FoldLn | Step::CenterWritingWeights | Step::CenterUnembed if shortformer => {
            Some("a shortformer adds positions behind the norm, to what queries and keys read")
        }
        Step::CenterWritingWeights if !centered => {
            Some("only LayerNorm ignores the mean of the residual stream; this model's norms do not subtract it")
        }
        Step::CenterWritingWeights if config.final_rms => {
            Some("the last norm does not subtract the mean of the residual stream")
        }
        Step::CenterUnembed if config.output_logits_soft_cap.is_some() => {
            Some("the soft cap on the logits does not ignore a shift of all of them")
        }
        Step::RefactorFactoredAttnMatrices if matches!(config.positions, Positions::Rotary(_)) => {
            Some("queries and keys are rotated between their two factors")
        }
        Step::RefactorFactoredAttnMatrices if config.n_heads != config.n_key_value_heads => {
            Some("heads that share keys and values cannot have factors of their own")
        }
        _ => None,
    }
}

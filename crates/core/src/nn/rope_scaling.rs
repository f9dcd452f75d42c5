//! How rotary positions are stretched beyond the context that they were trained for.
//!
//! Speeds are computed in single precision and in the order of operations of transformers: at large positions another
//! rounding of a speed is another angle.

use std::f64::consts::TAU;

/// How the rotation is slowed down beyond the context it was trained for.
#[derive(Clone, Debug, PartialEq)]
pub enum RotaryScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor (<https://arxiv.org/abs/2306.15595>).
    Linear(f64),
    /// Slow pairs divided by a factor, fast ones kept, a ramp between, as in Llama 3.1.
    ByParts {
        /// What slow pairs are divided by.
        factor: f64,
        /// Pairs of fewer turns within the original context count as slow.
        low_freq_factor: f64,
        /// Pairs of more turns count as fast.
        high_freq_factor: f64,
        /// The original context, in tokens.
        original_ctx: f64,
    },
    /// A base that grows with the sequence once it is longer than the original context ("dynamic NTK"). The rotation of
    /// every position then depends on the length of the longest row.
    Dynamic {
        /// How fast the base grows.
        factor: f64,
        /// The original context, in tokens.
        original_ctx: f64,
    },
    /// YaRN (<https://arxiv.org/abs/2309.00071>).
    Yarn {
        /// What slow pairs are divided by.
        factor: f64,
        /// Pairs of more turns within the original context are kept.
        beta_fast: f64,
        /// Pairs of fewer turns are divided by the whole factor.
        beta_slow: f64,
        /// The original context, in tokens.
        original_ctx: f64,
        /// Whether the ramp between the two starts and ends at whole pairs.
        truncate: bool,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
    },
    /// LongRoPE (<https://arxiv.org/abs/2402.13753>): a divisor for each pair, from one list up to the original context
    /// and from another beyond it.
    LongRope {
        /// Divisors for sequences within the original context: one for each pair, or one for all.
        short: Vec<f64>,
        /// Divisors for longer sequences.
        long: Vec<f64>,
        /// The original context, in tokens.
        original_ctx: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
    },
    /// Only the fastest pairs of the head turn, divided by a factor; the others stand still.
    Proportional {
        /// What the speeds are divided by.
        factor: f64,
        /// How many pairs turn.
        pairs: usize,
    },
}

impl RotaryScaling {
    /// What cosines and sines are multiplied by.
    pub fn attention_factor(&self) -> f64 {
        match self {
            Self::Yarn { attention_factor, .. } | Self::LongRope { attention_factor, .. } => *attention_factor,
            _ => 1.0,
        }
    }

    /// Whether the speeds depend on how long the sequence is.
    pub fn depends_on_length(&self) -> bool {
        matches!(self, Self::Dynamic { .. } | Self::LongRope { .. })
    }

    /// Radians a position, for each of `pairs` pairs, in a sequence of `length` tokens. Unscaled, pair `m` turns by
    /// `base^(-2m/period)`.
    pub(super) fn speeds(&self, base: f64, period: usize, pairs: usize, length: usize) -> Vec<f32> {
        let inverse = |base: f32| move |m: usize| base.powf((2 * m) as f32 / period as f32);
        let inverse_speed = inverse(base as f32);
        let each = |speed: &dyn Fn(usize) -> f32| (0..pairs).map(speed).collect();
        match self {
            Self::None => each(&|m| 1.0 / inverse_speed(m)),
            Self::Linear(factor) => each(&|m| 1.0 / inverse_speed(m) / *factor as f32),
            Self::ByParts { factor, low_freq_factor, high_freq_factor, original_ctx } => {
                let parts = Parts { factor: *factor, low: *low_freq_factor, high: *high_freq_factor };
                each(&|m| parts.speed(1.0 / inverse_speed(m), *original_ctx))
            }
            Self::Dynamic { factor, original_ctx } => {
                let grown = match length as f64 > *original_ctx {
                    true => grown_base(base, *factor, *original_ctx, period, length),
                    false => base as f32,
                };
                let inverse_speed = inverse(grown);
                each(&|m| 1.0 / inverse_speed(m))
            }
            Self::Yarn { factor, beta_fast, beta_slow, original_ctx, truncate, .. } => {
                let turns = |n: f64| period as f64 * (original_ctx / (n * TAU)).ln() / (2.0 * base.ln());
                let (low, high) = (turns(*beta_fast), turns(*beta_slow));
                let (low, high) = if *truncate { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(period as f64 - 1.0));
                // A ramp of no width would divide by zero.
                let width = if low == high { 0.001 } else { high - low };
                // Of an odd number of features the last pair has no step of its own.
                let last = (period / 2).saturating_sub(1);
                each(&|m| {
                    let kept = 1.0 - ((m.min(last) as f32 - low as f32) / width as f32).clamp(0.0, 1.0);
                    let slow = 1.0 / (*factor as f32 * inverse_speed(m));
                    slow * (1.0 - kept) + 1.0 / inverse_speed(m) * kept
                })
            }
            Self::LongRope { short, long, original_ctx, .. } => {
                let divisors = if length as f64 > *original_ctx { long } else { short };
                let divisor = |m: usize| divisors.get(m).or_else(|| divisors.first()).copied().unwrap_or(1.0) as f32;
                each(&|m| 1.0 / (divisor(m) * inverse_speed(m)))
            }
            Self::Proportional { factor, pairs: turning } => {
                each(&|m| if m < *turning { 1.0 / inverse_speed(m) / *factor as f32 } else { 0.0 })
            }
        }
    }
}

struct Parts {
    factor: f64,
    low: f64,
    high: f64,
}

impl Parts {
    fn speed(&self, speed: f32, original_ctx: f64) -> f32 {
        let wavelength = std::f32::consts::TAU / speed;
        let slow = speed / self.factor as f32;
        if wavelength > (original_ctx / self.low) as f32 {
            slow
        } else if wavelength < (original_ctx / self.high) as f32 {
            speed
        } else {
            let fast = (original_ctx as f32 / wavelength - self.low as f32) / (self.high - self.low) as f32;
            (1.0 - fast) * speed / self.factor as f32 + fast * speed
        }
    }
}

fn grown_base(base: f64, factor: f64, original_ctx: f64, period: usize, length: usize) -> f32 {
    let growth = factor as f32 * length as f32 / original_ctx as f32 - (factor - 1.0) as f32;
    base as f32 * growth.powf((period as f64 / (period as f64 - 2.0)) as f32)
}

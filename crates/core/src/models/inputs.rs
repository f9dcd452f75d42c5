//! Checks what comes into a forward, before any compute.

use super::ModelConfig;
use crate::device::DType;
use crate::error::{Error, Result};
use crate::nn::RotaryConfig;
use crate::tensor::Tensor;

const OP: &str = "forward";

/// Token ids `[batch, pos]`, checked; one axis means a batch of one.
pub(super) struct Tokens {
    /// `[batch, pos]`, as they came.
    pub(super) tensor: Tensor,
    /// Row-major.
    pub(super) ids: Vec<i64>,
    pub(super) batch: usize,
    pub(super) pos: usize,
}

impl Tokens {
    /// # Errors
    /// `wrong_dtype` for anything but integers; `rank_mismatch`; `token_out_of_range`; `context_length`;
    /// `shape_mismatch` for no tokens at all.
    pub(super) fn new(tokens: &Tensor, config: &ModelConfig, d_vocab: usize) -> Result<Self> {
        if !tokens.dtype().is_int() {
            return Err(Error::WrongDtype {
                op: OP,
                expected: "integer token ids".into(),
                got: tokens.dtype().name().into(),
            });
        }
        let tensor = match tokens.rank() {
            1 => tokens.unsqueeze(0)?,
            2 => tokens.clone(),
            _ => {
                return Err(Error::RankMismatch {
                    op: OP,
                    detail: format!("token ids have shape [batch, pos] or [pos], got {:?}", tokens.dims()),
                });
            }
        };
        let (batch, pos) = (tensor.dims()[0], tensor.dims()[1]);
        check_length(batch, pos, config)?;
        let ids = tensor.to_vec::<i64>()?;
        check_ids(&ids, d_vocab)?;
        Ok(Self { tensor, ids, batch, pos })
    }
}

pub(super) fn check_ids(ids: &[i64], d_vocab: usize) -> Result<()> {
    match ids.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= d_vocab)) {
        Some(&id) => Err(Error::TokenOutOfRange { id, d_vocab }),
        None => Ok(()),
    }
}

fn check_length(batch: usize, pos: usize, config: &ModelConfig) -> Result<()> {
    if batch == 0 || pos == 0 {
        let detail = format!("at least one token is needed, got shape [{batch}, {pos}]");
        return Err(Error::ShapeMismatch { op: OP, detail });
    }
    config.check_context(pos)
}

/// A residual stream `[batch, pos, d_model]` to start from, checked.
pub(super) fn residual(x: &Tensor, config: &ModelConfig, dtype: DType) -> Result<Tensor> {
    let [batch, pos, width] = *x.dims() else {
        return Err(Error::RankMismatch {
            op: OP,
            detail: format!("with startAtLayer the input is a residual [batch, pos, d_model], got {:?}", x.dims()),
        });
    };
    if width != config.d_model {
        return Err(Error::ShapeMismatch {
            op: OP,
            detail: format!("the residual is {width} wide, the model has d_model = {}", config.d_model),
        });
    }
    check_length(batch, pos, config)?;
    if !x.dtype().is_float() {
        return Err(Error::WrongDtype { op: OP, expected: "a float residual".into(), got: x.dtype().name().into() });
    }
    x.to_dtype(dtype)
}

/// An attention mask `[batch, pos]` of ones (keep) and zeros, checked; row-major, true to keep. After `past` cached
/// positions it may cover those too, `[batch, past + pos]`.
pub(super) fn attention_mask(mask: &Tensor, batch: usize, pos: usize, past: usize) -> Result<Vec<bool>> {
    let dims: &[usize] = match mask.dims() {
        [n] if batch == 1 => &[1, *n],
        other => other,
    };
    if dims != [batch, pos] && dims != [batch, past + pos] {
        let cached =
            if past > 0 { format!(", or with the cached ones [{batch}, {}]", past + pos) } else { String::new() };
        let detail =
            format!("the attention mask has shape {:?}, the tokens have [{batch}, {pos}]{cached}", mask.dims());
        return Err(Error::ShapeMismatch { op: OP, detail });
    }
    mask.to_vec::<f64>()?
        .into_iter()
        .map(|x| match x {
            1.0 => Ok(true),
            0.0 => Ok(false),
            other => Err(Error::InvalidArgument {
                op: OP,
                detail: format!("an attention mask holds 1 (keep) and 0 (padding), got {other}"),
            }),
        })
        .collect()
}

/// `blocks[start..stop]` with the semantics of an array slice: negative numbers count from the end, and what lies
/// beyond an end means that end.
pub(super) fn layer_range(start: Option<i64>, stop: Option<i64>, n_layers: usize) -> (usize, usize) {
    let n = n_layers as i64;
    let resolve = |layer: i64| (if layer < 0 { layer.saturating_add(n) } else { layer }).clamp(0, n) as usize;
    let start = start.map_or(0, resolve);
    (start, stop.map_or(n_layers, resolve).max(start))
}

/// The position of each of `pos` tokens after `past` others: with padding (`keep` is `[batch, past + pos]`), the number of
/// kept tokens before it (0 within leading padding).
pub(super) fn positions(keep: Option<&[bool]>, past: usize, pos: usize) -> Vec<u32> {
    match keep {
        None => (past as u32..(past + pos) as u32).collect(),
        Some(keep) => keep
            .chunks(past + pos)
            .flat_map(|row| {
                let counted = row.iter().scan(0u32, |seen, &kept| {
                    *seen += u32::from(kept);
                    Some(seen.saturating_sub(1))
                });
                counted.skip(past)
            })
            .collect(),
    }
}

/// Fails where the rotation of `past` cached positions changes when the others come; `positions` are those of all
/// `total`, row after row.
pub(super) fn check_rotation(rotary: &RotaryConfig, positions: &[u32], past: usize, total: usize) -> Result<()> {
    let length = |count: usize| {
        let last = positions.chunks(total).filter_map(|row| row.get(..count)?.last());
        last.max().map_or(0, |&last| last as usize + 1)
    };
    if past == 0 || !rotary.rotation_changes(length(past), length(total)) {
        return Ok(());
    }
    let detail = format!(
        "with {total} positions the rotation of the {past} cached ones is another; clear the cache and give all tokens"
    );
    Err(Error::InvalidArgument { op: OP, detail })
}

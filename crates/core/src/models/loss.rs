//! Next-token cross-entropy.

use crate::device::DType;
use crate::error::{Error, Result};
use crate::tensor::{CT, ClassLoss, Reduction, Tensor};

/// Marks a prediction that does not count.
const IGNORED: i64 = -1;

/// The loss of predicting each next token, from `logits` `[batch, pos, d_vocab]` and `tokens`, row-major
/// `[batch, pos]`. A prediction counts if neither its token nor the next is masked (`keep` `[batch, pos]`). Gives the
/// mean over those that count, or with `per_token` all of them, `[batch, pos - 1]` with zeros for the rest. Computed in
/// at least `f32`.
///
/// # Errors
/// `invalid_argument` for the mean if no prediction counts.
pub(super) fn next_token_loss(
    logits: &Tensor,
    tokens: &[i64],
    keep: Option<&[bool]>,
    per_token: bool,
) -> Result<Tensor> {
    let [batch, pos, d_vocab] = *logits.dims() else {
        return Err(Error::Internal { detail: format!("logits of shape {:?}", logits.dims()) });
    };
    if batch * pos != tokens.len() {
        let detail = format!("logits of shape {:?} do not fit {} tokens", logits.dims(), tokens.len());
        return Err(Error::ShapeMismatch { op: "loss", detail });
    }
    let predicted = pos.saturating_sub(1);
    let counts = |i: usize| i % pos != predicted && keep.is_none_or(|keep| keep[i] && keep[i + 1]);
    // The last position predicts nothing: ignoring it is cheaper than cutting it off, here and in the gradient.
    let next: Vec<i64> = (0..batch * pos).map(|i| if counts(i) { tokens[i + 1] } else { IGNORED }).collect();
    if !per_token && next.iter().all(|&token| token == IGNORED) {
        return Err(Error::InvalidArgument {
            op: "forward",
            detail: "the attention mask leaves no pair of neighbouring tokens to take a loss of".into(),
        });
    }
    let next = Tensor::constant(CT::from_vec(next, batch * pos, logits.data().device())?)?;
    let wide = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let rows = logits.reshape(&[-1, d_vocab as i64])?.to_dtype(wide)?;
    let reduction = if per_token { Reduction::None } else { Reduction::Mean };
    let loss = rows.cross_entropy(&next, ClassLoss { reduction, ignore_index: IGNORED, label_smoothing: 0.0 })?;
    if per_token { loss.reshape(&[batch as i64, pos as i64])?.narrow(1, 0, predicted) } else { Ok(loss) }
}

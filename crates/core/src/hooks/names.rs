//! Short names of hook points, as interpretability researchers write them: `k6`, `resid_pre2`, `scale4ln1`.

/// The full name that a short one stands for. A name with a dot, or one that starts with `hook_`, stands for itself.
pub fn canonical_name(name: &str) -> String {
    act_name(name, None, None)
}

/// The full name of an activation: `("k", Some(6), None)` is `blocks.6.attn.hook_k`.
///
/// `name` may carry the layer and its part itself (`k6`, `scale4ln1`), which then count instead of the arguments. The part
/// is implied for what exists only in attention or only in the MLP. The result need not exist in a given model.
pub fn act_name(name: &str, layer: Option<u64>, part: Option<&str>) -> String {
    if layer.is_none() && part.is_none() && (name.contains('.') || name.starts_with("hook_")) {
        return name.to_owned();
    }
    let (name, layer, part) = shorthand(name).unwrap_or((name, layer, part.unwrap_or("")));
    let part = match part {
        "a" | "attention" => "attn",
        "m" => "mlp",
        "b" | "block" | "blocks" => "",
        other => other,
    };
    let name = match name {
        "attn" => "pattern",
        "attn_logits" => "attn_scores",
        "key" => "k",
        "query" => "q",
        "value" => "v",
        "mlp_pre" => "pre",
        "mlp_mid" => "mid",
        "mlp_post" => "post",
        other => other,
    };
    let part = match name {
        "k" | "v" | "q" | "z" | "rot_k" | "rot_q" | "result" | "pattern" | "attn_scores" => "attn",
        "pre" | "post" | "mid" | "pre_linear" => "mlp",
        _ => part,
    };
    let mut full = match layer {
        Some(layer) => format!("blocks.{layer}."),
        None if matches!(name, "scale" | "normalized") => "ln_final.".to_owned(),
        None => String::new(),
    };
    if !part.is_empty() {
        full.push_str(part);
        full.push('.');
    }
    full.push_str("hook_");
    full.push_str(name);
    full
}

/// The short name of a point, which stands for it: that of `blocks.6.attn.hook_k` is `k6`. Nothing for a name that no short
/// one stands for.
pub(super) fn short_name(full: &str) -> Option<String> {
    let (layer, rest) = match full.strip_prefix("blocks.") {
        Some(rest) => rest.split_once('.')?,
        None => ("", full),
    };
    let (part, point) = rest.rsplit_once('.').unwrap_or(("", rest));
    let name = point.strip_prefix("hook_")?;
    let short = [format!("{name}{layer}"), format!("{name}{layer}{part}")];
    short.into_iter().find(|short| canonical_name(short) == full)
}

/// Splits `scale4ln1` into `scale`, 4 and `ln1`.
fn shorthand(text: &str) -> Option<(&str, Option<u64>, &str)> {
    let (name, rest) = text.split_at(text.find(|c: char| !(c.is_ascii_lowercase() || c == '_'))?);
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (layer, part) = rest.split_at(digits);
    if name.is_empty() { None } else { Some((name, Some(layer.parse().ok()?), part)) }
}

//! What can go wrong, as data: a variant a cause, fields that say what was expected and what came, and a
//! stable code that callers in any language can test for. Nothing in this crate panics on bad input.

use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! errors {
    ($( $(#[$doc:meta])* $variant:ident $code:literal { $($field:ident : $ty:ty),* $(,)? } => $message:literal ;)*) => {
        /// Everything that an operation of this crate can fail with.
        #[derive(Debug, thiserror::Error)]
        #[non_exhaustive]
        pub enum Error {
            $( $(#[$doc])* #[error($message)] $variant {
                $( #[doc = concat!("See the message of `", $code, "`.")] $field: $ty ),*
            }, )*
            /// The tensor library below failed where our own checks had not foreseen it.
            #[error("tensor backend: {}", cause(.0))]
            Backend(#[from] candle_core::Error),
        }

        impl Error {
            /// Every code that [`Error::code`] can give.
            pub const CODES: &[&str] = &[$( $code, )* "backend"];

            /// The stable, machine-readable name of the cause, such as `shape_mismatch`.
            pub fn code(&self) -> &'static str {
                match self { $( Self::$variant { .. } => $code, )* Self::Backend(_) => "backend" }
            }

            /// The structured fields as JSON, for callers that cannot match on the variant.
            pub fn details(&self) -> serde_json::Value {
                match self {
                    $( Self::$variant { $($field),* } => serde_json::json!({ $( stringify!($field): $field ),* }), )*
                    Self::Backend(_) => serde_json::json!({}),
                }
            }
        }
    };
}

errors! {
    /// Shapes that do not fit one another.
    ShapeMismatch "shape_mismatch" { op: &'static str, detail: String } => "{op}: {detail}";
    /// A tensor with too few or too many axes.
    RankMismatch "rank_mismatch" { op: &'static str, detail: String } => "{op}: {detail}";
    /// An axis number outside the tensor's rank.
    DimOutOfRange "dim_out_of_range" { op: &'static str, dim: i64, rank: usize }
        => "{op}: dim {dim} is outside a tensor of rank {rank} (allowed: -{rank} to {rank} - 1)";
    /// An index beyond the axis it points into.
    IndexOutOfRange "index_out_of_range" { op: &'static str, index: i64, size: usize }
        => "{op}: index {index} is outside an axis of size {size}";
    /// A reshape that would gain or lose elements.
    ElementCount "element_count" { op: &'static str, detail: String } => "{op}: {detail}";
    /// A reduction that has no answer over no elements.
    EmptyReduction "empty_reduction" { op: &'static str, detail: String } => "{op}: {detail}";
    /// A setting outside its allowed values.
    InvalidArgument "invalid_argument" { op: &'static str, detail: String } => "{op}: {detail}";
    /// A view that the memory layout cannot give without copying.
    NeedsCopy "needs_copy" { op: &'static str, detail: String } => "{op}: {detail}";
    /// A dtype that the operation does not take.
    WrongDtype "wrong_dtype" { op: &'static str, expected: String, got: String }
        => "{op}: expected {expected}, got {got}";
    /// A matrix without inverse.
    SingularMatrix "singular_matrix" { op: &'static str } => "{op}: the matrix is singular";
    /// An integer divided by zero.
    DivisionByZero "division_by_zero" { op: &'static str } => "{op}: integer division by zero";
    /// A gradient that cannot be computed.
    Autograd "autograd" { op: &'static str, detail: String } => "{op}: {detail}";
    /// An operation name that the engine does not have.
    UnknownOp "unknown_op" { name: String, suggestions: Vec<String> }
        => "no operation is called '{name}'; nearest: {suggestions:?}";

    /// A hook-point name that the model does not have.
    UnknownHook "unknown_hook" { name: String, suggestions: Vec<String> }
        => "no hook point is called '{name}'; nearest: {suggestions:?}";
    /// A names filter that no point satisfies, or of a form that is not understood.
    InvalidNamesFilter "invalid_names_filter" { detail: String } => "names filter: {detail}";
    /// A tensor returned by a hook that cannot stand in for the activation.
    HookShape "hook_shape" { hook: String, expected: Vec<usize>, got: Vec<usize> }
        => "hook at '{hook}' returned shape {got:?} in place of {expected:?}";
    /// A tensor returned by a hook with another dtype than the activation.
    HookDtype "hook_dtype" { hook: String, expected: String, got: String }
        => "hook at '{hook}' returned dtype {got} in place of {expected}";
    /// An intervention that does not fit the point it is attached to.
    InvalidIntervention "invalid_intervention" { hook: String, detail: String } => "intervention at '{hook}': {detail}";
    /// Hooks that run the model from inside hooks, without end.
    HooksNestedTooDeep "hooks_nested_too_deep" { hook: String, limit: usize }
        => "hooks nest more than {limit} deep at '{hook}': a hook that runs the model must not trigger itself";
    /// A hook function threw; the binding holds what was thrown and rethrows it.
    Callback "callback" { hook: String } => "the function hooked at '{hook}' threw";
    /// Something needs a one-element result.
    ScalarRequired "scalar_required" { op: &'static str, got: Vec<usize> }
        => "{op}: needs a one-element output, got shape {got:?}; use returnType 'loss' or reduce it first";

    /// A configuration value that makes no sense, or that is not implemented and changes the numbers.
    UnsupportedConfig "unsupported_config" { key: String, detail: String } => "config key '{key}': {detail}";
    /// A model architecture that is not implemented.
    UnsupportedArchitecture "unsupported_architecture" { got: String, supported: Vec<String> }
        => "architecture '{got}' is not supported; supported: {supported:?}";
    /// Something that was asked to stop before its end.
    Cancelled "cancelled" { op: &'static str } => "{op}: was cancelled";
    /// Something that this model cannot have, whatever it is given.
    NotSupportedOnThisModel "not_supported_on_this_model" { feature: String, reason: String }
        => "{feature}: not possible on this model: {reason}";
    /// A sequence longer than the model's context.
    ContextLength "context_length" { required: usize, n_ctx: usize }
        => "the sequence needs {required} positions, the model has n_ctx = {n_ctx}";
    /// A token id outside the vocabulary.
    TokenOutOfRange "token_out_of_range" { id: i64, d_vocab: usize }
        => "token id {id} is outside the vocabulary of {d_vocab} tokens (allowed: 0 to {d_vocab} - 1)";
    /// A weight that is missing, superfluous, or of another shape than the config asks for.
    /// `name` is the first of `names`.
    WeightMismatch "weight_mismatch" { name: String, detail: String, names: Vec<String> } => "weight '{name}': {detail}";
    /// Something that needs files, where there are none.
    NoFileSystem "no_file_system" { path: PathBuf }
        => "{path:?}: this engine runs in WebAssembly, which has no files; read the file outside and give the engine its bytes";
    /// A file that is not there.
    MissingFile "missing_file" { path: PathBuf, detail: String } => "{path:?}: {detail}";
    /// A file whose content is not what it claims to be.
    InvalidFile "invalid_file" { path: PathBuf, detail: String } => "{path:?}: {detail}";

    /// More tensor memory than the limit that was set.
    MemoryLimit "memory_limit" { what: String, requested: usize, live: usize, limit: usize }
        => "{what} do not fit: {requested} bytes beside the {live} that are held are over the limit of {limit}; free tensors with `using`, `dispose()` or `tidy()`, or raise the limit";
    /// A handle whose tensor was given back.
    Disposed "disposed" { what: String } => "this {what} was disposed; nothing can use it after dispose(), or after the `using` block or `tidy` that it was made in";
    /// A device that this build or machine does not have.
    DeviceUnavailable "device_unavailable" { device: String, detail: String } => "device '{device}': {detail}";
    /// A broken invariant of this crate: please report it.
    Internal "internal" { detail: String } => "internal error: {detail}";
}

/// What went wrong, without the backtraces that candle appends where `RUST_BACKTRACE` is set.
fn cause(error: &candle_core::Error) -> String {
    use candle_core::Error as Candle;
    match error {
        Candle::WithBacktrace { inner, .. } => cause(inner),
        Candle::Context { inner, context } => format!("{context}: {}", cause(inner)),
        Candle::WithPath { inner, path } => format!("{}: {}", path.display(), cause(inner)),
        other => other.to_string(),
    }
}

impl Error {
    /// A [`Error::WeightMismatch`] of one weight.
    pub(crate) fn weight_mismatch(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let name = name.into();
        Self::WeightMismatch { names: vec![name.clone()], name, detail: detail.into() }
    }
}

/// The names of `known` nearest to `name`, best first, for error messages.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    nearest_three(known.into_iter().map(|k| (strsim::jaro_winkler(name, k), k)).collect())
}

fn nearest_three(mut scored: Vec<(f64, &str)>) -> Vec<String> {
    crate::order::sort_by_key(&mut scored, |(score, _)| !crate::order::float_key(*score));
    scored.into_iter().take(3).map(|(_, k)| k.to_owned()).collect()
}

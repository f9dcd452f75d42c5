//! The fixture files, read and turned into tensors and arguments.

use hooklens_core::ops::{Arg, call_named};
use hooklens_core::tensor::{CT, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

pub(crate) type Attrs = serde_json::Map<String, Value>;

#[derive(Deserialize)]
pub(crate) struct File {
    case_count: usize,
    fail_case_count: usize,
    pub(crate) cases: Vec<Case>,
    pub(crate) fail_cases: Vec<FailCase>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) attrs: Attrs,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    #[serde(default)]
    pub(crate) weights: Vec<Option<String>>,
    pub(crate) grads: Option<Vec<Grad>>,
    #[serde(default)]
    pub(crate) tol: HashMap<String, Tolerance>,
    #[serde(default)]
    pub(crate) signed_zero: bool,
    #[serde(default = "once")]
    pub(crate) backward_passes: usize,
}

fn once() -> usize {
    1
}

#[derive(Deserialize)]
pub(crate) struct FailCase {
    pub(crate) id: String,
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) attrs: Attrs,
    pub(crate) inputs: Vec<Input>,
    pub(crate) error: ExpectedError,
}

#[derive(Deserialize)]
pub(crate) struct ExpectedError {
    pub(crate) kind: String,
    pub(crate) words: String,
}

#[derive(Deserialize)]
pub(crate) struct Input {
    pub(crate) key: String,
    pub(crate) dtype: String,
    #[serde(default)]
    pub(crate) prep: Vec<Prep>,
}

/// An operation that gives the stored tensor the memory layout that the case is about.
#[derive(Deserialize)]
pub(crate) struct Prep {
    op: String,
    #[serde(default)]
    attrs: Attrs,
}

#[derive(Deserialize)]
pub(crate) struct Output {
    pub(crate) key: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
}

#[derive(Deserialize)]
pub(crate) struct Grad {
    pub(crate) input: usize,
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) none: bool,
}

#[derive(Deserialize, Clone, Copy, Default)]
pub(crate) struct Tolerance {
    pub(crate) rtol: f64,
    pub(crate) atol: f64,
}

/// A tensor as its file holds it.
struct Stored {
    dtype: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

pub(crate) struct Fixtures {
    pub(crate) file: File,
    tensors: HashMap<String, Stored>,
    only: Option<HashSet<String>>,
}

impl Fixtures {
    pub(crate) fn load() -> Self {
        let folder = folder();
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let file = serde_json::from_slice(&read("ops.json")).expect("ops.json has the form of its README");
        let only = std::env::var("HOOKLENS_OPS").ok().map(|ops| ops.split(',').map(|s| s.trim().to_owned()).collect());
        let bytes = read("ops.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("ops.safetensors is a safetensors file").tensors();
        let stored = |view: &TensorView<'_>| Stored {
            dtype: view.dtype(),
            dims: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        Self { file, tensors: tensors.iter().map(|(key, view)| (key.clone(), stored(view))).collect(), only }
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.file.case_count, self.file.fail_case_count)
    }

    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.file.cases.iter().filter(|c| self.wanted(&c.op))
    }

    pub(crate) fn fail_cases(&self) -> impl Iterator<Item = &FailCase> {
        self.file.fail_cases.iter().filter(|c| self.wanted(&c.op))
    }

    fn wanted(&self, op: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(op))
    }

    /// The stored tensor of that key; fixtures say `bool` where the file says `u8`.
    pub(crate) fn tensor(&self, key: &str, dtype: &str) -> Tensor {
        let Stored { dtype: stored, dims, bytes } =
            self.tensors.get(key).unwrap_or_else(|| panic!("ops.safetensors has no tensor '{key}'"));
        match (stored, dtype) {
            (Dtype::F32, "float32") => Tensor::from_slice(&numbers(bytes, f32::from_le_bytes), dims),
            (Dtype::I64, "int64") => Tensor::from_slice(&numbers(bytes, i64::from_le_bytes), dims),
            (Dtype::U8 | Dtype::BOOL, "bool") => {
                Tensor::mask(CT::from_slice(bytes, dims.as_slice(), &candle_core::Device::Cpu).unwrap())
            }
            (stored, wanted) => panic!("{key} is stored as {stored:?}, the case says {wanted}"),
        }
        .unwrap()
    }
}

fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let golden = std::env::var_os("HOOKLENS_GOLDEN").unwrap_or_else(|| "tests/fixtures/golden".into());
    root.join(golden).join("ops")
}

fn numbers<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

impl Input {
    /// Applies the layout operations to the stored tensor.
    pub(crate) fn prepare(&self, stored: &Tensor) -> Result<Tensor, String> {
        self.prep.iter().try_fold(stored.clone(), |x, prep| {
            let mut outputs = run(&prep.op, &[x], &prep.attrs).map_err(|e| format!("prep {}: {e}", prep.op))?;
            outputs.pop().ok_or_else(|| format!("prep {} gave nothing", prep.op))
        })
    }
}

/// Runs an operation with settings as the fixtures write them.
pub(crate) fn run(op: &str, inputs: &[Tensor], attrs: &Attrs) -> hooklens_core::Result<Vec<Tensor>> {
    let args: Vec<(&str, Arg)> = attrs
        .iter()
        .map(|(name, value)| {
            (name.as_str(), if name == "index" && value.is_array() { items(value) } else { arg(value) })
        })
        .collect();
    call_named(op, inputs, &args)
}

fn arg(value: &Value) -> Arg {
    match value {
        Value::Null => Arg::Null,
        Value::Bool(b) => Arg::Bool(*b),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Arg::Int(i),
            // Whole numbers count as integers, as they do in JavaScript, where 3.0 and 3 are one value.
            (None, Some(x)) if x.fract() == 0.0 && x.abs() < 9e15 && (x != 0.0 || x.is_sign_positive()) => {
                Arg::Int(x as i64)
            }
            (None, Some(x)) => Arg::Float(x),
            (None, None) => panic!("{n} is not a number that Rust can hold"),
        },
        Value::String(s) => Arg::Text(s.clone()),
        Value::Array(items) => Arg::List(items.iter().map(arg).collect()),
        Value::Object(_) => panic!("no operation takes an object: {value}"),
    }
}

/// The items of an index expression, as lists that start with their kind.
fn items(value: &Value) -> Arg {
    let item = |item: &Value| {
        let kind = item["type"].as_str().expect("an index item has a type");
        let fields: &[&str] = match kind {
            "int" => &["value"],
            "slice" => &["start", "stop", "step"],
            "none" | "ellipsis" => &[],
            "tensor" | "mask" => &["input"],
            other => panic!("index items of type {other} are unknown"),
        };
        let fields = fields.iter().map(|field| arg(&item[*field]));
        Arg::List(std::iter::once(Arg::Text(kind.to_owned())).chain(fields).collect())
    };
    Arg::List(value.as_array().into_iter().flatten().map(item).collect())
}

//! Running one case: forward, backward, and the comparison with what was expected.

use crate::compare::{compare, is_zero};
use crate::fixture::{Attrs, Case, FailCase, Fixtures, Input, run};
use hooklens_core::ops::call_named;
use hooklens_core::{BackwardOptions, Tensor, no_grad};
use serde_json::Value;
use std::collections::HashMap;

pub(crate) type Outcome = Result<(), String>;

pub(crate) fn case(fixtures: &Fixtures, case: &Case) -> Outcome {
    let leaves = leaves(fixtures, &case.inputs, case.grads.is_some())?;
    for pass in 0..case.backward_passes {
        let inputs = prepare(&case.inputs, &leaves)?;
        let outputs = forward(&case.op, &inputs, &case.attrs)?;
        if pass == 0 {
            check_outputs(fixtures, case, &outputs)?;
        }
        if case.grads.is_some() {
            backward(fixtures, case, &outputs).map_err(|e| format!("backward: {e}"))?;
        }
    }
    check_gradients(fixtures, case, &leaves)
}

fn leaves(fixtures: &Fixtures, inputs: &[Input], track: bool) -> Result<Vec<Tensor>, String> {
    let leaf = |input: &Input| {
        let stored = fixtures.tensor(&input.key, &input.dtype);
        if track && stored.dtype().is_float() { stored.requiring_grad().map_err(text) } else { Ok(stored) }
    };
    inputs.iter().map(leaf).collect()
}

fn prepare(inputs: &[Input], leaves: &[Tensor]) -> Result<Vec<Tensor>, String> {
    inputs.iter().zip(leaves).map(|(input, leaf)| input.prepare(leaf)).collect()
}

fn forward(op: &str, inputs: &[Tensor], attrs: &Attrs) -> Result<Vec<Tensor>, String> {
    if op == "program" {
        return program(inputs, attrs);
    }
    let outputs = run(op, inputs, attrs).map_err(text)?;
    match (op, outputs.as_slice()) {
        ("svd", [u, s, vh]) => svd_invariants(u, s, vh),
        ("qr", [q, r]) => qr_invariants(q, r),
        ("eigh", [w, v]) => eigh_invariants(w, v),
        _ => Ok(outputs),
    }
}

fn invariant(equation: &str, inputs: &[&Tensor]) -> Result<Tensor, String> {
    let inputs: Vec<Tensor> = inputs.iter().map(|&x| x.clone()).collect();
    Tensor::einsum(equation, &inputs).map_err(text)
}

/// What of a decomposition is unique whatever the signs of its vectors: `S, U diag(S) Vh, U'U, Vh Vh'`.
fn svd_invariants(u: &Tensor, s: &Tensor, vh: &Tensor) -> Result<Vec<Tensor>, String> {
    Ok(vec![
        s.clone(),
        invariant("...ik,...k,...kj->...ij", &[u, s, vh])?,
        invariant("...ki,...kj->...ij", &[u, u])?,
        invariant("...ik,...jk->...ij", &[vh, vh])?,
    ])
}

/// `QR, |R|, Q'Q`.
fn qr_invariants(q: &Tensor, r: &Tensor) -> Result<Vec<Tensor>, String> {
    let mut absolute = call_named("abs", std::slice::from_ref(r), &[]).map_err(text)?;
    let product = q.matmul(r).map_err(text)?;
    let absolute = absolute.pop().ok_or("abs gave nothing")?;
    Ok(vec![product, absolute, invariant("...ki,...kj->...ij", &[q, q])?])
}

/// `w, V diag(w) V', V'V`.
fn eigh_invariants(w: &Tensor, v: &Tensor) -> Result<Vec<Tensor>, String> {
    Ok(vec![w.clone(), invariant("...ik,...k,...jk->...ij", &[v, w, v])?, invariant("...ki,...kj->...ij", &[v, v])?])
}

/// Runs the steps of a straight-line program.
fn program(inputs: &[Tensor], attrs: &Attrs) -> Result<Vec<Tensor>, String> {
    let mut values: HashMap<String, Tensor> =
        inputs.iter().enumerate().map(|(i, x)| (format!("in{i}"), x.clone())).collect();
    let none = Attrs::new();
    for step in list(&attrs["steps"]) {
        let op = step["op"].as_str().ok_or("a step has an op")?;
        let inputs = lookup(&values, &step["in"])?;
        let attrs = step.get("attrs").and_then(Value::as_object).unwrap_or(&none);
        let call = || run(op, &inputs, attrs);
        let cut = step.get("no_grad").and_then(Value::as_bool).unwrap_or(false);
        let outputs = if cut { no_grad(call) } else { call() }.map_err(|e| format!("step {op}: {e}"))?;
        for (name, value) in list(&step["out"]).iter().zip(outputs) {
            values.insert(name.as_str().ok_or("an output has a name")?.to_owned(), value);
        }
    }
    lookup(&values, &attrs["returns"])
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn lookup(values: &HashMap<String, Tensor>, names: &Value) -> Result<Vec<Tensor>, String> {
    let find = |name: &Value| {
        let name = name.as_str().ok_or("values go by name")?;
        values.get(name).cloned().ok_or_else(|| format!("the program has no value '{name}'"))
    };
    list(names).iter().map(find).collect()
}

fn check_outputs(fixtures: &Fixtures, case: &Case, outputs: &[Tensor]) -> Outcome {
    if outputs.len() != case.outputs.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), case.outputs.len()));
    }
    for (i, (got, want)) in outputs.iter().zip(&case.outputs).enumerate() {
        let name = format!("out{i}");
        if got.dtype().name() != want.dtype || got.dims() != want.shape {
            let (dtype, dims) = (got.dtype().name(), got.dims());
            return Err(format!("{name} is {dtype} {dims:?}, expected {} {:?}", want.dtype, want.shape));
        }
        let expected = fixtures.tensor(&want.key, &want.dtype);
        let tolerance = case.tol.get(&name).copied().unwrap_or_default();
        compare(got, &expected, tolerance, case.signed_zero).map_err(|e| format!("{name}{e}"))?;
    }
    Ok(())
}

/// Back through `sum over outputs of sum(output * weight)`.
fn backward(fixtures: &Fixtures, case: &Case, outputs: &[Tensor]) -> Outcome {
    let weighted: Vec<(&Tensor, Tensor)> = outputs
        .iter()
        .zip(&case.weights)
        .filter_map(|(out, key)| Some((out, fixtures.tensor(key.as_ref()?, "float32"))))
        // An output that is cut from the graph adds nothing.
        .filter(|(out, _)| out.requires_grad())
        .collect();
    match weighted.as_slice() {
        [] => Ok(()),
        // One output: the loss's gradient there is the weight itself.
        [(out, weight)] => out.backward(Some(weight), BackwardOptions::default()).map_err(text),
        several => {
            let one = |op: &str, inputs: &[Tensor]| {
                let mut outputs = call_named(op, inputs, &[]).map_err(text)?;
                outputs.pop().ok_or_else(|| format!("{op} gave nothing"))
            };
            let mut loss: Option<Tensor> = None;
            for (out, weight) in several {
                let term = one("sum", &[one("mul", &[(*out).clone(), weight.clone()])?])?;
                loss = Some(match loss {
                    None => term,
                    Some(sum) => one("add", &[sum, term])?,
                });
            }
            loss.map_or(Ok(()), |loss| loss.backward(None, BackwardOptions::default()).map_err(text))
        }
    }
}

fn check_gradients(fixtures: &Fixtures, case: &Case, leaves: &[Tensor]) -> Outcome {
    for want in case.grads.iter().flatten() {
        let name = format!("grad{}", want.input);
        let got = leaves[want.input].grad().map_err(text)?;
        match (got, &want.key) {
            (None, _) if want.none => {}
            (Some(got), _) if want.none && is_zero(&got) => {}
            (Some(_), _) if want.none => return Err(format!("{name} should be absent or zero")),
            (None, _) => return Err(format!("{name} is absent")),
            (Some(_), None) => return Err(format!("{name}: the fixture names no expected tensor")),
            (Some(got), Some(key)) => {
                let expected = fixtures.tensor(key, "float32");
                if got.dims() != expected.dims() {
                    return Err(format!("{name} has shape {:?}, expected {:?}", got.dims(), expected.dims()));
                }
                let tolerance = case.tol.get(&name).copied().unwrap_or_default();
                compare(&got, &expected, tolerance, false).map_err(|e| format!("{name}{e}"))?;
            }
        }
    }
    Ok(())
}

pub(crate) fn fail_case(fixtures: &Fixtures, case: &FailCase) -> Outcome {
    let kind = case.error.kind.as_str();
    let result = if case.op == "backward" {
        failing_backward(fixtures, case)?
    } else {
        let leaves = leaves(fixtures, &case.inputs, false)?;
        run(&case.op, &prepare(&case.inputs, &leaves)?, &case.attrs).map(|_| ())
    };
    match result {
        Ok(()) => Err(format!("succeeded, but should fail with {kind}: {}", case.error.words)),
        Err(e) if e.code() == kind => Ok(()),
        Err(e) => Err(format!("failed with {} ({e}), expected {kind}: {}", e.code(), case.error.words)),
    }
}

/// Applies the operation of the case and calls backward on its result without a gradient.
fn failing_backward(fixtures: &Fixtures, case: &FailCase) -> Result<hooklens_core::Result<()>, String> {
    let track = case.attrs["requires_grad"].as_bool().ok_or("requires_grad is true or false")?;
    let of = &case.attrs["of"];
    let (op, attrs) = (of["op"].as_str().ok_or("of has an op")?, of["attrs"].as_object().ok_or("of has attrs")?);
    let inputs = prepare(&case.inputs, &leaves(fixtures, &case.inputs, track)?)?;
    let outputs = run(op, &inputs, attrs).map_err(text)?;
    Ok(outputs.first().ok_or("the operation gave nothing")?.backward(None, BackwardOptions::default()))
}

fn text(e: hooklens_core::Error) -> String {
    format!("{}: {e}", e.code())
}

//! What interventions do, against plain loops, and their gradients, against finite differences.

use crate::toy::*;
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, HookBody, Intervention};
use hooklens_core::{BackwardOptions, DType, Result, Tensor, no_grad};

const RESIDUAL: &[&str] = &["batch", "pos", "d_model"];
const HEADS: &[&str] = &["batch", "pos", "head", "d_head"];
const MAP: &[&str] = &["batch", "head", "query", "key"];

/// A toy of one point with an intervention attached.
pub(crate) fn attached(name: &str, axes: &[&str], json: &str, tensors: &[Tensor]) -> Result<Toy> {
    let toy = Toy::with_points(vec![point(name, axes)]);
    let intervention = Intervention::from_json(json, name)?;
    let body = HookBody::Intervention { intervention, tensors: tensors.to_vec() };
    toy.registry.add(A, FWD, body, AddOptions::default())?;
    Ok(toy)
}

pub(crate) fn apply(name: &str, axes: &[&str], json: &str, tensors: &[Tensor], input: &Tensor) -> Result<Tensor> {
    attached(name, axes, json, tensors)?.registry.fire(A, input.clone())
}

/// Values that are neither equal nor ordered, in double precision.
pub(crate) fn noise(dims: &[usize], seed: u64) -> Tensor {
    let n = dims.iter().product::<usize>();
    let data: Vec<f64> = (0..n as u64)
        .map(|i| {
            let bits =
                (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed.wrapping_mul(0xBF58_476D_1CE4_E5B9));
            let mixed = (bits ^ (bits >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0
        })
        .collect();
    Tensor::from_slice(&data, dims).unwrap()
}

fn doubles(t: &Tensor) -> Vec<f64> {
    t.to_vec().unwrap()
}

/// The tensor of that shape whose element at `index` is `f(index)`.
fn built(dims: &[usize], f: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    let n: usize = dims.iter().product();
    (0..n)
        .map(|mut flat| {
            let mut index = vec![0; dims.len()];
            for (axis, &size) in dims.iter().enumerate().rev() {
                index[axis] = flat % size;
                flat /= size;
            }
            f(&index)
        })
        .collect()
}

fn at(t: &Tensor, index: &[usize]) -> f64 {
    let flat = index.iter().zip(t.dims()).fold(0, |flat, (&i, &size)| flat * size + i);
    doubles(t)[flat]
}

fn close(got: &[f64], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!(g == e || (g - e).abs() <= 1e-9 * (1.0 + e.abs()), "{what}: element {i} is {g}, expected {e}");
    }
}

/// Checks an edit element by element.
fn check(axes: &[&str], dims: &[usize], json: &str, tensors: &[Tensor], f: impl Fn(&Tensor, &[usize]) -> f64) {
    let input = noise(dims, 1);
    let got = apply("hook", axes, json, tensors, &input).unwrap();
    assert_eq!(got.dims(), dims);
    close(&doubles(&got), &built(dims, |index| f(&input, index)), json);
}

#[test]
fn edits_apply_to_the_selected_part_only() {
    let dims = [2, 3, 4, 5];
    check(HEADS, &dims, r#"{"kind":"zero","at":{"head":3}}"#, &[], |x, i| if i[2] == 3 { 0.0 } else { at(x, i) });
    check(HEADS, &dims, r#"{"kind":"zero"}"#, &[], |_, _| 0.0);
    check(HEADS, &dims, r#"{"kind":"scale","factor":-2,"at":{"pos":-1,"row":[0]}}"#, &[], |x, i| {
        at(x, i) * if i[1] == 2 && i[0] == 0 { -2.0 } else { 1.0 }
    });
    check(HEADS, &dims, r#"{"kind":"add","value":1.5,"at":{"head_index":[0,-1]}}"#, &[], |x, i| {
        at(x, i) + if matches!(i[2], 0 | 3) { 1.5 } else { 0.0 }
    });
    check(HEADS, &dims, r#"{"kind":"set","value":7,"at":{"d_head":{"start":-4,"step":2}}}"#, &[], |x, i| {
        if matches!(i[3], 1 | 3) { 7.0 } else { at(x, i) }
    });
    check(HEADS, &dims, r#"{"kind":"clamp","min":-0.5,"max":null,"at":{"pos":{"stop":2}}}"#, &[], |x, i| {
        if i[1] < 2 { at(x, i).max(-0.5) } else { at(x, i) }
    });
    check(HEADS, &dims, r#"{"kind":"clamp","min":-0.5,"max":0.5}"#, &[], |x, i| at(x, i).clamp(-0.5, 0.5));
    check(MAP, &[2, 3, 4, 4], r#"{"kind":"zero","at":{"pos":1,"key":{"start":1,"stop":99}}}"#, &[], |x, i| {
        if i[2] == 1 && i[3] >= 1 { 0.0 } else { at(x, i) }
    });
}

#[test]
fn points_without_declared_axes_are_edited_whole() {
    check(&[], &[2, 3], r#"{"kind":"scale","by":3}"#, &[], |x, i| 3.0 * at(x, i));
}

#[test]
fn infinities_do_not_leak_through_masks() {
    let input = Tensor::from_slice(&[f64::NEG_INFINITY, 1.0, f64::NAN, 2.0], &[1, 1, 2, 2]).unwrap();
    let zeroed = apply("hook", MAP, r#"{"kind":"zero","at":{"key":0}}"#, &[], &input).unwrap();
    assert_eq!(doubles(&zeroed), [0.0, 1.0, 0.0, 2.0]);
    let scaled = apply("hook", MAP, r#"{"kind":"scale","factor":0,"at":{"key":1}}"#, &[], &input).unwrap();
    let scaled = doubles(&scaled);
    assert!(scaled[0] == f64::NEG_INFINITY && scaled[1] == 0.0 && scaled[2].is_nan() && scaled[3] == 0.0);
    let spelled = apply("hook", MAP, r#"{"kind":"set","value":"-inf","at":{"key":1}}"#, &[], &input).unwrap();
    assert_eq!(doubles(&spelled)[3], f64::NEG_INFINITY);
    let clamped = doubles(&apply("hook", MAP, r#"{"kind":"clamp","min":0,"max":1}"#, &[], &input).unwrap());
    assert!(clamped[..2] == [0.0, 1.0] && clamped[2].is_nan() && clamped[3] == 1.0);
}

#[test]
fn tensors_broadcast_to_the_selected_part() {
    let dims = [2, 3, 4, 5];
    let vector = noise(&[5], 2);
    check(
        HEADS,
        &dims,
        r#"{"kind":"add","value":{"tensor":0},"at":{"pos":-1}}"#,
        std::slice::from_ref(&vector),
        |x, i| at(x, i) + if i[1] == 2 { at(&vector, &[i[3]]) } else { 0.0 },
    );
    let gone = noise(&[2, 3, 5], 3);
    let json = r#"{"kind":"set","value":{"tensor":0},"at":{"head":1}}"#;
    let set = |x: &Tensor, i: &[usize]| if i[2] == 1 { at(&gone, &[i[0], i[1], i[3]]) } else { at(x, i) };
    check(HEADS, &dims, json, std::slice::from_ref(&gone), set);
    let kept = gone.reshape(&[2, 3, 1, 5]).unwrap();
    check(HEADS, &dims, json, &[kept], set);
    let picked = noise(&[2, 2, 5], 4);
    let json = r#"{"kind":"scale","factor":{"tensor":0},"at":{"head":[3,1],"pos":{"start":1}}}"#;
    check(HEADS, &dims, json, std::slice::from_ref(&picked), |x, i| {
        let head = [3, 1].iter().position(|&h| h == i[2]);
        at(x, i) * head.filter(|_| i[1] >= 1).map_or(1.0, |h| at(&picked, &[i[1] - 1, h, i[3]]))
    });
    let scalar = Tensor::from_slice(&[3.0], &[]).unwrap();
    check(HEADS, &dims, r#"{"kind":"set","value":{"tensor":0},"at":{"head":1}}"#, &[scalar], |x, i| {
        if i[2] == 1 { 3.0 } else { at(x, i) }
    });
}

#[test]
fn patches_take_the_same_place_of_the_source() {
    let source = noise(&[2, 3, 4], 5);
    let json = r#"{"kind":"patch","source":{"tensor":0},"at":{"pos":[0,2]}}"#;
    check(
        RESIDUAL,
        &[2, 3, 4],
        json,
        std::slice::from_ref(&source),
        |x, i| {
            if i[1] == 1 { at(x, i) } else { at(&source, i) }
        },
    );
    // One clean row serves every row of a sweep, with or without its batch axis.
    for dims in [&[1, 3, 4][..], &[3, 4]] {
        let clean = noise(dims, 6);
        let json = r#"{"kind":"patch","source":{"tensor":0},"at":{"row":1,"pos":2}}"#;
        check(RESIDUAL, &[2, 3, 4], json, std::slice::from_ref(&clean), |x, i| {
            let there = if dims.len() == 3 { vec![0, i[1], i[2]] } else { vec![i[1], i[2]] };
            if i[0] == 1 && i[1] == 2 { at(&clean, &there) } else { at(x, i) }
        });
    }
}

#[test]
fn means_are_over_the_whole_activation() {
    let dims = [2, 3, 4];
    let mean = |x: &Tensor, i: &[usize], rows: &[usize], positions: &[usize]| {
        let cells: Vec<f64> = rows
            .iter()
            .flat_map(|&b| positions.iter().map(move |&p| (b, p)))
            .map(|(b, p)| at(x, &[b, p, i[2]]))
            .collect();
        cells.iter().sum::<f64>() / cells.len() as f64
    };
    check(RESIDUAL, &dims, r#"{"kind":"mean_ablate"}"#, &[], |x, i| mean(x, i, &[0, 1], &[0, 1, 2]));
    check(RESIDUAL, &dims, r#"{"kind":"mean_ablate","over":["pos"],"at":{"row":1}}"#, &[], |x, i| {
        if i[0] == 1 { mean(x, i, &[1], &[0, 1, 2]) } else { at(x, i) }
    });
    let given = noise(&[4], 7);
    check(RESIDUAL, &dims, r#"{"kind":"mean_ablate","mean":{"tensor":0}}"#, std::slice::from_ref(&given), |_, i| {
        at(&given, &[i[2]])
    });
}

#[test]
fn projections_remove_the_span_of_the_directions() {
    let dims = [2, 3, 4];
    // Two independent directions, not orthogonal and not of length 1, and one that depends on them.
    let rows = [1.0, 0.0, 0.0, 0.0, 300.0, 2.0, 0.0, 0.0, -5.0, 1.0, 0.0, 0.0];
    let directions = Tensor::from_slice(&rows, &[3, 4]).unwrap();
    let json = r#"{"kind":"project_out","direction":{"tensor":0},"at":{"pos":1}}"#;
    check(RESIDUAL, &dims, json, &[directions], |x, i| if i[1] == 1 && i[2] < 2 { 0.0 } else { at(x, i) });
    let one = noise(&[4], 8);
    check(RESIDUAL, &dims, r#"{"kind":"project_out","direction":{"tensor":0}}"#, std::slice::from_ref(&one), |x, i| {
        let square: f64 = doubles(&one).iter().map(|v| v * v).sum();
        let along: f64 = (0..4).map(|d| at(x, &[i[0], i[1], d]) * at(&one, &[d])).sum();
        at(x, i) - along / square * at(&one, &[i[2]])
    });
}

#[test]
fn many_directions_are_one_projection() {
    // Nine of twelve axes of a rotated space: what is left has no component along any direction given.
    let (dims, directions) = ([2, 3, 12], noise(&[9, 12], 9));
    let json = r#"{"kind":"project_out","direction":{"tensor":0}}"#;
    let once = apply("hook", RESIDUAL, json, std::slice::from_ref(&directions), &noise(&dims, 1)).unwrap();
    for (i, row) in doubles(&once).chunks(12).enumerate() {
        for direction in doubles(&directions).chunks(12) {
            let along: f64 = row.iter().zip(direction).map(|(a, b)| a * b).sum();
            assert!(along.abs() < 1e-12, "row {i}: {along}");
        }
    }
    let again = apply("hook", RESIDUAL, json, std::slice::from_ref(&directions), &once).unwrap();
    close(&doubles(&again), &doubles(&once), "twice");
    check_gradients("hook", RESIDUAL, &dims, json, &[directions], false);
}

#[test]
fn edges_are_cut_from_scores_and_patterns() {
    let dims = [2, 2, 3, 3];
    let json = r#"{"kind":"knock_out_edges","edges":[[2,0],[-1,1],[1,1]],"at":{"head":1}}"#;
    let cut = |i: &[usize]| i[1] == 1 && matches!((i[2], i[3]), (2, 0) | (2, 1) | (1, 1));
    let input = noise(&dims, 1);
    let scores = apply("blocks.0.attn.hook_attn_scores", MAP, json, &[], &input).unwrap();
    close(&doubles(&scores), &built(&dims, |i| if cut(i) { f64::NEG_INFINITY } else { at(&input, i) }), "scores");
    let pattern = apply("blocks.0.attn.hook_pattern", MAP, json, &[], &input).unwrap();
    close(&doubles(&pattern), &built(&dims, |i| if cut(i) { 0.0 } else { at(&input, i) }), "pattern");
}

#[test]
fn renormalised_rows_sum_to_one() {
    let input = Tensor::from_slice(&[0.2, 0.3, 0.5, 0.25, 0.25, 0.5, 1.0, 0.0, 0.0], &[1, 1, 3, 3]).unwrap();
    let json = r#"{"kind":"knock_out_edges","edges":[[0,2],[2,0]],"renormalise":true}"#;
    let got = apply("hook_pattern", MAP, json, &[], &input).unwrap();
    close(&doubles(&got), &[0.4, 0.6, 0.0, 0.25, 0.25, 0.5, 0.0, 0.0, 0.0], "renormalised");
}

/// Compares the gradient of `sum(w * y)` with central differences, for the activation and the first tensor.
fn check_gradients(name: &str, axes: &[&str], dims: &[usize], json: &str, tensors: &[Tensor], positive: bool) {
    let mut input = noise(dims, 11);
    if positive {
        let data: Vec<f64> = doubles(&input).iter().map(|v| v.abs() + 0.1).collect();
        input = Tensor::from_slice(&data, dims).unwrap();
    }
    let weights = noise(dims, 12);
    let leaf = input.requiring_grad().unwrap();
    let tracked = !json.contains("direction") && !tensors.is_empty();
    let operands: Vec<Tensor> =
        tensors.iter().map(|t| if tracked { t.requiring_grad().unwrap() } else { t.clone() }).collect();
    let out = apply(name, axes, json, &operands, &leaf).unwrap();
    out.backward(Some(&weights), BackwardOptions::default()).unwrap();

    let loss = |x: &Tensor, tensors: &[Tensor]| -> f64 {
        let y = doubles(&apply(name, axes, json, tensors, x).unwrap());
        y.iter().zip(doubles(&weights)).filter(|(y, _)| y.is_finite()).map(|(y, w)| y * w).sum()
    };
    let numeric = |of: &Tensor, loss: &dyn Fn(&Tensor) -> f64| -> Vec<f64> {
        let data = doubles(of);
        (0..data.len())
            .map(|i| {
                let moved = |by: f64| {
                    let mut data = data.clone();
                    data[i] += by;
                    loss(&Tensor::from_slice(&data, of.dims()).unwrap())
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            })
            .collect()
    };
    let compare = |got: &Tensor, expected: &[f64], what: &str| {
        for (i, (g, e)) in doubles(&got.grad().unwrap().unwrap()).iter().zip(expected).enumerate() {
            assert!((g - e).abs() < 1e-6 * (1.0 + e.abs()), "{json}: d{what}[{i}] is {g}, numerically {e}");
        }
    };
    compare(&leaf, &numeric(&input, &|x| loss(x, tensors)), "x");
    if tracked {
        compare(&operands[0], &numeric(&tensors[0], &|t| loss(&input, std::slice::from_ref(t))), "tensor");
    }
}

#[test]
fn gradients_flow_through_every_edit() {
    let dims = [2, 3, 2, 4];
    let (wide, vector) = (noise(&dims, 20), noise(&[4], 21));
    for place in ["", r#","at":{"head":1,"pos":[2,0]}"#] {
        let number = |edit: &str| format!("{{{edit}{place}}}");
        for edit in [
            r#""kind":"zero""#,
            r#""kind":"scale","factor":-3"#,
            r#""kind":"add","value":2"#,
            r#""kind":"set","value":2"#,
            r#""kind":"clamp","min":-1,"max":0.5"#,
            r#""kind":"mean_ablate""#,
            r#""kind":"mean_ablate","over":["d_head","row"]"#,
        ] {
            check_gradients("hook", HEADS, &dims, &number(edit), &[], false);
        }
        for edit in [
            r#""kind":"scale","factor":{"tensor":0}"#,
            r#""kind":"add","value":{"tensor":0}"#,
            r#""kind":"set","value":{"tensor":0}"#,
            r#""kind":"mean_ablate","mean":{"tensor":0}"#,
            r#""kind":"project_out","direction":{"tensor":0}"#,
        ] {
            check_gradients("hook", HEADS, &dims, &number(edit), std::slice::from_ref(&vector), false);
        }
        check_gradients(
            "hook",
            HEADS,
            &dims,
            &number(r#""kind":"patch","source":{"tensor":0}"#),
            std::slice::from_ref(&wide),
            false,
        );
    }
    let picked = noise(&[2, 1, 4], 22);
    let json = r#"{"kind":"add","value":{"tensor":0},"at":{"pos":[2,0],"head":[1]}}"#;
    check_gradients("hook", HEADS, &dims, json, &[picked], false);
    let inside = r#"{"kind":"project_out","direction":{"tensor":0},"at":{"d_head":[0,3]}}"#;
    check_gradients("hook", HEADS, &dims, inside, std::slice::from_ref(&vector), false);
    let map = [2, 2, 3, 3];
    for options in
        ["", r#","at":{"head":1}"#, r#","renormalise":true"#, r#","renormalise":true,"at":{"head":0,"row":1}"#]
    {
        let json = format!(r#"{{"kind":"knock_out_edges","edges":[[2,0],[1,1],[1,0],[0,2]]{options}}}"#);
        check_gradients("hook_pattern", MAP, &map, &json, &[], true);
    }
    let json = r#"{"kind":"knock_out_edges","edges":[[2,0],[1,1]]}"#;
    check_gradients("hook_attn_scores", MAP, &map, json, &[], false);
}

#[test]
fn at_a_backward_hook_the_gradient_is_edited() {
    let toy = Toy::with_axes(&["batch", "pos"]);
    let cache = CacheStore::new();
    let add = |json: &str| {
        let intervention = Intervention::from_json(json, "hook_a").unwrap();
        let body = HookBody::Intervention { intervention, tensors: vec![] };
        toy.registry.add(A, BWD, body, AddOptions::default()).unwrap();
    };
    add(r#"{"kind":"scale","factor":10,"at":{"pos":0}}"#);
    add(r#"{"kind":"zero","at":{"pos":1}}"#);
    toy.capture(A, BWD, &cache, CaptureOptions::default()).unwrap();
    let input = x(&[1, 3]).requiring_grad().unwrap();
    backward(&toy.total(&input).unwrap()).unwrap();
    assert_eq!(values(&cache.get("hook_a_grad").unwrap()), [10.0, 0.0, 1.0]);
    assert_eq!(values(&input.grad().unwrap().unwrap()), [20.0, 0.0, 2.0]);
}

#[test]
fn a_knocked_out_edge_has_no_gradient_backward() {
    let toy = Toy::with_points(vec![point("hook_attn_scores", MAP)]);
    let intervention = Intervention::from_json(r#"{"kind":"knock_out_edges","edges":[[1,0]]}"#, "").unwrap();
    let body = HookBody::Intervention { intervention, tensors: vec![] };
    toy.registry.add(A, BWD, body, AddOptions::default()).unwrap();
    let input = x(&[1, 1, 2, 2]).requiring_grad().unwrap();
    backward(&sum(&toy.registry.fire(A, input.clone()).unwrap())).unwrap();
    assert_eq!(values(&input.grad().unwrap().unwrap()), [1.0, 1.0, 0.0, 1.0]);
}

#[test]
fn shapes_may_change_from_run_to_run() {
    let toy = attached("hook", RESIDUAL, r#"{"kind":"zero","at":{"pos":-1}}"#, &[]).unwrap();
    for positions in [3, 1, 4, 4] {
        let out = values(&toy.registry.fire(A, x(&[1, positions, 1])).unwrap());
        let zeros: Vec<usize> = (0..positions).filter(|&p| out[p] == 0.0).collect();
        assert_eq!(zeros, [positions - 1]);
    }
}

#[test]
fn other_dtypes_keep_theirs() {
    for dtype in ["float16", "bfloat16", "float32"] {
        let dtype = DType::from_name(dtype).unwrap();
        let input = Tensor::constant(noise(&[1, 2, 4], 1).data().to_dtype(dtype.storage()).unwrap()).unwrap();
        let vector = noise(&[4], 2);
        for json in [
            r#"{"kind":"set","value":1,"at":{"pos":0}}"#,
            r#"{"kind":"add","value":{"tensor":0},"at":{"pos":0}}"#,
            r#"{"kind":"clamp","min":0,"at":{"pos":0}}"#,
            r#"{"kind":"mean_ablate"}"#,
            r#"{"kind":"project_out","direction":{"tensor":0}}"#,
            r#"{"kind":"patch","source":{"tensor":0}}"#,
        ] {
            let leaf = input.requiring_grad().unwrap();
            let out = apply("hook", RESIDUAL, json, std::slice::from_ref(&vector), &leaf).unwrap();
            assert_eq!(out.dtype(), dtype, "{json}");
            backward(&sum(&out)).unwrap();
            assert_eq!(leaf.grad().unwrap().unwrap().dtype(), dtype, "{json}");
        }
    }
    let ids = Tensor::from_slice(&[5i64, 6, 7], &[1, 3]).unwrap();
    let set = apply("hook_tokens", &["batch", "pos"], r#"{"kind":"set","value":9,"at":{"pos":1}}"#, &[], &ids).unwrap();
    assert_eq!((set.dtype(), set.to_vec::<i64>().unwrap()), (DType::I64, vec![5, 9, 7]));
    let mask = Tensor::zeros(&[1, 3], DType::Bool, ids.data().device()).unwrap();
    let set = apply("hook_mask", &["batch", "pos"], r#"{"kind":"set","value":1,"at":{"pos":1}}"#, &[], &mask).unwrap();
    assert_eq!(set.dtype(), DType::Bool);
}

#[test]
fn tracked_operands_work_in_every_run() {
    let vector = noise(&[4], 2).requiring_grad().unwrap();
    let json = r#"{"kind":"add","value":{"tensor":0},"at":{"pos":[0]}}"#;
    let toy = attached("hook", RESIDUAL, json, std::slice::from_ref(&vector)).unwrap();
    for run in 1..=3 {
        let out = toy.registry.fire(A, noise(&[1, 2, 4], 1)).unwrap();
        backward(&sum(&out)).unwrap();
        assert_eq!(doubles(&vector.grad().unwrap().unwrap()), [f64::from(run); 4]);
    }
    let out = no_grad(|| toy.registry.fire(A, noise(&[1, 2, 4], 1))).unwrap();
    assert!(!out.requires_grad());
}

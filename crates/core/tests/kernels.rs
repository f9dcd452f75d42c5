//! The fast `f32` kernels against the same operation in `f64`, which takes the general way: values and gradients, at
//! sizes that fill no vector exactly, and above the size at which several threads share the work.
#![allow(clippy::unwrap_used, clippy::type_complexity, reason = "a failing test panics; the closures are the table")]

use hooklens_core::tensor::{AttentionOptions, ClassLoss, Gelu, Reduction, instructions};
use hooklens_core::{BackwardOptions, DType, Result, Tensor};

type Function = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// Numbers of a normal-like spread, the same in every run.
fn numbers(n: usize, seed: usize) -> Vec<f32> {
    let at = |i: usize| ((i * 31 + seed * 17 + 1) as f64 * 0.618_033_988_75).fract();
    (0..n).map(|i| ((at(i) + at(i * 3 + 1) + at(i * 7 + 2) - 1.5) * 4.0) as f32).collect()
}

/// Value and gradients of `f` at these inputs, taken as `dtype`, as `f64`.
fn run(f: &Function, inputs: &[(Vec<f32>, Vec<usize>)], dtype: DType) -> Vec<Vec<f64>> {
    let leaves: Vec<Tensor> = inputs
        .iter()
        .map(|(x, dims)| Tensor::from_slice(x, dims).unwrap().to_dtype(dtype).unwrap().requiring_grad().unwrap())
        .collect();
    let y = f(&leaves).unwrap();
    assert_eq!(y.dtype(), dtype);
    let seed = Tensor::from_slice(&numbers(y.elem_count(), 5), y.dims()).unwrap().to_dtype(dtype).unwrap();
    y.backward(Some(&seed), BackwardOptions::default()).unwrap();
    let gradients = leaves.iter().map(|x| x.grad().unwrap().unwrap().to_vec::<f64>().unwrap());
    std::iter::once(y.to_vec::<f64>().unwrap()).chain(gradients).collect()
}

/// Compares; `tolerance` is relative to the largest number of each result, or to 1.
fn compare(name: &str, f: &Function, inputs: &[(Vec<f32>, Vec<usize>)], tolerance: f64) {
    let (fast, exact) = (run(f, inputs, DType::F32), run(f, inputs, DType::F64));
    for (which, (fast, exact)) in fast.iter().zip(&exact).enumerate() {
        let scale = exact.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
        for (i, (a, b)) in fast.iter().zip(exact).enumerate() {
            let what = if which == 0 { "value".to_owned() } else { format!("gradient {}", which - 1) };
            assert!((a - b).abs() <= tolerance * scale, "{name}: {what}[{i}] is {a}, expected {b}");
        }
    }
}

fn functions() -> Vec<(&'static str, Function)> {
    fn one(f: impl Fn(&Tensor) -> Result<Tensor> + 'static) -> Function {
        Box::new(move |x| f(&x[0]))
    }
    vec![
        ("exp", one(Tensor::exp)),
        ("tanh", one(Tensor::tanh)),
        ("sigmoid", one(Tensor::sigmoid)),
        ("relu", one(Tensor::relu)),
        ("silu", one(Tensor::silu)),
        ("quick_gelu", one(Tensor::quick_gelu)),
        ("gelu", one(|x| x.gelu(Gelu::Exact))),
        ("gelu tanh", one(|x| x.gelu(Gelu::Tanh))),
        ("softmax", one(|x| x.softmax(-1))),
        ("log_softmax", one(|x| x.log_softmax(-1))),
        ("softmax of columns", one(|x| x.softmax(0))),
        ("layer_norm", one(|x| x.layer_norm(1, None, None, 1e-5))),
        ("rms_norm", one(|x| x.rms_norm(1, None, 1e-5))),
    ]
}

#[test]
fn functions_agree_at_sizes_that_fill_no_vector() {
    for (name, f) in functions() {
        for width in [1, 2, 15, 16, 31, 33, 100, 2049] {
            // A single element has no variance: its gradient is rounding noise.
            if name == "layer_norm" && width < 15 {
                continue;
            }
            compare(&format!("{name} [3, {width}]"), &f, &[(numbers(3 * width, 1), vec![3, width])], 2e-6);
        }
    }
}

#[test]
fn functions_agree_on_several_threads() {
    for (name, f) in functions() {
        compare(name, &f, &[(numbers(150 * 700, 2), vec![150, 700])], 2e-6);
    }
}

#[test]
fn norms_with_weights_agree() {
    let (rows, width) = (90, 257);
    let inputs = [
        (numbers(rows * width, 1), vec![rows, width]),
        (numbers(width, 2), vec![width]),
        (numbers(width, 3), vec![width]),
    ];
    let layer: Function = Box::new(|x| x[0].layer_norm(1, Some(&x[1]), Some(&x[2]), 1e-5));
    compare("layer_norm", &layer, &inputs, 5e-6);
    let root: Function = Box::new(|x| x[0].rms_norm(1, Some(&x[1]), 1e-6));
    compare("rms_norm", &root, &inputs[..2], 5e-6);
}

#[test]
fn arithmetic_agrees_however_it_broadcasts() {
    let table: [(&str, fn(&Tensor, &Tensor) -> Result<Tensor>); 4] =
        [("add", Tensor::add), ("sub", Tensor::sub), ("mul", Tensor::mul), ("div", Tensor::div)];
    let shapes: [[&[usize]; 2]; 8] = [
        [&[5, 33], &[5, 33]],
        [&[5, 33], &[33]],
        [&[5, 33], &[5, 1]],
        [&[33], &[5, 33]],
        [&[5, 1], &[1, 33]],
        [&[2, 1, 7], &[2, 5, 7]],
        [&[5, 33], &[]],
        [&[900, 700], &[700]],
    ];
    for (name, f) in table {
        for [a, b] in shapes {
            let input = |dims: &[usize], seed| {
                // Away from zero, where quotients have no scale.
                let x = numbers(dims.iter().product(), seed).into_iter().map(|x| x + 1f32.copysign(x));
                (x.collect::<Vec<f32>>(), dims.to_vec())
            };
            let g: Function = Box::new(move |x| f(&x[0], &x[1]));
            compare(&format!("{name} {a:?} {b:?}"), &g, &[input(a, 1), input(b, 2)], 1e-5);
        }
    }
}

#[test]
fn products_agree_in_every_layout() {
    // One row, few rows, many; tiles that are full and tiles that are not; more than one block of the inner axis.
    let sizes = [
        [1, 7, 5],
        [1, 600, 700],
        [2, 33, 40],
        [13, 65, 515],
        [24, 16, 8],
        [37, 100, 1030],
        [128, 64, 64],
        [300, 20, 30],
    ];
    for [m, n, k] in sizes {
        let flat = |x: &Tensor, flip: bool| if flip { x.transpose(0, 1) } else { Ok(x.clone()) };
        for (flip_a, flip_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let dims =
                |rows: usize, columns: usize, flip: bool| if flip { vec![columns, rows] } else { vec![rows, columns] };
            let inputs = [(numbers(m * k, 1), dims(m, k, flip_a)), (numbers(k * n, 2), dims(k, n, flip_b))];
            let product: Function = Box::new(move |x| flat(&x[0], flip_a)?.matmul(&flat(&x[1], flip_b)?));
            compare(&format!("[{m}, {k}] @ [{k}, {n}], {flip_a}, {flip_b}"), &product, &inputs, 2e-6);
        }
        let inputs = [(numbers(m * k, 1), vec![m, k]), (numbers(k * n, 2), vec![n, k]), (numbers(n, 3), vec![n])];
        let linear: Function = Box::new(|x| x[0].linear(&x[1], Some(&x[2])));
        compare(&format!("linear [{m}, {k}], [{n}, {k}]"), &linear, &inputs, 2e-6);
    }
}

/// Halves are multiplied in single precision and rounded once, whatever their layout and however few rows there are.
#[test]
fn products_of_halves_are_those_of_the_same_numbers_in_single_precision() {
    for (dtype, step) in [(DType::F16, 1.0 / 1024.0), (DType::BF16, 1.0 / 128.0)] {
        for [m, n, k] in [[1, 33, 70], [1, 1200, 3001], [5, 33, 70], [70, 259, 1100], [3, 4, 1]] {
            for layout in ["rows", "columns", "every second"] {
                let half = |dims: &[usize], seed| {
                    let x = Tensor::from_slice(&numbers(dims.iter().product(), seed), dims).unwrap();
                    x.to_dtype(dtype).unwrap()
                };
                let a = half(&[2, m, k], 1);
                let b = match layout {
                    "rows" => half(&[k, n], 2),
                    "columns" => half(&[n, k], 2).transpose(0, 1).unwrap(),
                    _ => half(&[k, n, 2], 2).select(2, 1).unwrap(),
                };
                let bias = half(&[n], 3);
                let wide = |x: &Tensor| x.to_dtype(DType::F32).unwrap();
                let single = wide(&a).matmul(&wide(&b)).unwrap();
                let with_bias = single.add(&wide(&bias)).unwrap();
                let linear = a.linear(&b.transpose(0, 1).unwrap(), Some(&bias)).unwrap();
                for (halves, single) in [(a.matmul(&b).unwrap(), single), (linear, with_bias)] {
                    assert_eq!(halves.dtype(), dtype);
                    let single = single.to_vec::<f64>().unwrap();
                    let scale = single.iter().fold(1e-6, |m: f64, x| m.max(x.abs()));
                    for (i, (x, y)) in halves.to_vec::<f64>().unwrap().iter().zip(&single).enumerate() {
                        let close = (x - y).abs() <= step * y.abs() + 1e-5 * scale;
                        assert!(close, "{dtype:?} {m} {n} {k}, {layout}: [{i}] is {x}, expected {y}");
                    }
                }
            }
        }
    }
}

#[test]
fn products_of_strided_and_repeated_operands_agree() {
    let every_third: Function =
        Box::new(|x| x[0].slice(1, None, None, Some(3))?.matmul(&x[1].slice(0, None, None, Some(2))?));
    let inputs = [(numbers(40 * 90, 1), vec![40, 90]), (numbers(60 * 50, 2), vec![60, 50])];
    compare("every third column", &every_third, &inputs, 2e-6);
    for rows in [1, 40] {
        let repeated: Function = Box::new(move |x| x[0].expand(&[rows, 90])?.matmul(&x[1].expand(&[90, 50])?));
        let inputs = [(numbers(90, 1), vec![1, 90]), (numbers(90, 2), vec![90, 1])];
        // Gradients of what is repeated are sums of thousands of products.
        compare("a repeated row and column", &repeated, &inputs, 5e-5);
    }
}

#[test]
fn products_pass_nan_on_and_only_where_it_belongs() {
    for m in [1, 50] {
        let mut values = numbers(m * 600, 1);
        values[3] = f32::NAN;
        let a = Tensor::from_slice(&values, &[m, 600]).unwrap();
        let b = Tensor::from_slice(&numbers(600 * 45, 2), &[600, 45]).unwrap();
        let y = a.matmul(&b).unwrap().to_vec::<f32>().unwrap();
        assert!(y[..45].iter().all(|x| x.is_nan()) && y[45..].iter().all(|x| x.is_finite()));
    }
}

#[test]
fn cross_entropy_agrees() {
    for (rows, classes) in [(1, 1), (5, 33), (40, 1500)] {
        for smoothing in [0.0, 0.1] {
            for reduction in [Reduction::Mean, Reduction::None] {
                let ids: Vec<i64> = (0..rows).map(|i| if i == 3 { -1 } else { (i * 7 % classes) as i64 }).collect();
                let loss: Function = Box::new(move |x| {
                    let settings = ClassLoss { reduction, ignore_index: -1, label_smoothing: smoothing };
                    x[0].cross_entropy(&Tensor::from_slice(&ids, &[ids.len()])?, settings)
                });
                let inputs = [(numbers(rows * classes, 1), vec![rows, classes])];
                compare(&format!("cross entropy of {rows} x {classes}"), &loss, &inputs, 2e-6);
            }
        }
    }
}

#[test]
fn attention_agrees() {
    for (queries, keys) in [(1, 9), (40, 40), (70, 33)] {
        let inputs: Vec<_> = [(queries, 1), (keys, 2), (keys, 3)]
            .map(|(rows, seed)| (numbers(2 * 3 * rows * 16, seed), vec![2, 3, rows, 16]))
            .into();
        for (is_causal, masked) in [(false, false), (true, false), (false, true)] {
            let attention: Function = Box::new(move |x| {
                // The first query may see nothing.
                let hidden = |i: usize| i < keys || i.is_multiple_of(3);
                let at = |i| if hidden(i) { f32::NEG_INFINITY } else { 0.0 };
                let mask: Vec<f32> = (0..queries * keys).map(at).collect();
                let mask = Tensor::from_slice(&mask, &[queries, keys])?;
                let options = AttentionOptions { is_causal, ..AttentionOptions::default() };
                x[0].scaled_dot_product_attention(&x[1], &x[2], masked.then_some(&mask), options)
            });
            compare(&format!("attention {queries} {keys} {is_causal} {masked}"), &attention, &inputs, 5e-6);
        }
    }
}

/// Attention of values alone, which takes all of it in one pass, against attention that saves its pattern because gradients
/// are wanted.
#[test]
fn attention_in_one_pass_agrees_with_attention_in_steps() {
    let tensor = |rows: usize, heads: usize, d: usize, seed: usize| {
        Tensor::from_slice(&numbers(2 * heads * rows * d, seed), &[2, rows, heads, d]).unwrap().transpose(1, 2).unwrap()
    };
    let sizes =
        [(1, 300, 64, 64), (3, 70, 5, 9), (4, 33, 64, 64), (100, 100, 64, 64), (29, 150, 40, 33), (70, 20, 1, 1)];
    for (queries, keys, d, d_v) in sizes {
        for (is_causal, masked, heads) in [(false, false, 4), (true, false, 2), (false, true, 2), (false, true, 4)] {
            let (q, k, v) = (tensor(queries, 4, d, 1), tensor(keys, heads, d, 2), tensor(keys, heads, d_v, 3));
            let hidden = |i: usize| if i % 7 == 3 || i / keys == 1 { f32::NEG_INFINITY } else { (i % 5) as f32 * 0.1 };
            // Where the mask repeats over batch and heads, and where it is that of whole keys.
            let dims = if heads == 2 { vec![queries, keys] } else { vec![2, 1, 1, keys] };
            let mask: Vec<f32> = (0..dims.iter().product()).map(hidden).collect();
            let mask = masked.then(|| Tensor::from_slice(&mask, &dims).unwrap());
            let options = AttentionOptions { is_causal, enable_gqa: heads < 4, ..AttentionOptions::default() };
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let [q, k, v] = [&q, &k, &v].map(|x| x.to_dtype(dtype).unwrap());
                let whole = q.scaled_dot_product_attention(&k, &v, mask.as_ref(), options).unwrap();
                let q = q.requiring_grad().unwrap();
                let steps = q.scaled_dot_product_attention(&k, &v, mask.as_ref(), options).unwrap();
                assert_eq!((whole.dims(), whole.dtype()), (steps.dims(), dtype));
                let tolerance = match dtype {
                    DType::F32 => 1e-5,
                    DType::F16 => 2e-3,
                    _ => 1e-2,
                };
                let (whole, steps) = (whole.to_vec::<f64>().unwrap(), steps.to_vec::<f64>().unwrap());
                for (i, (a, b)) in whole.iter().zip(&steps).enumerate() {
                    let what = format!("{queries} {keys} {d} {d_v} {is_causal} {masked} {heads} {dtype:?}");
                    assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: [{i}] is {a}, expected {b}");
                }
            }
        }
    }
}

#[test]
fn attention_passes_nan_on_like_the_products_that_it_is_made_of() {
    let nan_at = |wanted: usize, seed: usize| {
        let mut x = numbers(2 * 40 * 16, seed);
        x[wanted] = f32::NAN;
        Tensor::from_slice(&x, &[1, 2, 40, 16]).unwrap()
    };
    let plain = |seed| Tensor::from_slice(&numbers(2 * 40 * 16, seed), &[1, 2, 40, 16]).unwrap();
    let at = 20 * 16 + 3;
    for (q, k, v) in
        [(nan_at(at, 1), plain(2), plain(3)), (plain(1), nan_at(at, 2), plain(3)), (plain(1), plain(2), nan_at(at, 3))]
    {
        for is_causal in [false, true] {
            let options = AttentionOptions { is_causal, ..AttentionOptions::default() };
            let nans = |q: &Tensor| {
                let y = q.scaled_dot_product_attention(&k, &v, None, options).unwrap();
                y.to_vec::<f32>().unwrap().into_iter().map(f32::is_nan).collect::<Vec<_>>()
            };
            let whole = nans(&q);
            assert!(whole.contains(&true) && whole.contains(&false));
            assert!(whole == nans(&q.requiring_grad().unwrap()), "causal: {is_causal}");
        }
    }
}

#[test]
fn nan_and_infinity_come_out_as_in_torch() {
    let values = |f: fn(&Tensor) -> Result<Tensor>, x: &[f32]| {
        f(&Tensor::from_slice(x, &[x.len()]).unwrap()).unwrap().to_vec::<f32>().unwrap()
    };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for f in [Tensor::exp, Tensor::tanh, Tensor::sigmoid, Tensor::relu, Tensor::silu, Tensor::quick_gelu] {
        assert!(values(f, &[nan, 1.0])[0].is_nan());
    }
    for form in [Gelu::Exact, Gelu::Tanh] {
        let x = Tensor::from_slice(&[nan, inf, -1e9, 1e30], &[4]).unwrap();
        let y = x.gelu(form).unwrap().to_vec::<f32>().unwrap();
        assert!(y[0].is_nan());
        assert_eq!(&y[1..], [inf, 0.0, 1e30]);
    }
    assert_eq!(values(Tensor::exp, &[inf, -inf, 89.0, -200.0, 0.0]), [inf, 0.0, inf, 0.0, 1.0]);
    assert_eq!(values(Tensor::tanh, &[inf, -inf, 50.0]), [1.0, -1.0, 1.0]);
    assert_eq!(values(Tensor::sigmoid, &[inf, -inf]), [1.0, 0.0]);
    assert_eq!(values(|x| x.softmax(0), &[-inf, 0.0, -inf]), [0.0, 1.0, 0.0]);
    assert!(values(|x| x.softmax(0), &[-inf; 40]).iter().all(|x| x.is_nan()));
    assert!(values(|x| x.softmax(0), &[0.0, nan, 1.0]).iter().all(|x| x.is_nan()));
    assert!(values(|x| x.softmax(0), &[0.0, inf]).iter().any(|x| x.is_nan()));
}

#[test]
fn the_largest_finite_exponentials_are_not_lost() {
    let x: Vec<f32> = (0..4000).map(|i| -88.0 + i as f32 * 0.0442).collect();
    let y = Tensor::from_slice(&x, &[x.len()]).unwrap().exp().unwrap().to_vec::<f32>().unwrap();
    for (x, y) in x.iter().zip(y) {
        let want = f64::from(*x).exp();
        let right = if want > f64::from(f32::MAX) {
            y == f32::INFINITY
        } else if want < f64::from(f32::MIN_POSITIVE) {
            y == 0.0
        } else {
            (f64::from(y) / want - 1.0).abs() < 2e-7
        };
        assert!(right, "exp({x}) = {y:e}, expected {want:e}");
    }
}

#[test]
fn gradients_of_weights_do_not_depend_on_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x = Tensor::from_slice(&numbers(500 * 200, 1), &[500, 200]).unwrap();
            let w = Tensor::from_slice(&numbers(200, 2), &[200]).unwrap().requiring_grad().unwrap();
            let y = x.layer_norm(1, Some(&w), None, 1e-5).unwrap();
            y.mul(&y).unwrap().sum(None, false).unwrap().backward(None, BackwardOptions::default()).unwrap();
            w.grad().unwrap().unwrap().to_vec::<f32>().unwrap()
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

/// Everything above once more with less than this machine has: the tests run again in processes of their own, because
/// the instructions are chosen once in each.
#[test]
fn every_set_of_instructions_agrees() {
    const WANTED: &str = "HOOKLENS_INSTRUCTIONS";
    if let Ok(wanted) = std::env::var(WANTED) {
        assert_eq!(instructions(), wanted);
        return;
    }
    for less in ["baseline", "avx2", "avx512"].into_iter().take_while(|name| *name != instructions()) {
        let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
        let output = tests.env(WANTED, less).output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("test products_agree_in_every_layout ... ok"), "{report}");
    }
}

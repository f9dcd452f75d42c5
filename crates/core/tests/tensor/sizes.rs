//! Results that no memory could hold are refused: a failing allocation would end the process.

use candle_core::Device;
use hooklens_core::ops::{self, Arg, Room};
use hooklens_core::{BackwardOptions, DType, Tensor};

/// So many that a square of them, at one byte each, is more than a process can address.
const LONG: usize = 1 << 24;

/// A tensor of that shape that takes a single element of memory.
fn expanded(dims: &[usize], dtype: DType) -> Tensor {
    let size: Vec<i64> = dims.iter().map(|&n| n as i64).collect();
    Tensor::ones(&[], dtype, &Device::Cpu).unwrap().expand(&size).unwrap()
}

fn ints(list: &[i64]) -> Arg {
    Arg::List(list.iter().map(|&i| Arg::Int(i)).collect())
}

/// A value for a parameter of that name that most operations take.
fn usual(op: &str, param: &str) -> Arg {
    match param {
        "dim" | "dim0" | "offset" | "diagonal" | "index" if op != "index" && op != "index_put" => Arg::Int(0),
        "dim1" | "length" | "k" | "num_samples" | "step" | "chunks" => Arg::Int(1),
        "start" if op != "slice" => Arg::Int(0),
        "index" => Arg::List(vec![Arg::List(vec![Arg::Text("int".into()), Arg::Int(0)])]),
        "dims" | "shifts" => ints(&[1, 0]),
        "repeats" | "normalized_shape" => ints(&[2, 1]),
        "size" if op == "unfold" => Arg::Int(2),
        "size" => ints(&[-1, -1]),
        "shape" | "split_size_or_sections" => Arg::Int(-1),
        "min" | "max" | "value" | "fill_value" => Arg::Int(1),
        "weight" => Arg::Float(0.5),
        "dtype" => Arg::Text("float64".into()),
        "equation" => Arg::Text("ij,jk->ik".into()),
        "pattern" => Arg::Text("a b -> (b a)".into()),
        "reduction" if op == "reduce" => Arg::Text("sum".into()),
        _ => Arg::Null,
    }
}

#[track_caller]
fn assert_too_large(what: &str, result: hooklens_core::Result<Vec<Tensor>>) {
    let error = result.err().unwrap_or_else(|| panic!("{what} went through"));
    assert!(error.to_string().contains("too large"), "{what}: {error}");
}

/// An operation, its tensors, its plain arguments.
type NamedCall = (&'static str, Vec<Tensor>, Vec<(&'static str, Arg)>);

#[test]
fn no_operation_ends_the_process_over_an_expanded_view() {
    for (index, op) in ops::all().iter().enumerate() {
        let args: Vec<Arg> = op.params.iter().map(|param| usual(op.name, param)).collect();
        for dtype in [DType::F32, DType::F16, DType::I64, DType::Bool] {
            for dims in [&[LONG, LONG][..], &[2, LONG, LONG]] {
                let x = expanded(dims, dtype);
                for inputs in [vec![x.clone()], vec![x.clone(), x.clone()], vec![x.clone(), x.clone(), x.clone()]] {
                    let result = ops::call(index, &inputs, &args);
                    if op.room != Room::Own {
                        assert_too_large(op.name, result);
                    }
                }
            }
        }
    }
}

#[test]
fn no_operation_ends_the_process_over_shapes_that_broadcast() {
    let (column, row) = (expanded(&[LONG, 1], DType::F32), expanded(&[LONG], DType::F32));
    for (index, op) in ops::all().iter().enumerate().filter(|(_, op)| op.room == Room::Broadcast) {
        assert_too_large(op.name, ops::call(index, &[column.clone(), row.clone()], &vec![Arg::Null; op.params.len()]));
    }
}

#[test]
fn results_larger_than_their_inputs_are_refused() {
    let f32 = |dims: &[usize]| expanded(dims, DType::F32);
    let i64 = |dims: &[usize]| expanded(dims, DType::I64);
    let long = || f32(&[LONG]);
    let zeros = Tensor::zeros(&[LONG], DType::I64, &Device::Cpu).unwrap();
    let row = f32(&[1, LONG]);
    let text = |s: &str| Arg::Text(s.into());
    let size = LONG as i64;
    let cases: Vec<NamedCall> = vec![
        ("outer", vec![long(), long()], vec![]),
        ("einsum", vec![long(), long()], vec![("equation", text("i,j->ij"))]),
        ("einsum", vec![long(), long(), f32(&[2])], vec![("equation", text("i,j,k->ijk"))]),
        ("matmul", vec![f32(&[LONG, 1]), row.clone()], vec![]),
        ("linear", vec![f32(&[LONG, 1]), f32(&[LONG, 1])], vec![]),
        ("scaled_dot_product_attention", vec![f32(&[LONG, 1]), f32(&[LONG, 1]), f32(&[LONG, 1])], vec![]),
        ("index_select", vec![row.clone(), zeros.clone()], vec![("dim", Arg::Int(0))]),
        ("embedding", vec![row.clone(), zeros.clone()], vec![]),
        (
            "index",
            vec![row.clone(), zeros.clone()],
            vec![("index", Arg::List(vec![Arg::List(vec![text("tensor"), Arg::Int(1)])]))],
        ),
        ("gather", vec![f32(&[LONG, LONG]), i64(&[LONG, LONG])], vec![("dim", Arg::Int(0))]),
        ("take_along_dim", vec![row.clone(), i64(&[LONG, 1])], vec![("dim", Arg::Int(1))]),
        ("repeat", vec![long()], vec![("repeats", ints(&[size, 1]))]),
        (
            "repeat_axes",
            vec![long()],
            vec![("pattern", text("a -> (a b)")), ("names", Arg::List(vec![text("b")])), ("sizes", ints(&[size]))],
        ),
        ("repeat_interleave", vec![long()], vec![("repeats", ints(&[size])), ("dim", Arg::Int(0))]),
        ("pad", vec![long()], vec![("pad", ints(&[0, 1 << 50]))]),
        ("one_hot", vec![zeros], vec![("num_classes", Arg::Int(size))]),
        ("reshape", vec![f32(&[LONG, LONG])], vec![("shape", ints(&[-1]))]),
        ("contiguous", vec![f32(&[LONG, LONG])], vec![]),
        ("to", vec![f32(&[LONG, LONG])], vec![("dtype", text("bool"))]),
        ("split", vec![f32(&[LONG * LONG])], vec![("split_size_or_sections", Arg::Int(1))]),
        ("chunk", vec![f32(&[LONG * LONG])], vec![("chunks", Arg::Int(size * size))]),
        ("unfold", vec![long()], vec![("dim", Arg::Int(0)), ("size", Arg::Int(size / 2)), ("step", Arg::Int(1))]),
        ("arange", vec![], vec![("end", Arg::Int(1 << 50))]),
        ("linspace", vec![], vec![("start", Arg::Int(0)), ("end", Arg::Int(1)), ("steps", Arg::Int(1 << 50))]),
        ("full", vec![], vec![("size", ints(&[size, size])), ("fill_value", Arg::Bool(true))]),
        ("eye", vec![], vec![("n", Arg::Int(size))]),
        ("rand", vec![], vec![("size", ints(&[size, size]))]),
        ("randint", vec![], vec![("low", Arg::Int(0)), ("high", Arg::Int(2)), ("size", ints(&[size, size]))]),
        ("randperm", vec![], vec![("n", Arg::Int(1 << 50))]),
    ];
    for (name, inputs, args) in cases {
        assert_too_large(name, ops::call_named(name, &inputs, &args));
    }
}

#[test]
fn copies_and_gradients_of_expanded_views_are_refused() {
    let x = expanded(&[LONG, LONG], DType::F32);
    assert_too_large("toData", x.to_vec::<f32>().map(|_| Vec::new()));
    assert_too_large("parameter", Tensor::parameter(x.data()).map(|_| Vec::new()));
    let leaf = Tensor::ones(&[1, 1], DType::F32, &Device::Cpu).unwrap().requiring_grad().unwrap();
    let corner = leaf.expand(&[LONG as i64, LONG as i64]).unwrap().select(0, 0).unwrap().select(0, 0).unwrap();
    assert_too_large("gradient", corner.backward(None, BackwardOptions::default()).map(|()| Vec::new()));
}

#[test]
fn products_read_broadcast_operands_where_they_lie() {
    let (a, b) = (expanded(&[LONG * 64, 1, 2], DType::F32), expanded(&[2, 1], DType::F32));
    let part = a.narrow(0, 0, 3).unwrap().matmul(&b).unwrap();
    assert_eq!(super::values(&part), [2.0; 3]);
    let (wide, tall) = (expanded(&[3, 1 << 20], DType::F32), expanded(&[1 << 20, 3], DType::F32));
    let product = ops::call_named("matmul", &[wide, tall], &[]).unwrap();
    assert_eq!(super::values(&product[0]), [f64::from(1 << 20); 9]);
}

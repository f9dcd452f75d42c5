use crate::{assert_close, check_gradient, numbers, values};
use hooklens_core::tensor::{AttentionOptions, IndexItem};
use hooklens_core::{BackwardOptions, DType, Tensor};

fn slice(start: i64, stop: i64, step: i64) -> IndexItem {
    IndexItem::Slice { start: Some(start), stop: Some(stop), step: Some(step) }
}

#[test]
fn gradients_of_parts_of_transposed_tensors() {
    let x = numbers(&[4, 6], 1);
    check_gradient(&x, |x| {
        let t = x.transpose(0, 1).unwrap();
        vec![
            t.index(&[slice(1, 6, 2), IndexItem::Int(-1)]).unwrap(),
            t.flip(&[0]).unwrap(),
            t.diagonal(-1, 0, 1).unwrap(),
            t.unfold(0, 3, 1).unwrap(),
            t.roll(&[2, 1], &[0, 1]).unwrap(),
            t.pad(&[1, 0, -2, 1], hooklens_core::ops::Scalar::Float(2.0)).unwrap(),
        ]
    });
}

#[test]
fn writing_through_an_index_reaches_both_gradients() {
    let ids = Tensor::from_slice(&[2i64, 0, 2], &[3]).unwrap();
    let values_written = numbers(&[3, 3], 2);
    let x = numbers(&[4, 6], 1);
    let items = [IndexItem::Tensor(ids), slice(0, 6, 2)];
    for accumulate in [false, true] {
        check_gradient(&x, |x| vec![x.index_put(&items, &values_written, accumulate).unwrap()]);
        check_gradient(&values_written, |v| vec![x.index_put(&items, v, accumulate).unwrap()]);
    }
    let written = values(&x.index_put(&items, &values_written, false).unwrap());
    // Row 2 is named twice: the last wins.
    assert_close(&[written[12], written[14], written[16]], &values(&values_written)[6..], 0.0);
}

#[test]
fn index_tensors_follow_torchs_placement() {
    let x = numbers(&[3, 4, 5], 1);
    let ids = |v: &[i64]| IndexItem::Tensor(Tensor::from_slice(v, &[v.len()]).unwrap());
    let all = || IndexItem::Slice { start: None, stop: None, step: None };
    let apart = x.index(&[ids(&[0, 2]), all(), ids(&[1, 4])]).unwrap();
    assert_eq!(apart.dims(), [2, 4]);
    let together = x.index(&[all(), ids(&[0, -1, 2]), slice(1, 5, 3)]).unwrap();
    assert_eq!(together.dims(), [3, 3, 2]);
    let data = values(&x);
    assert_close(&values(&together)[2..4], &[data[16], data[19]], 0.0);
    let zero_d = IndexItem::Tensor(Tensor::from_slice(&[-1i64], &[]).unwrap());
    assert_eq!(x.index(&[zero_d]).unwrap().dims(), [4, 5]);
    let outside = IndexItem::Tensor(Tensor::from_slice(&[3i64], &[1]).unwrap());
    assert_eq!(x.index(&[outside]).unwrap_err().code(), "index_out_of_range");
}

#[test]
fn scattered_values_that_are_overwritten_get_no_gradient() {
    let index = Tensor::from_slice(&[1i64, 1, 0], &[3]).unwrap();
    let source = numbers(&[3], 1).requiring_grad().unwrap();
    let out = numbers(&[2], 2).scatter(0, &index, &source).unwrap();
    out.backward(Some(&numbers(&[2], 3)), BackwardOptions::default()).unwrap();
    let g = values(&numbers(&[2], 3));
    assert_close(&values(&source.grad().unwrap().unwrap()), &[0.0, g[1], g[0]], 0.0);
}

#[test]
fn parts_of_one_split_share_a_gradient() {
    check_gradient(&numbers(&[5, 4], 1), |x| {
        let parts = x.split(2, 0).unwrap();
        vec![parts[0].clone(), parts[2].clone()]
    });
}

#[test]
fn cat_tracks_some_of_its_inputs() {
    let (x, y) = (numbers(&[2, 3], 1), numbers(&[1, 3], 2));
    check_gradient(&x, |x| vec![Tensor::cat(&[y.clone(), x.clone(), y.clone(), x.clone()], 0).unwrap()]);
    let nothing = numbers(&[0], 1);
    assert_eq!(Tensor::cat(&[nothing, x], 0).unwrap().dims(), [2, 3]);
}

#[test]
fn attention_gradients_with_mask_groups_and_hidden_rows() {
    let (q, k, v) = (numbers(&[1, 4, 3, 4], 1), numbers(&[1, 2, 5, 4], 2), numbers(&[1, 2, 5, 3], 3));
    let mask = numbers(&[4, 1, 5], 4);
    let options = AttentionOptions { enable_gqa: true, ..AttentionOptions::default() };
    check_gradient(&q, |q| vec![q.scaled_dot_product_attention(&k, &v, Some(&mask), options).unwrap()]);
    check_gradient(&k, |k| vec![q.scaled_dot_product_attention(k, &v, Some(&mask), options).unwrap()]);
    check_gradient(&v, |v| vec![q.scaled_dot_product_attention(&k, v, Some(&mask), options).unwrap()]);
    check_gradient(&mask, |m| vec![q.scaled_dot_product_attention(&k, &v, Some(m), options).unwrap()]);
    let hidden = Tensor::zeros(&[3, 5], DType::Bool, &candle_core::Device::Cpu).unwrap();
    let out = q.scaled_dot_product_attention(&k, &v, Some(&hidden), options).unwrap();
    assert!(values(&out).iter().all(|x| *x == 0.0), "a query that may attend to nothing gets zeros");
}

#[test]
fn scores_of_minus_infinity_are_zeros_under_a_mask_and_nan_without() {
    let device = candle_core::Device::Cpu;
    for dtype in [DType::F16, DType::F32, DType::F64] {
        let filled = |dims: &[usize], x: f64| Tensor::from_slice(&vec![x; dims.iter().product()], dims).unwrap();
        let [q, k, v] = [(2, f64::NEG_INFINITY), (3, 1.0), (3, 2.0)]
            .map(|(rows, x)| filled(&[1, rows, 4], x).to_dtype(dtype).unwrap());
        let attend = |mask: Option<&Tensor>, is_causal: bool| {
            let options = AttentionOptions { is_causal, ..AttentionOptions::default() };
            values(&q.scaled_dot_product_attention(&k, &v, mask, options).unwrap())
        };
        let open = Tensor::ones(&[2, 3], DType::Bool, &device).unwrap();
        assert!(attend(None, false).iter().all(|x| x.is_nan()), "{dtype:?}");
        assert_eq!(attend(Some(&open), false), [0.0; 8], "{dtype:?}");
        assert_eq!(attend(None, true), [0.0; 8], "{dtype:?}");
    }
}

#[test]
fn requests_beyond_memory_are_errors() {
    let x = numbers(&[1], 1);
    let code = |r: hooklens_core::Result<Tensor>| r.unwrap_err().code();
    assert_eq!(code(x.expand(&[1 << 40, 1 << 40])), "invalid_argument");
    assert_eq!(code(x.expand(&[1 << 60]).unwrap().contiguous()), "invalid_argument");
    assert_eq!(code(x.repeat_interleave(&[i64::MAX], Some(0))), "invalid_argument");
    assert_eq!(code(x.pad(&[i64::MAX, i64::MAX], hooklens_core::ops::Scalar::Int(0))), "invalid_argument");
    assert_eq!(code(x.narrow(0, i64::MIN, usize::MAX)), "index_out_of_range");
    assert_eq!(code(x.select(0, i64::MIN)), "index_out_of_range");
}

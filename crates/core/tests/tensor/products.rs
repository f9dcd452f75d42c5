use crate::{assert_close, check_gradient, numbers, values};
use hooklens_core::{DType, Tensor};

/// The product by its definition.
fn naive(a: &Tensor, b: &Tensor) -> Vec<f64> {
    let (&[m, k], &[_, n]) = (a.dims(), b.dims()) else { panic!("two matrices") };
    let (a, b) = (values(a), values(b));
    (0..m * n).map(|at| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum()).collect()
}

#[test]
fn products_agree_with_the_definition_in_every_layout() {
    for (m, k, n) in [(1, 1, 1), (1, 64, 200), (130, 65, 1), (150, 70, 90), (3, 0, 4)] {
        let (a, b) = (numbers(&[m, k], 1), numbers(&[k, n], 2));
        let want = naive(&a, &b);
        let flipped = |x: &Tensor| x.transpose(0, 1).unwrap().contiguous().unwrap().transpose(0, 1).unwrap();
        for a in [a.clone(), flipped(&a)] {
            for b in [b.clone(), flipped(&b)] {
                assert_close(&values(&a.matmul(&b).unwrap()), &want, 1e-12);
            }
        }
    }
}

#[test]
fn batches_in_any_order_of_axes_multiply() {
    // [batch, position, head, d] as attention holds it: the batch axes of the product are not adjacent in memory.
    let (q, k) = (numbers(&[2, 5, 3, 4], 1), numbers(&[2, 6, 3, 4], 2));
    let got = q.transpose(1, 2).unwrap().matmul(&k.permute(&[0, 2, 3, 1]).unwrap()).unwrap();
    let (q, k) = (values(&q), values(&k));
    let want: Vec<f64> = (0..2 * 3 * 5 * 6)
        .map(|at| {
            let (b, h, i, j) = (at / 90, at / 30 % 3, at / 6 % 5, at % 6);
            (0..4).map(|d| q[((b * 5 + i) * 3 + h) * 4 + d] * k[((b * 6 + j) * 3 + h) * 4 + d]).sum()
        })
        .collect();
    assert_close(&values(&got), &want, 1e-12);
}

#[test]
fn a_stack_of_transposed_matrices_times_one_matrix_is_not_mistaken_for_one_matrix() {
    let x = numbers(&[3, 4, 5], 1);
    let w = numbers(&[4, 2], 2);
    let got = x.transpose(1, 2).unwrap().matmul(&w).unwrap();
    let parts: Vec<f64> = (0..3).flat_map(|i| naive(&x.select(0, i).unwrap().transpose(0, 1).unwrap(), &w)).collect();
    assert_close(&values(&got), &parts, 1e-12);
}

#[test]
fn gradients_of_broadcast_products() {
    let shapes: [(&[usize], &[usize]); 5] = [
        (&[2, 3, 4], &[4, 5]),
        (&[3, 4], &[2, 4, 5]),
        (&[2, 1, 3, 4], &[5, 4, 2]),
        (&[4], &[2, 4, 3]),
        (&[2, 3, 4], &[4]),
    ];
    for (a, b) in shapes {
        let (a, b) = (numbers(a, 1), numbers(b, 2));
        check_gradient(&a, |a| vec![a.matmul(&b).unwrap()]);
        check_gradient(&b, |b| vec![a.matmul(b).unwrap()]);
    }
    let (x, w, bias) = (numbers(&[2, 3, 4], 1), numbers(&[5, 4], 2), numbers(&[5], 3));
    check_gradient(&x, |x| vec![x.linear(&w, Some(&bias)).unwrap()]);
    check_gradient(&w, |w| vec![x.linear(w, Some(&bias)).unwrap()]);
    check_gradient(&bias, |bias| vec![x.linear(&w, Some(bias)).unwrap()]);
}

#[test]
fn halves_multiply_with_the_digits_of_f32() {
    let ones = Tensor::ones(&[1, 4096], DType::F32, &candle_core::Device::Cpu).unwrap();
    for dtype in [DType::F16, DType::BF16] {
        let (a, b) = (ones.to_dtype(dtype).unwrap(), ones.transpose(0, 1).unwrap().to_dtype(dtype).unwrap());
        let sum = a.matmul(&b).unwrap();
        assert_eq!(sum.dtype(), dtype);
        // Adding ones one by one, f16 stops at 2048 and bf16 at 256.
        assert_close(&values(&sum), &[4096.0], 0.0);
    }
}

#[test]
fn einsum_takes_diagonals_traces_and_spaces() {
    let a = numbers(&[3, 3], 1);
    let data = values(&a);
    let run = |equation: &str, x: &Tensor| values(&Tensor::einsum(equation, std::slice::from_ref(x)).unwrap());
    assert_close(&run("i i -> i", &a), &[data[0], data[4], data[8]], 0.0);
    assert_close(&run("ii", &a), &[data[0] + data[4] + data[8]], 1e-15);
    assert_close(&run("...i->i...", &a), &values(&a.transpose(0, 1).unwrap()), 0.0);
    check_gradient(&a, |a| vec![Tensor::einsum("ii,ij->j", &[a.clone(), a.clone()]).unwrap()]);
    let error = |equation: &str| Tensor::einsum(equation, std::slice::from_ref(&a)).unwrap_err().code();
    assert_eq!(error("ij->ii"), "invalid_argument");
    assert_eq!(error("i.j->ij"), "invalid_argument");
    assert_eq!(error("ij,jk->ik"), "invalid_argument");
    assert_eq!(Tensor::einsum("", &[]).unwrap_err().code(), "invalid_argument");
}

#[test]
fn empty_products_with_a_bias() {
    let device = candle_core::Device::Cpu;
    for dtype in [DType::F16, DType::F32, DType::F64] {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, dtype, &device).unwrap();
        let bias = |n: usize| Tensor::ones(&[n], dtype, &device).unwrap();
        for (rows, inner, outputs) in [(2, 3, 0), (0, 3, 4), (2, 0, 4), (0, 0, 0)] {
            let y = zeros(&[rows, inner]).linear(&zeros(&[outputs, inner]), Some(&bias(outputs))).unwrap();
            assert_eq!((y.dims(), values(&y)), (&[rows, outputs][..], vec![1.0; rows * outputs]), "{dtype:?}");
        }
    }
}

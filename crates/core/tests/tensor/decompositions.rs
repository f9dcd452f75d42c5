use crate::{assert_close, check_gradient, numbers, values};
use hooklens_core::Tensor;

fn product(equation: &str, operands: &[&Tensor]) -> Tensor {
    let operands: Vec<Tensor> = operands.iter().map(|&x| x.clone()).collect();
    Tensor::einsum(equation, &operands).unwrap()
}

#[test]
fn gradients_flow_through_svd() {
    for dims in [[4, 4], [5, 3], [3, 5]] {
        check_gradient(&numbers(&dims, 1), |a| {
            let (u, s, vt) = a.svd().unwrap();
            // Signs of singular vectors cancel in these products, which use each factor alone and all together.
            vec![
                s.clone(),
                product("ik,k,kj->ij", &[&u, &s, &vt]),
                product("ik,jk,k->ij", &[&u, &u, &s]),
                product("ki,kj,k->ij", &[&vt, &vt, &s]),
            ]
        });
    }
}

#[test]
fn gradients_flow_through_eigh() {
    check_gradient(&numbers(&[2, 4, 4], 2), |a| {
        let symmetric = product("bij->bji", &[a]);
        let both = Tensor::stack(&[a.clone(), symmetric], 0).unwrap().sum(Some(&[0]), false).unwrap();
        let (w, v) = both.eigh().unwrap();
        vec![w.clone(), product("bik,bjk,bk->bij", &[&v, &v, &w])]
    });
}

#[test]
fn gradients_flow_through_qr() {
    for dims in [[4, 4], [6, 3], [3, 5]] {
        check_gradient(&numbers(&dims, 3), |a| {
            let (q, r) = a.qr().unwrap();
            vec![q, r]
        });
    }
}

#[test]
fn gradients_of_det_reach_singular_matrices() {
    let singular = Tensor::from_slice(&[1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 1.0, 0.5, 0.25], &[3, 3]).unwrap();
    check_gradient(&singular, |a| vec![a.det().unwrap()]);
    check_gradient(&numbers(&[2, 3, 3], 4), |a| {
        let (_, log) = a.slogdet().unwrap();
        vec![a.det().unwrap(), log, a.inverse().unwrap()]
    });
}

#[test]
fn vectors_of_repeated_singular_values_have_no_gradient() {
    let a = Tensor::from_slice(&[1.0, 0.0, 0.0, 1.0], &[2, 2]).unwrap().requiring_grad().unwrap();
    let (u, _, _) = a.svd().unwrap();
    let error = u.backward(Some(&numbers(&[2, 2], 5)), Default::default()).unwrap_err();
    assert_eq!(error.code(), "autograd");
}

#[test]
fn nan_is_refused_rather_than_iterated_on() {
    let a = Tensor::from_slice(&[f64::NAN, 0.0, 0.0, 1.0], &[2, 2]).unwrap();
    assert_eq!(a.svd().unwrap_err().code(), "invalid_argument");
    assert_eq!(a.eigh().unwrap_err().code(), "invalid_argument");
}

#[test]
fn empty_matrices_decompose() {
    let (u, s, vt) = numbers(&[3, 0], 6).svd().unwrap();
    assert_eq!((u.dims(), s.dims(), vt.dims()), ([3, 0].as_slice(), [0].as_slice(), [0, 0].as_slice()));
    assert_close(&values(&numbers(&[0, 0], 6).det().unwrap()), &[1.0], 0.0);
    assert_eq!(numbers(&[0, 2, 2], 6).inverse().unwrap().dims(), [0, 2, 2]);
}

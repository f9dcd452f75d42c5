use crate::{assert_close, values};
use candle_core::Device::Cpu;
use hooklens_core::tensor::manual_seed;
use hooklens_core::{DType, Tensor};

fn randn(n: usize, seed: u64) -> Vec<f64> {
    values(&Tensor::randn(&[n], DType::F64, &Cpu, Some(seed)).unwrap())
}

/// Mean, variance and fourth moment.
fn moments(x: &[f64]) -> [f64; 3] {
    let mean = |power: i32| x.iter().map(|x| x.powi(power)).sum::<f64>() / x.len() as f64;
    [mean(1), mean(2), mean(4)]
}

#[test]
fn a_seed_gives_these_numbers_on_every_machine() {
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&randn(4, 42)), NORMALS_OF_SEED_42);
    let uniform = Tensor::rand(&[4], DType::F32, &Cpu, Some(42)).unwrap();
    assert_eq!(uniform.to_vec::<f32>().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), UNIFORMS_OF_SEED_42);
}

// From ChaCha8 and the quantile function of another language's standard library.
const NORMALS_OF_SEED_42: [u64; 4] =
    [13824069944819042146, 13826645286631857437, 13803745524591406462, 13823122451062116071];
const UNIFORMS_OF_SEED_42: [u32; 4] = [1051872872, 1049773844, 1056745580, 1052531808];

#[test]
fn normals_have_the_moments_of_the_normal_distribution() {
    let x = randn(200_000, 7);
    let [mean, variance, fourth] = moments(&x);
    assert!(
        mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02 && (fourth - 3.0).abs() < 0.1,
        "{mean} {variance} {fourth}"
    );
    let beyond = x.iter().filter(|x| x.abs() > 1.959_963_984_540_054).count() as f64 / x.len() as f64;
    assert!((beyond - 0.05).abs() < 0.003, "{beyond}");
    assert!(x.iter().any(|x| x.abs() > 4.0), "tails are drawn too");
}

#[test]
fn uniforms_stay_below_one_in_every_dtype() {
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let x = values(&Tensor::rand(&[100_000], dtype, &Cpu, Some(3)).unwrap());
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)), "{}", dtype.name());
        let [mean, square, _] = moments(&x);
        let spread = square - mean * mean;
        assert!((mean - 0.5).abs() < 0.01 && (spread - 1.0 / 12.0).abs() < 0.002, "{} {mean} {spread}", dtype.name());
    }
}

#[test]
fn manual_seed_restarts_the_sequence_and_calls_differ() {
    let draw = || values(&Tensor::rand(&[8], DType::F64, &Cpu, None).unwrap());
    manual_seed(5);
    let (first, second) = (draw(), draw());
    manual_seed(5);
    assert_eq!(first, draw());
    assert_ne!(first, second);
}

#[test]
fn integers_permutations_and_draws() {
    let dice = values(&Tensor::randint(1, 7, &[60_000], DType::I64, &Cpu, Some(1)).unwrap());
    for face in 1..7 {
        let count = dice.iter().filter(|x| **x == f64::from(face)).count();
        assert!((9_500..10_500).contains(&count), "{face}: {count}");
    }
    let mut order = values(&Tensor::randperm(100, &Cpu, Some(1)).unwrap());
    assert!(order.windows(2).any(|w| w[0] > w[1]));
    order.sort_by(f64::total_cmp);
    assert_close(&order, &(0..100).map(f64::from).collect::<Vec<_>>(), 0.0);
    let chances = Tensor::from_slice(&[0.0, 1.0, 0.25], &[3]).unwrap().expand(&[20_000, 3]).unwrap();
    let means = values(&chances.bernoulli(Some(1)).unwrap().mean(Some(&[0]), false).unwrap());
    assert!(means[0] == 0.0 && means[1] == 1.0 && (means[2] - 0.25).abs() < 0.02, "{means:?}");
    let weights = Tensor::from_slice(&[0.0, 3.0, 1.0, 0.0], &[4]).unwrap();
    let drawn = values(&weights.multinomial(10_000, true, Some(1)).unwrap());
    let ones = drawn.iter().filter(|x| **x == 1.0).count();
    assert!(drawn.iter().all(|x| *x == 1.0 || *x == 2.0) && (7_300..7_700).contains(&ones), "{ones}");
    let mut both = values(&weights.multinomial(2, false, Some(1)).unwrap());
    both.sort_by(f64::total_cmp);
    assert_close(&both, &[1.0, 2.0], 0.0);
}

#[test]
fn senseless_requests_are_refused() {
    let code = |r: hooklens_core::Result<Tensor>| r.unwrap_err().code();
    assert_eq!(code(Tensor::rand(&[2], DType::I64, &Cpu, None)), "wrong_dtype");
    assert_eq!(code(Tensor::rand(&[usize::MAX, 2], DType::F32, &Cpu, None)), "invalid_argument");
    assert_eq!(code(Tensor::randint(3, 3, &[1], DType::I64, &Cpu, None)), "invalid_argument");
    let weights = Tensor::from_slice(&[0.0, 3.0], &[2]).unwrap();
    assert_eq!(code(weights.multinomial(2, false, None)), "invalid_argument");
    assert_eq!(code(weights.bernoulli(None)), "invalid_argument");
}

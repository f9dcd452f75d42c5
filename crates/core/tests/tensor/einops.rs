use crate::{assert_close, check_gradient, numbers, values};
use hooklens_core::tensor::AxisReduction;

fn named(name: &str, size: usize) -> Vec<(String, usize)> {
    vec![(name.to_owned(), size)]
}

#[test]
fn heads_are_split_and_merged() {
    let x = numbers(&[2, 5, 12], 1);
    let split = x.rearrange("b s (h d) -> b h s d", &named("h", 3)).unwrap();
    let by_hand = x.reshape(&[2, 5, 3, 4]).unwrap().transpose(1, 2).unwrap();
    assert_eq!(split.dims(), [2, 3, 5, 4]);
    assert_close(&values(&split), &values(&by_hand), 0.0);
    let merged = split.rearrange("b h s d -> b s (h d)", &[]).unwrap();
    assert_close(&values(&merged), &values(&x), 0.0);
}

#[test]
fn ellipsis_ones_and_empty_groups() {
    let x = numbers(&[2, 3, 4], 1);
    assert_eq!(x.rearrange("... c -> c ...", &[]).unwrap().dims(), [4, 2, 3]);
    assert_eq!(x.rearrange("b ... -> b (...)", &[]).unwrap().dims(), [2, 12]);
    assert_eq!(x.rearrange("a b c -> a 1 (b c) ()", &[]).unwrap().dims(), [2, 1, 12, 1]);
    assert_eq!(numbers(&[2, 1, 3], 1).rearrange("a 1 b -> (a b)", &[]).unwrap().dims(), [6]);
    assert_eq!(numbers(&[], 1).rearrange("... -> ... 1", &[]).unwrap().dims(), [1]);
    assert_eq!(numbers(&[0, 4], 1).rearrange("a (b c) -> b (a c)", &named("c", 2)).unwrap().dims(), [2, 0]);
}

#[test]
fn reduce_pools_and_repeat_tiles() {
    let x = numbers(&[1, 4, 6], 1);
    let pooled = x.reduce("b (h 2) (w 3) -> b h w", AxisReduction::Max, &[]).unwrap();
    assert_eq!(pooled.dims(), [1, 2, 2]);
    let data = values(&x);
    let largest = [0, 1, 2, 6, 7, 8].iter().map(|&i| data[i]).fold(f64::MIN, f64::max);
    assert_close(&values(&pooled)[..1], &[largest], 0.0);
    for reduction in [AxisReduction::Sum, AxisReduction::Mean, AxisReduction::Prod, AxisReduction::Min] {
        check_gradient(&x, |x| vec![x.reduce("b h w -> w b", reduction, &[]).unwrap()]);
    }
    let tiled = numbers(&[2], 1).repeat_axes("a -> (2 a) b", &named("b", 3)).unwrap();
    assert_eq!(tiled.dims(), [4, 3]);
    check_gradient(&numbers(&[2, 3], 1), |x| vec![x.repeat_axes("a b -> b 2 (a c)", &named("c", 2)).unwrap()]);
}

#[test]
fn bad_patterns_say_why() {
    let x = numbers(&[2, 3, 4], 1);
    let cases: [(&str, &str, &str); 12] = [
        ("a b c", "invalid_argument", "->"),
        ("a b c -> a b", "invalid_argument", "c only on the left"),
        ("a b c -> a b c d", "invalid_argument", "d only on the right"),
        ("a a c -> a c", "invalid_argument", "twice"),
        ("a (b c -> a b c", "invalid_argument", "without ')'"),
        ("a ((b) c) -> a b c", "invalid_argument", "nested"),
        ("(a b) c d -> a b c d", "invalid_argument", "unknown"),
        ("a b -> b a", "rank_mismatch", "2 axes"),
        ("(a 4) c d -> a 4 c d", "shape_mismatch", "size 2"),
        ("a b c -> a + b c", "invalid_argument", "'+'"),
        ("a b c -> a b c ...", "invalid_argument", "..."),
        ("(... a) b -> a b", "invalid_argument", "parentheses"),
    ];
    for (pattern, code, part) in cases {
        let error = x.rearrange(pattern, &[]).unwrap_err();
        assert_eq!(error.code(), code, "{pattern}: {error}");
        assert!(error.to_string().contains(part), "{pattern}: {error}");
    }
    assert_eq!(x.rearrange("a b c -> c b a", &named("d", 2)).unwrap_err().code(), "invalid_argument");
    assert_eq!(x.rearrange("a b c -> c b a", &named("a", 5)).unwrap_err().code(), "shape_mismatch");
    assert_eq!(x.repeat_axes("a b c -> a b c d", &[]).unwrap_err().code(), "invalid_argument");
}

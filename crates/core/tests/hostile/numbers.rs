//! Configurations of every family with other numbers in place of their numbers: a model that is accepted gives logits that
//! are numbers, and not all of them zero.

use crate::cases;
use crate::configs::{copy, load};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Numbers where readers have gone wrong: at the ends of single and double precision, near 0 and 1, and any.
fn number() -> impl Strategy<Value = Value> {
    let edge = prop::sample::select(vec![
        0.0, 1.0, 0.5, 2.0, 3.0, 1e-6, 1e6, 1e9, 1e-12, 1e-30, 1e-38, 1e-39, 1e-46, 1e-300, 5e-324, 1e19, 1e30, 3.4e38,
        3.5e38, 1e300, 1.7e308,
    ]);
    prop_oneof![
        3 => (edge, any::<bool>()).prop_map(|(x, negative)| json!(if negative { -x } else { x })),
        2 => (-46.0..46.0f64).prop_map(|exponent| json!(10f64.powf(exponent))),
        2 => (1..70u64).prop_map(|n| json!(n)),
        1 => any::<i64>().prop_map(|n| json!(n)),
        1 => any::<f64>().prop_map(|x| json!(x)),
    ]
}

/// Parameters of a rotation of any type, with sound numbers but for a few.
fn scaling() -> impl Strategy<Value = Value> {
    let kinds = ["default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional"];
    let keys = [
        "factor",
        "rope_theta",
        "partial_rotary_factor",
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ];
    let changes = prop::collection::vec((prop::sample::select(keys.to_vec()), number()), 0..3);
    (prop::sample::select(kinds.to_vec()), changes, number()).prop_map(|(kind, changes, divisor)| {
        let mut scaling = json!({
            "rope_type": kind, "factor": 2.0, "rope_theta": 10000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "short_factor": [1.5], "long_factor": [divisor], "original_max_position_embeddings": 16,
        });
        for (key, value) in changes {
            scaling[key] = value;
        }
        scaling
    })
}

/// Keys that hold numbers and that a configuration of this form may leave out, with values that fit the fixtures.
fn numeric_keys(file: &str) -> Vec<(&'static str, Value)> {
    match file {
        "tl_config.json" => vec![
            ("eps", json!(1e-5)),
            ("attn_scale", json!(2.0)),
            ("attn_scores_soft_cap", json!(3.0)),
            ("output_logits_soft_cap", json!(5.0)),
            ("initializer_range", json!(0.1)),
            ("rotary_base", json!(10000.0)),
            ("rotary_scaling_factor", json!(1.0)),
        ],
        _ => vec![
            ("layer_norm_epsilon", json!(1e-5)),
            ("layer_norm_eps", json!(1e-5)),
            ("rms_norm_eps", json!(1e-6)),
            ("initializer_range", json!(0.02)),
            ("rope_theta", json!(10000.0)),
            ("rotary_emb_base", json!(10000.0)),
            ("rotary_pct", json!(0.25)),
            ("original_max_position_embeddings", json!(16)),
        ],
    }
}

/// Numbers in place of numbers, in every key that holds one and in scalings of the rotation.
fn changed_numbers(family: &str) {
    let (folder, file, mut config) = copy(family);
    config.as_object_mut().unwrap().extend(numeric_keys(file).into_iter().map(|(key, value)| (key.to_owned(), value)));
    let keys: Vec<String> =
        config.as_object().unwrap().iter().filter(|(_, value)| value.is_number()).map(|(key, _)| key.clone()).collect();
    let cases_of = (prop::collection::vec((prop::sample::select(keys), number()), 0..3), scaling());
    TestRunner::new(cases(5_000))
        .run(&cases_of, |(changes, scaling)| {
            let mut config = config.clone();
            config.as_object_mut().unwrap().extend(changes);
            if file == "config.json" {
                config["rope_parameters"] = scaling;
            }
            load(&folder, file, config.to_string().as_bytes())
        })
        .unwrap();
}

macro_rules! families {
    ($($family:ident)*) => { $(
        #[test]
        fn $family() {
            changed_numbers(stringify!($family));
        }
    )* };
}
families!(gpt2 gpt_neox llama tl_attn_only);

//! What a hook point costs: `cargo bench -p hooklens-core --bench hooks` prints JSON.
//!
//! Each number is the median over short batches of the mean time of one firing, in nanoseconds. What is compared runs in
//! alternating batches, so that a busy machine slows both. An intervention is reported beside the same arithmetic done
//! directly on candle tensors; `over`, the median difference, is what the registry, the plan and the tape add.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use candle_core::{Device, Tensor as CT};
use hooklens_core::hooks::{
    AddOptions, CacheStore, CallSite, CallbackId, CaptureOptions, Direction, HookBody, HookPointId, HookRegistry,
    Intervention, PointInfo, Trampoline,
};
use hooklens_core::{DType, Result, Tensor};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

struct Null;

impl Trampoline for Null {
    fn call(&self, _: CallbackId, _: CallSite<'_>, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

const POINT: HookPointId = HookPointId(0);
const BATCHES: usize = 301;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn batch(count: u32, run: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    (0..count).for_each(|_| run());
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

/// Median nanoseconds of a call of each, and of the difference.
fn paired(mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64, f64) {
    let mut count = 1u32;
    while batch(count, &mut one) * f64::from(count) < 50_000.0 && count < 1 << 20 {
        count *= 2;
    }
    let times: Vec<(f64, f64)> = (0..BATCHES).map(|_| (batch(count, &mut one), batch(count, &mut other))).collect();
    (
        median(times.iter().map(|t| t.0).collect()),
        median(times.iter().map(|t| t.1).collect()),
        median(times.iter().map(|t| t.0 - t.1).collect()),
    )
}

fn registry(axes: &[&str]) -> HookRegistry {
    let points = (0..160).map(|i| PointInfo {
        name: format!("blocks.{i}.hook"),
        axes: axes.iter().map(|a| (*a).to_owned()).collect(),
        default: true,
    });
    let registry = HookRegistry::new(points.collect()).unwrap();
    registry.set_trampoline(Arc::new(Null));
    registry
}

/// A firing of one point with that listener.
fn firing(axes: &[&str], direction: Direction, body: HookBody, x: &Tensor) -> impl FnMut() + use<> {
    let (registry, x) = (registry(axes), x.clone());
    registry.add(POINT, direction, body, AddOptions::default()).unwrap();
    move || {
        black_box(registry.fire(POINT, x.clone()).unwrap());
    }
}

/// Nanoseconds a firing with that listener.
fn fired(direction: Direction, body: HookBody, x: &Tensor) -> f64 {
    paired(firing(&[], direction, body, x), || ()).0
}

/// Nanoseconds an unobserved point, over all points in turn as a model passes them: with the loop around it, and less
/// the same loop without firing.
fn unobserved(x: &Tensor) -> (f64, f64) {
    let registry = registry(&[]);
    // One point is observed, so that the registry is not empty.
    let body = HookBody::Callback(CallbackId(1));
    registry.add(HookPointId(159), Direction::Forward, body, AddOptions::default()).unwrap();
    let pass = || {
        let mut value = x.clone();
        for i in 0..159 {
            value = registry.fire(black_box(HookPointId(i)), black_box(value)).unwrap();
        }
        black_box(value);
    };
    let without = || {
        let mut value = x.clone();
        for i in 0..159 {
            black_box(HookPointId(i));
            value = black_box(value);
        }
        black_box(value);
    };
    let (with_loop, _, alone) = paired(pass, without);
    (with_loop / 159.0, alone / 159.0)
}

struct Case {
    name: &'static str,
    json: &'static str,
    direct: fn(&CT, &CT, &CT) -> candle_core::Result<CT>,
}

/// The arithmetic takes the activation, a mask of its shape and a vector of the last axis' size.
const CASES: &[Case] = &[
    Case {
        name: "zero",
        json: r#"{"kind":"zero","at":{"pos":-1}}"#,
        direct: |x, m, _| m.where_cond(&x.zeros_like()?, x),
    },
    Case {
        name: "scale",
        json: r#"{"kind":"scale","factor":2,"at":{"pos":-1}}"#,
        direct: |x, m, _| m.where_cond(&x.affine(2.0, 0.0)?, x),
    },
    Case { name: "scale all", json: r#"{"kind":"scale","factor":2}"#, direct: |x, _, _| x.affine(2.0, 0.0) },
    Case {
        name: "add vector",
        json: r#"{"kind":"add","value":{"tensor":0},"at":{"pos":-1}}"#,
        direct: |x, m, v| m.where_cond(&x.broadcast_add(v)?, x),
    },
    Case {
        name: "project out",
        json: r#"{"kind":"project_out","direction":{"tensor":0},"at":{"pos":-1}}"#,
        direct: |x, m, v| {
            let along = x.broadcast_mul(v)?.sum_keepdim(2)?.broadcast_mul(v)?;
            let rest = x.sub(&along)?;
            m.where_cond(&rest, x)
        },
    },
];

fn interventions(dims: &[usize], tracked: bool) -> Vec<Value> {
    let axes = ["batch", "pos", "d_model"];
    let width = dims[2];
    let data = CT::rand(0f32, 1f32, dims, &Device::Cpu).unwrap();
    let vector = CT::ones(width, candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut along = vec![0u8; dims[1]];
    along[dims[1] - 1] = 1;
    let mask = CT::from_vec(along, (1, dims[1], 1), &Device::Cpu).unwrap();
    let mask = mask.broadcast_as(dims).unwrap().contiguous().unwrap();
    let x = Tensor::constant(data.clone()).unwrap();
    let x = if tracked { x.requiring_grad().unwrap() } else { x };
    CASES
        .iter()
        .map(|case| {
            let body = HookBody::Intervention {
                intervention: Intervention::from_json(case.json, "hook").unwrap(),
                tensors: vec![Tensor::constant(vector.clone()).unwrap()],
            };
            let edit = firing(&axes, Direction::Forward, body, &x);
            let (total, arithmetic, over) = paired(edit, || {
                black_box((case.direct)(&data, &mask, &vector).unwrap());
            });
            let name = format!("intervention: {}", case.name);
            json!({
                "name": name, "shape": dims, "tracked": tracked, "ns": total, "arithmetic": arithmetic,
                "over": over, "limit": 1000.0, "holds": over <= 1000.0,
            })
        })
        .collect()
}

fn main() {
    let mut results = Vec::new();
    // One row of the demo model's residual stream and one of GPT-2 small's.
    for dims in [[1, 16, 128], [1, 16, 768]] {
        let x = Tensor::zeros(&dims, DType::F32, &Device::Cpu).unwrap();
        let tracked = x.requiring_grad().unwrap();
        let capture = |options| HookBody::Capture { cache: CacheStore::new(), options };
        let mut row = |name: &str, ns: f64, limit: f64| {
            results.push(json!({ "name": name, "shape": dims, "ns": ns, "limit": limit, "holds": ns <= limit }));
        };
        let (with_loop, alone) = unobserved(&x);
        row("unobserved, with the loop", with_loop, 5.0);
        row("unobserved", alone, 5.0);
        let whole = || capture(CaptureOptions::default());
        row("capture", fired(Direction::Forward, whole(), &x), 200.0);
        row("capture, tracked", fired(Direction::Forward, whole(), &tracked), 200.0);
        let callback = || HookBody::Callback(CallbackId(1));
        row("null callback", fired(Direction::Forward, callback(), &x), 200.0);
        row("backward listener, forward part", fired(Direction::Backward, callback(), &tracked), 1000.0);
        for tracked in [false, true] {
            results.extend(interventions(&dims, tracked));
        }
    }
    println!(
        "{}",
        serde_json::to_string_pretty(&json!({ "bench": "hooks", "unit": "ns", "results": results })).unwrap()
    );
}

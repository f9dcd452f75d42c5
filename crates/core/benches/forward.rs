//! What forwards cost at GPT-2 small's sizes, with random weights: `cargo bench --workspace --bench forward` prints
//! JSON, milliseconds on the clock and of all processors together. `-- cache` runs only what has that in its name, `-- cache 50` fifty rounds of it: for profilers.
//!
//! Candidates take turns, so that a busy machine slows them all. `products` is the matrix products of a forward alone:
//! what no forward can be faster than.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use candle_core::{Device, Tensor as CT};
use hooklens_core::hooks::{AddOptions, CacheStore, CaptureOptions, Direction, HandleId, HookBody, HookPointId};
use hooklens_core::models::{ForwardRequest, Model, ModelConfig, ReturnType};
use hooklens_core::{BackwardOptions, Tensor, memory};
use serde_json::json;
use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: memory::CountingAllocator = memory::CountingAllocator;

fn gpt2() -> Model {
    let config = json!({
        "act_fn": "gelu_new", "normalization_type": "LN", "seed": 1, "n_layers": 12, "d_model": 768, "n_ctx": 1024,
        "d_head": 64, "n_heads": 12, "d_mlp": 3072, "d_vocab": 50257,
    });
    Model::new_random(ModelConfig::from_json(&config).unwrap(), &Device::Cpu).unwrap()
}

fn tiny() -> Model {
    let config = json!({
        "act_fn": "gelu_new", "normalization_type": "LN", "seed": 1, "n_layers": 4, "d_model": 128, "n_ctx": 128,
        "d_head": 32, "n_heads": 4, "d_mlp": 512, "d_vocab": 1024,
    });
    Model::new_random(ModelConfig::from_json(&config).unwrap(), &Device::Cpu).unwrap()
}

fn tokens(model: &Model, pos: usize) -> Tensor {
    let ids: Vec<i64> = (0..pos).map(|i| ((i * 7919 + 13) % model.config().d_vocab) as i64).collect();
    Tensor::constant(CT::from_vec(ids, (1, pos), &Device::Cpu).unwrap()).unwrap()
}

fn listen(model: &Model, direction: Direction, cache: &CacheStore) -> Vec<HandleId> {
    let registry = model.registry();
    (0..)
        .zip(registry.points())
        .filter(|(_, info)| info.default)
        .map(|(point, _)| {
            let body = HookBody::Capture { cache: cache.clone(), options: CaptureOptions::default() };
            registry.add(HookPointId(point), direction, body, AddOptions::default()).unwrap()
        })
        .collect()
}

fn forward(model: &Model, pos: usize) {
    black_box(model.forward(ForwardRequest::new(tokens(model, pos))).unwrap().logits.unwrap());
}

fn cached(model: &Model, pos: usize) {
    let cache = CacheStore::new();
    let handles = listen(model, Direction::Forward, &cache);
    forward(model, pos);
    for handle in handles {
        model.registry().remove(handle);
    }
}

fn gradients(model: &Model, pos: usize) {
    let cache = CacheStore::new();
    let handles = [Direction::Forward, Direction::Backward].map(|direction| listen(model, direction, &cache));
    let mut request = ForwardRequest::new(tokens(model, pos));
    request.return_type = ReturnType::Loss;
    let loss = model.forward(request).unwrap().loss.unwrap();
    loss.backward(None, BackwardOptions::default()).unwrap();
    for handle in handles.into_iter().flatten() {
        model.registry().remove(handle);
    }
}

/// Matrix products of those sizes, one after the other: of all layers and the unembedding.
fn products(model: &Model, pos: usize) -> impl FnMut() + use<> {
    let config = model.config().clone();
    let (d, mlp) = (config.d_model, config.d_mlp.unwrap());
    let matrix = |rows, columns| {
        Tensor::constant(CT::ones((rows, columns), candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap()
    };
    let layer = [(d, 3 * d), (d, d), (d, mlp), (mlp, d)].map(|(k, n)| (matrix(pos, k), matrix(k, n)));
    let last = (matrix(pos, d), matrix(d, config.d_vocab));
    move || {
        for _ in 0..config.n_layers {
            for (a, b) in &layer {
                black_box(a.matmul(b).unwrap());
            }
        }
        black_box(last.0.matmul(&last.1).unwrap());
    }
}

/// The settings that the addon makes when it is loaded.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_freed_blocks() {
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
    }
    // SAFETY: mallopt only sets numbers. The parameters are the threshold for mmap, that for trimming, and the padding.
    unsafe {
        mallopt(-3, 1 << 30);
        mallopt(-1, 512 << 20);
        mallopt(-2, 64 << 20);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_blocks() {}

/// Milliseconds that all threads of this process have run for.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn processor_time() -> f64 {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: it writes a time where one is; 2 is the clock of the process.
    unsafe { clock_gettime(2, &raw mut time) };
    time.seconds as f64 * 1e3 + time.nanoseconds as f64 * 1e-6
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn processor_time() -> f64 {
    f64::NAN
}

/// What is timed, by name.
type Candidate<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    keep_freed_blocks();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let wanted = arguments.next().unwrap_or_default();
    let rounds: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(15);
    let (large, small) = (gpt2(), tiny());
    let mut candidates: Vec<Candidate<'_>> = vec![
        ("products 1x128", Box::new(products(&large, 128))),
        ("forward 1x128", Box::new(|| forward(&large, 128))),
        ("cache 1x128", Box::new(|| cached(&large, 128))),
        ("gradients 1x128", Box::new(|| gradients(&large, 128))),
        ("products 1x512", Box::new(products(&large, 512))),
        ("forward 1x512", Box::new(|| forward(&large, 512))),
        ("products 1x1", Box::new(products(&large, 1))),
        ("forward 1x1", Box::new(|| forward(&large, 1))),
        ("tiny 1x16", Box::new(|| forward(&small, 16))),
        ("tiny 1x1", Box::new(|| forward(&small, 1))),
    ];
    candidates.retain(|(name, _)| name.contains(&wanted));
    let mut times = vec![Vec::with_capacity(rounds); candidates.len()];
    for round in 0..rounds + 2 {
        for ((_, run), times) in candidates.iter_mut().zip(&mut times) {
            let (start, processors) = (Instant::now(), processor_time());
            run();
            let (ms, processors) = (start.elapsed().as_secs_f64() * 1e3, processor_time() - processors);
            // The first two rounds warm caches and the allocator.
            if round >= 2 {
                times.push([ms, processors]);
            }
        }
    }
    let results = candidates.iter().zip(&times).map(|((name, _), times)| {
        let [clock, processors] = [0, 1].map(|which| {
            let mut times: Vec<f64> = times.iter().map(|both| both[which]).collect();
            times.sort_by(f64::total_cmp);
            [times[times.len() / 2], times[0]].map(|ms| (ms * 1e3).round() / 1e3)
        });
        json!({
            "name": name, "median": clock[0], "least": clock[1],
            "processors": { "median": processors[0], "least": processors[1] },
        })
    });
    for result in results {
        println!("{result}");
    }
}

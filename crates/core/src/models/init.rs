//! Random weights for models that start from nothing.

use super::{InitMode, ModelConfig};
use crate::error::{Error, Result};
use crate::nn::weight_specs;
use crate::tensor::{CT, Tensor};
use candle_core::Device;
use indexmap::IndexMap;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Draws every matrix; biases are zero, norm weights one. The same seed gives the same weights on every machine.
pub(super) fn random_weights(config: &ModelConfig, device: &Device) -> Result<IndexMap<String, Tensor>> {
    let specs = weight_specs(config);
    let elements = specs.iter().map(|spec| spec.dims.iter().map(|&d| d as u128).product::<u128>()).sum::<u128>();
    let bytes = usize::try_from(elements.saturating_mul(4)).unwrap_or(usize::MAX);
    // An allocation that fails later would end the process; one that fails here is an error.
    if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
        return Err(Error::MemoryLimit { requested: bytes, live: 0, limit: isize::MAX as usize });
    }
    // A hash map's random keys come from the operating system, on every platform that has one.
    let unpredictable = || RandomState::new().build_hasher().finish();
    let mut rng = ChaCha8Rng::seed_from_u64(config.init.seed.unwrap_or_else(unpredictable));
    specs
        .into_iter()
        .map(|spec| {
            let count = spec.dims.iter().product();
            let kind = spec.name.rsplit('.').next().unwrap_or_default();
            let values = match kind {
                _ if kind.contains("W_") => draw(&mut rng, config, &spec.name, &spec.dims, count)?,
                "w" => vec![1.0; count],
                _ => vec![0.0; count],
            };
            let data = CT::from_vec(values, spec.dims.as_slice(), device)?.to_dtype(config.dtype.storage())?;
            Ok((spec.name, Tensor::constant(data)?))
        })
        .collect()
}

/// Glorot and Bengio 2010 (`xavier`), He et al. 2015 (`kaiming`), Yang and Hu 2021 (`muP`), Radford et al. 2019 (`gpt2`).
fn draw(rng: &mut ChaCha8Rng, config: &ModelConfig, name: &str, dims: &[usize], count: usize) -> Result<Vec<f32>> {
    let (fan_in, fan_out) = fans(dims)?;
    let gain = config.initializer_range();
    let normal = |std: f64| (true, std);
    let uniform = |half_width: f64| (false, half_width);
    // "unembed" contains "embed": it has to be told apart first.
    let mup = match name {
        _ if name.starts_with("unembed") => gain / fan_in,
        _ if name.starts_with("embed") || name.starts_with("pos_embed") => gain,
        _ => gain / fan_in.sqrt(),
    };
    let (is_normal, spread) = match config.init.mode {
        InitMode::Gpt2 => normal(gain),
        InitMode::XavierUniform => uniform(gain * (6.0 / (fan_in + fan_out)).sqrt()),
        InitMode::XavierNormal => normal(gain * (2.0 / (fan_in + fan_out)).sqrt()),
        InitMode::KaimingUniform => uniform(gain * 2f64.sqrt() * (3.0 / fan_in).sqrt()),
        InitMode::KaimingNormal => normal(gain * 2f64.sqrt() / fan_in.sqrt()),
        InitMode::MupUniform => uniform(mup * 3f64.sqrt()),
        InitMode::MupNormal => normal(mup),
    };
    if is_normal {
        let mut values = Vec::with_capacity(count + 1);
        while values.len() < count {
            let (a, b) = standard_normals(rng);
            values.extend([(a * spread) as f32, (b * spread) as f32]);
        }
        values.truncate(count);
        return Ok(values);
    }
    Ok((0..count).map(|_| ((2.0 * rng.random::<f64>() - 1.0) * spread) as f32).collect())
}

/// Two independent standard normal numbers (Box and Muller 1958).
fn standard_normals(rng: &mut impl Rng) -> (f64, f64) {
    // 1 - [0, 1) is never 0, whose logarithm is not finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
    (radius * cos, radius * sin)
}

/// How many inputs each output has, and how many outputs each input has. A third axis in front counts heads.
fn fans(dims: &[usize]) -> Result<(f64, f64)> {
    match *dims {
        [n] => Ok((1.0, n as f64)),
        [a, b] => Ok((a as f64, b as f64)),
        [n, a, b] => Ok((a as f64, (n * b) as f64)),
        _ => Err(Error::RankMismatch {
            op: "init",
            detail: format!("weights to draw have 1 to 3 axes, got shape {dims:?}"),
        }),
    }
}

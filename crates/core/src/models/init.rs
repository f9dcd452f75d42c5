//! Random weights for models that start from nothing.

use super::{InitMode, ModelConfig};
use crate::error::{Error, Result};
use crate::memory;
use crate::nn::{WeightSpec, weight_specs};
use crate::tensor::{CT, Tensor};
use candle_core::Device;
use indexmap::IndexMap;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Draws every matrix; biases are zero, norm weights one. The same seed gives the same weights on every machine.
pub(super) fn random_weights(config: &ModelConfig, device: &Device) -> Result<IndexMap<String, Tensor>> {
    let specs = weight_specs(config);
    require_room(&specs, config)?;
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

/// Fails if the weights could not be held: a failing allocation would end the process.
fn require_room(specs: &[WeightSpec], config: &ModelConfig) -> Result<()> {
    let count = |spec: &WeightSpec| spec.dims.iter().map(|&d| d as u128).fold(1u128, u128::saturating_mul);
    // The matrices of the heads are there twice while they are laid side by side.
    let copies = |spec: &WeightSpec| if spec.name.contains(".attn.") { 2 } else { 1 };
    let held = specs.iter().fold(0u128, |sum, spec| sum.saturating_add(count(spec).saturating_mul(copies(spec))));
    // One weight at a time is drawn in single precision before it is rounded.
    let drawn = specs.iter().map(count).max().unwrap_or(0).saturating_mul(size_of::<f32>() as u128);
    let bytes = held.saturating_mul(config.dtype.size() as u128).saturating_add(drawn);
    let room = usize::try_from(bytes).ok().map(|bytes| memory::require_tensor("fromConfig", &[bytes], 1));
    match room {
        Some(Err(limit @ Error::MemoryLimit { .. })) => Err(limit),
        Some(Ok(())) => Ok(()),
        _ => Err(Error::InvalidArgument {
            op: "fromConfig",
            detail: format!("the weights of this configuration take {bytes} bytes, more than can be had"),
        }),
    }
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

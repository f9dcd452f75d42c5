//! An orthonormal basis of the span of directions.

use crate::tensor::{CT, Tensor};
use candle_core::Device;

/// Rows `[k', d]` in double precision on the host that span what the rows of `directions` (`[d]` or `[k, d]`) span, by
/// modified Gram–Schmidt. Rows that depend on earlier ones are left out.
///
/// # Errors
/// A sentence saying what is wrong with the directions.
pub(super) fn orthonormal(directions: &Tensor) -> Result<CT, String> {
    let &d = directions
        .dims()
        .last()
        .filter(|&&d| d > 0 && directions.rank() <= 2)
        .ok_or_else(|| format!("directions must have shape [d] or [k, d], got {:?}", directions.dims()))?;
    let data = directions.to_vec::<f64>().map_err(|e| e.to_string())?;
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for (i, row) in data.chunks(d).enumerate() {
        if row.iter().any(|x| !x.is_finite()) {
            return Err(format!("direction {i} is not finite"));
        }
        let length = norm(row);
        if length == 0.0 {
            return Err(format!("direction {i} is zero"));
        }
        let mut rest: Vec<f64> = row.iter().map(|x| x / length).collect();
        // Twice, as the first pass leaves rounding errors of the size of the tolerance.
        for _ in 0..2 {
            for unit in &basis {
                let along: f64 = unit.iter().zip(&rest).map(|(a, b)| a * b).sum();
                rest.iter_mut().zip(unit).for_each(|(x, u)| *x -= along * u);
            }
        }
        let left = norm(&rest);
        if left > 1e-6 {
            basis.push(rest.iter().map(|x| x / left).collect());
        }
    }
    let rows = basis.len();
    if rows == 0 {
        return Err("there are no directions".into());
    }
    CT::from_vec(basis.concat(), (rows, d), &Device::Cpu).map_err(|e| e.to_string())
}

fn norm(row: &[f64]) -> f64 {
    // Scaled by the largest entry, so that squares neither overflow nor vanish.
    let largest = row.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * row.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt()
}

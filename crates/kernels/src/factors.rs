//! The loops of matrix factorizations, over `f64`.

/// Numbers that are summed beside one another.
const LANES: usize = 8;
/// Columns that are turned at a time: so many of every row stay in the cache while all turns go over them.
const COLUMNS: usize = 32;

/// `Σ x[i] y[i]`, of as many elements as both have.
#[inline(never)]
pub fn inner(x: &[f64], y: &[f64]) -> f64 {
    let len = x.len().min(y.len());
    let ((x, x_rest), (y, y_rest)) = (x[..len].as_chunks::<LANES>(), y[..len].as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (x, y) in x.iter().zip(y) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

/// Adds `factor x[i]` to each element.
#[inline(never)]
pub fn add_scaled(factor: f64, x: &[f64], to: &mut [f64]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * x);
}

/// What [`turn`] does with a row `x` and the one below it, `y`: they become `cos x + sin y` and `cos y - sin x`.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The upper row.
    pub row: usize,
    /// The cosine of the angle.
    pub cos: f64,
    /// Its sine.
    pub sin: f64,
}

/// Turns pairs of neighbouring rows of a matrix, one pair after the other; rows have `width` elements.
#[inline(never)]
pub fn turn(rows: &mut [f64], width: usize, turns: &[Turn]) {
    for first in (0..width).step_by(COLUMNS) {
        let len = COLUMNS.min(width - first);
        for &Turn { row, cos, sin } in turns {
            let (above, below) = rows.split_at_mut((row + 1) * width);
            let (x, y) = (&mut above[row * width + first..][..len], &mut below[first..][..len]);
            for (x, y) in x.iter_mut().zip(y) {
                (*x, *y) = (cos * *x + sin * *y, cos * *y - sin * *x);
            }
        }
    }
}

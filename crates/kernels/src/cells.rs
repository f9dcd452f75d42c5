//! Elements that are only moved: cells of 1, 2, 4 or 8 bytes, whatever they mean.

use std::mem::MaybeUninit;

/// Runs of `len` cells, `stride` apart, from each of `starts` on; counted in cells.
#[derive(Clone, Copy, Debug)]
pub struct Runs<'a> {
    /// The first cell of each run.
    pub starts: &'a [usize],
    /// Cells of a run.
    pub len: usize,
    /// From one cell of a run to the next.
    pub stride: isize,
}

/// Calls a function for cells of that many bytes.
macro_rules! with_size {
    ($size:expr, $function:ident($($argument:expr),*)) => {
        match $size {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            4 => $function::<4>($($argument),*),
            _ => $function::<8>($($argument),*),
        }
    };
}

/// Copies the cells of `runs`, in order, to `to`, which has room for exactly those and is all written afterwards.
///
/// # Panics
/// If a run leaves `from`, or `to` has room for more or fewer.
pub fn take(size: usize, from: &[u8], runs: Runs<'_>, to: &mut [MaybeUninit<u8>]) {
    assert_eq!(to.len(), size * runs.len * runs.starts.len(), "room for the cells taken");
    if runs.len > 0 {
        with_size!(size, take_cells(from, runs, to));
    }
}

fn take_cells<const N: usize>(from: &[u8], Runs { starts, len, stride }: Runs<'_>, to: &mut [MaybeUninit<u8>]) {
    if stride == 1 && len > 1 {
        for (to, &start) in to.chunks_exact_mut(len * N).zip(starts) {
            to.write_copy_of_slice(&from[start * N..(start + len) * N]);
        }
        return;
    }
    let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
    for (to, &start) in to.chunks_exact_mut(len).zip(starts) {
        if stride == 0 {
            to.fill(from[start].map(MaybeUninit::new));
            continue;
        }
        let mut at = start;
        for to in to {
            *to = from[at].map(MaybeUninit::new);
            at = at.wrapping_add_signed(stride);
        }
    }
}

/// Overwrites the cells of `runs` with those of `from`, in order: where runs overlap, the last wins.
///
/// # Panics
/// If a run leaves `to`.
pub fn put(size: usize, to: &mut [u8], runs: Runs<'_>, from: &[u8]) {
    if runs.len > 0 {
        with_size!(size, put_cells(to, runs, from));
    }
}

fn put_cells<const N: usize>(to: &mut [u8], Runs { starts, len, stride }: Runs<'_>, from: &[u8]) {
    if stride == 1 && len > 1 {
        for (from, &start) in from.chunks_exact(len * N).zip(starts) {
            to[start * N..(start + len) * N].copy_from_slice(from);
        }
        return;
    }
    let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
    for (from, &start) in from.chunks_exact(len).zip(starts) {
        let mut at = start;
        for from in from {
            to[at] = *from;
            at = at.wrapping_add_signed(stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_is_what_was_taken() {
        for size in [1, 2, 4, 8] {
            let from: Vec<u8> = (0..24 * size as u8).collect();
            for (starts, len, stride) in [
                (&[0, 12][..], 12, 1),
                (&[0, 1, 2], 8, 3),
                (&[23, 11], 12, -1),
                (&[5, 3, 5, 20], 1, 1),
                (&[7], 0, 1),
                (&[7], 5, 0),
            ] {
                let runs = Runs { starts, len, stride };
                let mut taken = vec![MaybeUninit::uninit(); size * len * starts.len()];
                take(size, &from, runs, &mut taken);
                // SAFETY: `take` writes everything.
                let taken: Vec<u8> = taken.into_iter().map(|byte| unsafe { byte.assume_init() }).collect();
                let places =
                    starts.iter().flat_map(|&s| (0..len as isize).map(move |i| s.wrapping_add_signed(i * stride)));
                let wanted: Vec<u8> = places.clone().flat_map(|at| from[at * size..(at + 1) * size].to_vec()).collect();
                assert_eq!(taken, wanted, "{size} bytes, {runs:?}");
                let mut back = vec![255; from.len()];
                put(size, &mut back, runs, &taken);
                let seen: Vec<usize> = places.collect();
                let whole = (0..from.len()).all(|i| back[i] == if seen.contains(&(i / size)) { from[i] } else { 255 });
                assert!(whole, "{size} bytes, {runs:?}");
            }
        }
    }
}

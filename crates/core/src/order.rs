//! Order by keys that are whole numbers.
//!
//! The standard library compiles its sorts anew for every type and comparison, some kilobytes each. Whatever can be
//! ordered has a key here, and all keys go through the same two.

/// A key that orders floats as [`f64::total_cmp`] does.
pub(crate) fn float_key(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// A key that orders integers.
pub(crate) fn int_key(x: i64) -> u64 {
    x as u64 ^ 1 << 63
}

/// The places of the `keep` smallest keys, in ascending order; equal keys stay in the order they came.
pub(crate) fn smallest(keys: impl Iterator<Item = u64>, keep: usize) -> Vec<usize> {
    first(keys.enumerate().map(|(place, key)| (key, place)).collect(), keep)
}

/// The places of the `keep` smallest pairs, no two of which are equal.
fn first(mut pairs: Vec<(u64, usize)>, keep: usize) -> Vec<usize> {
    if keep > 0 && keep < pairs.len() {
        pairs.select_nth_unstable(keep - 1);
    }
    pairs.truncate(keep);
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, place)| place).collect()
}

/// Sorts a list by the keys of its items; items of one key stay in the order they came.
pub(crate) fn sort_by_key<T>(list: &mut Vec<T>, key: impl FnMut(&T) -> u64) {
    let order = smallest(list.iter().map(key), list.len());
    let mut items: Vec<Option<T>> = std::mem::take(list).into_iter().map(Some).collect();
    list.extend(order.into_iter().filter_map(|place| items.get_mut(place)?.take()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_numbers() {
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY, f64::NAN];
        assert!(floats.windows(2).all(|pair| float_key(pair[0]) < float_key(pair[1])));
        let ints = [i64::MIN, -2, -1, 0, 1, i64::MAX];
        assert!(ints.windows(2).all(|pair| int_key(pair[0]) < int_key(pair[1])));
    }

    #[test]
    fn sorting_is_stable_whatever_is_kept() {
        let keys = [3u64, 1, 2, 1, 3, 0, 1];
        for keep in 0..=keys.len() {
            let mut wanted: Vec<usize> = (0..keys.len()).collect();
            wanted.sort_by_key(|&place| keys[place]);
            wanted.truncate(keep);
            assert_eq!(smallest(keys.into_iter(), keep), wanted);
        }
        let mut words = vec!["ccc", "a", "bb", "d", "ee"];
        sort_by_key(&mut words, |word| word.len() as u64);
        assert_eq!(words, ["a", "d", "bb", "ee", "ccc"]);
    }
}

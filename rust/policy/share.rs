// SPDX-License-Identifier: GPL-2.0-only

//! How the load is divided: shares in permille.

/// What the shares of all paths add up to.
pub(crate) const WHOLE: u32 = 1000;

/// Fills in the shares that were not given, and makes all add up to [`WHOLE`].
///
/// Paths without a share split evenly what the given ones leave, and get at least 1. Then all are
/// scaled, so that only the proportions of what was given count. There are 1 to 64 paths.
pub(crate) fn settle(shares: &mut [u32], given: impl Fn(usize) -> Option<u32>) {
    let (mut left, mut missing) = (WHOLE, 0);
    for number in 0..shares.len() {
        match given(number) {
            Some(share) => left = left.saturating_sub(share),
            None => missing += 1,
        }
    }
    let even = left.checked_div(missing).unwrap_or(0).max(1);
    for (number, share) in shares.iter_mut().enumerate() {
        *share = given(number).unwrap_or(even).clamp(1, WHOLE);
    }
    scale(shares, WHOLE);
}

/// Sets one path's share; the others keep their proportions in what is left. `Err` is the highest
/// share that leaves 1 to each of the others: `share` is above it, or 0, or not all of what the
/// only path has to carry.
pub(crate) fn set(shares: &mut [u32], number: usize, share: u32) -> Result<(), u32> {
    let others = shares.len() as u32 - 1;
    let most = WHOLE - others;
    if share == 0 || share > most || (others == 0 && share != WHOLE) {
        return Err(most);
    }
    // Scaled with a weight of 0 the path gets nothing of the rest.
    shares[number] = 0;
    scale(shares, WHOLE - share);
    shares[number] = share;
    Ok(())
}

/// What part of the load a path carries now, when only some are in use: 0 for the others; together
/// [`WHOLE`], if there is any.
pub(crate) fn in_use(shares: &mut [u32], used: impl Fn(usize) -> bool) {
    for (number, share) in shares.iter_mut().enumerate() {
        if !used(number) {
            *share = 0;
        }
    }
    scale(shares, WHOLE);
}

/// Scales weights so that they add up to `total`, by the method of the largest remainder (A.
/// Hamilton, 1792); nobody with a weight is left with nothing. Weights of 0 stay so; if all are 0,
/// nothing is done.
///
/// There are at most 64 weights of at most [`WHOLE`], and `total` is no less than their number.
pub(super) fn scale(weights: &mut [u32], total: u32) {
    let sum: u32 = weights.iter().sum();
    if sum == 0 {
        return;
    }
    let floor = |weight: u32| (weight * total / sum).max((weight > 0).into());
    // What the floors leave goes to the largest remainders, one each; of equal ones to the first.
    // Who was lifted from nothing to 1 has got more than their part.
    let mut left = i64::from(total) - weights.iter().map(|&w| i64::from(floor(w))).sum::<i64>();
    let mut raised = 0u64;
    while left > 0 {
        let next = (0..weights.len())
            .filter(|&i| weights[i] * total >= sum && raised & (1 << i) == 0)
            .max_by_key(|&i| (weights[i] * total % sum, core::cmp::Reverse(i)));
        let Some(next) = next else { break };
        raised |= 1 << next;
        left -= 1;
    }
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight = floor(*weight) + u32::from(raised & (1 << i) != 0);
    }
    // Who was lifted from nothing to 1 is paid for by the largest.
    while left < 0 {
        if let Some(largest) = weights.iter_mut().max() {
            *largest -= 1;
        }
        left += 1;
    }
}

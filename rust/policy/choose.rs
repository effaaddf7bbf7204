// SPDX-License-Identifier: GPL-2.0-only

//! Which path carries an I/O.

/// 2^32 divided by the golden ratio: see [`by_share`].
const GOLDEN: u32 = 0x9e37_79b9;

/// Chooses by share: the number of a path, from the shares of all paths in their order, 0 for one
/// not to be used. `None` if none is to be used.
///
/// `ticket` counts the choices made. The multiples of the golden ratio, modulo one, fall evenly
/// into every stretch of the unit interval, the first few as well as very many (Weyl's additive
/// recurrence; D. Knuth, The Art of Computer Programming, volume 3, section 6.4, theorem S). So the
/// I/O of a path over any run of tickets stays near its share, and the paths take turns, with no
/// state but the ticket.
pub(crate) fn by_share(shares: impl Iterator<Item = u32> + Clone, ticket: u32) -> Option<usize> {
    let whole: u64 = shares.clone().map(u64::from).sum();
    // Less than `whole`, if that is not 0.
    let mut point = (u64::from(ticket.wrapping_mul(GOLDEN)) * whole) >> 32;
    for (number, share) in shares.enumerate() {
        if point < u64::from(share) {
            return Some(number);
        }
        point -= u64::from(share);
    }
    None
}

/// Chooses the primary path while it is to be used, else the next one after it, around the end.
pub(crate) fn primary(
    count: usize,
    primary: usize,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    (primary..count)
        .chain(0..primary)
        .find(|&number| usable(number))
}

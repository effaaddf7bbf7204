// SPDX-License-Identifier: GPL-2.0-only

//! Which adapter the traffic to a storage address takes: rendezvous hashing, weighted by share.
//!
//! Each adapter draws a number from the address and its own name, and the highest bid wins (D.
//! Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998). With a draw
//! `u` between 0 and 1, an adapter with the weight `w` bids `w / -log2(u)`, so that it wins in
//! proportion to its weight (C. Schindelhauer and G. Schomaker, "Weighted Distributed Hash Tables",
//! 2005, the logarithmic method). Nobody's bid depends on who else bids: when an adapter goes, only
//! the addresses that it had move, and when one comes, only those that it wins.

use super::table::Dest;
use core::net::IpAddr;

/// A bid: `weight / distance`.
#[derive(Clone, Copy)]
pub(crate) struct Bid {
    weight: u32,
    /// -log2 of the draw, times 2^32: 1 to 65 * 2^32.
    distance: u64,
}

impl Bid {
    /// The bid of a weight, with what [`drawn`] gave.
    pub(crate) fn new(weight: u32, distance: u64) -> Self {
        Self { weight, distance }
    }

    /// Whether it wins over another one. Nobody does with a weight of 0.
    pub(crate) fn beats(self, other: Self) -> bool {
        // Each factor of 39 and at most 25 bits.
        let (own, others) = (u128::from(self.weight), u128::from(other.weight));
        own * u128::from(other.distance) > others * u128::from(self.distance)
    }
}

/// What an adapter of this name draws for an address: how far off it is.
pub(crate) fn drawn(dest: &Dest, name: &[u8]) -> u64 {
    distance(draw(dest, name))
}

/// A number that the address and the name alone decide: FNV-1a (G. Fowler, L. Noll and K. Vo), its
/// bits mixed as by SplitMix64 (G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom
/// Number Generators", 2014).
fn draw(dest: &Dest, name: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    match dest {
        Dest::Ip(IpAddr::V4(address)) => take(&address.octets()),
        Dest::Ip(IpAddr::V6(address)) => take(&address.octets()),
        Dest::Wwpn(name) => take(&name.to_be_bytes()),
    }
    // Which no name has, so that no two pairs are the same text.
    take(&[0]);
    take(name);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// -log2(draw / 2^64), times 2^32, at least 1.
fn distance(draw: u64) -> u64 {
    let draw = draw.max(1);
    let whole = draw.leading_zeros();
    // 1 to 2, times 2^63; each squaring gives one more bit of its logarithm.
    let mut rest = draw << whole;
    let mut bits = 0u64;
    for _ in 0..32 {
        let square = (u128::from(rest) * u128::from(rest)) >> 63;
        let bit = (square >> 64) as u64;
        rest = (square >> bit) as u64;
        bits = bits << 1 | bit;
    }
    ((u64::from(whole) + 1) << 32) - bits
}

// SPDX-License-Identifier: GPL-2.0-only

//! Which adapter the traffic to an address takes.

use crate::policy::{
    hash::{drawn, Bid},
    table::Dest,
};
use proptest::{collection::vec, prelude::*};
use std::net::{Ipv4Addr, Ipv6Addr};

const ADDRESSES: u32 = 10_000;

/// The one of these adapters that gets an address; `None` if none has a weight.
fn winner(dest: &Dest, adapters: &[(String, u32)]) -> Option<usize> {
    let mut best: Option<(usize, Bid)> = None;
    for (number, (name, weight)) in adapters
        .iter()
        .enumerate()
        .filter(|(_, (_, weight))| *weight > 0)
    {
        let bid = Bid::new(*weight, drawn(dest, name.as_bytes()));
        if best.is_none_or(|(_, other)| bid.beats(other)) {
            best = Some((number, bid));
        }
    }
    best.map(|(number, _)| number)
}

fn adapters(weights: &[u32]) -> Vec<(String, u32)> {
    weights
        .iter()
        .enumerate()
        .map(|(number, weight)| (format!("eth{number}"), *weight))
        .collect()
}

/// Addresses as they are given out: one after the other.
fn addresses() -> [Vec<Dest>; 3] {
    let ip4 = |n: u32| Dest::Ip(Ipv4Addr::from(0x0a0a_0000 + n).into());
    let ip6 = |n: u32| Dest::Ip(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n)).into());
    let wwpn = |n: u32| Dest::Wwpn(0x500a_0980_0000_0000 + u64::from(n));
    [
        (0..ADDRESSES).map(ip4).collect(),
        (0..ADDRESSES).map(ip6).collect(),
        (0..ADDRESSES).map(wwpn).collect(),
    ]
}

fn counts(dests: &[Dest], adapters: &[(String, u32)]) -> Vec<u32> {
    let mut counts = vec![0; adapters.len()];
    for dest in dests {
        counts[winner(dest, adapters).unwrap()] += 1;
    }
    counts
}

#[test]
fn addresses_spread_as_the_weights() {
    for weights in [
        &[500, 500][..],
        &[800, 200],
        &[667, 250, 83],
        &[250; 4],
        &[125; 8],
        &[1, 1],
    ] {
        let adapters = adapters(weights);
        let whole: u32 = weights.iter().sum();
        for dests in addresses() {
            for (count, weight) in counts(&dests, &adapters).iter().zip(weights) {
                let due = f64::from(*weight) / f64::from(whole);
                let off = (f64::from(*count) / f64::from(ADDRESSES) - due).abs();
                assert!(off <= 0.05 * due + 0.005, "{weights:?}: {count}, {due} due");
            }
        }
    }
}

/// When an adapter goes only the addresses that it had move, and they spread over the others as
/// their weights; when it comes back all is as before.
#[test]
fn only_what_must_move_moves() {
    let all = adapters(&[400, 300, 200, 100]);
    for gone in 0..all.len() {
        let mut left = all.clone();
        left[gone].1 = 0;
        for dests in addresses() {
            let (mut moved, mut had) = (0, 0);
            for dest in &dests {
                let (before, after) = (winner(dest, &all).unwrap(), winner(dest, &left).unwrap());
                had += u32::from(before == gone);
                moved += u32::from(before != after);
                assert!(before == after || before == gone);
            }
            assert_eq!(moved, had);
        }
    }
}

#[test]
fn only_those_move_to_a_heavier_adapter_that_it_wins() {
    let (before, after) = (adapters(&[100, 100, 100]), adapters(&[150, 100, 100]));
    for dests in addresses() {
        for dest in dests {
            let (old, new) = (
                winner(&dest, &before).unwrap(),
                winner(&dest, &after).unwrap(),
            );
            assert!(old == new || new == 0);
        }
    }
}

proptest! {
    #[test]
    fn the_winner_is_the_same_in_any_order(
        address in any::<u128>(),
        weights in vec(prop_oneof![Just(0), 1..=1000u32, Just(u32::MAX)], 1..=16),
        by in any::<prop::sample::Index>(),
    ) {
        let dest = Dest::Ip(Ipv6Addr::from(address).into());
        let adapters = adapters(&weights);
        let mut turned = adapters.clone();
        turned.rotate_left(by.index(adapters.len()));
        let name = |all: &[(String, u32)]| winner(&dest, all).map(|n| all[n].0.clone());
        prop_assert_eq!(name(&adapters), name(&turned));
        prop_assert_eq!(name(&adapters).is_none(), weights.iter().all(|&weight| weight == 0));
    }
}

/// The bids are what the formula says, to nine digits.
#[test]
fn a_bid_is_the_weight_over_the_logarithm() {
    let dest = |n: u64| Dest::Wwpn(n);
    // Two adapters with the same draw but other weights: the ratio of their bids is that of the
    // weights.
    for n in 0..1000 {
        let bid = |weight| Bid::new(weight, drawn(&dest(n), b"eth0"));
        assert!(bid(2).beats(bid(1)) && !bid(1).beats(bid(2)) && !bid(1).beats(bid(1)));
        assert!(!bid(0).beats(bid(1)) && !bid(0).beats(bid(0)));
    }
}

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

/// Within 5 % of what is due to each; or where that is less, as for one of eight, within the three
/// standard deviations that chance has.
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
                let part = f64::from(*weight) / f64::from(whole);
                let due = f64::from(ADDRESSES) * part;
                let chance = 3.0 * (due * (1.0 - part)).sqrt();
                let off = (f64::from(*count) - due).abs();
                assert!(
                    off <= chance.max(0.05 * due),
                    "{weights:?}: {count}, {due} due"
                );
            }
        }
    }
}

/// When an adapter goes only the addresses that it had move, and they spread over the others as
/// their weights.
#[test]
fn only_what_must_move_moves() {
    let all = adapters(&[400, 300, 200, 100]);
    for gone in 0..all.len() {
        let mut left = all.clone();
        left[gone].1 = 0;
        for dests in addresses() {
            let mut moved = vec![0; all.len()];
            for dest in &dests {
                let (before, after) = (winner(dest, &all).unwrap(), winner(dest, &left).unwrap());
                assert!(before == after || before == gone);
                assert!(after != gone);
                moved[after] += u32::from(before == gone);
            }
            let had: u32 = moved.iter().sum();
            let whole: u32 = left.iter().map(|(_, weight)| weight).sum();
            for (moved, (_, weight)) in moved.iter().zip(&left) {
                let part = f64::from(*weight) / f64::from(whole);
                let due = f64::from(had) * part;
                let chance = 4.0 * (due * (1.0 - part)).sqrt();
                assert!(
                    (f64::from(*moved) - due).abs() <= chance,
                    "{moved}, {due} due"
                );
            }
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

/// How far off a draw is, is a logarithm of a number between 0 and 1: of many draws the part that
/// is within 1 is a half, within 2 three quarters, and so on; and the mean is 1 / ln 2.
#[test]
fn a_bid_is_the_weight_over_the_logarithm() {
    let dest = |n: u64| Dest::Wwpn(n);
    let far: Vec<_> = (0..100_000)
        .map(|n| drawn(&dest(n), b"eth0") as f64 / (1u64 << 32) as f64)
        .collect();
    for limit in [0.25, 0.5, 1.0, 1.5, 2.0, 5.0] {
        let within = far.iter().filter(|far| **far <= limit).count() as f64 / 1e5;
        assert!(
            (within - (1.0 - (-limit).exp2())).abs() < 0.005,
            "{limit}: {within}"
        );
    }
    let mean = far.iter().sum::<f64>() / 1e5;
    assert!((mean - 1.0 / 2f64.ln()).abs() < 0.02, "{mean}");
    // Of two bids with the same draw but other weights the heavier one wins.
    for n in 0..1000 {
        let bid = |weight| Bid::new(weight, drawn(&dest(n), b"eth0"));
        assert!(bid(2).beats(bid(1)) && !bid(1).beats(bid(2)) && !bid(1).beats(bid(1)));
        assert!(!bid(0).beats(bid(1)) && !bid(0).beats(bid(0)));
    }
}

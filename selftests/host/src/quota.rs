// SPDX-License-Identifier: GPL-2.0-only

//! Whose turn it is.

use crate::{
    policy::quota::{quota, Paths, Turn},
    sync::{Atomic, Relaxed},
};
use proptest::{collection::vec, prelude::*};
use std::cell::RefCell;

/// Paths as one CPU sees them.
struct Some_ {
    shares: RefCell<Vec<u32>>,
    debts: Vec<Atomic<i64>>,
    version: Atomic<u32>,
}

impl Some_ {
    fn new(shares: &[u32]) -> Self {
        Self {
            shares: RefCell::new(shares.to_vec()),
            debts: shares.iter().map(|_| Atomic::new(0)).collect(),
            version: Atomic::new(0),
        }
    }

    fn set(&self, shares: &[u32]) {
        *self.shares.borrow_mut() = shares.to_vec();
        self.version.fetch_add(1, Relaxed);
    }
}

impl Paths for Some_ {
    fn count(&self) -> usize {
        self.debts.len()
    }
    fn share(&self, number: usize) -> u32 {
        self.shares.borrow()[number]
    }
    fn debt(&self, number: usize) -> &Atomic<i64> {
        &self.debts[number]
    }
    fn version(&self) -> u32 {
        self.version.load(Relaxed)
    }
}

/// Sizes of I/O: many of one kind, or of all kinds.
fn any_sizes(most: usize) -> impl Strategy<Value = Vec<u32>> {
    let size = prop_oneof![
        Just(0),
        Just(512),
        Just(4096),
        Just(262_144),
        1..=1u32 << 20
    ];
    prop_oneof![vec(size, 1..=most), vec(Just(4096), 1..=most)]
}

fn any_shares(most: usize) -> impl Strategy<Value = Vec<u32>> {
    vec(prop_oneof![1..=1000u32, Just(1), Just(1000)], 1..=most)
}

/// The bytes of each path after all that, and the number of rounds that each of them is worth.
fn send(turn: &Turn, paths: &Some_, sizes: &[u32]) -> Vec<u64> {
    let mut sent = vec![0; paths.count()];
    for &bytes in sizes {
        sent[turn.next(paths, bytes).unwrap()] += u64::from(bytes);
    }
    sent
}

fn largest_ratio(shares: &[u32]) -> u32 {
    shares.iter().sum::<u32>() / shares.iter().min().unwrap()
}

proptest! {
    /// Each path has had its quotas but for less than one I/O, and less than one quota for who is
    /// in the midst of its turn, or has not had it. So of any two, one is ahead of the other by no
    /// more than their largest I/O and quota, taken for its share.
    #[test]
    fn bytes_match_shares(
        shares in vec(50..=1000u32, 1..=8),
        size in prop_oneof![Just(512u32), Just(4096), 1..=1u32 << 20],
        mix in any::<bool>(),
    ) {
        let (turn, paths) = (Turn::new(), Some_::new(&shares));
        prop_assume!(largest_ratio(&shares) <= 200);
        let rounds = 10;
        let whole: u32 = shares.iter().sum();
        let least = *shares.iter().min().unwrap();
        let per_round = (whole / least + 1) as usize;
        let sizes: Vec<u32> = (0..per_round * rounds)
            .map(|n| if mix { 512 + (n as u32).wrapping_mul(0x9e37_79b9) % size } else { size })
            .collect();
        let largest = u64::from(*sizes.iter().max().unwrap());
        let sent = send(&turn, &paths, &sizes);
        let all: u64 = sent.iter().sum();
        for (number, &share) in shares.iter().enumerate() {
            let due = all as f64 * f64::from(share) / f64::from(whole);
            // A round in the midst is worth a quota to some.
            let off = 2.0 * quota(share, largest as u32, least) as f64 + 2.0 * largest as f64;
            let sent = sent[number];
            prop_assert!((sent as f64 - due).abs() <= off,
                "path {number} of {shares:?} has {sent} bytes, {due} are due within {off}");
        }
    }

    #[test]
    fn a_path_with_share_0_carries_nothing(
        shares in vec(prop_oneof![Just(0), 1..=1000u32], 1..=64),
        sizes in any_sizes(300),
    ) {
        let (turn, paths) = (Turn::new(), Some_::new(&shares));
        for bytes in sizes {
            match turn.next(&paths, bytes) {
                Some(number) => prop_assert!(shares[number] > 0),
                None => prop_assert!(shares.iter().all(|&share| share == 0)),
            }
        }
    }

    /// Within a round and one I/O, every path has its turn.
    #[test]
    fn nobody_starves(shares in vec(100..=1000u32, 1..=64), sizes in vec(0..=65_536u32, 1..=100)) {
        let (turn, paths) = (Turn::new(), Some_::new(&shares));
        send(&turn, &paths, &sizes);
        let mut seen = vec![false; shares.len()];
        // What is owed for the largest I/O so far is paid in 16 rounds, as the mean comes down to 4
        // KiB, of up to 10 I/Os of each path, and one more for what is over.
        for _ in 0..17 * 11 * shares.len() {
            seen[turn.next(&paths, 4096).unwrap()] = true;
        }
        prop_assert!(seen.iter().all(|&seen| seen), "{seen:?}");
    }

    /// Of any length, sent, following, or refused, while shares change.
    #[test]
    fn no_io_is_too_long(
        all in vec((0..4u8, prop_oneof![any::<u32>(), Just(u32::MAX), Just(0)]), 1..=300),
        shares in vec(prop_oneof![Just(0), 1..=1000u32], 8),
    ) {
        let (turn, paths) = (Turn::new(), Some_::new(&shares));
        for (n, (what, bytes)) in all.into_iter().enumerate() {
            match what {
                0 => turn.charge(&paths, n % 8, bytes),
                1 => drop(paths.debts[n % 8].fetch_add(bytes.into(), Relaxed)),
                2 => paths.shares.borrow_mut().rotate_left(1),
                _ => match turn.next(&paths, bytes) {
                    Some(number) => prop_assert!(paths.share(number) > 0),
                    None => prop_assert!(shares.iter().all(|&share| share == 0)),
                },
            }
        }
    }

    #[test]
    fn new_shares_count_from_the_next_io_on(shares in any_shares(8), sizes in any_sizes(100)) {
        let (turn, paths) = (Turn::new(), Some_::new(&shares));
        send(&turn, &paths, &sizes);
        let mut only = vec![0; shares.len()];
        *only.last_mut().unwrap() = 1000;
        paths.set(&only);
        prop_assert_eq!(turn.next(&paths, 4096), Some(shares.len() - 1));
    }

    #[test]
    fn paths_alike_are_taken_in_turn(among in any::<u64>(), start in 0..64usize) {
        let turn = Turn::new();
        turn.went(start);
        let mut seen = 0u64;
        for _ in 0..among.count_ones() {
            let next = turn.rotate(among).unwrap();
            prop_assert!(among >> next & 1 == 1);
            seen |= 1 << next;
            turn.went(next);
        }
        prop_assert_eq!(seen, among);
        prop_assert_eq!(turn.rotate(0), None);
    }

    #[test]
    fn a_run_follows_down_one_path(
        start in 0..1u64 << 50,
        count in 1..100usize,
        longest in 4096..=1u32 << 20,
    ) {
        let turn = Turn::new();
        turn.went(7);
        let mut run = 4096;
        prop_assert_eq!(turn.follow(start, 4096, longest, || true), None);
        for n in 1..count {
            run += 4096;
            let follows = turn.follow(start + n as u64 * 4096, 4096, longest, || true);
            if run <= longest {
                prop_assert_eq!(follows, Some(7));
            } else {
                prop_assert_eq!(follows, None);
                run = 4096;
            }
        }
        prop_assert_eq!(turn.follow(start, 4096, longest, || panic!("not asked")), None);
    }
}

#[test]
fn equal_shares_alternate() {
    let (turn, paths) = (Turn::new(), Some_::new(&[500, 500]));
    let picks: Vec<_> = (0..6).map(|_| turn.next(&paths, 4096).unwrap()).collect();
    assert_eq!(picks, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn four_to_one_is_four_to_one() {
    let (turn, paths) = (Turn::new(), Some_::new(&[800, 200]));
    let picks: Vec<_> = (0..10).map(|_| turn.next(&paths, 4096).unwrap()).collect();
    assert_eq!(picks, [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
}

/// Large and small by turns, so that a round robin of commands would give one path all the bytes.
#[test]
fn bytes_are_even_whatever_the_order_of_sizes() {
    let (turn, paths) = (Turn::new(), Some_::new(&[500, 500]));
    let sizes: Vec<u32> = (0..10_000)
        .map(|n| if n % 2 == 0 { 262_144 } else { 4096 })
        .collect();
    let sent = send(&turn, &paths, &sizes);
    assert!(sent[0].abs_diff(sent[1]) <= 2 * 262_144, "{sent:?}");
}

#[test]
fn a_path_that_fails_gives_up_its_turn_and_the_rest_of_its_quota() {
    let (turn, paths) = (Turn::new(), Some_::new(&[800, 200]));
    assert_eq!(turn.next(&paths, 4096), Some(0));
    paths.shares.borrow_mut()[0] = 0;
    assert_eq!(turn.next(&paths, 4096), Some(1));
    paths.shares.borrow_mut()[1] = 0;
    assert_eq!(turn.next(&paths, 4096), None);
    paths.shares.borrow_mut()[0] = 800;
    assert_eq!(turn.next(&paths, 4096), Some(0));
}

/// What is owed for the longest I/O there is would take millions of rounds to pay one by one.
#[test]
fn huge_debts_are_paid_at_once() {
    let (turn, paths) = (Turn::new(), Some_::new(&[1000, 1, 1]));
    for _ in 0..100 {
        turn.next(&paths, 512).unwrap();
    }
    for debt in &paths.debts {
        debt.store(-(1 << 40), Relaxed);
    }
    let mut seen = [0; 3];
    for _ in 0..3000 {
        seen[turn.next(&paths, 512).unwrap()] += 1;
    }
    assert!(seen[0] > 2900, "{seen:?}");
}

#[test]
fn the_quota_is_the_means_part_of_the_share() {
    assert_eq!(quota(500, 4096, 500), 4000);
    assert_eq!(quota(800, 4096, 200), 800 * 20);
    assert_eq!(quota(0, 4096, 200), 0);
    assert_eq!(quota(1000, 0, 1000), 1000);
    assert_eq!(quota(1000, u32::MAX, 1), 1000 * u64::from(u32::MAX));
    assert_eq!(quota(5, 100, 0), 500);
}

#[test]
fn extremes_do_not_overflow() {
    let (turn, paths) = (Turn::new(), Some_::new(&[1000, 1]));
    for _ in 0..1000 {
        turn.next(&paths, u32::MAX).unwrap();
        turn.charge(&paths, 1, u32::MAX);
    }
}

/// What was refused and comes again is charged once, whichever path it goes to then.
#[test]
fn what_was_not_sent_is_given_back() {
    let (turn, paths) = (Turn::new(), Some_::new(&[800, 200]));
    let mut sent = [0u64; 2];
    for n in 0..1000 {
        let bytes = if n % 3 == 0 { 262_144 } else { 4096 };
        if bytes > 4096 {
            let refused = turn.next(&paths, bytes).unwrap();
            paths.debts[refused].fetch_add(i64::from(bytes), Relaxed);
        }
        sent[turn.next(&paths, bytes).unwrap()] += u64::from(bytes);
    }
    let off = sent[0] as f64 - (sent[0] + sent[1]) as f64 * 0.8;
    assert!(off.abs() <= 600_000.0, "{sent:?}");
}

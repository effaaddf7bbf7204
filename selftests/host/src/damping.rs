// SPDX-License-Identifier: GPL-2.0-only

//! How long a path waits that fails again and again.

use crate::policy::damping::Damping;
use proptest::prelude::*;

const PROBE_MS: u32 = 1000;

/// Fails a path, and brings it back when it is to be tried, or at once. How long it had to wait.
fn flap(damping: &mut Damping, now: &mut u64, in_use_ms: u64) -> u32 {
    *now += in_use_ms;
    damping.failed(*now, PROBE_MS);
    let wait = damping.wait(*now, false);
    *now += u64::from(wait);
    assert_eq!(damping.wait(*now, false), 0);
    damping.back(*now);
    wait
}

#[test]
fn the_first_failure_costs_nothing() {
    let (mut damping, mut now) = (Damping::default(), 0);
    assert_eq!(flap(&mut damping, &mut now, 0), 0);
    assert_eq!(damping.flaps(), 0);
}

#[test]
fn each_flap_doubles_the_wait_up_to_a_bound() {
    let (mut damping, mut now) = (Damping::default(), 0);
    let waits: Vec<_> = (0..11)
        .map(|_| flap(&mut damping, &mut now, 500) / PROBE_MS)
        .collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64]);
    assert_eq!(damping.flaps(), 10);
}

#[test]
fn a_failure_long_after_the_return_is_no_flap() {
    let (mut damping, mut now) = (Damping::default(), 0);
    flap(&mut damping, &mut now, 0);
    assert_eq!(flap(&mut damping, &mut now, 9_999), 1000);
    assert_eq!(flap(&mut damping, &mut now, 10_000), 0);
    assert_eq!(damping.flaps(), 0);
}

#[test]
fn who_waited_long_is_forgiven_after_as_long() {
    let (mut damping, mut now) = (Damping::default(), 0);
    let mut flap_after = |in_use_ms| flap(&mut damping, &mut now, in_use_ms);
    while flap_after(1) < 32_000 {}
    assert_eq!(flap_after(31_999), 64_000);
    assert_eq!(flap_after(64_000), 0);
}

#[test]
fn who_is_forgiven_begins_anew() {
    let (mut damping, mut now) = (Damping::default(), 0);
    for _ in 0..5 {
        flap(&mut damping, &mut now, 1);
    }
    damping.failed(now, PROBE_MS);
    damping.forgive();
    assert_eq!((damping.wait(now, false), damping.flaps()), (0, 0));
}

#[test]
fn a_path_that_is_needed_waits_as_any_other() {
    let (mut damping, mut now) = (Damping::default(), 0);
    for _ in 0..5 {
        flap(&mut damping, &mut now, 1);
    }
    damping.failed(now, PROBE_MS);
    assert_eq!(damping.wait(now, false), 16 * PROBE_MS);
    assert_eq!(damping.wait(now, true), PROBE_MS);
    assert_eq!(damping.wait(now + 700, true), 300);
    damping.lift();
    assert_eq!(damping.wait(now + 700, false), 300);
    // It has flapped all the same.
    assert_eq!(damping.flaps(), 5);
}

#[test]
fn another_time_between_probes_counts_at_once() {
    let (mut damping, mut now) = (Damping::default(), 0);
    for _ in 0..4 {
        flap(&mut damping, &mut now, 1);
    }
    damping.failed(now, PROBE_MS);
    assert_eq!(damping.wait(now, false), 8 * PROBE_MS);
    damping.rescale(now, 10);
    assert_eq!(
        (damping.wait(now, false), damping.wait(now, true)),
        (80, 10)
    );
    damping.rescale(now, PROBE_MS);
    assert_eq!(damping.wait(now, false), 80);
}

#[test]
fn the_first_failure_costs_nothing_when_needed_either() {
    let mut damping = Damping::default();
    damping.failed(0, PROBE_MS);
    assert_eq!(damping.wait(0, true), 0);
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_bound(
        probe_ms in 1..=86_400_000u32,
        events in prop::collection::vec((any::<bool>(), any::<u64>()), 0..200),
    ) {
        let mut damping = Damping::default();
        for (fails, now) in events {
            if fails {
                damping.failed(now, probe_ms);
            } else {
                damping.back(now);
            }
            let bound = u64::from(probe_ms) * 64;
            prop_assert!(u64::from(damping.wait(now, false)) <= bound.min(u32::MAX.into()));
        }
    }
}

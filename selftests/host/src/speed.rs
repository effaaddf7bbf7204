// SPDX-License-Identifier: GPL-2.0-only

//! How fast a path is, and the shares that follow.

use crate::policy::{
    share::WHOLE,
    speed::{follow, Meter},
};
use proptest::{collection::vec, prelude::*};

const SECOND: u64 = 1_000_000_000;

/// A path on which, in each interval, so many bytes are out for a tenth of a second in all.
#[derive(Clone, Default)]
struct Path {
    meter: Meter,
    moved: u64,
    nanos: u64,
}

impl Path {
    fn pass(&mut self, speed: u64) {
        self.moved = self.moved.wrapping_add(speed / 10);
        self.nanos = self.nanos.wrapping_add(SECOND / 10);
        self.meter.pass(self.moved, self.nanos);
    }

    fn idle(&mut self) {
        self.meter.pass(self.moved, self.nanos);
    }
}

/// Takes the meters through an interval. Says whether the shares have changed.
fn interval(paths: &mut [Path], shares: &mut [u32], speeds: &[Option<u64>]) -> bool {
    for (path, speed) in paths.iter_mut().zip(speeds) {
        match speed {
            Some(speed) => path.pass(*speed),
            None => path.idle(),
        }
    }
    let meters: Vec<_> = paths.iter().map(|path| path.meter).collect();
    follow(&meters, shares)
}

fn extreme() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(0), Just(1), Just(u64::MAX)]
}

fn any_speeds() -> impl Strategy<Value = Vec<u64>> {
    vec(
        prop_oneof![
            1_000..=10_000_000_000u64,
            Just(1_000_000),
            Just(0),
            Just(1 << 55)
        ],
        1..=64,
    )
}

proptest! {
    #[test]
    fn shares_add_up_and_nobody_is_left_with_nothing(
        speeds in any_speeds(),
        known in vec(any::<bool>(), 64),
    ) {
        let mut paths = vec![Path::default(); speeds.len()];
        let mut shares = vec![0; speeds.len()];
        let given = speeds.iter().zip(known);
        let given: Vec<_> = given.map(|(&speed, known)| known.then_some(speed)).collect();
        for _ in 0..3 {
            interval(&mut paths, &mut shares, &given);
        }
        if shares.iter().any(|&share| share > 0) {
            prop_assert_eq!(shares.iter().sum::<u32>(), WHOLE);
            prop_assert!(shares.iter().all(|&share| share > 0), "{:?}", shares);
        }
    }

    /// Whatever is measured, or set: nothing at all, or all that there can be.
    #[test]
    fn no_measurement_is_too_extreme(
        all in vec(vec((extreme(), extreme(), prop::option::of(extreme())), 1..=8), 1..=64),
        interval_ms in any::<u32>(),
        latency in extreme(),
        out in extreme(),
    ) {
        let mut meters = vec![Meter::default(); all.len()];
        for (meter, passes) in meters.iter_mut().zip(all) {
            for (moved, nanos, speed) in passes {
                meter.pass(moved, nanos);
                if let Some(speed) = speed {
                    meter.force(speed);
                }
                meter.is_to_be_tried(interval_ms, latency, out);
            }
        }
        let mut shares = vec![0; meters.len()];
        if follow(&meters, &mut shares) {
            prop_assert_eq!(shares.iter().sum::<u32>(), WHOLE);
            prop_assert!(shares.iter().all(|&share| share > 0), "{:?}", shares);
        } else {
            prop_assert!(meters.iter().all(|meter| meter.speed().unwrap_or(0) == 0));
        }
    }

    #[test]
    fn shares_are_as_the_speeds(speeds in vec(100_000..=10_000_000u64, 1..=8)) {
        let mut paths = vec![Path::default(); speeds.len()];
        let mut shares = vec![0; speeds.len()];
        let given: Vec<_> = speeds.iter().copied().map(Some).collect();
        interval(&mut paths, &mut shares, &given);
        let all: u64 = speeds.iter().sum();
        for (share, speed) in shares.iter().zip(&speeds) {
            let due = *speed as f64 * 1000.0 / all as f64;
            prop_assert!((f64::from(*share) - due).abs() <= 3.0, "{share} for {due}");
        }
    }

    /// Within three intervals after a change by up to 16 times, shares are within a sixteenth and
    /// 1.6 % of what they should be, and stay.
    #[test]
    fn shares_converge_within_three_intervals(
        before in 1_000_000..=4_000_000u64,
        after in 250_000..=16_000_000u64,
        other in 100_000..=100_000_000u64,
    ) {
        let (mut paths, mut shares) = (vec![Path::default(); 2], vec![500; 2]);
        for _ in 0..20 {
            interval(&mut paths, &mut shares, &[Some(before), Some(other)]);
        }
        for _ in 0..3 {
            interval(&mut paths, &mut shares, &[Some(after), Some(other)]);
        }
        let due = after as f64 * 1000.0 / (after + other) as f64;
        let near = |share: u32| {
            (f64::from(share) - due).abs() <= due.max(f64::from(share)) / 16.0 + 16.0
        };
        prop_assert!(near(shares[0]), "{shares:?}, {due} due");
        for _ in 0..10 {
            interval(&mut paths, &mut shares, &[Some(after), Some(other)]);
            prop_assert!(near(shares[0]), "{shares:?}, {due} due");
        }
    }

    #[test]
    fn what_is_measured_a_little_differently_changes_nothing(noise in vec(-30..=30i64, 50)) {
        let (mut paths, mut shares) = (vec![Path::default(); 2], vec![500; 2]);
        for noise in noise {
            let speed = (1_000_000 + 1_000 * noise) as u64;
            prop_assert!(!interval(&mut paths, &mut shares, &[Some(speed), Some(1_000_000)]));
        }
    }
}

/// Of a noise of 6 % in the speeds of two paths, in the root mean square, less than 2 % is left in
/// the shares; and these do not change all the time.
#[test]
fn noise_averages_out() {
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        (seed >> 33) as f64 / (1u64 << 31) as f64 - 0.5
    };
    // The sum of twelve has a mean square of 1.
    let mut speed = || (1e6 * (1.0 + 0.06 * (0..12).map(|_| random()).sum::<f64>())) as u64;
    let (mut paths, mut shares) = (vec![Path::default(); 2], vec![500; 2]);
    let (mut square, mut changes) = (0, 0);
    for _ in 0..1000 {
        changes += u32::from(interval(
            &mut paths,
            &mut shares,
            &[Some(speed()), Some(speed())],
        ));
        square += shares[0].abs_diff(500).pow(2);
    }
    let off = f64::from(square / 1000).sqrt();
    assert!(
        off < 10.0 && changes < 50,
        "{off} permille, {changes} changes"
    );
}

#[test]
fn a_speed_is_bytes_over_seconds() {
    let mut meter = Meter::default();
    assert_eq!(meter.speed(), None);
    meter.pass(0, 0);
    assert_eq!(meter.speed(), None);
    meter.pass(1_000_000, SECOND / 10);
    assert_eq!(meter.speed(), Some(10_000_000));
    // Nothing new: the old one.
    meter.pass(1_000_000, SECOND / 10);
    assert_eq!(meter.speed(), Some(10_000_000));
    meter.forget();
    assert_eq!(meter.speed(), None);
    meter.pass(3_000_000, SECOND / 5);
    assert_eq!(
        meter.speed(),
        Some(20_000_000),
        "what was seen before is not seen again"
    );
}

#[test]
fn sums_may_wrap_and_be_extreme() {
    let mut meter = Meter::default();
    meter.pass(u64::MAX / 2, 1);
    meter.pass(u64::MAX - 999_999, u64::MAX);
    meter.forget();
    meter.pass(0, SECOND - 1);
    assert_eq!(meter.speed(), Some(1_000_000));
    let mut meter = Meter::default();
    meter.pass(u64::MAX / 2, 1);
    assert!(meter.speed().unwrap() > 1 << 60);
    meter.pass(u64::MAX, u64::MAX);
    meter.pass(u64::MAX - 1, u64::MAX - 1);
    let mut shares = [500, 500];
    follow(&[meter, Meter::default()], &mut shares);
    assert_eq!(shares, [500, 500]);
}

/// A sum that was read while two commands came back may be too high, and lower the next time.
#[test]
fn what_was_counted_twice_is_no_speed() {
    let mut meter = Meter::default();
    meter.pass(1_000_000, SECOND / 10);
    meter.pass(900_000, SECOND / 5);
    assert!(meter.speed().unwrap() < 10_000_000);
    meter.pass(2_000_000, SECOND / 10 * 3);
    assert!((6_000_000..11_000_000).contains(&meter.speed().unwrap()));
}

#[test]
fn a_path_may_be_idle_for_ever() {
    let mut meter = Meter::default();
    meter.force(1);
    for _ in 0..5000 {
        meter.pass(0, 0);
    }
    assert!(meter.is_to_be_tried(u32::MAX, 0, 1));
    meter.pass(1_000_000, SECOND);
    assert_eq!(meter.speed(), Some(1_000_000));
}

/// Commands that take long are sent to it when they have little to lose: where there are none,
/// nothing is.
#[test]
fn a_path_is_not_tried_at_the_cost_of_those_who_hardly_use_any() {
    let mut meter = Meter::default();
    meter.pass(10_000, 1_000_000);
    for look in 1..=1000 {
        meter.pass(10_000, 1_000_000);
        // One in fifty looks finds one out.
        let out = u64::from(look % 50 == 0);
        assert_eq!(meter.is_to_be_tried(100, 10_000_000, out), look >= 850);
    }
}

#[test]
fn a_path_whose_speed_is_not_known_is_tried() {
    let mut meter = Meter::default();
    assert!(meter.is_to_be_tried(100, SECOND, 0));
    meter.pass(1_000_000, SECOND);
    assert!(!meter.is_to_be_tried(100, SECOND, 1));
    meter.forget();
    meter.pass(1_000_000, SECOND);
    assert!(meter.is_to_be_tried(100, SECOND, 0));
}

#[test]
fn nothing_known_changes_nothing() {
    let mut shares = [700, 300];
    assert!(!follow(&[Meter::default(); 2], &mut shares));
    let (mut paths, mut shares) = (vec![Path::default(); 2], vec![700, 300]);
    assert!(!interval(&mut paths, &mut shares, &[Some(0), Some(0)]));
    assert_eq!(shares, [700, 300]);
}

#[test]
fn a_new_path_counts_as_the_mean_of_the_others() {
    let (mut paths, mut shares) = (vec![Path::default(); 3], vec![0; 3]);
    interval(
        &mut paths,
        &mut shares,
        &[Some(3_000_000), Some(1_000_000), None],
    );
    assert_eq!(shares, [500, 167, 333]);
}

/// It was slow, and nobody has used it since: it keeps its speed, and is tried.
#[test]
fn an_idle_path_is_tried_again() {
    let (mut paths, mut shares) = (vec![Path::default(); 2], vec![0; 2]);
    let millisecond = 1_000_000;
    interval(&mut paths, &mut shares, &[Some(100_000_000), Some(10_000)]);
    assert_eq!(shares, [999, 1]);
    for n in 1..=20 {
        interval(&mut paths, &mut shares, &[Some(100_000_000), None]);
        assert_eq!(shares, [999, 1]);
        assert_eq!(
            paths[1].meter.is_to_be_tried(100, 10 * millisecond, 1),
            n > 16
        );
        assert!(!paths[0].meter.is_to_be_tried(100, 10 * millisecond, 1));
    }
    interval(
        &mut paths,
        &mut shares,
        &[Some(100_000_000), Some(100_000_000)],
    );
    assert!(!paths[1].meter.is_to_be_tried(100, 10 * millisecond, 1));
    interval(
        &mut paths,
        &mut shares,
        &[Some(100_000_000), Some(100_000_000)],
    );
    assert!(shares[1] > 400, "{shares:?}");
}

#[test]
fn a_speed_that_is_set_is_the_speed() {
    let mut meter = Meter::default();
    meter.pass(1_000_000, SECOND);
    meter.force(5);
    assert_eq!(meter.speed(), Some(5));
    meter.force(0);
    assert_eq!(
        meter.speed(),
        None,
        "what was set is no speed that was measured"
    );
    meter.pass(2_000_000, 2 * SECOND);
    meter.force(0);
    assert_eq!(meter.speed(), Some(1_000_000));
}

// SPDX-License-Identifier: GPL-2.0-only

//! Whether a path is silent.

use crate::policy::silence::{pace, Finding, Silence};
use proptest::prelude::*;

const STALL_MS: u32 = 3200;

/// Looks at a path at the usual pace, on which a command is out; says after what time it was found
/// so. `answers` and `others` are asked with the time.
fn found(
    finding: Finding,
    mut answers: impl FnMut(u32) -> u64,
    mut others: impl FnMut(u32) -> bool,
) -> Option<u32> {
    let mut silence = Silence::default();
    (1..1000).map(|look| look * pace(STALL_MS)).find(|&now| {
        silence.look(answers(now), true, others(now), pace(STALL_MS), STALL_MS) == finding
    })
}

#[test]
fn a_silent_path_is_stalled_after_stall_ms() {
    assert_eq!(
        found(Finding::Suspected, |_| 0, |_| true),
        Some(STALL_MS / 2)
    );
    assert_eq!(found(Finding::Stalled, |_| 0, |_| true), Some(STALL_MS));
}

#[test]
fn silence_of_all_is_nobodys() {
    assert_eq!(found(Finding::Stalled, |_| 0, |_| false), None);
    // Nor does it count who answered before the path was suspected.
    assert_eq!(
        found(Finding::Stalled, |_| 0, |now| now < STALL_MS / 2),
        None
    );
}

#[test]
fn of_a_controller_that_comes_back_one_path_answers_first() {
    let back = 5000;
    assert_eq!(found(Finding::Stalled, |_| 0, |now| now == back), None);
    let answers = |now| u64::from(now > back);
    assert_eq!(
        found(Finding::Stalled, answers, |now| now >= back).map(|at| at > 6000),
        Some(true)
    );
}

#[test]
fn after_the_silence_of_all_each_has_its_time() {
    let back = 10_000;
    let stalled = found(Finding::Stalled, |_| 0, |now| now >= back).unwrap();
    assert!(
        stalled >= back + STALL_MS / 2 - 2 * pace(STALL_MS),
        "{stalled}"
    );
    assert!(stalled <= back + STALL_MS / 2 + pace(STALL_MS), "{stalled}");
}

/// All that the others have to answer may be probes, which take some time over a long cable.
#[test]
fn others_need_not_answer_in_every_look() {
    let every_second = |now| now / pace(STALL_MS) % 2 == 0;
    let stalled = found(Finding::Stalled, |_| 0, every_second).unwrap();
    assert!(stalled <= STALL_MS + pace(STALL_MS), "{stalled}");
}

#[test]
fn a_slow_path_that_answers_is_not_silent() {
    let every = STALL_MS - pace(STALL_MS);
    assert_eq!(
        found(Finding::Stalled, |now| u64::from(now / every), |_| true),
        None
    );
}

#[test]
fn a_probe_that_is_answered_clears_the_path() {
    // One slow command, and probes that are answered when they are due.
    let answers = |now: u32| u64::from(now / (STALL_MS / 2 + pace(STALL_MS)));
    assert_eq!(found(Finding::Stalled, answers, |_| true), None);
}

#[test]
fn a_path_with_nothing_out_is_not_silent() {
    let mut silence = Silence::default();
    for _ in 0..100 {
        let finding = silence.look(7, false, true, pace(STALL_MS), STALL_MS);
        assert_eq!(finding, Finding::Well);
    }
    // Nor does that time count.
    let finding = silence.look(7, true, true, pace(STALL_MS), STALL_MS);
    assert_eq!(finding, Finding::Well);
}

#[test]
fn a_machine_that_stood_still_condemns_nobody() {
    let mut silence = Silence::default();
    let mut look = |passed| silence.look(1, true, true, passed, STALL_MS);
    assert_eq!(look(60_000), Finding::Well); // It has answered before.
    assert_eq!(look(60_000), Finding::Well);
    // That was no more than two looks.
    for _ in 3..STALL_MS / 2 / pace(STALL_MS) {
        assert_eq!(look(pace(STALL_MS)), Finding::Well);
    }
    assert_eq!(look(pace(STALL_MS)), Finding::Suspected);
}

proptest! {
    /// Whatever is seen, a path is stalled only if it was suspected in the look before.
    #[test]
    fn nobody_is_stalled_without_warning(
        stall_ms in 1..=86_400_000u32,
        looks in prop::collection::vec(
            (0..3u64, any::<bool>(), any::<bool>(), any::<u32>()), 0..300),
    ) {
        let mut silence = Silence::default();
        let mut before = Finding::Well;
        for (answers, outstanding, others, passed) in looks {
            let finding = silence.look(answers, outstanding, others, passed, stall_ms);
            if finding == Finding::Stalled {
                prop_assert!(outstanding);
                prop_assert_ne!(before, Finding::Well);
            }
            before = finding;
        }
    }

    #[test]
    fn there_are_some_looks_in_a_time(stall_ms in 320..=86_400_000u32) {
        prop_assert!((32..=35).contains(&(stall_ms / pace(stall_ms))));
    }
}

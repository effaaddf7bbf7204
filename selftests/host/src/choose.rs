// SPDX-License-Identifier: GPL-2.0-only

//! Which path carries an I/O.

use crate::policy::choose::{fastest, least_loaded, primary, Candidate, Least, Load, Seen};
use proptest::{collection::vec, prelude::*};

/// Paths of which any may have no share, or nothing out.
fn any_paths() -> impl Strategy<Value = Vec<Candidate>> {
    let share = prop_oneof![Just(0), 1..=1000u32];
    let out = vec(prop_oneof![Just(0), 1..=u32::MAX], 0..=3)
        .prop_map(|all| Load(all.into_iter().map(|bytes| Load::of(bytes).0).sum()));
    vec(
        (share, out).prop_map(|(share, out)| Candidate { share, out }),
        0..=64,
    )
}

fn pick(paths: &[Candidate], bytes: u32) -> Least {
    least_loaded(paths.iter().copied(), bytes)
}

fn paths(all: &[(u32, Load)]) -> Vec<Candidate> {
    all.iter()
        .map(|&(share, out)| Candidate { share, out })
        .collect()
}

/// When a path would have done an I/O, as the rule has it.
fn done_at(path: &Candidate, bytes: u32) -> f64 {
    let bytes = f64::from(bytes.max(1));
    let load = if path.out.0 == 0 {
        bytes / 4.0
    } else {
        path.out.bytes() as f64 + bytes
    };
    load / f64::from(path.share)
}

proptest! {
    #[test]
    fn a_load_keeps_commands_and_bytes_apart(all in vec(any::<u32>(), 0..=255)) {
        let load = Load(all.iter().map(|&bytes| Load::of(bytes).0).sum());
        prop_assert_eq!(load.commands(), all.len() as u64);
        prop_assert_eq!(load.bytes(), all.iter().map(|&bytes| u64::from(bytes)).sum::<u64>());
    }

    #[test]
    fn the_path_that_would_have_done_it_first_is_chosen(all in any_paths(), bytes in any::<u32>()) {
        let usable = || all.iter().filter(|path| path.share > 0);
        match pick(&all, bytes) {
            Least::None => prop_assert_eq!(usable().count(), 0),
            Least::AllIdle => {
                let fastest = fastest(all.iter().map(|path| path.share));
                prop_assert!(usable().count() > 0 && usable().all(|path| path.out.0 == 0));
                let most = usable().map(|path| path.share).max().unwrap();
                for (number, path) in all.iter().enumerate() {
                    prop_assert_eq!(fastest >> number & 1 == 1, path.share == most);
                }
            }
            Least::Path(number) => {
                prop_assert!(all[number].share > 0 && usable().any(|path| path.out.0 > 0));
                let first = usable().map(|path| done_at(path, bytes)).fold(f64::MAX, f64::min);
                prop_assert!(done_at(&all[number], bytes) <= first * (1.0 + 1e-9));
            }
        }
    }

    #[test]
    fn no_load_is_too_much(
        all in vec((0..=1000u32, prop_oneof![any::<u64>(), Just(u64::MAX), Just(0)]), 0..=64),
        bytes in prop_oneof![any::<u32>(), Just(u32::MAX)],
    ) {
        let all = all.into_iter().map(|(share, out)| Candidate { share, out: Load(out) });
        let all: Vec<_> = all.collect();
        match pick(&all, bytes) {
            Least::Path(number) => prop_assert!(all[number].share > 0),
            Least::AllIdle => prop_assert!(all.iter().any(|path| path.share > 0)),
            Least::None => prop_assert!(all.iter().all(|path| path.share == 0)),
        }
    }

    #[test]
    fn the_primary_path_is_chosen_or_the_next_usable_one(
        (count, first) in (1..=64usize).prop_flat_map(|count| (Just(count), 0..count)),
        usable in prop_oneof![any::<u64>(), Just(0), (0..64).prop_map(|bit| 1u64 << bit)],
    ) {
        let usable = |number: usize| {
            assert!(number < count);
            (usable >> number) & 1 == 1
        };
        let expected = (0..count).map(|step| (first + step) % count).find(|&number| usable(number));
        prop_assert_eq!(primary(count, first, usable), expected);
    }
}

#[test]
fn if_all_are_idle_the_fastest() {
    let (idle, busy) = (Load(0), Load::of(4096));
    assert_eq!(
        pick(&paths(&[(500, idle), (500, idle)]), 4096),
        Least::AllIdle
    );
    assert_eq!(
        pick(
            &paths(&[(100, idle), (450, idle), (0, idle), (450, idle)]),
            4096
        ),
        Least::AllIdle
    );
    assert_eq!(
        pick(&paths(&[(500, busy), (0, idle)]), 4096),
        Least::Path(0)
    );
    assert_eq!(fastest([500, 500].into_iter()), 0b11);
    assert_eq!(fastest([100, 450, 0, 450].into_iter()), 0b1010);
    assert_eq!(fastest((0..64).map(|number| 1 + number / 63)), 1 << 63);
    assert_eq!(fastest([0, 0].into_iter()), 0);
}

/// A path as fast as others gets something to do first, one that is much slower only when they have
/// more.
#[test]
fn an_idle_path_is_used_when_that_pays() {
    let one = Load::of(4096);
    let many = Load(16 * one.0);
    let idle = Load(0);
    assert_eq!(
        pick(&paths(&[(500, one), (500, idle)]), 4096),
        Least::Path(1)
    );
    assert_eq!(
        pick(&paths(&[(800, one), (200, idle)]), 4096),
        Least::Path(1)
    );
    assert_eq!(
        pick(&paths(&[(941, one), (59, idle)]), 4096),
        Least::Path(0)
    );
    assert_eq!(
        pick(&paths(&[(941, many), (59, idle)]), 4096),
        Least::Path(1)
    );
}

#[test]
fn a_flush_is_something_to_do() {
    assert_eq!(
        pick(&paths(&[(500, Load::of(0)), (500, Load(0))]), 0),
        Least::Path(1)
    );
}

#[test]
fn loads_at_the_extremes_do_not_overflow() {
    let most = Load((1 << 40) - 1);
    let all = paths(&[(1000, most), (1, most), (999, most)]);
    assert_eq!(pick(&all, u32::MAX), Least::Path(0));
}

#[test]
fn no_path_no_choice() {
    assert_eq!(pick(&[], 1), Least::None);
    assert_eq!(pick(&paths(&[(0, Load(0))]), 1), Least::None);
    assert_eq!(primary(0, 0, |_| true), None);
}

#[test]
fn the_primary_is_asked_first_and_no_further_than_needed() {
    let asked = core::cell::RefCell::new(vec![]);
    let chosen = primary(4, 2, |number| {
        asked.borrow_mut().push(number);
        number == 0
    });
    assert_eq!(chosen, Some(0));
    assert_eq!(*asked.borrow(), [2, 3, 0]);
}

/// What others have out counts; what they have done since, as if that was what this group has.
#[test]
fn others_do_as_we_do() {
    let near = |bytes: u64| Load(3 << 40 | bytes);
    let seen = |others| Seen {
        near: 100,
        far: 1000,
        others,
    };
    assert_eq!(seen(4).now(near(100)), near(1100));
    assert_eq!(seen(4).now(near(150)), near(150 + 1000 + 2 * 50));
    assert_eq!(seen(5).now(near(50)), near(50 + 1000 - 2 * 50));
    assert_eq!(
        seen(40).now(near(0)),
        near(0),
        "there is not less than nothing"
    );
    assert_eq!(Seen::default().now(Load(0)), Load(0));
    for (near, far) in [(u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, 0)] {
        let seen = Seen {
            near,
            far,
            others: u64::MAX,
        };
        let now = seen.now(Load((1 << 39) - 1));
        assert!(now.bytes() >= (1 << 39) - 1 && now.commands() == 0);
    }
}

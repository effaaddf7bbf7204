// SPDX-License-Identifier: GPL-2.0-only

//! Which path carries an I/O.

use crate::policy::choose::{least_loaded, primary, Least, Load};
use proptest::{collection::vec, prelude::*};

/// Shares and loads, of which any may be 0.
fn any_paths() -> impl Strategy<Value = Vec<(u32, Load)>> {
    let share = prop_oneof![Just(0), 1..=1000u32];
    let load = vec(prop_oneof![Just(0), 1..=u32::MAX], 0..=3)
        .prop_map(|all| Load(all.into_iter().map(|bytes| Load::of(bytes).0).sum()));
    vec((share, load), 0..=64)
}

fn pick(paths: &[(u32, Load)]) -> Least {
    least_loaded(paths.iter().copied())
}

/// Bytes out for each part of the share. What has no data counts as one byte.
fn weight((share, load): (u32, Load)) -> f64 {
    load.bytes().max(load.commands().min(1)) as f64 / f64::from(share)
}

proptest! {
    #[test]
    fn a_load_keeps_commands_and_bytes_apart(all in vec(any::<u32>(), 0..=255)) {
        let load = Load(all.iter().map(|&bytes| Load::of(bytes).0).sum());
        prop_assert_eq!(load.commands(), all.len() as u64);
        prop_assert_eq!(load.bytes(), all.iter().map(|&bytes| u64::from(bytes)).sum::<u64>());
    }

    #[test]
    fn the_path_with_the_least_out_for_its_share_is_chosen(paths in any_paths()) {
        let usable = || paths.iter().copied().filter(|&(share, _)| share > 0);
        match pick(&paths) {
            Least::None => prop_assert_eq!(usable().count(), 0),
            Least::AllIdle => prop_assert!(usable().count() > 0 && usable().all(|(_, load)| load.0 == 0)),
            Least::Path(number) => {
                prop_assert!(paths[number].0 > 0 && usable().any(|(_, load)| load.0 > 0));
                let least = usable().map(weight).fold(f64::MAX, f64::min);
                prop_assert!(weight(paths[number]) <= least * (1.0 + 1e-9));
            }
        }
    }

    #[test]
    fn no_path_is_idle_while_another_has_two(paths in any_paths()) {
        if let Least::Path(number) = pick(&paths) {
            let idle = |&(share, load): &(u32, Load)| share > 0 && load.0 == 0;
            prop_assert!(!paths.iter().any(idle) || idle(&paths[number]));
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
fn of_idle_paths_the_one_with_the_largest_share() {
    let (idle, busy) = (Load(0), Load::of(4096));
    assert_eq!(pick(&[(500, busy), (100, idle), (400, idle)]), Least::Path(2));
    assert_eq!(pick(&[(500, idle), (500, idle)]), Least::AllIdle);
    assert_eq!(pick(&[(500, busy), (0, idle)]), Least::Path(0));
}

#[test]
fn a_flush_is_something_to_do() {
    assert_eq!(pick(&[(500, Load::of(0)), (500, Load(0))]), Least::Path(1));
}

#[test]
fn loads_at_the_extremes_do_not_overflow() {
    let most = Load((1 << 40) - 1);
    assert_eq!(pick(&[(1000, most), (1, most), (999, most)]), Least::Path(0));
}

#[test]
fn no_path_no_choice() {
    assert_eq!(pick(&[]), Least::None);
    assert_eq!(pick(&[(0, Load(0))]), Least::None);
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

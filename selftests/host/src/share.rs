// SPDX-License-Identifier: GPL-2.0-only

//! How the load is divided.

use crate::policy::share::{in_use, set, settle, WHOLE};
use proptest::{collection::vec, option, prelude::*, sample::Index};

fn settled(given: &[Option<u32>]) -> Vec<u32> {
    let mut shares = vec![0; given.len()];
    settle(&mut shares, |number| given[number]);
    shares
}

fn all_given(given: &[u32]) -> Vec<u32> {
    settled(&given.iter().copied().map(Some).collect::<Vec<_>>())
}

fn with_set(shares: &[u32], number: usize, share: u32) -> Result<Vec<u32>, u32> {
    let mut shares = shares.to_vec();
    set(&mut shares, number, share).map(|()| shares)
}

fn with_used(shares: &[u32], used: &[bool]) -> Vec<u32> {
    let mut shares = shares.to_vec();
    in_use(&mut shares, |number| used[number]);
    shares
}

/// A share as a table may give it, often a small or a large one.
fn any_share() -> impl Strategy<Value = u32> {
    prop_oneof![1..=WHOLE, 1..=3u32, WHOLE - 3..=WHOLE]
}

/// Shares as they are in a bond.
fn any_settled() -> impl Strategy<Value = Vec<u32>> {
    vec(any_share(), 1..=64).prop_map(|given| all_given(&given))
}

/// Checks that `after` adds up to `total`, in the proportions of `before`, where 0 stays 0 and
/// nothing else becomes 0.
///
/// Each is within one of its exact part; but those lifted to 1 are paid for by the others, and get
/// no more.
fn check_scaled(before: &[u32], after: &[u32], total: u32) -> Result<(), TestCaseError> {
    let sum: u32 = before.iter().sum();
    prop_assert_eq!(after.iter().sum::<u32>(), total, "{:?}", after);
    let lifted = before
        .iter()
        .filter(|&&weight| weight > 0 && weight * total < sum)
        .count();
    let off = sum as i32 * (1 + lifted as i32);
    for (&old, &new) in before.iter().zip(after) {
        prop_assert_eq!(old == 0, new == 0, "{:?} from {:?}", after, before);
        let lifted_at_most = old * total >= sum || new <= 1;
        prop_assert!(lifted_at_most, "{new} for {old} in {before:?}");
        let off_by = (new * sum) as i32 - (old * total) as i32;
        let near = old * total < sum || (-off < off_by && off_by < sum as i32);
        prop_assert!(near, "{new} for {old} in {before:?}");
        for (&other_old, &other_new) in before.iter().zip(after) {
            let in_order = old <= other_old || new + u32::from(lifted > 0) >= other_new;
            prop_assert!(in_order, "{:?} from {:?}", after, before);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn settled_shares_are_all_at_least_1_and_add_up(
        given in vec(option::of(prop_oneof![any_share(), Just(0), Just(u32::MAX)]), 1..=64),
    ) {
        let shares = settled(&given);
        prop_assert_eq!(shares.iter().sum::<u32>(), WHOLE, "{:?}", shares);
        prop_assert!(shares.iter().all(|&share| share >= 1), "{:?}", shares);
    }

    #[test]
    fn given_shares_keep_their_proportions(given in vec(any_share(), 1..=64)) {
        check_scaled(&given, &all_given(&given), WHOLE)?;
    }

    /// So a table line that is written and read again makes the same bond, whichever path is first.
    #[test]
    fn settled_shares_stay_as_they_are(mut shares in any_settled(), by in any::<Index>()) {
        let by = by.index(shares.len());
        shares.rotate_left(by);
        prop_assert_eq!(all_given(&shares), shares);
    }

    #[test]
    fn paths_without_a_share_split_evenly_what_is_left(
        first in 1..=900u32,
        missing in 1..=63usize,
    ) {
        let mut given = vec![Some(first)];
        given.resize(1 + missing, None);
        let shares = settled(&given);
        let (least, most) = (shares[1..].iter().min().unwrap(), shares[1..].iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", shares);
        // The even part is rounded down, so that the given one may gain what all others lose.
        let even = ((WHOLE - first) / missing as u32).max(1);
        let exact = first as f64 * 1000.0 / f64::from(first + even * missing as u32);
        let lifted = if *least == 1 { missing as f64 } else { 0.0 };
        prop_assert!((f64::from(shares[0]) - exact).abs() < 1.0 + lifted, "{:?}", shares);
    }

    #[test]
    fn a_share_is_set_and_the_others_keep_their_proportions(
        shares in any_settled(),
        number in any::<Index>(),
        share in any_share(),
    ) {
        let number = number.index(shares.len());
        let others = shares.len() as u32 - 1;
        let possible = if others == 0 { share == WHOLE } else { share <= WHOLE - others };
        match with_set(&shares, number, share) {
            Ok(after) => {
                prop_assert!(possible);
                prop_assert_eq!(after[number], share);
                let but_one = |shares: &[u32]| {
                    let mut shares = shares.to_vec();
                    shares.remove(number);
                    shares
                };
                if others > 0 {
                    check_scaled(&but_one(&shares), &but_one(&after), WHOLE - share)?;
                }
            }
            Err(most) => {
                prop_assert!(!possible);
                prop_assert_eq!(most, WHOLE - others);
            }
        }
    }

    #[test]
    fn a_share_that_cannot_be_changes_nothing(
        shares in any_settled(),
        number in any::<Index>(),
        above in prop_oneof![1..=3u32, Just(u32::MAX - WHOLE)],
    ) {
        let number = number.index(shares.len());
        let most = WHOLE - (shares.len() as u32 - 1);
        for share in [0, most + above] {
            let mut after = shares.clone();
            prop_assert_eq!(set(&mut after, number, share), Err(most));
            prop_assert_eq!(&after, &shares);
        }
    }

    #[test]
    fn paths_in_use_take_over_the_shares_of_the_others(
        (shares, used) in any_settled().prop_flat_map(|shares| {
            let count = shares.len();
            (Just(shares), vec(any::<bool>(), count))
        }),
    ) {
        let before: Vec<_> =
            shares.iter().zip(&used).map(|(&share, &used)| if used { share } else { 0 }).collect();
        let after = with_used(&shares, &used);
        if used.contains(&true) {
            check_scaled(&before, &after, WHOLE)?;
        } else {
            prop_assert!(after.iter().all(|&share| share == 0), "{:?}", after);
        }
    }

    #[test]
    fn with_all_paths_in_use_shares_are_as_set(shares in any_settled()) {
        prop_assert_eq!(with_used(&shares, &vec![true; shares.len()]), shares);
    }
}

#[test]
fn what_adds_up_is_kept_exactly() {
    assert_eq!(all_given(&[800, 200]), [800, 200]);
    assert_eq!(settled(&[Some(800), None]), [800, 200]);
    assert_eq!(settled(&[None, Some(1)]), [999, 1]);
    assert_eq!(
        settled(&[Some(500), None, Some(300), None]),
        [500, 100, 300, 100]
    );
}

#[test]
fn the_first_paths_get_what_cannot_be_split() {
    assert_eq!(settled(&[None]), [1000]);
    assert_eq!(settled(&[None; 3]), [334, 333, 333]);
    let of_64 = settled(&[None; 64]);
    assert!(of_64[..40].iter().all(|&share| share == 16));
    assert!(of_64[40..].iter().all(|&share| share == 15));
}

#[test]
fn only_proportions_count() {
    assert_eq!(all_given(&[1]), [1000]);
    assert_eq!(all_given(&[4, 1]), [800, 200]);
    assert_eq!(all_given(&[1000, 1000]), [500, 500]);
    assert_eq!(all_given(&[1000, 500, 500]), [500, 250, 250]);
}

#[test]
fn every_path_gets_something_when_nothing_is_left() {
    assert_eq!(settled(&[Some(1000), None]), [999, 1]);
    let mut given = [None; 64];
    given[7] = Some(1000);
    let mut expected = [1; 64];
    expected[7] = 1000 - 63;
    assert_eq!(settled(&given), expected);
}

/// One's part of 1201 is nearer to the next number than that of 600.
#[test]
fn who_is_lifted_to_1_gets_no_more() {
    assert_eq!(all_given(&[600, 600, 1]), [500, 499, 1]);
    assert_eq!(settled(&[Some(600), Some(600), None]), [500, 499, 1]);
}

#[test]
fn a_given_share_counts_as_1_to_1000() {
    assert_eq!(all_given(&[u32::MAX, 1000]), [500, 500]);
    assert_eq!(all_given(&[0, 1]), [500, 500]);
}

#[test]
fn the_largest_pay_for_the_least() {
    let mut given = [1000; 64];
    given[0] = 1;
    let shares = all_given(&given);
    assert_eq!(shares[0], 1);
    assert!(
        shares[1..].iter().all(|&share| share == 15 || share == 16),
        "{shares:?}"
    );
}

#[test]
fn set_leaves_1_to_each_of_the_others_at_least() {
    assert_eq!(with_set(&[500, 500], 0, 999), Ok(vec![999, 1]));
    assert_eq!(with_set(&[500, 500], 0, 1000), Err(999));
    assert_eq!(with_set(&[800, 150, 50], 0, 998), Ok(vec![998, 1, 1]));
    assert_eq!(with_set(&[800, 150, 50], 0, 400), Ok(vec![400, 450, 150]));
    let of_64 = settled(&[None; 64]);
    assert_eq!(with_set(&of_64, 63, 938), Err(937));
    let mut expected = vec![1; 64];
    expected[63] = 937;
    assert_eq!(with_set(&of_64, 63, 937), Ok(expected));
}

#[test]
fn the_only_path_carries_all() {
    assert_eq!(with_set(&[1000], 0, 1000), Ok(vec![1000]));
    for share in [0, 1, 999, 1001, u32::MAX] {
        assert_eq!(with_set(&[1000], 0, share), Err(1000));
    }
}

#[test]
fn a_survivor_carries_all() {
    assert_eq!(with_used(&[999, 1], &[false, true]), [0, 1000]);
    assert_eq!(
        with_used(&[600, 300, 100], &[false, true, true]),
        [0, 750, 250]
    );
    assert_eq!(with_used(&[600, 300, 100], &[false; 3]), [0, 0, 0]);
}

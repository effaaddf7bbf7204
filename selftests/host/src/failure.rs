// SPDX-License-Identifier: GPL-2.0-only

//! Whose fault an error is. The numbers are written out here, as in `include/linux/blk_types.h`, to
//! check the names.

use crate::policy::failure::{is_answer, is_hopeless, is_word_of_lu, judge, name, status, Verdict};

/// What `blk_path_error()` says of a status.
fn blk_path_error(status: u8) -> bool {
    const NOTSUPP: u8 = 1;
    const NOSPC: u8 = 3;
    const TARGET: u8 = 5;
    const RESV_CONFLICT: u8 = 6;
    const MEDIUM: u8 = 7;
    const PROTECTION: u8 = 8;
    !matches!(
        status,
        NOTSUPP | NOSPC | TARGET | RESV_CONFLICT | MEDIUM | PROTECTION
    )
}

/// Errors that are no path's, though `blk_path_error()` takes them for one's.
const MORE_LU_ERRORS: [(u8, &str); 5] = [
    (12, "AGAIN"),
    (14, "ZONE_OPEN_RESOURCE"),
    (15, "ZONE_ACTIVE_RESOURCE"),
    (17, "DURATION_LIMIT"),
    (19, "INVAL"),
];

#[test]
fn every_status_is_judged() {
    for status in 0..=u8::MAX {
        let expected = match status {
            0 => Verdict::Success,
            // RESOURCE and DEV_RESOURCE.
            9 | 13 => Verdict::Busy,
            _ if !blk_path_error(status) => Verdict::Lu,
            _ if MORE_LU_ERRORS.iter().any(|&(more, _)| more == status) => Verdict::Lu,
            _ => Verdict::Path,
        };
        assert_eq!(judge(status), expected, "status {status}");
    }
}

#[test]
fn no_error_of_the_lu_by_blk_path_error_fails_a_path() {
    for status in (0..=u8::MAX).filter(|&status| !blk_path_error(status)) {
        assert_eq!(judge(status), Verdict::Lu, "status {status}");
    }
}

#[test]
fn more_errors_are_the_lus_than_by_blk_path_error_but_only_those_named() {
    let more: Vec<u8> = (0..=u8::MAX)
        .filter(|&status| judge(status) == Verdict::Lu && blk_path_error(status))
        .collect();
    assert_eq!(more, MORE_LU_ERRORS.map(|(status, _)| status));
}

#[test]
fn each_path_is_tried_16_times() {
    for paths in 1..=64 {
        let most = 16 * paths as u16;
        assert!(!is_hopeless(paths, most, 0));
        assert!(is_hopeless(paths, most + 1, 0));
    }
}

#[test]
fn waiting_has_an_end_of_its_own() {
    for paths in 1..=64 {
        assert!(!is_hopeless(paths, 0, 500));
        assert!(is_hopeless(paths, 0, 501));
        assert!(!is_hopeless(paths, 16 * paths as u16, 500));
    }
}

#[test]
fn a_probe_is_answered_by_success_or_by_an_error_of_the_medium() {
    // OK, RESV_CONFLICT, MEDIUM, PROTECTION.
    let answers: Vec<u8> = (0..=u8::MAX).filter(|&status| is_answer(status)).collect();
    assert_eq!(answers, [0, 6, 7, 8]);
}

#[test]
fn errors_have_names() {
    for status in 0..=u8::MAX {
        let expected = match status {
            2 => "timeout",
            4 => "transport error",
            9 | 13 => "out of resources",
            10 => "I/O error",
            16 => "device offline",
            _ => "unknown error",
        };
        assert_eq!(name(status), expected, "status {status}");
    }
}

/// Else a path would seem to answer as long as its driver refuses to wait for it.
#[test]
fn what_a_driver_says_by_itself_is_no_word_of_the_lu() {
    for code in [status::AGAIN, status::INVAL, status::NOTSUPP] {
        assert_eq!(judge(code), Verdict::Lu);
        assert!(!is_word_of_lu(code), "{code}");
    }
    for code in [
        status::MEDIUM,
        status::TARGET,
        status::NOSPC,
        status::RESV_CONFLICT,
    ] {
        assert!(is_word_of_lu(code), "{code}");
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Whose fault an error is.

/// The status codes that are told apart here: `BLK_STS_*` of `include/linux/blk_types.h`.
pub(crate) mod status {
    pub(crate) const OK: u8 = 0;
    pub(crate) const NOTSUPP: u8 = 1;
    pub(crate) const TIMEOUT: u8 = 2;
    pub(crate) const NOSPC: u8 = 3;
    pub(crate) const TRANSPORT: u8 = 4;
    pub(crate) const TARGET: u8 = 5;
    pub(crate) const RESV_CONFLICT: u8 = 6;
    pub(crate) const MEDIUM: u8 = 7;
    pub(crate) const PROTECTION: u8 = 8;
    pub(crate) const RESOURCE: u8 = 9;
    pub(crate) const IOERR: u8 = 10;
    pub(crate) const AGAIN: u8 = 12;
    pub(crate) const DEV_RESOURCE: u8 = 13;
    pub(crate) const ZONE_OPEN_RESOURCE: u8 = 14;
    pub(crate) const ZONE_ACTIVE_RESOURCE: u8 = 15;
    pub(crate) const OFFLINE: u8 = 16;
    pub(crate) const DURATION_LIMIT: u8 = 17;
    pub(crate) const INVAL: u8 = 19;
}

/// What an I/O's status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It succeeded.
    Success,
    /// The path is at fault: fail it, and send the I/O down another.
    Path,
    /// Something has run short for a moment, on a path that is well: send the I/O again a little
    /// later.
    Busy,
    /// The LU or the I/O itself is at fault, on every path alike: the caller is told.
    Lu,
}

/// Judges a status.
///
/// `blk_path_error()` says "path" to more: an I/O that no device can take (`INVAL`,
/// `DURATION_LIMIT`) would so fail every path in turn, and one that asked not to wait and would
/// have to (`AGAIN`), or that opens a zone too many (`ZONE_*`), would fail a path that is well.
pub(crate) fn judge(status: u8) -> Verdict {
    match status {
        status::OK => Verdict::Success,
        status::RESOURCE | status::DEV_RESOURCE => Verdict::Busy,
        status::NOTSUPP
        | status::NOSPC
        | status::TARGET
        | status::RESV_CONFLICT
        | status::MEDIUM
        | status::PROTECTION
        | status::AGAIN
        | status::ZONE_OPEN_RESOURCE
        | status::ZONE_ACTIVE_RESOURCE
        | status::DURATION_LIMIT
        | status::INVAL => Verdict::Lu,
        _ => Verdict::Path,
    }
}

/// Whether an I/O is to be given up, that was sent down this many paths and so often ended the use
/// of one that had its link (`tries`), and came back so often for want of something (`waits`).
///
/// An error that says nothing of where it arose (`IOERR`) is taken for the path's, and one that
/// names the transport all the more. But if the paths answer their probes and come back, and it is
/// this I/O again that fails them, then it is the I/O; without an end it would fail path after
/// path. So each path is tried 16 times. To wait costs no path, and may go on for five seconds.
pub(crate) fn is_hopeless(paths: usize, tries: u16, waits: u16) -> bool {
    usize::from(tries) > 16 * paths || waits > 500
}

/// Whether a probe that ended so was answered: by the LU, if only by its refusal of this one read.
/// Other errors that are no path's fault may come from a controller that is not ready.
pub(crate) fn is_answer(status: u8) -> bool {
    matches!(
        status,
        status::OK | status::MEDIUM | status::RESV_CONFLICT | status::PROTECTION
    )
}

/// Whether an error that is the LU's was said by it, rather than by a driver on the way that did
/// not send the I/O: one that would have had to wait, or that it cannot send at all.
pub(crate) fn is_word_of_lu(status: u8) -> bool {
    !matches!(status, status::AGAIN | status::INVAL | status::NOTSUPP)
}

/// What an error is called in words.
pub(crate) fn name(status: u8) -> &'static str {
    match status {
        status::TIMEOUT => "timeout",
        status::TRANSPORT => "transport error",
        status::OFFLINE => "device offline",
        status::IOERR => "I/O error",
        status::RESOURCE | status::DEV_RESOURCE => "out of resources",
        _ => "unknown error",
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! How fast a path is, and the shares that follow from that.
//!
//! The speed of a path is the bytes that it has moved over the time that it spent moving them. When
//! commands overlap their times do too, and must not be counted twice. So one command in some
//! milliseconds is timed on each CPU. While the path was not idle since the last one came back, it
//! has spent all that time moving what came back in it. If it may have been idle, the time counts
//! that the command was out, and what came back in it, the command itself included. (What was out
//! when it was sent would be the same on a path that does one after the other; but a command may
//! overtake others: each CPU has a queue of its own.) A time without commands is none. Reads and
//! writes are measured each by themselves, and added up.
//!
//! From one interval to the next the sums lose an eighth, so that what is measured a little
//! differently each time averages out. But if two intervals in a row are off by more than a
//! quarter, or three by more than a sixteenth, all to the same side, then the path has changed its
//! speed, and nothing from before the last one counts. An interval in which the path is idle takes
//! seven eighths. A path that nobody uses keeps its speed, and is tried with one I/O now and then;
//! one whose speed is not known, at once ([`Meter::is_to_be_tried`]).

use super::share::{self, WHOLE};

/// Of the sums one part in so many is lost with each interval; with one in which the path is idle,
/// all but that.
const PARTS: u64 = 8;
/// So many strikes on one side are a change: see [`strikes`].
const CHANGE: i8 = 3;
/// After so many intervals nothing is kept.
const FORGOTTEN: u32 = 21;
/// A command that tries an idle path may take one part in so many of the time of all commands.
const PATIENCE: u64 = 160;

/// What is known of a path's speed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// The sums of what was measured, the older the less.
    moved: u64,
    nanos: u64,
    /// All that ever was.
    seen: (u64, u64),
    /// Bytes a second, as measured last.
    speed: Option<u64>,
    /// How often in a row it was above what was known before, or, below zero, below.
    strikes: i8,
    /// Intervals since then, up to [`FORGOTTEN`].
    stale: u32,
    /// Nanoseconds that commands have spent on all paths since then.
    spent: u64,
    /// The speed was set.
    forced: bool,
}

impl Meter {
    /// An interval is over. So far all commands that were measured had so many bytes out, for so
    /// long in all; both may have wrapped.
    pub(crate) fn pass(&mut self, moved: u64, nanos: u64) {
        let before = core::mem::replace(&mut self.seen, (moved, nanos));
        let (mut moved, nanos) = (moved.wrapping_sub(before.0), nanos.wrapping_sub(before.1));
        if (moved as i64) < 0 {
            // Two that came back at a time have counted something twice, and then taken it back.
            self.seen.0 = before.0;
            moved = 0;
        }
        if nanos == 0 {
            self.stale = (self.stale + 1).min(FORGOTTEN);
            return;
        }
        self.spent = 0;
        let changed = self.has_changed(per_second(moved, nanos));
        let stale = core::mem::take(&mut self.stale);
        let kept = |sum: u64| match (changed, stale) {
            (true, _) => 0,
            (false, 0) => sum - sum / PARTS,
            (false, stale) => sum / PARTS.saturating_pow(stale),
        };
        self.moved = kept(self.moved).saturating_add(moved);
        self.nanos = kept(self.nanos).saturating_add(nanos);
        self.speed = Some(per_second(self.moved, self.nanos));
    }

    /// Whether the path is a faster or a slower one now than what is known of it, if this was its
    /// speed in the last interval.
    fn has_changed(&mut self, speed: u64) -> bool {
        let new = self.speed.map_or(0, |known| strikes(speed, known));
        self.strikes = match new.signum() == self.strikes.signum() {
            true => self.strikes.saturating_add(new),
            false => new,
        };
        let changed = self.strikes.abs() >= CHANGE;
        if changed {
            self.strikes = 0;
        }
        changed
    }

    /// Whether the path is to be tried if it is idle now. To be asked once in each interval of so
    /// many milliseconds, after [`Self::pass`]. It is if its speed is not known; or if since it was
    /// measured commands have spent so much time on all paths that one more on it, which would
    /// take so many nanoseconds, costs little. The commands that are out now are, in the mean of
    /// all that is asked, as many as were out all the time.
    pub(crate) fn is_to_be_tried(&mut self, interval_ms: u32, latency: u64, out: u64) -> bool {
        let interval = u64::from(interval_ms) * 1_000_000;
        self.spent = self.spent.saturating_add(interval.saturating_mul(out));
        self.speed.is_none() || self.spent > latency.saturating_mul(PATIENCE)
    }

    /// The speed is this, whatever is measured; or, with 0, what is measured from now on.
    pub(crate) fn force(&mut self, speed: u64) {
        match speed {
            0 if self.forced => self.forget(),
            0 => {}
            _ => {
                self.speed = Some(speed);
                (self.stale, self.spent, self.forced) = (0, 0, true);
            }
        }
    }

    /// Forgets all: the path is another one now.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            seen: self.seen,
            ..Self::default()
        };
    }

    /// Bytes a second; `None` if none was ever measured.
    pub(crate) fn speed(&self) -> Option<u64> {
        self.speed
    }
}

/// How far a speed is off: two strikes if by more than a quarter, one if by more than a sixteenth,
/// above zero if it is the higher one.
fn strikes(speed: u64, known: u64) -> i8 {
    let off = speed.abs_diff(known);
    let strikes = i8::from(off > known / 4) + i8::from(off > known / 16);
    match speed > known {
        true => strikes,
        false => -strikes,
    }
}

/// How long a command of so many bytes would have taken that came back after so many nanoseconds,
/// had not so many bytes come back meanwhile, its own included: at least that, if part of its time
/// was no transfer.
pub(crate) fn alone(latency: u64, bytes: u32, moved: u64) -> u64 {
    latency.saturating_mul(bytes.into()) / moved.max(bytes.into()).max(1)
}

/// Bytes over nanoseconds, in bytes a second.
fn per_second(bytes: u64, nanos: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    // So that the product fits; what is lost is no more than a billionth.
    let shift = (u64::BITS - bytes.leading_zeros()).saturating_sub(34);
    ((bytes >> shift) * SECOND) / (nanos >> shift).max(1)
}

/// Makes the shares follow the speeds. Says whether they have changed.
///
/// A path whose speed is not known counts as the mean of the others; nobody gets less than 1. The
/// shares stay as they are while each is near to what it should be, within 1/32 and 0.4 %:
/// so what is measured a little differently from one interval to the next changes nothing.
pub(crate) fn follow(meters: &[Meter], shares: &mut [u32]) -> bool {
    let known = || meters.iter().filter_map(Meter::speed);
    let (count, fastest) = (known().count() as u64, known().max().unwrap_or(0));
    if fastest == 0 {
        return false;
    }
    let mean = known().filter_map(|speed| speed.checked_div(count)).sum();
    let mut wanted = [0; super::table::MAX_PATHS];
    let wanted = &mut wanted[..shares.len()];
    for (wanted, meter) in wanted.iter_mut().zip(meters) {
        let speed = meter.speed().unwrap_or(mean);
        // In parts of the fastest: both fit, and the quotient is 1 to 1000.
        let shift = (u64::BITS - fastest.leading_zeros()).saturating_sub(50);
        let part = ((speed >> shift) * u64::from(WHOLE)).checked_div(fastest >> shift);
        *wanted = (part.unwrap_or(0) as u32).clamp(1, WHOLE);
    }
    share::scale(wanted, WHOLE);
    let far = |(&share, &wanted): (&u32, &u32)| share.abs_diff(wanted) > share.max(wanted) / 32 + 4;
    let changed = shares.iter().zip(&*wanted).any(far);
    if changed {
        for (share, wanted) in shares.iter_mut().zip(wanted) {
            *share = *wanted;
        }
    }
    changed
}

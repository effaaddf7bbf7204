// SPDX-License-Identifier: GPL-2.0-only

//! Flap damping: a path that fails again soon after it came back waits before it is tried again,
//! longer each time.
//!
//! The unit is the time between probes, `p`. A path that fails within 10 `p` of its return has
//! flapped. After its n-th flap in a row it is not probed for 2^(n-1) `p`, up to 64 `p`. It is
//! forgiven all when it has stayed in use for 10 `p`, or for as long as it had to wait last, if
//! that is longer. With the default of 1 s a path is so kept out for 1, 2, 4 up to 64 seconds. But
//! if no other path is in use, one is kept out for `p` at most.

/// How soon after its return a failure is a flap, in probes.
const SOON: u64 = 10;
/// The longest wait is 2 to the power of this, in probes.
const MOST: u32 = 6;

/// What is remembered of a path. Times are milliseconds on a clock that does not go back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Damping {
    flaps: u32,
    /// Since when the path is in use, if it ever was out of it.
    back_since: Option<u64>,
    /// Until when it is not to be tried.
    until: u64,
    /// Nor is it before this, even if it is the last one: no oftener than any failed path.
    soonest: u64,
}

impl Damping {
    /// How often the path has flapped in a row.
    pub(crate) fn flaps(&self) -> u32 {
        self.flaps
    }

    /// How long it is not to be tried yet; `needed`: no other path is in use.
    pub(crate) fn wait(&self, now: u64, needed: bool) -> u32 {
        let until = match needed {
            true => self.until.min(self.soonest),
            false => self.until,
        };
        u32::try_from(until.saturating_sub(now)).unwrap_or(u32::MAX)
    }

    /// The path is needed, whatever it has done.
    pub(crate) fn lift(&mut self) {
        self.until = self.until.min(self.soonest);
    }

    /// The time between probes is another one.
    pub(crate) fn rescale(&mut self, now: u64, probe_ms: u32) {
        let probe_ms = u64::from(probe_ms);
        let at_most = |time: u64, delay| time.min(now.saturating_add(delay));
        self.until = at_most(self.until, Self::delay(self.flaps, probe_ms));
        self.soonest = at_most(self.soonest, probe_ms);
    }

    /// The path went out of use by a fault.
    pub(crate) fn failed(&mut self, now: u64, probe_ms: u32) {
        let probe_ms = u64::from(probe_ms);
        let quiet = (SOON * probe_ms).max(Self::delay(self.flaps, probe_ms));
        self.flaps = match self.back_since {
            Some(since) if now.saturating_sub(since) < quiet => self.flaps.saturating_add(1),
            _ => 0,
        };
        self.until = now.saturating_add(Self::delay(self.flaps, probe_ms));
        self.soonest = now.saturating_add(probe_ms);
    }

    /// The path is in use again.
    pub(crate) fn back(&mut self, now: u64) {
        self.back_since = Some(now);
        self.until = 0;
    }

    /// Forgives the path everything.
    pub(crate) fn forgive(&mut self) {
        *self = Self::default();
    }

    fn delay(flaps: u32, probe_ms: u64) -> u64 {
        match flaps {
            0 => 0,
            _ => probe_ms << (flaps - 1).min(MOST),
        }
    }
}

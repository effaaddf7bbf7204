// SPDX-License-Identifier: GPL-2.0-only

//! Writes that wait until an earlier copy can no longer arrive.
//!
//! The driver below has given back a write, so no copy of it is left on this machine. But one may
//! still be under way, or with the storage controller, and be carried out later: over newer data,
//! if such has been written to the same place meanwhile. So a write that was on a path which failed
//! is held for `write_hold_ms` before it is sent again; until then nobody is told that it is done,
//! and what is written to the same place meanwhile goes behind it.

use super::{works, Bond, Inner};
use crate::{
    kapi::{
        dm::Owned,
        workqueue::{enqueue_delayed, rearm},
    },
    policy::table::Time,
};
use core::ops::Range;
use kernel::{
    sync::{atomic::Relaxed, Arc, SpinLockIrqGuard},
    time::msecs_to_jiffies,
    workqueue::WorkItem,
};

impl Inner {
    /// Holds a write back, as if since then.
    pub(super) fn hold(&mut self, bond: &Arc<Bond>, mut bio: Owned<Bond>, since: u64) {
        let trip = bio.data();
        (trip.held, trip.held_since) = (true, since);
        self.held.push(bio);
        bond.holding.store(true, Relaxed);
        bond.release_by(self.features.ms(Time::WriteHold));
    }

    /// If a write, that was not held itself, goes to where one is held: since when the last one is.
    fn held_before(&self, bio: &Owned<Bond>) -> Option<u64> {
        let range = bio.writes().filter(|_| !bio.peek().held)?;
        let (mut overlaps, mut last) = (false, None);
        for held in self.held.iter() {
            let overlap = |other: Range<u64>| range.start < other.end && other.start < range.end;
            overlaps |= held.writes().is_some_and(overlap);
            last = Some(held.peek().held_since);
        }
        last.filter(|_| overlaps)
    }
}

impl Bond {
    /// If an I/O has to wait behind a held write: the lock to hold it with, and since when.
    #[inline]
    pub(super) fn must_hold(
        &self,
        bio: &Owned<Self>,
    ) -> Option<(SpinLockIrqGuard<'_, Inner>, u64)> {
        match self.holding.load(Relaxed) {
            true => self.must_hold_behind(bio),
            false => None,
        }
    }

    fn must_hold_behind(&self, bio: &Owned<Self>) -> Option<(SpinLockIrqGuard<'_, Inner>, u64)> {
        bio.writes()?;
        let inner = self.inner.lock();
        let since = inner.held_before(bio)?;
        Some((inner, since))
    }

    /// Lets the held writes be looked at after this many milliseconds, or earlier. Any context.
    pub(super) fn release_by(self: &Arc<Self>, ms: u32) {
        match ms {
            0 => rearm::<_, { works::RELEASE }>(self, 0),
            _ => {
                enqueue_delayed::<_, { works::RELEASE }>(self, msecs_to_jiffies(ms));
            }
        }
    }

    /// Lets go what was held long enough.
    fn release(this: &Arc<Self>) {
        let now = this.now();
        let mut guard = this.inner.lock();
        let inner = &mut *guard;
        let hold_ms = u64::from(inner.features.ms(Time::WriteHold));
        while let Some(bio) = inner.held.pop() {
            let left = (bio.peek().held_since + hold_ms).saturating_sub(now);
            if left > 0 {
                inner.held.push_front(bio);
                // Not later, if it was to be looked again later meanwhile.
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                return rearm::<_, { works::RELEASE }>(this, msecs_to_jiffies(left));
            }
            inner.waiting.push(bio);
            this.kick();
        }
        this.holding.store(false, Relaxed);
    }
}

impl WorkItem<{ works::RELEASE }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        Self::release(&this);
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! The shares: as set, as they follow the speeds, those in force, and the quotas they make.

use super::{works, Bond, Path};
use crate::{
    kapi::workqueue::{enqueue_delayed, rearm},
    policy::{
        quota, share, speed,
        table::{Policy, Time, MAX_PATHS},
    },
    sync::Relaxed,
};
use kernel::{sync::Arc, time::msecs_to_jiffies, workqueue::WorkItem};

impl Bond {
    /// The part of the load that a path carries now, in permille: 0 if it is not in use.
    pub(super) fn share_now(&self, path: usize) -> u32 {
        let mut shares = [0; MAX_PATHS];
        self.shares_now(&mut shares)[path]
    }

    pub(super) fn shares_now<'a>(&self, shares: &'a mut [u32; MAX_PATHS]) -> &'a mut [u32] {
        let policy = self.policy();
        let shares = &mut shares[..self.paths.len()];
        for (share, path) in shares.iter_mut().zip(&self.paths) {
            *share = path.share_under(policy);
        }
        match policy {
            Policy::Static | Policy::Dynamic | Policy::AdapterLoad => {
                share::in_use(shares, |number| self.is_usable(number));
            }
            Policy::AdapterHash => {
                share::in_use(shares, |number| self.paths[number].share_in_force() > 0);
            }
            Policy::Primary => {
                let carrier = self.carrier();
                share::in_use(shares, |number| Some(number) == carrier);
            }
        }
        shares
    }

    /// The quota of a path in bytes, by its share now; 0 where quotas do not count, or if it is not
    /// in use.
    pub(super) fn quota(&self, number: usize) -> u64 {
        let mut shares = [0; MAX_PATHS];
        let shares = self.shares_now(&mut shares);
        let least = shares.iter().copied().filter(|&share| share > 0).min();
        let (bytes, ios) = self.paths.iter().fold((0, 0), |(bytes, ios), path| {
            let counters = path.counters();
            (bytes + counters.bytes(), ios + counters.ios())
        });
        let mean = u32::try_from(bytes / ios.max(1)).unwrap_or(u32::MAX);
        match self.policy() {
            Policy::Primary => 0,
            _ => quota::quota(shares[number], mean, least.unwrap_or(1)),
        }
    }

    /// A path's speed in bytes a second; 0 if none was measured yet.
    pub(super) fn speed(&self, number: usize) -> u64 {
        let meter = self.inner.lock().meters[number];
        meter.speed().unwrap_or(0)
    }

    /// Lets the speeds be looked at. Any context.
    pub(super) fn measure(self: &Arc<Self>) {
        rearm::<_, { works::MEASURE }>(self, 0);
    }

    /// Lets the shares follow the speeds.
    fn look_at_speeds(&self) {
        let mut shares = [0; MAX_PATHS];
        let shares = &mut shares[..self.paths.len()];
        // What is summed over all CPUs is summed before the lock.
        let mut seen = [(0, (0, 0)); MAX_PATHS];
        let mut out = 0;
        for (seen, path) in seen.iter_mut().zip(&self.paths) {
            let inflight = path.counters().inflight();
            *seen = (inflight, path.counters().times());
            if path.is_in_use() {
                out += inflight;
            }
        }
        let mut due = 0u64;
        let mut guard = self.inner.lock();
        let interval_ms = guard.features.ms(Time::Interval);
        let meters = guard.meters.iter_mut().zip(seen);
        for (path, (share, (meter, seen))) in self.paths.iter().zip(shares.iter_mut().zip(meters)) {
            let (inflight, (moved, nanos)) = seen;
            let in_use = path.is_in_use();
            meter.pass(moved, nanos);
            if !in_use {
                // What it still did before it failed is not how fast it will be.
                meter.forget();
            }
            *share = path.share_under(Policy::Dynamic);
            let to_try = meter.is_to_be_tried(interval_ms, path.counters().latency(), out);
            if to_try && in_use && inflight == 0 {
                due |= 1 << path.number();
            }
        }
        self.due.store(due, Relaxed);
        if speed::follow(&guard.meters, shares) {
            for (path, share) in self.paths.iter().zip(shares) {
                path.set_measured_share(*share);
            }
            // Under another policy they count for nothing, and of a round that begins anew before
            // its end the last paths have had too little.
            if self.policy() == Policy::Dynamic {
                self.shares_changed();
            }
        }
    }

    /// Lets all CPUs begin a new round. To be called under the bond's lock only.
    pub(super) fn shares_changed(&self) {
        self.enforce();
        let next = self.version.load(Relaxed).wrapping_add(1);
        self.version.store(next, Relaxed);
    }

    /// The weights of the adapters have changed. Any context.
    pub(crate) fn reweigh(&self) {
        let _guard = self.inner.lock();
        if self.policy() == Policy::AdapterLoad {
            self.shares_changed();
        }
    }

    /// Sets the shares that count now: after shares, policy or the paths in use have changed. To be
    /// called under the bond's lock only.
    pub(super) fn enforce(&self) {
        let policy = self.policy();
        let won = match policy {
            Policy::AdapterHash => self.auction(),
            _ => u64::MAX,
        };
        for path in &self.paths {
            let number = path.number();
            let counts = self.is_usable(number) && won >> number & 1 != 0;
            path.set_share_in_force(if counts { path.share_under(policy) } else { 0 });
        }
    }

    /// Which paths in use win the addresses that they lead to: a bit for each. A path without
    /// address or adapter is alone with its own.
    fn auction(&self) -> u64 {
        let in_use = || {
            self.paths
                .iter()
                .filter(|path| self.is_usable(path.number()))
        };
        in_use().for_each(|path| path.draw());
        let is_beaten = |path: &Path| {
            in_use().any(|rival| {
                // Of two equal bids the first one counts.
                let (own, other) = (path.bid(), rival.bid());
                let first = rival.number() < path.number();
                let same = rival.number() != path.number() && rival.dest() == path.dest();
                same && (other.beats(own) || (first && !own.beats(other)))
            })
        };
        let winners = in_use().filter(|path| path.dest().is_none() || !is_beaten(path));
        winners.fold(0, |mask, path| mask | 1 << path.number())
    }
}

impl WorkItem<{ works::MEASURE }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.look_at_speeds();
        let interval = msecs_to_jiffies(this.ms(Time::Interval));
        enqueue_delayed::<_, { works::MEASURE }>(&this, interval);
    }
}

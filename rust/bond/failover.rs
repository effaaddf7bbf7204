// SPDX-License-Identifier: GPL-2.0-only

//! Paths that fail and come back, and who is told.
//!
//! A path changes under the bond's lock, in any context. The outside (log, uevents, dm events,
//! sysfs) is told by a work item, which compares what it told last with what is: a path that failed
//! and came back before it ran is told as both. So are the teams of the paths' adapters.

use super::{works, Bond, Inner, Path};
use crate::{
    kapi::{
        dm::PathEvent,
        trace,
        workqueue::{enqueue, rearm},
    },
    policy::{
        failure::{self, Verdict},
        health::{Change, Health, State, Why},
        table::{Features, Time},
    },
};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
    time::{msecs_to_jiffies, Instant},
    workqueue::WorkItem,
};

impl Bond {
    pub(super) fn health(&self, number: usize) -> Health {
        self.inner.lock().health[number].health
    }

    pub(super) fn features(&self) -> Features {
        self.inner.lock().features
    }

    /// A time as it is set now.
    pub(super) fn ms(&self, time: Time) -> u32 {
        self.features().ms(time)
    }

    /// Changes a path's health, and does what follows from that. Any context.
    pub(super) fn change(
        this: &Arc<Self>,
        number: usize,
        change: impl FnOnce(&mut Health) -> Change,
    ) -> Change {
        Self::change_locked(this, &mut this.inner.lock(), number, change)
    }

    fn change_locked(
        this: &Arc<Self>,
        inner: &mut Inner,
        number: usize,
        change: impl FnOnce(&mut Health) -> Change,
    ) -> Change {
        let path = &this.paths[number];
        let watched = &mut inner.health[number];
        let was = watched.health.state();
        let change = change(&mut watched.health);
        let health = watched.health;
        path.set_state(health.state());
        if health.state() == was {
            return change;
        }
        if change != Change::None {
            let (bit, usable) = (1 << number, this.usable.load(Relaxed));
            let usable = match health.state() {
                State::Active => usable | bit,
                _ => usable & !bit,
            };
            this.usable.store(usable, Relaxed);
            this.shares_changed();
        }
        match change {
            Change::Lost => {
                if health.last_failure().is_some_and(Why::is_fault) {
                    let probe_ms = inner.features.ms(Time::Probe);
                    watched.damping.failed(this.now(), probe_ms);
                }
                inner.in_use -= 1;
                inner.meters[number].forget();
                path.end_life();
                this.prefer_no_more(number);
                trace::fail(this.events.device(), path.dev(), inner.in_use);
                if inner.in_use == 0 {
                    inner.without_path_since = Some(Instant::now());
                    this.watch_for_path(inner);
                    this.end_damping(inner);
                    // What waits for the limit is now without a path.
                    this.kick();
                }
            }
            Change::Gained => {
                path.abort_no_more();
                watched.damping.back(this.now());
                inner.in_use += 1;
                trace::restore(this.events.device(), path.dev(), inner.in_use);
                inner.without_path_since = None;
                inner.expired = false;
                this.kick();
            }
            Change::None => {}
        }
        this.announce();
        change
    }

    /// How long a path is not to be probed yet, in milliseconds. Any context.
    pub(super) fn damped_ms(&self, number: usize) -> u32 {
        let inner = self.inner.lock();
        let damping = inner.health[number].damping;
        damping.wait(self.now(), inner.in_use == 0)
    }

    /// How often a path has flapped in a row.
    pub(super) fn flaps(&self, number: usize) -> u32 {
        self.inner.lock().health[number].damping.flaps()
    }

    /// Those that were to wait are needed.
    pub(super) fn end_damping(&self, inner: &mut Inner) {
        let now = self.now();
        for (path, watched) in self.paths.iter().zip(&mut inner.health) {
            if watched.damping.wait(now, false) > 0 && watched.health.wants_probe() {
                watched.damping.lift();
                path.probe_at(watched.damping.wait(now, false));
            }
        }
    }

    /// Lets the outside be told. Any context.
    pub(super) fn announce(self: &Arc<Self>) {
        enqueue::<_, { works::ANNOUNCE }>(self);
    }

    /// Takes a path out of use. Any context.
    pub(crate) fn fail(this: &Arc<Self>, number: usize, why: Why) {
        Self::fail_locked(this, &mut this.inner.lock(), number, why);
    }

    pub(super) fn fail_locked(this: &Arc<Self>, inner: &mut Inner, number: usize, why: Why) {
        let path = &this.paths[number];
        let change = Self::change_locked(this, inner, number, |health| health.fail(why));
        if change == Change::Lost && why != Why::Administrator {
            // Not when it was to be before it was last taken into use.
            path.probe_at(inner.features.ms(Time::Probe));
        }
        match why {
            // What is out on a dead link is called back, even if the path had failed before.
            Why::Link => path.abort_without_link(inner.features.ms(Time::Abort)),
            Why::Silence => path.abort_now(),
            Why::Administrator => this.prefer_none(),
            Why::Io(_) | Why::Miniport => {}
        }
    }

    /// Takes a path into use, on an administrator's word; one whose session is not to be relied on,
    /// when that was renewed. Any context.
    pub(super) fn reinstate(this: &Arc<Self>, number: usize) {
        let path = &this.paths[number];
        let mut guard = this.inner.lock();
        if path.is_harmed() && !path.is_in_use() {
            guard.health[number].health.release();
            path.probe_at(0);
        } else {
            Self::change_locked(this, &mut guard, number, Health::reinstate);
        }
        guard.health[number].damping.forgive();
        this.prefer_none();
    }

    /// Whether a path is out of use and to be probed. Any context.
    pub(crate) fn wants_probe(&self, number: usize) -> bool {
        self.health(number).wants_probe()
    }

    /// A probe is to be sent. Says whether it may be.
    pub(super) fn probe_sent(this: &Arc<Self>, number: usize) -> bool {
        let mut may = false;
        Self::change(this, number, |health| {
            may = health.probe_sent();
            Change::None
        });
        may
    }

    /// A probe came back, that was sent in this life of the path's.
    pub(super) fn probe_ended(this: &Arc<Self>, number: usize, life: u32, status: u8) {
        let path = &this.paths[number];
        let answered = failure::is_answer(status);
        if answered {
            path.counters().answered();
        }
        // A session that is not to be relied on may answer; and what was asked before a path was
        // stalled may be answered while it has to wait.
        let trusted = !path.is_harmed() && this.damped_ms(number) == 0;
        Self::change(this, number, |health| {
            health.probe_ended(answered && trusted)
        });
        // Of a path in use, that was doubted.
        if life == path.life() && path.is_in_use() && failure::judge(status) == Verdict::Path {
            Self::fail(this, number, Why::Io(status));
        }
    }

    /// Sees to it that somebody looks when I/O has waited long enough for a path.
    pub(super) fn watch_for_path(self: &Arc<Self>, inner: &Inner) {
        let queue_if_no_path = inner.features.queue_if_no_path;
        let timeout = inner.features.ms(Time::NoPathTimeout);
        if let (true, 1.., Some(since), false) = (
            queue_if_no_path,
            timeout,
            inner.without_path_since,
            inner.expired,
        ) {
            let passed = u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX);
            let left = msecs_to_jiffies(timeout.saturating_sub(passed));
            rearm::<_, { works::NO_PATH }>(self, left);
        }
    }

    /// Lets the I/O that waits for a path wait no longer, if that has lasted long enough.
    fn look_at_time_without_path(this: &Arc<Self>) {
        let mut guard = this.inner.lock();
        let inner = &mut *guard;
        let queue_if_no_path = inner.features.queue_if_no_path;
        let timeout = inner.features.ms(Time::NoPathTimeout);
        let Some(since) = inner.without_path_since else {
            return;
        };
        if !queue_if_no_path || timeout == 0 || inner.expired {
            return;
        }
        if since.elapsed().as_millis() < i64::from(timeout) {
            return this.watch_for_path(inner);
        }
        inner.expired = true;
        this.kick();
        drop(guard);
        pr_warn!(
            "bond {}: no path for {} ms, I/O fails until there is one\n",
            this.events.device(),
            timeout
        );
    }

    /// Tells the outside what became of the paths since it was told last. A bond whose table is not
    /// the live one, or is suspended, is not heard; what became of its paths is told by `resume`.
    fn tell(this: &Arc<Self>) {
        for path in &this.paths {
            let number = path.number();
            let guard = this.inner.lock();
            let in_use = guard.in_use;
            let watched = &guard.health[number];
            let health = watched.health;
            let failed = health.failures() != watched.told_failures;
            let is_in_use = health.state() == State::Active;
            let gained = is_in_use && (failed || !watched.told_in_use);
            drop(guard);

            if let (true, Some(why)) = (failed, health.last_failure()) {
                if !this.tell_one(path, PathEvent::Failed, in_use, Some(why)) {
                    break;
                }
            }
            if gained && !this.tell_one(path, PathEvent::Reinstated, in_use, None) {
                break;
            }
            let watched = &mut this.inner.lock().health[number];
            watched.told_failures = health.failures();
            watched.told_in_use = is_in_use;
        }
        this.notify_states();
    }

    /// Says whether it was heard.
    fn tell_one(&self, path: &Path, event: PathEvent, in_use: usize, why: Option<Why>) -> bool {
        if !self.events.path_event(event, path.dev(), in_use as u32) {
            return false;
        }
        if !self.log.allows(c"dm_bond") {
            return true;
        }
        let (bond, dev, name, all) = (
            self.events.device(),
            path.dev(),
            path.name(),
            self.paths.len(),
        );
        match why {
            Some(why) => pr_warn!(
                "bond {}: path {} ({}) failed: {}; {} of {} paths in use\n",
                bond,
                dev,
                name,
                why,
                in_use,
                all
            ),
            None => pr_info!(
                "bond {}: path {} ({}) is back; {} of {} paths in use\n",
                bond,
                dev,
                name,
                in_use,
                all
            ),
        }
        true
    }
}

impl WorkItem<{ works::ANNOUNCE }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        for path in &this.paths {
            if let Some(team) = path.team() {
                team.elect();
            }
        }
        Self::tell(&this);
    }
}

impl WorkItem<{ works::NO_PATH }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        Self::look_at_time_without_path(&this);
    }
}

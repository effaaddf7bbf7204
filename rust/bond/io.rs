// SPDX-License-Identifier: GPL-2.0-only

//! The way of an I/O: to a path, back from it, and down another one if that failed.

use super::{works, Bond, Gate, Inner};
use crate::{
    kapi::{
        bio::Status,
        dm::{Completed, Ended, Incoming, Mapped, Owned},
        trace,
        workqueue::{enqueue, enqueue_delayed},
    },
    policy::{
        choose,
        failure::{self, Verdict},
        health::Why,
        table::{Policy, Time},
    },
};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
    time::msecs_to_jiffies,
    workqueue::WorkItem,
};

/// How long an I/O waits that came back for want of something, in milliseconds.
const BUSY_MS: u32 = 10;

/// What is kept with an I/O.
#[derive(Clone, Copy, Default)]
pub(crate) struct Trip {
    /// The path that has it.
    path: Option<u8>,
    /// The path's epoch when it was sent: if that has passed, the I/O was voided, and a success is
    /// none.
    epoch: u32,
    /// The path's life in which it was sent: an error that comes back in a later one says nothing
    /// of the path as it is now, which came back meanwhile and answered a probe.
    life: u32,
    /// How often it came back with an error that may be its own.
    tries: u16,
    /// How often it came back for want of something.
    waits: u16,
    /// Since when it is held, or was last: milliseconds of [`Bond::now`].
    pub(super) held_since: Option<u64>,
}

/// What becomes of an I/O when no path is in use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Homeless {
    Wait,
    PushBack,
    Fail,
}

impl Inner {
    /// `can_push_back` is what device mapper says: a suspend that is broken off ends that before it
    /// tells us, and then an I/O that is pushed back would fail.
    fn homeless(&self, can_push_back: bool) -> Homeless {
        if self.in_use > 0 {
            return Homeless::Wait;
        }
        match self.gate {
            Gate::PushBack if can_push_back => Homeless::PushBack,
            Gate::Flush => Homeless::Fail,
            _ if self.features.queue_if_no_path && !self.expired => Homeless::Wait,
            _ => Homeless::Fail,
        }
    }

    /// Puts an I/O on the list.
    fn wait(&mut self, bond: &Arc<Bond>, bio: Owned<Bond>) {
        self.waiting.push(bio);
        if self.in_use > 0 {
            bond.kick();
        }
    }
}

impl Bond {
    /// Chooses a path that is in use and has its link; a path found without is failed here. With
    /// its epoch: if that is still its own when the I/O comes back, nothing was voided since the
    /// path was seen in use. Any context.
    fn choose(this: &Arc<Self>) -> Option<(usize, u32)> {
        // Each round ends the use of a path, but for those that come back meanwhile.
        for _ in 0..=this.paths.len() {
            let number = match (this.preferred(), this.policy()) {
                (Some(number), _) => Some(number),
                (None, Policy::Static) => {
                    let shares = this.paths.iter().map(|path| path.share_in_use());
                    choose::by_share(shares, this.tickets.fetch_add(1, Relaxed))
                }
                (None, Policy::Primary) => this.carrier(),
            }?;
            let path = &this.paths[number];
            // The epoch first: see `Path::told_of_path`.
            let epoch = path.epoch();
            if !path.has_link() {
                Self::fail(this, number, Why::Link);
            } else if path.is_in_use() {
                let chosen = Some((number, epoch));
                return match path.device().is_quiesced() {
                    true => this.takes_io().or(chosen),
                    false => chosen,
                };
            }
        }
        None
    }

    /// Some path whose driver takes I/O, with its epoch, for when that of the chosen one does not:
    /// one that makes a new session may keep what it is sent until it has that.
    fn takes_io(&self) -> Option<(usize, u32)> {
        self.paths.iter().find_map(|path| {
            let epoch = path.epoch();
            let takes = path.is_in_use() && path.has_link() && !path.device().is_quiesced();
            takes.then(|| (path.number(), epoch))
        })
    }

    /// The path that carries all I/O where the primary one does while it lives.
    pub(super) fn carrier(&self) -> Option<usize> {
        choose::primary(self.paths.len(), self.primary(), |number| {
            self.paths[number].is_in_use()
        })
    }

    /// Takes down that an I/O goes to a path.
    fn sent(&self, (number, epoch): (usize, u32), bytes: u32, trip: &mut Trip) {
        let path = &self.paths[number];
        path.counters().sent(bytes);
        trip.path = Some(number as u8);
        trip.epoch = epoch;
        trip.life = path.life();
        trace::choose(self.events.device(), path.dev(), bytes);
    }

    /// A new I/O.
    pub(super) fn begin_io<'a>(this: &Arc<Self>, mut bio: Incoming<'a, Self>) -> Mapped<'a> {
        if let Some((mut inner, since)) = this.must_hold(&bio) {
            let (bio, mapped) = bio.take();
            inner.hold(this, bio, since);
            return mapped;
        }
        if let Some(choice) = Self::choose(this) {
            this.sent(choice, bio.bytes(), bio.data());
            return bio.remap(choice.0);
        }
        let can_push_back = bio.can_push_back();
        let mut inner = this.inner.lock();
        match inner.homeless(can_push_back) {
            Homeless::Wait => {
                let (bio, mapped) = bio.take();
                inner.wait(this, bio);
                mapped
            }
            Homeless::PushBack => bio.push_back(),
            Homeless::Fail => bio.kill(),
        }
    }

    /// An I/O that waited.
    fn resume_io(this: &Arc<Self>, mut bio: Owned<Self>) {
        if let Some((mut inner, since)) = this.must_hold(&bio) {
            return inner.hold(this, bio, since);
        }
        if let Some(choice) = Self::choose(this) {
            this.sent(choice, bio.bytes(), bio.data());
            return bio.submit(choice.0);
        }
        let can_push_back = bio.can_push_back();
        let mut inner = this.inner.lock();
        let status = match inner.homeless(can_push_back) {
            Homeless::Wait => return inner.wait(this, bio),
            Homeless::PushBack => Status::DM_REQUEUE,
            Homeless::Fail => Status::IOERR,
        };
        drop(inner);
        bio.complete(status);
    }

    /// An I/O that came back.
    pub(super) fn finish_io<'a>(this: &Arc<Self>, mut bio: Completed<'a, Self>) -> Ended<'a> {
        let status = bio.status();
        // One that no path has was ended here.
        let Some(number) = bio.data().path.take() else {
            return bio.done(status);
        };
        let number = usize::from(number);
        let path = &this.paths[number];
        let counters = path.counters();
        counters.returned(bio.bytes());
        let verdict = failure::judge(status.code());
        let voided = bio.data().epoch != path.epoch();
        match verdict {
            // Its driver had only emptied its queue.
            Verdict::Success if voided => {}
            Verdict::Success => {
                counters.succeeded(bio.bytes());
                return bio.done(status);
            }
            Verdict::Lu => {
                counters.answered();
                return bio.done(status);
            }
            Verdict::Busy => bio.data().waits += 1,
            Verdict::Path => {
                counters.failed();
                let trip = bio.data();
                if trip.life == path.life() {
                    trip.tries += u16::from(path.has_link());
                    Self::fail(this, number, Why::Io(status.code()));
                }
            }
        }
        let Trip { tries, waits, .. } = *bio.data();
        if failure::is_hopeless(this.paths.len(), tries, waits) {
            return bio.done(Status::IOERR);
        }

        let can_push_back = bio.can_push_back();
        let mut inner = this.inner.lock();
        let is_late_write = verdict != Verdict::Busy
            && inner.features.ms(Time::WriteHold) > 0
            && bio.writes().is_some();
        match inner.homeless(can_push_back) {
            Homeless::PushBack if !is_late_write => return bio.push_back(),
            Homeless::Fail if !is_late_write => return bio.done(Status::IOERR),
            _ => {}
        }
        counters.requeued();
        trace::requeue(this.events.device(), path.dev(), bio.bytes(), status);
        let (bio, ended) = bio.take();
        if is_late_write {
            inner.hold(this, bio, this.now());
        } else if verdict == Verdict::Busy {
            inner.waiting.push(bio);
            let delay = msecs_to_jiffies(BUSY_MS);
            enqueue_delayed::<_, { works::RETRY_LATER }>(this, delay);
        } else {
            inner.wait(this, bio);
        }
        ended
    }

    /// Lets what waits be looked at again. Any context.
    pub(super) fn kick(self: &Arc<Self>) {
        enqueue::<_, { works::RETRY }>(self);
    }

    /// Sends again what waits.
    fn resume_waiting(this: &Arc<Self>) {
        let mut bios = this.inner.lock().waiting.take();
        while let Some(bio) = bios.pop() {
            Self::resume_io(this, bio);
        }
    }

    /// Opens or closes the waiting list.
    pub(super) fn set_gate(this: &Arc<Self>, gate: Gate) {
        let mut inner = this.inner.lock();
        inner.gate = gate;
        this.kick();
    }

    /// The path that ioctls and reservations go to: the one that an I/O would take.
    pub(super) fn path_for_ioctl(this: &Arc<Self>) -> Result<usize> {
        let choice = Self::choose(this).map(|(number, _)| number);
        choice.ok_or_else(|| match this.inner.lock().homeless(true) {
            Homeless::Fail => EIO,
            _ => ENOTCONN,
        })
    }
}

impl WorkItem<{ works::RETRY }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        Self::resume_waiting(&this);
    }
}

impl WorkItem<{ works::RETRY_LATER }> for Bond {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        Self::resume_waiting(&this);
    }
}

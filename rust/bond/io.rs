// SPDX-License-Identifier: GPL-2.0-only

//! The way of an I/O: to a path, back from it, and down another one if that failed.

use super::{
    balance::{Dispatch, Sent, Shape},
    works, Bond, Gate, Inner,
};
use crate::{
    kapi::{
        bio::Status,
        dm::{Completed, Ended, Incoming, Mapped, Owned},
        trace,
        workqueue::{enqueue, enqueue_delayed},
    },
    policy::{
        failure::{self, Verdict},
        health::Why,
        table::Time,
    },
};
use kernel::{prelude::*, sync::Arc, time::msecs_to_jiffies, workqueue::WorkItem};

/// How long an I/O waits that came back for want of something, in milliseconds.
const BUSY_MS: u32 = 10;

/// What is kept with an I/O.
#[derive(Clone, Copy, Zeroable)]
pub(crate) struct Trip {
    /// Where it is out.
    dispatch: Dispatch,
    /// How often it came back with an error that may be its own.
    tries: u16,
    /// How often it came back for want of something.
    waits: u16,
    /// It is held, or was; and since when: milliseconds of [`Bond::now`].
    pub(super) held: bool,
    pub(super) held_since: u64,
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

    /// The error for an ioctl that finds no path.
    pub(super) fn errno_without_path(&self) -> Error {
        match self.homeless(true) {
            Homeless::Fail => EIO,
            _ => ENOTCONN,
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
    /// A new I/O.
    #[inline(always)]
    pub(super) fn begin_io<'a>(this: &Arc<Self>, mut bio: Incoming<'a, Self>) -> Mapped<'a> {
        if let Some((mut inner, since)) = this.must_hold(&bio) {
            let (bio, mapped) = bio.take();
            inner.hold(this, bio, since);
            return mapped;
        }
        if this.limit.is_crowded() && this.has_path() {
            // It does not overtake those that wait.
            let (bio, mapped) = bio.take();
            Self::wait_for_room(this, bio);
            return mapped;
        }
        match Self::send(this, Shape::of(&bio), &mut bio.data().dispatch) {
            Sent::To(number) => return bio.remap(number),
            Sent::Full => {
                let (bio, mapped) = bio.take();
                Self::wait_for_room(this, bio);
                return mapped;
            }
            Sent::NoPath => {}
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

    /// An I/O that waited. Gives it back if it has to wait for the limit.
    fn resume_io(this: &Arc<Self>, mut bio: Owned<Self>) -> Result<(), Owned<Self>> {
        if let Some((mut inner, since)) = this.must_hold(&bio) {
            inner.hold(this, bio, since);
            return Ok(());
        }
        match Self::send(this, Shape::of(&bio), &mut bio.data().dispatch) {
            Sent::To(number) => {
                bio.submit(number);
                return Ok(());
            }
            Sent::Full => return Err(bio),
            Sent::NoPath => {}
        }
        let can_push_back = bio.can_push_back();
        let mut inner = this.inner.lock();
        let status = match inner.homeless(can_push_back) {
            Homeless::Wait => {
                inner.wait(this, bio);
                return Ok(());
            }
            Homeless::PushBack => Status::DM_REQUEUE,
            Homeless::Fail => Status::IOERR,
        };
        drop(inner);
        bio.complete(status);
        Ok(())
    }

    /// An I/O that came back.
    #[inline(always)]
    pub(super) fn finish_io<'a>(this: &Arc<Self>, mut bio: Completed<'a, Self>) -> Ended<'a> {
        let status = bio.status();
        // One that no path has was ended here.
        let dispatch = &mut bio.data().dispatch;
        let Some(number) = dispatch.path() else {
            return bio.done(status);
        };
        let path = &this.paths[number];
        let counters = path.counters();
        let verdict = failure::judge(status.code());
        let voided = dispatch.epoch != path.epoch();
        Self::returned(this, path, dispatch, verdict == Verdict::Success && !voided);
        let life = dispatch.life;
        dispatch.end();
        match verdict {
            // Its driver had only emptied its queue.
            Verdict::Success if voided => {}
            Verdict::Success => return bio.done(status),
            Verdict::Lu => {
                if failure::is_word_of_lu(status.code()) {
                    counters.answered();
                } else {
                    counters.refund(bio.data().dispatch.io());
                }
                return bio.done(status);
            }
            Verdict::Busy => bio.data().waits += 1,
            Verdict::Path => {
                counters.failed();
                if life == path.life() {
                    bio.data().tries += u16::from(path.has_link());
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
            inner.later.push(bio);
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

    /// Sends again what waits, as far as the limit allows.
    fn resume_waiting(this: &Arc<Self>) {
        let mut bios = this.inner.lock().waiting.take();
        while let Some(bio) = bios.pop() {
            if let Err(bio) = Self::resume_io(this, bio) {
                bios.push_front(bio);
                break;
            }
        }
        let mut inner = this.inner.lock();
        let left = !bios.is_empty();
        // Before those that have come since.
        bios.append(&mut inner.waiting);
        inner.waiting = bios;
        if left {
            this.crowd(&inner);
        } else if inner.waiting.is_empty() {
            this.limit.clear();
        }
    }

    /// Opens or closes the waiting list.
    pub(super) fn set_gate(this: &Arc<Self>, gate: Gate) {
        let mut inner = this.inner.lock();
        inner.gate = gate;
        this.kick();
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
        let mut guard = this.inner.lock();
        let inner = &mut *guard;
        inner.waiting.append(&mut inner.later);
        drop(guard);
        Self::resume_waiting(&this);
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! What a path has carried, and what is out on it: kept by each CPU for itself, without a lock.

use crate::{
    kapi::percpu::{Here, PerCpu},
    policy::choose::Load,
};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
};

/// A path's part on one CPU. It has a cache line of its own.
#[repr(align(64))]
pub(crate) struct Lane {
    /// The [`Load`] that was sent from this CPU and is not back.
    out: Atomic<u64>,
    /// See [`quota::Paths::debt`](crate::policy::quota::Paths::debt).
    pub(super) debt: Atomic<i64>,
    /// When a command was last picked to be timed.
    timed: Atomic<u64>,
    ios: Atomic<u64>,
    bytes: Atomic<u64>,
    /// Of the commands that were timed: the bytes that were out, and how long, in nanoseconds.
    moved: Atomic<u64>,
    nanos: Atomic<u64>,
}

impl Lane {
    fn new() -> Self {
        Self {
            out: Atomic::new(0),
            debt: Atomic::new(0),
            timed: Atomic::new(0),
            ios: Atomic::new(0),
            bytes: Atomic::new(0),
            moved: Atomic::new(0),
            nanos: Atomic::new(0),
        }
    }
}

/// A path's counters. Read one by one, so they need not fit each other to the digit.
///
/// What is written for every I/O is its CPU's own. What comes back is taken off the lane of the CPU
/// that sent it, so none goes below zero.
pub(crate) struct Counters {
    lanes: PerCpu<Lane>,
    /// How often the LU has answered, beside the I/O that moved data.
    answers: Atomic<u64>,
    errors: Atomic<u64>,
    requeued: Atomic<u64>,
}

impl Counters {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            lanes: PerCpu::new(Lane::new)?,
            answers: Atomic::new(0),
            errors: Atomic::new(0),
            requeued: Atomic::new(0),
        })
    }

    pub(crate) fn lane(&self, here: &Here) -> &Lane {
        self.lanes.local(here)
    }

    /// An I/O is sent from here.
    pub(crate) fn sent(&self, here: &Here, bytes: u32) {
        self.lane(here).out.add(Load::of(bytes).0, Relaxed);
    }

    /// It came back, wherever.
    pub(crate) fn returned(&self, cpu: u16, bytes: u32) {
        if let Some(lane) = self.lanes.of(cpu.into()) {
            // Whoever looks next whether somebody waits is to be after this: see `Limit::crowd`.
            lane.out.fetch_sub(Load::of(bytes).0, Full);
        }
    }

    /// It had succeeded.
    pub(crate) fn succeeded(&self, cpu: u16, bytes: u32) {
        if let Some(lane) = self.lanes.of(cpu.into()) {
            lane.ios.add(1u64, Relaxed);
            lane.bytes.add(u64::from(bytes), Relaxed);
        }
    }

    /// It was refused on the way: its bytes count for no quota.
    pub(crate) fn refund(&self, cpu: u16, bytes: u32) {
        if let Some(lane) = self.lanes.of(cpu.into()) {
            lane.debt.add(i64::from(bytes), Relaxed);
        }
    }

    /// Whether a command that is sent now is to be timed: the first one at each time `now`.
    pub(crate) fn is_to_be_timed(&self, here: &Here, now: u64) -> bool {
        let timed = &self.lane(here).timed;
        let due = timed.load(Relaxed) != now;
        if due {
            timed.store(now, Relaxed);
        }
        due
    }

    /// It was out for so long, and so many bytes with it.
    pub(crate) fn timed(&self, cpu: u16, moved: u64, nanos: u64) {
        if let Some(lane) = self.lanes.of(cpu.into()) {
            lane.moved.add(moved, Relaxed);
            lane.nanos.add(nanos, Relaxed);
        }
    }

    /// All that was taken down of timed commands: bytes and nanoseconds, both of which wrap.
    pub(crate) fn times(&self) -> (u64, u64) {
        (
            self.sum(|lane| &lane.moved),
            self.sum(|lane| &lane.nanos),
        )
    }

    /// The LU answered, if only to refuse something, or to a probe.
    pub(crate) fn answered(&self) {
        self.answers.add(1u64, Relaxed);
    }

    /// An I/O failed, by the path's fault.
    pub(crate) fn failed(&self) {
        self.errors.add(1u64, Relaxed);
    }

    /// It is to be sent again.
    pub(crate) fn requeued(&self) {
        self.requeued.add(1u64, Relaxed);
    }

    /// What is out, of all CPUs.
    pub(crate) fn out(&self) -> Load {
        Load(self.sum(|lane| &lane.out))
    }

    /// What is out, of this CPU and its neighbours.
    pub(crate) fn out_near(&self, here: &Here) -> Load {
        let near = self.lanes.near(here.cpu());
        Load(near.fold(0, |sum, lane| sum.wrapping_add(lane.out.load(Relaxed))))
    }

    pub(crate) fn inflight(&self) -> u64 {
        self.out().commands()
    }

    pub(crate) fn inflight_bytes(&self) -> u64 {
        self.out().bytes()
    }

    /// How often the LU has answered.
    pub(crate) fn answers(&self) -> u64 {
        self.ios().wrapping_add(self.answers.load(Relaxed))
    }

    pub(crate) fn ios(&self) -> u64 {
        self.sum(|lane| &lane.ios)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sum(|lane| &lane.bytes)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    pub(crate) fn requeues(&self) -> u64 {
        self.requeued.load(Relaxed)
    }

    fn sum(&self, of: impl Fn(&Lane) -> &Atomic<u64>) -> u64 {
        let lanes = self.lanes.iter();
        lanes.fold(0, |sum, lane| sum.wrapping_add(of(lane).load(Relaxed)))
    }
}

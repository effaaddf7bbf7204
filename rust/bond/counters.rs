// SPDX-License-Identifier: GPL-2.0-only

//! What a path has carried, and what is out on it: kept by each CPU for itself, without a lock.

use crate::{
    kapi::percpu::{Here, PerCpu},
    policy::{
        choose::{Load, Seen},
        speed,
    },
    sync::{Atomic, Full, Relaxed},
};
use kernel::prelude::*;

/// A path's part on one CPU. It has a cache line of its own.
#[repr(align(64))]
pub(crate) struct Lane {
    /// The [`Load`] that was sent from this CPU and is not back: reads, and writes, which on most
    /// ways do not wait for each other.
    out: [Atomic<u64>; 2],
    /// See [`quota::Paths::debt`](crate::policy::quota::Paths::debt).
    pub(super) debt: Atomic<i64>,
    /// When a command was last picked to be timed.
    timed: Atomic<u64>,
    /// The next one is to be timed from the end of one that was.
    watched: Atomic<u64>,
    ios: Atomic<u64>,
    /// Of the I/O that succeeded, by direction.
    bytes: [Atomic<u64>; 2],
}

/// How long the commands of a CPU take that are timed.
struct Watch {
    /// The bytes that were moved, in these nanoseconds in all.
    moved: Atomic<u64>,
    nanos: Atomic<u64>,
    /// When the last one came back, by direction, and the bytes that had succeeded until then; 0 if
    /// the CPU has had nothing out since.
    last_at: [Atomic<u64>; 2],
    last_bytes: [Atomic<u64>; 2],
    /// What [`Counters::out_anywhere`] has [`Seen`], by direction, and when.
    near: [Atomic<u64>; 2],
    far: [Atomic<u64>; 2],
    others: [Atomic<u64>; 2],
    seen_at: [Atomic<u64>; 2],
}

fn zero() -> Atomic<u64> {
    Atomic::new(0)
}

impl Lane {
    fn new() -> Self {
        Self {
            out: [zero(), zero()],
            debt: Atomic::new(0),
            timed: zero(),
            watched: zero(),
            ios: zero(),
            bytes: [zero(), zero()],
        }
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            moved: zero(),
            nanos: zero(),
            last_at: [zero(), zero()],
            last_bytes: [zero(), zero()],
            near: [zero(), zero()],
            far: [zero(), zero()],
            others: [zero(), zero()],
            seen_at: [zero(), zero()],
        }
    }
}

/// An I/O as it is counted, by what it was sent over.
#[derive(Clone, Copy, Zeroable)]
pub(crate) struct Counted {
    /// The CPU that sent it.
    pub(super) cpu: u16,
    pub(super) writes: bool,
    pub(super) bytes: u32,
}

/// The time that an I/O takes that is timed.
#[derive(Clone, Copy)]
pub(crate) struct Timed {
    /// When it was sent, in nanoseconds, and the bytes that had succeeded until then in its
    /// direction.
    pub(super) sent_at: u64,
    pub(super) before: u64,
}

/// The counters of a path, or of an adapter. Read one by one, so they need not fit each other to
/// the digit.
///
/// What is written for every I/O is its CPU's own. What comes back is taken off the lane of the CPU
/// that sent it, so none goes below zero.
pub(crate) struct Counters {
    lanes: PerCpu<Lane>,
    watches: PerCpu<Watch>,
    /// How long the last timed command would have taken alone, in nanoseconds.
    latency: Atomic<u64>,
    /// How often the LU has answered, beside the I/O that moved data.
    answers: Atomic<u64>,
    errors: Atomic<u64>,
    requeued: Atomic<u64>,
}

impl Counters {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            lanes: PerCpu::new(Lane::new)?,
            watches: PerCpu::new(Watch::new)?,
            latency: zero(),
            answers: zero(),
            errors: zero(),
            requeued: zero(),
        })
    }

    pub(super) fn lane(&self, here: &Here) -> &Lane {
        self.lanes.local(here)
    }

    /// An I/O is sent from here.
    pub(super) fn sent(&self, here: &Here, io: Counted) {
        self.lane(here).out[usize::from(io.writes)].add(Load::of(io.bytes).0, Relaxed);
    }

    /// It came back, wherever. Says whether its CPU has nothing more out in its direction.
    pub(super) fn returned(&self, io: Counted, success: bool) -> bool {
        let Some(lane) = self.lanes.of(io.cpu.into()) else {
            return false;
        };
        if success {
            lane.ios.add(1u64, Relaxed);
            lane.bytes[usize::from(io.writes)].add(u64::from(io.bytes), Relaxed);
        }
        let load = Load::of(io.bytes).0;
        // Whoever looks next whether somebody waits is to be after this: see `Limit::crowd`.
        lane.out[usize::from(io.writes)].fetch_sub(load, Full) == load
    }

    /// It was refused on the way: its bytes count for no quota.
    pub(super) fn refund(&self, io: Counted) {
        if let Some(lane) = self.lanes.of(io.cpu.into()) {
            lane.debt.add(i64::from(io.bytes), Relaxed);
        }
    }

    /// Whether a command that is sent now is to be timed: the first one at each time `now`.
    pub(super) fn is_to_be_timed(&self, here: &Here, now: u64) -> bool {
        let timed = &self.lane(here).timed;
        let due = timed.load(Relaxed) != now;
        if due {
            timed.store(now, Relaxed);
        }
        due
    }

    /// A command that was sent from here just now is timed. Says how many bytes have succeeded so
    /// far.
    pub(super) fn begin_timing(&self, here: &Here, io: Counted) -> u64 {
        if self.out_here(here, io.writes).bytes() == u64::from(io.bytes) {
            // Until now the CPU had no data out: whoever took the last one back may have overlooked
            // that the time from there was to end, and a flush may have seemed to be one.
            let watch = self.watches.local(here);
            watch.last_at[usize::from(io.writes)].store(0, Relaxed);
        }
        self.bytes_of(io.writes)
    }

    /// Whether [`Self::watch`] is to know that the CPU has nothing more out.
    pub(super) fn is_watched(&self, io: Counted) -> bool {
        let lane = self.lanes.of(io.cpu.into());
        lane.is_some_and(|lane| lane.watched.load(Relaxed) != 0)
    }

    /// An I/O came back, after [`Self::returned`], `now` if it was timed and had succeeded: then
    /// its time counts. `last`: its CPU has nothing more out.
    ///
    /// While a CPU always has something out, the path is never idle: then what it has moved from
    /// the end of one timed command to that of the next, over the time between, is its speed. Where
    /// it may have been idle, what it has moved while the command was out: see [`speed`].
    pub(super) fn watch(&self, io: Counted, timed: Option<(Timed, u64)>, last: bool) {
        let cpu = usize::from(io.cpu);
        let (Some(watch), Some(lane)) = (self.watches.of(cpu), self.lanes.of(cpu)) else {
            return;
        };
        let way = usize::from(io.writes);
        if let Some((timed, now)) = timed {
            let bytes = self.bytes_of(io.writes);
            let latency = now.saturating_sub(timed.sent_at);
            let before = watch.last_bytes[way].xchg(bytes, Relaxed);
            let meanwhile = bytes.wrapping_sub(timed.before);
            let (moved, nanos) = match watch.last_at[way].xchg(now, Relaxed) {
                0 => (meanwhile, latency),
                at => (bytes.wrapping_sub(before), now.saturating_sub(at)),
            };
            self.latency
                .store(speed::alone(latency, io.bytes, meanwhile), Relaxed);
            watch.moved.add(moved, Relaxed);
            watch.nanos.add(nanos.max(1), Relaxed);
        }
        if last {
            watch.last_at[way].store(0, Relaxed);
        }
        let open = watch.last_at.iter().any(|at| at.load(Relaxed) != 0);
        lane.watched.store(open.into(), Relaxed);
    }

    /// All that was taken down of timed commands: bytes and nanoseconds, both of which wrap.
    pub(crate) fn times(&self) -> (u64, u64) {
        let watches = self.watches.iter();
        watches.fold((0, 0), |(moved, nanos), watch| {
            (
                moved.wrapping_add(watch.moved.load(Relaxed)),
                nanos.wrapping_add(watch.nanos.load(Relaxed)),
            )
        })
    }

    /// How long the last timed command would have taken alone, in nanoseconds.
    pub(super) fn latency(&self) -> u64 {
        self.latency.load(Relaxed)
    }

    /// The LU answered, if only to refuse something, or to a probe.
    pub(super) fn answered(&self) {
        self.answers.add(1u64, Relaxed);
    }

    /// An I/O failed, by the path's fault.
    pub(super) fn failed(&self) {
        self.errors.add(1u64, Relaxed);
    }

    /// It is to be sent again.
    pub(super) fn requeued(&self) {
        self.requeued.add(1u64, Relaxed);
    }

    /// What is out, of all CPUs.
    pub(super) fn out(&self) -> Load {
        Load(self.out_of(false).0.wrapping_add(self.out_of(true).0))
    }

    /// What is out of all CPUs, of reads or of writes.
    pub(super) fn out_of(&self, writes: bool) -> Load {
        Load(self.sum(|lane| &lane.out[usize::from(writes)]))
    }

    /// What is out of this CPU and its neighbours, of reads or of writes.
    pub(super) fn out_near(&self, here: &Here, writes: bool) -> Load {
        if self.lanes.is_single() {
            return self.out_here(here, writes);
        }
        let near = self.lanes.near(here.cpu());
        let way = usize::from(writes);
        let mut sum = 0u64;
        for lane in near {
            sum = sum.wrapping_add(lane.out[way].load(Relaxed));
        }
        Load(sum)
    }

    /// What is out of all CPUs, of reads or of writes: of this one and its neighbours now, of the
    /// others as was [`Seen`] when this CPU asked first at this time `now`.
    pub(super) fn out_anywhere(&self, here: &Here, writes: bool, now: u64) -> Load {
        let near = self.out_near(here, writes);
        if !self.lanes.is_wide() {
            return near;
        }
        let (watch, way) = (self.watches.local(here), usize::from(writes));
        let [near_then, far, others, at] =
            [&watch.near, &watch.far, &watch.others, &watch.seen_at].map(|of| &of[way]);
        if at.load(Relaxed) != now {
            let (mut bytes, mut groups) = (0u64, 0u64);
            for group in self.lanes.far(here.cpu()) {
                let out = group.map(|lane| lane.out[way].load(Relaxed));
                let out = Load(out.fold(0, u64::wrapping_add));
                bytes = bytes.wrapping_add(out.bytes());
                groups += u64::from(out != Load(0));
            }
            near_then.store(near.bytes(), Relaxed);
            far.store(bytes, Relaxed);
            others.store(groups, Relaxed);
            at.store(now, Relaxed);
        }
        let [near_then, far, others] = [near_then, far, others].map(|of| of.load(Relaxed));
        let seen = Seen {
            near: near_then,
            far,
            others,
        };
        seen.now(near)
    }

    /// What is out of this CPU, of reads or of writes.
    pub(super) fn out_here(&self, here: &Here, writes: bool) -> Load {
        Load(self.lane(here).out[usize::from(writes)].load(Relaxed))
    }

    pub(super) fn inflight(&self) -> u64 {
        self.out().commands()
    }

    pub(crate) fn inflight_bytes(&self) -> u64 {
        self.out().bytes()
    }

    /// How often the LU has answered.
    pub(super) fn answers(&self) -> u64 {
        self.ios().wrapping_add(self.answers.load(Relaxed))
    }

    pub(super) fn ios(&self) -> u64 {
        self.sum(|lane| &lane.ios)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_of(false).wrapping_add(self.bytes_of(true))
    }

    fn bytes_of(&self, writes: bool) -> u64 {
        self.sum(|lane| &lane.bytes[usize::from(writes)])
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    pub(super) fn requeues(&self) -> u64 {
        self.requeued.load(Relaxed)
    }

    fn sum(&self, of: impl Fn(&Lane) -> &Atomic<u64>) -> u64 {
        let lanes = self.lanes.iter();
        lanes.fold(0, |sum, lane| sum.wrapping_add(of(lane).load(Relaxed)))
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! The target: one mapped device, over several paths to one logical unit.
//!
//! | module | what |
//! |---|---|
//! | [`attributes`] | `/sys/block/dm-N/bond` |
//! | [`balance`] | which path an I/O takes, and when |
//! | [`construct`] | from a table line to a bond, and back |
//! | [`control`] | messages, and what sysfs changes |
//! | [`counters`] | what a path has carried |
//! | [`failover`] | paths that fail and come back, and who is told |
//! | [`hold`] | writes that wait until an earlier copy can no longer arrive |
//! | [`io`] | the way of an I/O |
//! | [`path`] | one way to the LU |
//! | [`offload`] | choices that a miniport makes |
//! | [`port`] | a path and its miniport |
//! | [`roster`] | paths that are to be told something |
//! | [`shared`] | what all bonds share |
//! | [`shares`] | what part of the load a path is to get |
//! | [`silence`] | paths that fall silent |
//!
//! # Who waits, and who wakes it
//!
//! An I/O that finds no path in use waits in [`Inner::waiting`]. It is put there under the lock
//! under which [`Inner::in_use`] is counted, after a look at that count; and whoever raises the
//! count, or changes anything else that would let it go on, kicks the list after that, under the
//! same lock. So none is forgotten.
//!
//! One that finds as many commands out as may be waits there too. It sets a flag ([`Limit::crowd`])
//! and then looks at the count of commands again; whoever takes one off that count looks at the
//! flag after that, and kicks the list. While the flag is set, new I/O goes behind what waits.

mod attributes;
mod balance;
mod construct;
mod control;
mod counters;
mod failover;
mod hold;
mod io;
mod offload;
mod path;
mod port;
mod roster;
mod shared;
mod shares;
mod silence;

pub(crate) use control::errno;
pub(crate) use counters::Counters;
pub(crate) use path::Path;
pub(crate) use roster::Roster;
pub(crate) use shared::Shared;

use offload::Chooser;

use crate::{
    adapter::Membership,
    kapi::{
        block::UniqueId,
        dm::{self, BioList, Completed, Ended, Incoming, Mapped, Refusal, Table},
        percpu::PerCpu,
        ratelimit::RateLimit,
        rcu,
    },
    policy::{
        damping::Damping,
        health::Health,
        limit::Limit,
        quota::Turn,
        silence::Silence,
        speed::Meter,
        table::{Features, Policy},
    },
    sync::{Atomic, Flag, Relaxed},
};
use kernel::{
    fmt, impl_has_delayed_work, impl_has_work,
    prelude::*,
    sync::{Arc, Mutex, SetOnce, SpinLockIrq},
    time::{Instant, Monotonic},
    workqueue::{DelayedWork, Work},
};

/// Numbers of the works of a bond.
mod works {
    /// Sends again what waits.
    pub(super) const RETRY: u64 = 0;
    /// The same, a little later.
    pub(super) const RETRY_LATER: u64 = 1;
    /// Tells the outside what became of paths.
    pub(super) const ANNOUNCE: u64 = 2;
    /// Looks whether there was no path for too long.
    pub(super) const NO_PATH: u64 = 3;
    /// Sends what was held long enough.
    pub(super) const RELEASE: u64 = 4;
    /// Looks which paths are silent.
    pub(super) const LISTEN: u64 = 5;
    /// Looks how fast the paths are.
    pub(super) const MEASURE: u64 = 6;
}

/// A bond.
#[pin_data]
pub(crate) struct Bond {
    shared: Arc<Shared>,
    events: Arc<dm::Events>,
    /// How the LU names itself.
    lu_id: Option<UniqueId>,
    paths: KVec<Arc<Path>>,
    born: Instant<Monotonic>,
    /// A `Policy`.
    policy: Atomic<u32>,
    /// The number of the primary path.
    primary: Atomic<u32>,
    /// The number of the path that a miniport wants new I/O to take, or [`Self::NONE_PREFERRED`].
    preferred: Atomic<u32>,
    /// A bit for each path in use: what the lock guards, to be read without it.
    usable: Atomic<u64>,
    /// Each CPU's place in its round.
    turns: PerCpu<Turn>,
    /// Counts the changes of shares.
    version: Atomic<u32>,
    /// A bit for each path that is to be tried, to see how fast it is now.
    due: Atomic<u64>,
    limit: Limit,
    /// Where the adapters balance, or did: those that do.
    team: SetOnce<Membership>,
    offload: rcu::Slot<KBox<Chooser>>,
    /// Whether there may be one.
    #[pin]
    chooser: Mutex<bool>,
    /// Held while the limit is set.
    #[pin]
    limiting: Mutex<()>,
    /// The most bytes that all paths' queues send as one command.
    command_bytes: u32,
    /// There is something in [`Inner::held`].
    holding: Flag,
    /// When it was looked last which paths are silent.
    looked: Atomic<u64>,
    #[pin]
    inner: SpinLockIrq<Inner>,
    #[pin]
    tree: Mutex<Option<attributes::Tree>>,
    #[pin]
    log: RateLimit,
    #[pin]
    retry: Work<Bond, { works::RETRY }>,
    #[pin]
    retry_later: DelayedWork<Bond, { works::RETRY_LATER }>,
    #[pin]
    announce: Work<Bond, { works::ANNOUNCE }>,
    #[pin]
    no_path: DelayedWork<Bond, { works::NO_PATH }>,
    #[pin]
    release: DelayedWork<Bond, { works::RELEASE }>,
    #[pin]
    listen: DelayedWork<Bond, { works::LISTEN }>,
    #[pin]
    measure: DelayedWork<Bond, { works::MEASURE }>,
}

impl_has_work! {
    impl HasWork<Self, { works::RETRY }> for Bond { self.retry }
    impl HasWork<Self, { works::ANNOUNCE }> for Bond { self.announce }
}
impl_has_delayed_work! {
    impl HasDelayedWork<Self, { works::RETRY_LATER }> for Bond { self.retry_later }
    impl HasDelayedWork<Self, { works::NO_PATH }> for Bond { self.no_path }
    impl HasDelayedWork<Self, { works::RELEASE }> for Bond { self.release }
    impl HasDelayedWork<Self, { works::LISTEN }> for Bond { self.listen }
    impl HasDelayedWork<Self, { works::MEASURE }> for Bond { self.measure }
}

/// What changes together.
struct Inner {
    features: Features,
    gate: Gate,
    /// I/O that waits for a path, or for the limit.
    waiting: BioList<Bond>,
    /// I/O that came back for want of something, and is to wait a little.
    later: BioList<Bond>,
    /// Writes that are not to be sent yet, the earliest first.
    held: BioList<Bond>,
    /// Of each path, in their order.
    health: KVec<Watched>,
    /// Of each path, in their order.
    meters: KVec<Meter>,
    /// How many paths are in use.
    in_use: usize,
    /// Since when there is none.
    without_path_since: Option<Instant<Monotonic>>,
    /// That has lasted longer than I/O is to wait.
    expired: bool,
}

/// A path's health, and what of it the outside was told.
struct Watched {
    health: Health,
    damping: Damping,
    silence: Silence,
    told_failures: u64,
    told_in_use: bool,
}

/// Whether I/O may wait here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// It may.
    Open,
    /// A suspend wants all I/O to end.
    Flush,
    /// A suspend takes back all I/O.
    PushBack,
}

impl Bond {
    /// No path's number.
    const NONE_PREFERRED: u32 = u32::MAX;

    /// The path that a miniport wants new I/O to take, while it is in use.
    fn preferred(&self) -> Option<usize> {
        let number = self.preferred.load(Relaxed);
        (number != Self::NONE_PREFERRED && self.is_usable(number as usize))
            .then_some(number as usize)
    }

    /// A path that failed is no longer preferred, also when it is back.
    fn prefer_no_more(&self, number: usize) {
        let _ = self
            .preferred
            .cmpxchg(number as u32, Self::NONE_PREFERRED, Relaxed);
    }

    /// Lets the policy choose again, rather than a miniport.
    fn prefer_none(&self) {
        self.preferred.store(Self::NONE_PREFERRED, Relaxed);
    }

    /// Prints a line in the log, unless there were many. Any context.
    fn warn(&self, what: fmt::Arguments<'_>) {
        if self.log.allows(c"dm_bond") {
            pr_warn!("bond {}: {}\n", self.events.device(), what);
        }
    }

    /// Milliseconds since the bond was made.
    fn now(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }

    /// How many I/Os wait.
    fn queued(&self) -> usize {
        let inner = self.inner.lock();
        inner.waiting.len() + inner.later.len() + inner.held.len()
    }

    fn policy(&self) -> Policy {
        Policy::from_u8(self.policy.load(Relaxed) as u8)
    }

    fn primary(&self) -> usize {
        self.primary.load(Relaxed) as usize
    }
}

impl dm::Target for Bond {
    const NAME: &'static CStr = c"bond";
    const VERSION: [u32; 3] = [1, 0, 0];
    const FEATURES: u32 = dm::SINGLETON | dm::PASSES_INTEGRITY | dm::NOWAIT | dm::ATOMIC_WRITES;
    type Context = Shared;
    type BioData = io::Trip;

    fn ctr(
        shared: &Arc<Shared>,
        table: &mut Table<'_>,
        args: dm::Args<'_>,
    ) -> Result<Arc<Self>, Refusal> {
        Self::from_table(shared, table, args)
    }

    fn dtr(this: &Arc<Self>) {
        Self::end(this);
    }

    #[inline(always)]
    fn map<'a>(this: &Arc<Self>, bio: Incoming<'a, Self>) -> Mapped<'a> {
        Self::begin_io(this, bio)
    }

    #[inline(always)]
    fn end_io<'a>(this: &Arc<Self>, bio: Completed<'a, Self>) -> Ended<'a> {
        Self::finish_io(this, bio)
    }

    fn presuspend(this: &Arc<Self>, noflush: bool) {
        Self::set_gate(this, if noflush { Gate::PushBack } else { Gate::Flush });
    }

    fn presuspend_undo(this: &Arc<Self>) {
        Self::set_gate(this, Gate::Open);
    }

    fn resume(this: &Arc<Self>) {
        Self::set_gate(this, Gate::Open);
        Shared::publish(this);
        this.announce();
        this.listen();
        this.measure();
    }

    fn status(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.write_status(out)
    }

    fn table(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.write_table(out)
    }

    fn message(this: &Arc<Self>, args: dm::Args<'_>) -> Result {
        Self::obey(this, args)
    }

    fn ioctl_device(this: &Arc<Self>) -> Result<usize> {
        Self::path_for_ioctl(this)
    }
}

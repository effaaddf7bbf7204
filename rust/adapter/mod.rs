// SPDX-License-Identifier: GPL-2.0-only

//! Adapters: network devices, as far as paths run over them. One for the whole module, however many
//! bonds use it.
//!
//! An adapter is there as long as a path names it. It follows its network device through a change
//! of name, and waits for one of its name when it has none: then it has no link.

mod attributes;
mod registry;
mod team;

pub(crate) use registry::{Adapters, Lease, Looking};
pub(crate) use team::{Membership, Overlap, Team};

use crate::{
    bond::{Counters, Path, Roster},
    kapi::{
        mm::NoIo,
        netdev::{Name, NetDevice, Slot},
        percpu::{Here, PerCpu},
    },
    sync::{Atomic, Flag, Full, Relaxed},
};
use kernel::{
    fmt, new_mutex, new_spinlock_irq,
    prelude::*,
    str::CString,
    sync::{Arc, Mutex, SpinLockIrq},
};

/// A network adapter.
#[pin_data]
pub(crate) struct Adapter {
    netdev: Slot,
    /// What was last told of the link.
    link: Flag,
    /// How often the link was lost.
    failures: Atomic<u64>,
    /// What the adapter is called in hashes: its first name, for a change of name moves nothing; no
    /// other has the same.
    key: CString,
    /// What is out over it, of all bonds, and how long it takes: only counted in a team.
    traffic: Counters,
    balance: PerCpu<Balance>,
    /// There is [`Inner::team`].
    teamed: Flag,
    /// Its part of what the team can carry, in permille.
    weight: Atomic<u32>,
    /// Bytes a second, as last measured, and as set; 0: unknown, not set.
    speed: Atomic<u64>,
    set_speed: Atomic<u64>,
    /// The paths over this adapter, of all bonds.
    #[pin]
    paths: Roster,
    /// Held by who goes through them and sleeps.
    #[pin]
    walk: Mutex<()>,
    #[pin]
    inner: SpinLockIrq<Inner>,
}

/// What an adapter did as the primary one, on one CPU.
struct Balance {
    /// I/Os that it was handed.
    received: Atomic<u64>,
    /// Those that it handed on to others.
    forwarded: Atomic<u64>,
}

struct Inner {
    name: Name,
    team: Option<Arc<Team>>,
    /// Bytes moved by paths that are gone.
    bytes_before: u64,
}

impl Adapter {
    fn new(name: Name, key: CString) -> Result<Arc<Self>> {
        let traffic = Counters::new()?;
        let balance = PerCpu::new(|| Balance {
            received: Atomic::new(0),
            forwarded: Atomic::new(0),
        })?;
        Arc::pin_init(
            pin_init!(Self {
                netdev: Slot::new(),
                link: Flag::new(false),
                failures: Atomic::new(0),
                key,
                traffic,
                balance,
                teamed: Flag::new(false),
                weight: Atomic::new(1),
                speed: Atomic::new(0),
                set_speed: Atomic::new(0),
                paths <- Roster::new(),
                walk <- new_mutex!((), "Adapter::walk"),
                inner <- new_spinlock_irq!(
                    Inner { name, team: None, bytes_before: 0 },
                    "Adapter::inner"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether there is a network device, up and with its carrier, at this moment. Any context.
    pub(crate) fn has_link(&self) -> bool {
        self.has_link_now(&Here::new())
    }

    /// The same, for who stays on a CPU anyway.
    pub(crate) fn has_link_now(&self, here: &Here) -> bool {
        self.netdev.get(here).is_some_and(NetDevice::has_link)
    }

    /// Writes the name of the network device.
    pub(crate) fn write_name(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.inner.lock().name.write(out)
    }

    /// Takes in what is known of the link now, and tells the paths. Any context.
    fn link_is(&self, up: bool) {
        if self.link.xchg(up, Full) && !up {
            self.failures.add(1, Relaxed);
        }
        if let Some(team) = self.team() {
            team.elect();
        }
        self.each_path(|path| path.link_changed(up));
    }

    /// Calls a function with each path over this adapter, of all bonds. It must not sleep. Any
    /// context.
    pub(crate) fn each_path(&self, f: impl FnMut(&Arc<Path>)) {
        self.paths.each(f);
    }

    /// Calls a function, that may sleep, with the paths over this adapter; but not with those that
    /// join meanwhile.
    fn with_paths<R>(&self, f: impl FnOnce(&[Arc<Path>]) -> R) -> Result<R> {
        let _noio = NoIo::new();
        let _walk = self.walk.lock();
        let paths = self.paths.now()?;
        Ok(f(&paths))
    }

    fn name(&self) -> Name {
        self.inner.lock().name
    }

    /// What the adapter bids with for an address.
    pub(crate) fn key(&self) -> &CStr {
        &self.key
    }

    /// The team that the adapter is of.
    pub(crate) fn team(&self) -> Option<Arc<Team>> {
        match self.is_teamed() {
            true => self.inner.lock().team.clone(),
            false => None,
        }
    }

    fn set_team(&self, team: Option<Arc<Team>>) {
        self.teamed.store(team.is_some(), Relaxed);
        let old = core::mem::replace(&mut self.inner.lock().team, team);
        // Not under the lock.
        drop(old);
    }

    /// Whether the adapter is of a team, so that what is out over it counts. Any context.
    pub(crate) fn is_teamed(&self) -> bool {
        self.teamed.load(Relaxed)
    }

    /// What is out over it, of all bonds.
    pub(crate) fn traffic(&self) -> &Counters {
        &self.traffic
    }

    /// Its part of what the team can carry, in permille, at least 1.
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// As the primary adapter it hands an I/O on to another one.
    pub(crate) fn forward(&self, here: &Here) {
        self.balance.local(here).forwarded.add(1u64, Relaxed);
    }

    /// Whether I/O can go over it: it has its link, and a path in use. Any context.
    fn is_available(&self) -> bool {
        let mut used = false;
        self.each_path(|path| used |= path.is_in_use());
        used && self.has_link()
    }

    /// Whether it is the primary adapter of its team.
    fn is_primary(&self) -> bool {
        self.team().is_some_and(|team| team.has_primary(self))
    }

    /// Writes the adapter's role register, where a miniport has one. Says whether that went well.
    /// May sleep.
    fn write_role(&self, primary: bool) -> bool {
        let write = |paths: &[Arc<Path>]| {
            if !primary {
                // First: they may have one register in common.
                paths.iter().for_each(|path| path.choose_no_more());
            }
            let each = paths.iter().map(|path| path.write_role(primary));
            each.fold(true, |all, written| all & written)
        };
        self.with_paths(write).unwrap_or(false)
    }

    /// Whether the register may say "primary". Any context.
    fn may_say_primary(&self) -> bool {
        let mut may = false;
        self.each_path(|path| may |= path.may_say_primary());
        may
    }

    /// Lets a path hear of the link. May sleep.
    pub(crate) fn join(&self, path: &Arc<Path>) -> Result {
        self.paths.join(path)
    }

    /// Ends that. When it returns nothing of the adapter's is under way to the path. May sleep.
    pub(crate) fn leave(&self, path: &Arc<Path>) {
        let mut inner = self.inner.lock();
        if self.paths.leave(path) {
            inner.bytes_before = inner.bytes_before.wrapping_add(path.counters().bytes());
        }
        drop(inner);
        // Who has seen it there is done with it.
        drop(self.walk.lock());
        if let Some(team) = self.team() {
            team.elect();
        }
    }
}

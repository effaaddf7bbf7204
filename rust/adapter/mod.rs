// SPDX-License-Identifier: GPL-2.0-only

//! Adapters: network devices, as far as paths run over them. One for the whole module, however many
//! bonds use it.
//!
//! An adapter is there as long as a path names it. It follows its network device through a change
//! of name, and waits for one of its name when it has none: then it has no link.

mod attributes;
mod registry;

pub(crate) use registry::{Adapters, Lease, Looking};

use crate::{
    bond::{Path, Roster},
    kapi::netdev::{Name, NetDevice, Slot},
};
use kernel::{
    fmt, new_spinlock_irq,
    prelude::*,
    sync::{
        atomic::{Atomic, AtomicFlag, Full, Relaxed},
        Arc, SpinLockIrq,
    },
};

/// A network adapter.
#[pin_data]
pub(crate) struct Adapter {
    netdev: Slot,
    /// What was last told of the link.
    link: AtomicFlag,
    /// How often the link was lost.
    failures: Atomic<u64>,
    /// The paths over this adapter, of all bonds.
    #[pin]
    paths: Roster,
    #[pin]
    inner: SpinLockIrq<Inner>,
}

struct Inner {
    name: Name,
    /// Bytes moved by paths that are gone.
    bytes_before: u64,
}

impl Adapter {
    fn new(name: Name) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                netdev: Slot::new(),
                link: AtomicFlag::new(false),
                failures: Atomic::new(0),
                paths <- Roster::new(),
                inner <- new_spinlock_irq!(Inner { name, bytes_before: 0 }, "Adapter::inner"),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether there is a network device, up and with its carrier, at this moment. Any context.
    pub(crate) fn has_link(&self) -> bool {
        self.netdev.with(|dev| dev.is_some_and(NetDevice::has_link))
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
        self.each_path(|path| path.link_changed(up));
    }

    /// Calls a function with each path over this adapter, of all bonds. It must not sleep. Any
    /// context.
    pub(crate) fn each_path(&self, f: impl FnMut(&Arc<Path>)) {
        self.paths.each(f);
    }

    /// Lets a path hear of the link. May sleep.
    pub(crate) fn join(&self, path: &Arc<Path>) -> Result {
        self.paths.join(path)
    }

    /// Ends that. When it returns no word of the link is under way to the path.
    pub(crate) fn leave(&self, path: &Arc<Path>) {
        let mut inner = self.inner.lock();
        if self.paths.leave(path) {
            inner.bytes_before = inner.bytes_before.wrapping_add(path.counters().bytes());
        }
    }
}

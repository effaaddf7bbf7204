// SPDX-License-Identifier: GPL-2.0-only

//! What all bonds share: the adapters, the queues, who claims which device, which bonds are to be
//! seen.

use super::{attributes::Tree, path, works, Bond, Path};
use crate::{
    adapter::Adapters,
    kapi::{
        block::DevT,
        workqueue::{OnQueue, OwnedQueue},
    },
    miniport::Miniports,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
};

/// What all bonds share.
#[pin_data]
pub(crate) struct Shared {
    adapters: Arc<Adapters>,
    miniports: Arc<Miniports>,
    /// Sends I/O again.
    io: OwnedQueue,
    /// Probes paths: what waits for answers must not hold up the I/O.
    probes: OwnedQueue,
    /// Asks miniports: what a probe waits for may be what they are asked for.
    aborts: OwnedQueue,
    /// Tells the outside: what needs memory, and may wait for I/O to get it.
    events: OwnedQueue,
    /// The devices that are paths, and of which bonds.
    #[pin]
    claims: Mutex<KVec<(DevT, DevT)>>,
    /// The bonds that have their directory in sysfs, at most one to a mapped device.
    #[pin]
    published: Mutex<KVec<Arc<Bond>>>,
}

impl Shared {
    pub(crate) fn new(adapters: Arc<Adapters>, miniports: Arc<Miniports>) -> Result<Arc<Self>> {
        let io = OwnedQueue::new(c"dm_bond_io", true)?;
        let probes = OwnedQueue::new(c"dm_bond_probe", true)?;
        let aborts = OwnedQueue::new(c"dm_bond_abort", true)?;
        let events = OwnedQueue::new(c"dm_bond_event", false)?;
        Arc::pin_init(
            pin_init!(Self {
                adapters,
                miniports,
                io,
                probes,
                aborts,
                events,
                claims <- new_mutex!(KVec::new(), "Shared::claims"),
                published <- new_mutex!(KVec::new(), "Shared::published"),
            }),
            GFP_KERNEL,
        )
    }

    pub(super) fn miniports(&self) -> &Miniports {
        &self.miniports
    }

    pub(super) fn adapters(&self) -> &Arc<Adapters> {
        &self.adapters
    }

    /// Shows a bond in sysfs, in place of the one that its mapped device had before. May sleep.
    ///
    /// Device mapper calls this for one table of a mapped device at a time.
    pub(super) fn publish(bond: &Arc<Bond>) {
        let replaced = {
            let mut published = bond.shared.published.lock();
            if published.iter().any(|other| Arc::ptr_eq(other, bond)) {
                return;
            }
            let device = bond.events.device();
            let old = published
                .iter()
                .position(|other| other.events.device() == device);
            old.and_then(|index| published.remove(index).ok())
        };
        // Not under the lock, for this waits for readers and writers that are inside.
        if let Some(replaced) = replaced {
            replaced.set_tree(None);
        }
        let shown = Tree::new(bond).and_then(|tree| {
            bond.set_tree(Some(tree));
            Ok(bond
                .shared
                .published
                .lock()
                .push(bond.clone(), GFP_KERNEL)?)
        });
        if let Err(error) = shown {
            bond.set_tree(None);
            pr_warn!(
                "bond {}: no directory in sysfs: {:?}\n",
                bond.events.device(),
                error
            );
        }
    }

    /// Takes a bond out of sysfs, and waits for readers and writers that are inside. May sleep.
    pub(super) fn withdraw(bond: &Arc<Bond>) {
        bond.shared
            .published
            .lock()
            .retain(|other| !Arc::ptr_eq(other, bond));
        bond.set_tree(None);
    }
}

impl OnQueue<{ works::RETRY }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.io
    }
}

impl OnQueue<{ works::RETRY_LATER }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.io
    }
}

impl OnQueue<{ works::NO_PATH }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.io
    }
}

impl OnQueue<{ works::RELEASE }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.io
    }
}

impl OnQueue<{ works::LISTEN }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.aborts
    }
}

impl OnQueue<{ works::MEASURE }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.aborts
    }
}

impl OnQueue<{ works::ANNOUNCE }> for Bond {
    fn queue(&self) -> &OwnedQueue {
        &self.shared.events
    }
}

impl OnQueue<{ path::PROBE }> for Path {
    fn queue(&self) -> &OwnedQueue {
        &self.shared().probes
    }
}

impl OnQueue<{ path::ABORT }> for Path {
    fn queue(&self) -> &OwnedQueue {
        &self.shared().aborts
    }
}

/// A bond's claim on a device. Device mapper's own claim lets any of its tables share a device;
/// this one only those of one mapped device, of which there are two during a reload.
pub(super) struct Claim {
    shared: Arc<Shared>,
    entry: (DevT, DevT),
}

impl Claim {
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Claims a device for a bond. `Err` is the bond that has it. May sleep.
    pub(super) fn new(
        shared: &Arc<Shared>,
        device: DevT,
        bond: DevT,
    ) -> Result<Result<Self, DevT>> {
        let mut claims = shared.claims.lock();
        let other = claims
            .iter()
            .find(|(claimed, owner)| *claimed == device && *owner != bond);
        if let Some((_, owner)) = other {
            return Ok(Err(*owner));
        }
        let entry = (device, bond);
        claims.push(entry, GFP_KERNEL)?;
        Ok(Ok(Self {
            shared: shared.clone(),
            entry,
        }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.shared.claims.lock();
        if let Some(index) = claims.iter().position(|entry| *entry == self.entry) {
            let _ = claims.remove(index);
        }
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! dm-bond-iscsi: the miniport for iSCSI.
//!
//! It knows the network device and the address of a session, has the session's commands given back
//! by failing it, keeps a session that is down from holding the disk's commands, and tells when the
//! session is no longer logged in, and when it is again.

use kernel::{
    impl_has_delayed_work, new_delayed_work,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    time::msecs_to_jiffies,
    workqueue::{DelayedWork, WorkItem},
};

mod bindings;
/// Of what dm-bond has this module needs a part.
mod kapi {
    pub(crate) mod global;
    pub(crate) mod iscsi;
    pub(crate) mod port;
    #[allow(dead_code)]
    pub(crate) mod rcu;
    #[allow(dead_code)]
    pub(crate) mod workqueue;
}

use kapi::{
    global::{Global, Published},
    iscsi::Disk,
    port::{BondPath, Lower, Miniport, Registration},
    workqueue::{enqueue_delayed, stop_delayed, OnQueue, OwnedQueue},
};

/// How often a session is looked at, in milliseconds: the iSCSI drivers tell nobody of its changes
/// inside the kernel.
const LOOK_MS: u32 = 50;

module! {
    type: DmBondIscsi,
    name: "dm_bond_iscsi",
    authors: ["The dm-bond authors"],
    description: "dm-bond miniport for iSCSI",
    license: "GPL",
    alias: ["dm-bond-iscsi", "dm-bond-port-sd_mod"],
}

/// Where sessions are looked at.
static QUEUE: Global<OwnedQueue> = Global::new();

/// The module. No new bindings first, then no queue.
#[pin_data]
struct DmBondIscsi {
    #[pin]
    registration: Registration<Iscsi>,
    queue: Published<OwnedQueue>,
}

impl kernel::InPlaceModule for DmBondIscsi {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            queue: QUEUE.publish(Arc::new(OwnedQueue::new(c"dm_bond_iscsi", true)?, GFP_KERNEL)?)?,
            registration <- Registration::new(module),
        })
    }
}

/// The miniport of one path.
#[pin_data]
struct Iscsi {
    path: Arc<BondPath>,
    disk: Disk,
    netdev: Result<KVec<u8>>,
    dest: Result<KVec<u8>>,
    /// What was told last.
    logged_in: Atomic<bool>,
    queue: Arc<OwnedQueue>,
    #[pin]
    look: DelayedWork<Iscsi>,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Iscsi { self.look }
}

impl OnQueue for Iscsi {
    fn queue(&self) -> &OwnedQueue {
        &self.queue
    }
}

impl Miniport for Iscsi {
    const NAME: &'static CStr = c"iscsi";

    fn bind(lower: &Lower<'_>, path: Arc<BondPath>) -> Result<Arc<Self>> {
        let disk = Disk::of(lower)?;
        let iscsi = Arc::pin_init(
            try_pin_init!(Self {
                path,
                netdev: disk.netdev(),
                dest: disk.dest(),
                disk,
                logged_in: Atomic::new(true),
                queue: QUEUE.get().ok_or(ENODEV)?,
                look <- new_delayed_work!("Iscsi::look"),
            }),
            GFP_KERNEL,
        )?;
        enqueue_delayed(&iscsi, 0);
        Ok(iscsi)
    }

    fn unbind(this: &Arc<Self>) {
        stop_delayed(this);
    }

    fn netdev(&self) -> Result<&[u8]> {
        self.netdev.as_deref().map_err(|_| ENODATA)
    }

    fn dest(&self) -> Result<&[u8]> {
        self.dest.as_deref().map_err(|_| ENODATA)
    }

    fn abort(&self) -> Result {
        // If it is not logged in it has given its commands back already.
        if self.disk.is_logged_in() {
            self.disk.fail_session();
        }
        Ok(())
    }
}

impl WorkItem for Iscsi {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let logged_in = this.disk.is_logged_in();
        match (this.logged_in.xchg(logged_in, Relaxed), logged_in) {
            (true, false) => this.path.failed(),
            (false, true) => this.path.restored(),
            _ => {}
        }
        if !logged_in {
            // First the path is out of use, then its commands come back.
            this.disk.give_back();
        }
        enqueue_delayed(&this, msecs_to_jiffies(LOOK_MS));
    }
}

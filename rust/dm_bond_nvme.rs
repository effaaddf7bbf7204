// SPDX-License-Identifier: GPL-2.0-only

//! dm-bond-nvme: the miniport for NVMe over Fabrics.
//!
//! It knows the network device and the address of a controller, has the controller's commands given
//! back by letting one of them time out, and tells when the controller is no longer live, and when
//! it is again.

use kernel::{
    impl_has_delayed_work, new_delayed_work, new_mutex,
    prelude::*,
    sync::{Arc, Mutex},
    time::msecs_to_jiffies,
    workqueue::{DelayedWork, WorkItem},
};

mod bindings;
/// Of what dm-bond has this module needs a part.
mod kapi {
    pub(crate) mod global;
    pub(crate) mod nvme;
    pub(crate) mod port;
    #[allow(dead_code)]
    pub(crate) mod rcu;
    #[allow(dead_code)]
    pub(crate) mod workqueue;
}
#[path = "nvme/address.rs"]
#[forbid(unsafe_code)]
mod address;

use kapi::{
    global::{Global, Published},
    nvme::Controller,
    port::{BondPath, Lower, Miniport, Registration},
    workqueue::{enqueue_delayed, stop_delayed, OnQueue, OwnedQueue},
};

/// How often a controller's state is looked at, in milliseconds: the NVMe driver tells nobody of
/// its changes inside the kernel.
const LOOK_MS: u32 = 50;

module! {
    type: DmBondNvme,
    name: "dm_bond_nvme",
    authors: ["The dm-bond authors"],
    description: "dm-bond miniport for NVMe over Fabrics",
    license: "GPL",
    alias: ["dm-bond-nvme", "dm-bond-port-nvme_core"],
}

/// Where the states of controllers are looked at.
static QUEUE: Global<OwnedQueue> = Global::new();

/// The module. No new bindings first, then no queue.
#[pin_data]
struct DmBondNvme {
    #[pin]
    registration: Registration<Nvme>,
    queue: Published<OwnedQueue>,
}

impl kernel::InPlaceModule for DmBondNvme {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            queue: QUEUE.publish(Arc::new(OwnedQueue::new(c"dm_bond_nvme", true)?, GFP_KERNEL)?)?,
            registration <- Registration::new(module),
        })
    }
}

/// The miniport of one path.
#[pin_data]
struct Nvme {
    path: Arc<BondPath>,
    netdev: Option<KVec<u8>>,
    dest: Option<KVec<u8>>,
    queue: Arc<OwnedQueue>,
    #[pin]
    inner: Mutex<Inner>,
    #[pin]
    look: DelayedWork<Nvme>,
}

struct Inner {
    controller: Controller,
    /// What was told last.
    live: bool,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Nvme { self.look }
}

impl OnQueue for Nvme {
    fn queue(&self) -> &OwnedQueue {
        &self.queue
    }
}

impl Miniport for Nvme {
    const NAME: &'static CStr = c"nvme";

    fn bind(lower: &Lower<'_>, path: Arc<BondPath>) -> Result<Arc<Self>> {
        let mut controller = Controller::of(lower)?;
        // Over others there is no adapter between us and the controller.
        let transport = controller.attribute(c"transport")?;
        if !matches!(transport, b"tcp" | b"rdma" | b"fc" | b"loop") {
            return Err(ENODEV);
        }
        let address = controller.attribute(c"address")?;
        let copy = |field: Option<&[u8]>| -> Result<Option<KVec<u8>>> {
            let Some(field) = field else { return Ok(None) };
            let mut own = KVec::new();
            own.extend_from_slice(field, GFP_KERNEL)?;
            Ok(Some(own))
        };
        let netdev = copy(address::host_iface(address))?;
        let dest = copy(address::traddr(address))?;
        let inner = Inner {
            controller,
            live: true,
        };
        let nvme = Arc::pin_init(
            try_pin_init!(Self {
                path,
                netdev,
                dest,
                queue: QUEUE.get().ok_or(ENODEV)?,
                inner <- new_mutex!(inner, "Nvme::inner"),
                look <- new_delayed_work!("Nvme::look"),
            }),
            GFP_KERNEL,
        )?;
        enqueue_delayed(&nvme, 0);
        Ok(nvme)
    }

    fn unbind(this: &Arc<Self>) {
        stop_delayed(this);
    }

    fn netdev(&self) -> Result<&[u8]> {
        self.netdev.as_deref().ok_or(ENODATA)
    }

    fn dest(&self) -> Result<&[u8]> {
        self.dest.as_deref().ok_or(ENODATA)
    }

    fn abort(&self) -> Result {
        let mut inner = self.inner.lock();
        match inner.controller.attribute(c"state")? {
            b"live" => inner.controller.time_out(),
            // The driver gives its commands back already.
            _ => Ok(()),
        }
    }

    /// The controller's keep-alive may have been lost with the link, on a connection of its own:
    /// then the driver gives up a controller that answers all else.
    fn renew(&self) -> Result {
        let mut inner = self.inner.lock();
        if inner.controller.attribute(c"state")? == b"live" {
            match inner.controller.reset() {
                // Another path of the controller's has done it.
                Err(error) if error != EBUSY => return Err(error),
                _ => {}
            }
            inner.live = false;
            self.path.failed();
        }
        Ok(())
    }
}

impl WorkItem for Nvme {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let mut guard = this.inner.lock();
        let inner = &mut *guard;
        let live = inner.controller.attribute(c"state") == Ok(b"live");
        match (core::mem::replace(&mut inner.live, live), live) {
            (true, false) => this.path.failed(),
            (false, true) => this.path.restored(),
            _ => {}
        }
        drop(guard);
        enqueue_delayed(&this, msecs_to_jiffies(LOOK_MS));
    }
}

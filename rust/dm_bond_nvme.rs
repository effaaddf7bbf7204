// SPDX-License-Identifier: GPL-2.0-only

//! dm-bond-nvme: the miniport for NVMe over Fabrics.
//!
//! It knows the network device and the address of a controller, has the controller's commands given
//! back by resetting it, and tells when the controller is no longer live, and when it is again.

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
    pub(crate) mod nvme;
    pub(crate) mod port;
    #[allow(dead_code)]
    pub(crate) mod workqueue;
}
#[path = "nvme/address.rs"]
#[forbid(unsafe_code)]
mod address;

use kapi::{
    nvme::Controller,
    port::{BondPath, Lower, Miniport, Registration},
    workqueue::{enqueue_delayed, stop_delayed, OnQueue, OwnedQueue},
};

/// How long a command to a controller that is being reset may go unanswered, in milliseconds. The
/// reset itself begins with one, which on a dead link nobody answers; it would hold up the
/// controller's return for the 60 s that such commands have by default.
const RESET_MS: &[u8] = b"1000";

/// How often a controller's state is looked at, in milliseconds: the NVMe driver tells nobody of its
/// changes inside the kernel.
const LOOK_MS: u32 = 50;

module! {
    type: DmBondNvme,
    name: "dm_bond_nvme",
    authors: ["The dm-bond authors"],
    description: "dm-bond miniport for NVMe over Fabrics",
    license: "GPL",
    alias: ["dm-bond-nvme"],
}

#[pin_data]
struct DmBondNvme {
    #[pin]
    registration: Registration<Nvme>,
}

impl kernel::InPlaceModule for DmBondNvme {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self { registration <- Registration::new(module) })
    }
}

/// The miniport of one path.
#[pin_data]
struct Nvme {
    path: Arc<BondPath>,
    netdev: Option<KVec<u8>>,
    dest: Option<KVec<u8>>,
    queue: OwnedQueue,
    #[pin]
    inner: Mutex<Inner>,
    #[pin]
    look: DelayedWork<Nvme>,
}

struct Inner {
    controller: Controller,
    /// What was told last.
    live: bool,
    /// The controller's own time for its commands, while it has ours.
    admin_timeout: Option<KVec<u8>>,
}

impl Inner {
    /// Resets the controller, with little time for its commands, if that can be had.
    fn reset(&mut self) -> Result {
        if self.admin_timeout.is_none() {
            if let Ok(time) = self.controller.attribute(c"admin_timeout") {
                let mut own = KVec::new();
                own.extend_from_slice(time, GFP_NOWAIT)?;
                self.admin_timeout = Some(own);
                self.controller.set_attribute(c"admin_timeout", RESET_MS)?;
            }
        }
        self.controller.reset()
    }

    /// Gives the controller back its own time, once the reset's own command is over.
    fn put_back(&mut self) {
        if let Some(own) = self.admin_timeout.take() {
            if self
                .controller
                .set_attribute(c"admin_timeout", &own)
                .is_err()
            {
                self.admin_timeout = Some(own);
            }
        }
    }
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
        if controller.attribute(c"transport")? == b"pcie" {
            // There is no adapter between us and the controller.
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
            admin_timeout: None,
        };
        let nvme = Arc::pin_init(
            try_pin_init!(Self {
                path,
                netdev,
                dest,
                queue: OwnedQueue::new(c"dm_bond_nvme", true)?,
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
        this.inner.lock().put_back();
    }

    fn netdev(&self) -> Result<&[u8]> {
        self.netdev.as_deref().ok_or(ENODATA)
    }

    fn dest(&self) -> Result<&[u8]> {
        self.dest.as_deref().ok_or(ENODATA)
    }

    fn abort(&self) -> Result {
        self.inner.lock().reset()
    }
}

impl WorkItem for Nvme {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let mut guard = this.inner.lock();
        let inner = &mut *guard;
        let state = inner.controller.attribute(c"state");
        let (live, resetting) = (state == Ok(b"live"), state == Ok(b"resetting"));
        if !resetting {
            inner.put_back();
        }
        let was = core::mem::replace(&mut inner.live, live);
        drop(guard);
        match (was, live) {
            (true, false) => this.path.failed(),
            (false, true) => this.path.restored(),
            _ => {}
        }
        enqueue_delayed(&this, msecs_to_jiffies(LOOK_MS));
    }
}

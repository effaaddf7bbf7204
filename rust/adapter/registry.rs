// SPDX-License-Identifier: GPL-2.0-only

//! The adapters that there are, and what the kernel tells of their network devices.

use super::{attributes::AdapterDirectory, Adapter, Team};
use crate::kapi::{
    mm::NoIo,
    netdev::{Event, Name, NetDevice, Notified, Watcher},
    sysfs::{Directory, Kobject, Plain},
    workqueue::{enqueue_delayed, stop_delayed, OnQueue, OwnedQueue},
};
use crate::sync::{Atomic, Relaxed};
use kernel::{
    impl_has_delayed_work, new_delayed_work, new_mutex,
    prelude::*,
    str::CString,
    sync::{aref::ARef, Arc, Mutex},
    time::msecs_to_jiffies,
    workqueue::{DelayedWork, WorkItem},
};

/// All adapters of the module.
///
/// The lock is taken under the RTNL. So under it the RTNL must not be taken, nor anything waited
/// for that takes it; nor must memory be waited for that only I/O can free ([`NoIo`]).
#[pin_data]
pub(crate) struct Adapters {
    #[pin]
    entries: Mutex<KVec<Entry>>,
    /// The teams that there are, and of how many bonds.
    #[pin]
    pub(super) teams: Mutex<KVec<(Arc<Team>, usize)>>,
    pub(super) queue: OwnedQueue,
    /// Counts the looks.
    looks: Atomic<u32>,
    /// Looks at the links, as long as there are adapters.
    #[pin]
    look: DelayedWork<Adapters>,
    /// `/sys/module/dm_bond/adapters`. Dropped after the entries, whose directories are below it.
    parent: Pin<KBox<Directory<Plain>>>,
}

/// How often the links are looked at, in milliseconds: the kernel tells of a carrier that is lost
/// up to a second late.
const LOOK_MS: u32 = 25;
/// In one of so many looks speeds are measured.
const MEASURE: u32 = 4;

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Adapters { self.look }
}

impl OnQueue for Adapters {
    fn queue(&self) -> &OwnedQueue {
        &self.queue
    }
}

impl WorkItem for Adapters {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let entries = this.entries.lock();
        for entry in &*entries {
            let up = entry.adapter.has_link();
            if up != entry.adapter.link.load(Relaxed) {
                entry.adapter.link_is(up);
            }
        }
        if !entries.is_empty() {
            enqueue_delayed(&this, msecs_to_jiffies(LOOK_MS));
        }
        drop(entries);
        if this.looks.fetch_add(1u32, Relaxed) % MEASURE == 0 {
            for (team, _) in &*this.teams.lock() {
                team.measure();
            }
        }
    }
}

/// Lets the links be looked at until it is dropped. May sleep then.
pub(crate) struct Looking(Arc<Adapters>);

impl Drop for Looking {
    fn drop(&mut self) {
        stop_delayed(&self.0);
    }
}

struct Entry {
    /// Before the adapter, which it shows.
    directory: Pin<KBox<AdapterDirectory>>,
    adapter: Arc<Adapter>,
    leases: usize,
}

/// A hold on an adapter, that keeps it in the registry.
pub(crate) struct Lease {
    adapters: Arc<Adapters>,
    adapter: Arc<Adapter>,
}

impl Lease {
    pub(crate) fn adapter(&self) -> &Arc<Adapter> {
        &self.adapter
    }
}

impl core::ops::Deref for Lease {
    type Target = Adapter;

    fn deref(&self) -> &Adapter {
        &self.adapter
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.adapters.entries.lock().retain(|entry| {
            if Arc::ptr_eq(&entry.adapter, &self.adapter) {
                entry.leases -= 1;
            }
            entry.leases > 0
        });
    }
}

impl Adapters {
    pub(crate) fn new(module: &'static ThisModule) -> Result<Arc<Self>> {
        let module = Kobject::of_module(module).ok_or(ENODEV)?;
        let parent = Directory::new(module, c"adapters", Plain)?;
        Arc::pin_init(
            try_pin_init!(Self {
                parent,
                entries <- new_mutex!(KVec::new(), "Adapters::entries"),
                teams <- new_mutex!(KVec::new(), "Adapters::teams"),
                looks: Atomic::new(0),
                queue: OwnedQueue::new(c"dm_bond_link", true)?,
                look <- new_delayed_work!("Adapters::look"),
            }),
            GFP_KERNEL,
        )
    }

    /// Lets the links be looked at, now and as long as what is returned lives.
    pub(crate) fn look(this: &Arc<Self>) -> Looking {
        Looking(this.clone())
    }

    /// Finds the adapter of the network device of this name, which may be an alternative one, or
    /// makes it; or, without such a device, finds the adapter that waits for one. `ENODEV` if there
    /// is neither. May sleep.
    pub(crate) fn get(this: &Arc<Self>, name: &CStr) -> Result<Lease> {
        let _noio = NoIo::new();
        let mut entries = this.entries.lock();
        // The lookup and the push are one step to `event`: a device that is found is not yet told
        // as unregistered or renamed, and will be, once the lock is free.
        let dev = NetDevice::by_name(name);
        let own = match &dev {
            Some(dev) => dev.present_name(),
            None => Name::new(name)?,
        };
        let has = |entry: &Entry| dev.as_deref().is_some_and(|dev| entry.has(dev));
        let found = entries.iter().position(has).or_else(|| {
            let waits = |entry: &Entry| entry.is_empty() && entry.adapter.is_named(own);
            entries.iter().position(waits)
        });
        let index = match (found, dev) {
            (Some(index), _) => index,
            (None, None) => return Err(ENODEV),
            (None, Some(dev)) => {
                let adapter = Adapter::new(own, unused_key(&entries, own)?)?;
                let directory = Directory::new(&this.parent, own.as_cstr(), adapter.clone())?;
                adapter.link.store(dev.has_link(), Relaxed);
                adapter.netdev.set(Some(dev));
                entries.push(
                    Entry {
                        directory,
                        adapter,
                        leases: 0,
                    },
                    GFP_KERNEL,
                )?;
                enqueue_delayed(this, msecs_to_jiffies(LOOK_MS));
                entries.len() - 1
            }
        };
        let entry = &mut entries[index];
        entry.leases += 1;
        Ok(Lease {
            adapters: this.clone(),
            adapter: entry.adapter.clone(),
        })
    }
}

/// A name for hashes that no adapter has: this one; but one that was called so once may have it.
fn unused_key(entries: &[Entry], name: Name) -> Result<CString> {
    let mut key = CString::try_from_fmt(fmt!("{}", name.as_cstr()))?;
    let mut number = 1;
    while entries.iter().any(|entry| *entry.adapter.key == *key) {
        number += 1;
        key = CString::try_from_fmt(fmt!("{}/{}", name.as_cstr(), number))?;
    }
    Ok(key)
}

impl Adapter {
    fn is_named(&self, name: Name) -> bool {
        self.inner.lock().name == name
    }
}

impl Entry {
    fn has(&self, dev: &NetDevice) -> bool {
        self.adapter
            .netdev
            .with(|own| own.is_some_and(|own| own.is(dev)))
    }

    fn is_empty(&self) -> bool {
        self.adapter.netdev.with(|own| own.is_none())
    }

    fn attach(&self, dev: &NetDevice) {
        self.adapter.netdev.set(Some(ARef::from(dev)));
        self.adapter.link_is(dev.has_link());
    }

    fn detach(&self) {
        self.adapter.netdev.set(None);
        self.adapter.link_is(false);
    }

    /// Takes the device's new name for the adapter's.
    fn rename(&self, name: Name) {
        self.adapter.inner.lock().name = name;
        if let Err(error) = self.directory.rename(name.as_cstr()) {
            pr_warn!(
                "adapter {} keeps its old name in sysfs: {:?}\n",
                name.as_cstr(),
                error
            );
        }
    }
}

impl Watcher for Adapters {
    fn event(&self, dev: &Notified<'_>, event: Event) {
        let _noio = NoIo::new();
        let entries = self.entries.lock();
        let own = entries.iter().find(|entry| entry.has(dev));
        match (event, own) {
            (Event::Registered | Event::Renamed, own) => {
                // Another adapter may have waited for a device of this name. It is its own then.
                let named = entries
                    .iter()
                    .find(|entry| entry.adapter.is_named(dev.name()));
                match (own, named) {
                    (Some(own), None) => own.rename(dev.name()),
                    (own, Some(named)) if named.is_empty() => {
                        if let Some(own) = own {
                            own.detach();
                        }
                        named.attach(dev);
                    }
                    _ => {}
                }
            }
            (Event::Unregistered, Some(own)) => own.detach(),
            (Event::Down, Some(own)) => own.adapter.link_is(false),
            (Event::Changed, Some(own)) => own.adapter.link_is(dev.has_link()),
            (_, None) => {}
        }
    }
}

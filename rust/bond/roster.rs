// SPDX-License-Identifier: GPL-2.0-only

//! Paths that are to be told something, by whoever may not sleep.

use super::Path;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::{Arc, SpinLockIrq},
};

/// A list of paths.
#[pin_data]
pub(crate) struct Roster {
    #[pin]
    paths: SpinLockIrq<KVec<Arc<Path>>>,
}

impl Roster {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { paths <- new_spinlock_irq!(KVec::new(), "Roster::paths") })
    }

    /// Adds a path. May sleep.
    pub(crate) fn join(&self, path: &Arc<Path>) -> Result {
        let mut room = KVec::new();
        loop {
            let mut paths = self.paths.lock();
            if paths.len() < room.capacity() {
                // What moves over fits, for it is one less than there is room for.
                for other in paths.drain_all() {
                    let _ = room.push_within_capacity(other);
                }
                let _ = room.push_within_capacity(path.clone());
                core::mem::swap(&mut *paths, &mut room);
                drop(paths);
                return Ok(());
            }
            let needed = paths.len() + 1;
            drop(paths);
            room.reserve(needed, GFP_KERNEL)?;
        }
    }

    /// Takes a path off. When it returns no call with it is under way. Says whether it was there.
    pub(crate) fn leave(&self, path: &Arc<Path>) -> bool {
        let mut paths = self.paths.lock();
        let before = paths.len();
        paths.retain(|other| !Arc::ptr_eq(other, path));
        paths.len() < before
    }

    /// Calls a function with each path. It must not sleep. Any context.
    pub(crate) fn each(&self, f: impl FnMut(&Arc<Path>)) {
        self.paths.lock().iter().for_each(f);
    }

    /// The paths that there are now. May sleep.
    pub(crate) fn now(&self) -> Result<KVec<Arc<Path>>> {
        let mut copy = KVec::new();
        loop {
            let paths = self.paths.lock();
            if paths.len() <= copy.capacity() {
                for path in paths.iter() {
                    // There is room for it.
                    let _ = copy.push_within_capacity(path.clone());
                }
                return Ok(copy);
            }
            let needed = paths.len();
            drop(paths);
            copy.reserve(needed, GFP_KERNEL)?;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.paths.lock().len()
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! The one object of a kind that the module has, for callers from C that cannot bring it with them.

use super::rcu::Slot;
use kernel::{prelude::*, sync::Arc};

/// A place for the object. It holds a reference to what is there.
pub(crate) struct Global<T: Send + Sync + 'static>(Slot<KBox<Shared<T>>>);

/// A reference to the object, that whoever looks at it may copy.
struct Shared<T>(Arc<T>);

impl<T: Send + Sync + 'static> Global<T> {
    pub(crate) const fn new() -> Self {
        Self(Slot::new())
    }

    /// Puts the object there until the returned value is dropped. `EBUSY` if there is one.
    pub(crate) fn publish(&'static self, object: Arc<T>) -> Result<Published<T>> {
        let shared = KBox::new(Shared(object), GFP_KERNEL)?;
        self.0.put(shared).map_err(|_| EBUSY)?;
        Ok(Published(self))
    }

    /// The object, if it is there. Any context.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        self.0.with(|shared| shared.map(|shared| shared.0.clone()))
    }
}

/// Takes the object away again when dropped. May sleep.
pub(crate) struct Published<T: Send + Sync + 'static>(&'static Global<T>);

impl<T: Send + Sync + 'static> Drop for Published<T> {
    fn drop(&mut self) {
        self.0 .0.set(None);
    }
}

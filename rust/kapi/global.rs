// SPDX-License-Identifier: GPL-2.0-only

//! The one object of a kind that the module has, for callers from C that cannot bring it with them.

use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full},
        rcu, Arc, ArcBorrow,
    },
};

/// A place for the object.
///
/// # Invariants
///
/// The pointer is null or owns a reference, which is given up only after an RCU grace period since
/// it was taken away.
pub(crate) struct Global<T: Send + Sync + 'static>(Atomic<*mut T>, PhantomData<Arc<T>>);

// SAFETY: What is shared is an `Arc<T>`, and `T` is `Send` and `Sync`.
unsafe impl<T: Send + Sync + 'static> Sync for Global<T> {}

impl<T: Send + Sync + 'static> Global<T> {
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self(Atomic::new(core::ptr::null_mut()), PhantomData)
    }

    /// Puts the object there until the returned value is dropped. `EBUSY` if there is one.
    pub(crate) fn publish(&'static self, object: Arc<T>) -> Result<Published<T>> {
        let new = Arc::into_raw(object).cast_mut();
        // INVARIANT: The reference is the global's, if it could be put there.
        match self.0.cmpxchg(core::ptr::null_mut(), new, Full) {
            Ok(_) => Ok(Published(self)),
            Err(_) => {
                // SAFETY: The reference is still ours.
                drop(unsafe { Arc::from_raw(new) });
                Err(EBUSY)
            }
        }
    }

    /// The object, if it is there. Any context.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let _guard = rcu::read_lock();
        let object = NonNull::new(self.0.load(Acquire))?;
        // SAFETY: By the type invariant the reference is there until the guard is dropped.
        Some(unsafe { ArcBorrow::from_raw(object.as_ptr()) }.into())
    }
}

/// Takes the object away again when dropped. May sleep.
pub(crate) struct Published<T: Send + Sync + 'static>(&'static Global<T>);

impl<T: Send + Sync + 'static> Drop for Published<T> {
    fn drop(&mut self) {
        let old = self.0 .0.xchg(core::ptr::null_mut(), Full);
        if let Some(old) = NonNull::new(old) {
            rcu::synchronize_rcu();
            // SAFETY: The reference was the global's, and all who saw it there have their own.
            drop(unsafe { Arc::from_raw(old.as_ptr()) });
        }
    }
}

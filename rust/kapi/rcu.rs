// SPDX-License-Identifier: GPL-2.0-only

//! A place for something that anybody may look at, at any time, without a lock.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    prelude::*,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        atomic::{Acquire, Atomic, Full, Relaxed},
        rcu, Arc,
    },
};

/// A pointer that owns what it points to, or a reference to it.
///
/// # Safety
///
/// What `into_raw` gives is valid until it was given to `from_raw`.
pub(crate) unsafe trait Pointer: Sized {
    type Target;

    fn into_raw(self) -> NonNull<Self::Target>;

    /// # Safety
    ///
    /// `raw` is from [`Pointer::into_raw`], and was not given back since.
    unsafe fn from_raw(raw: NonNull<Self::Target>) -> Self;
}

// SAFETY: A reference is held until it is given back.
unsafe impl<T: AlwaysRefCounted> Pointer for ARef<T> {
    type Target = T;

    fn into_raw(self) -> NonNull<T> {
        ARef::into_raw(self)
    }

    unsafe fn from_raw(raw: NonNull<T>) -> Self {
        // SAFETY: By this function's contract.
        unsafe { ARef::from_raw(raw) }
    }
}

// SAFETY: As above.
unsafe impl<T> Pointer for Arc<T> {
    type Target = T;

    fn into_raw(self) -> NonNull<T> {
        // SAFETY: It points to a `T`.
        unsafe { NonNull::new_unchecked(Arc::into_raw(self).cast_mut()) }
    }

    unsafe fn from_raw(raw: NonNull<T>) -> Self {
        // SAFETY: By this function's contract.
        unsafe { Arc::from_raw(raw.as_ptr()) }
    }
}

// SAFETY: The box is not freed until it is given back.
unsafe impl<T> Pointer for KBox<T> {
    type Target = T;

    fn into_raw(self) -> NonNull<T> {
        // SAFETY: A box is never null.
        unsafe { NonNull::new_unchecked(KBox::into_raw(self)) }
    }

    unsafe fn from_raw(raw: NonNull<T>) -> Self {
        // SAFETY: By this function's contract.
        unsafe { KBox::from_raw(raw.as_ptr()) }
    }
}

/// What an RCU grace period waits for, as long as it is there.
///
/// # Safety
///
/// It is there in read-side critical sections only, as `synchronize_rcu` describes them.
pub(crate) unsafe trait Reader {}

// SAFETY: It begins one, and ends it when it is dropped.
unsafe impl Reader for rcu::Guard {}

/// The place.
///
/// # Invariants
///
/// It is null or from [`Pointer::into_raw`], and is given back only after an RCU grace period since
/// it was taken away.
pub(crate) struct Slot<P: Pointer>(Atomic<*mut P::Target>, PhantomData<P>);

// SAFETY: What is shared is the target, and what moves is the pointer.
unsafe impl<P: Pointer + Send> Send for Slot<P> where P::Target: Sync {}
// SAFETY: As above.
unsafe impl<P: Pointer + Send> Sync for Slot<P> where P::Target: Sync {}

impl<P: Pointer> Slot<P> {
    /// An empty place.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Null.
        Self(Atomic::new(core::ptr::null_mut()), PhantomData)
    }

    /// Puts something in place of what was there, if anything. May sleep.
    pub(crate) fn set(&self, new: Option<P>) {
        let new = new.map_or(core::ptr::null_mut(), |new| new.into_raw().as_ptr());
        // INVARIANT: The new one is the slot's now, the old one ours: nobody finds it here any
        // more.
        let old = self.0.xchg(new, Full);
        if let Some(old) = NonNull::new(old) {
            rcu::synchronize_rcu();
            // SAFETY: It was the slot's, and all who saw it here are done.
            drop(unsafe { P::from_raw(old) });
        }
    }

    /// Puts something there if nothing is, or gives it back. Any context.
    pub(crate) fn put(&self, new: P) -> Result<(), P> {
        let new = new.into_raw();
        // INVARIANT: It is the slot's, if it could be put there.
        match self.0.cmpxchg(core::ptr::null_mut(), new.as_ptr(), Full) {
            Ok(_) => Ok(()),
            // SAFETY: It is still ours.
            Err(_) => Err(unsafe { P::from_raw(new) }),
        }
    }

    /// What is there, while the grace period waits for us. Any context.
    pub(crate) fn get<'a>(&'a self, _reader: &'a impl Reader) -> Option<&'a P::Target> {
        // SAFETY: By the type invariant it is valid until a grace period after it was taken out,
        // and that does not end as long as the reader is there.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Looks at what is there. `f` must not sleep. Any context.
    pub(crate) fn with<R>(&self, f: impl FnOnce(Option<&P::Target>) -> R) -> R {
        f(self.get(&rcu::read_lock()))
    }
}

impl<P: Pointer> Drop for Slot<P> {
    fn drop(&mut self) {
        if !self.0.load(Relaxed).is_null() {
            self.set(None);
        }
    }
}

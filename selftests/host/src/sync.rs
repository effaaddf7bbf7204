// SPDX-License-Identifier: GPL-2.0-only

//! The policy's `crate::sync`: the kernel's atomics, as far as they are used there, made of the
//! host's, or of loom's where that tries all orders.

#[cfg(not(loom))]
use core::sync::atomic;
#[cfg(loom)]
use loom::sync::atomic;

use atomic::{fence, Ordering};

/// An order of the kernel's.
pub(crate) trait Order {
    const LOAD: Ordering;
    const STORE: Ordering;
    const BOTH: Ordering;

    /// What an operation that reads and writes has on both sides.
    fn barrier() {}
}

pub(crate) struct Relaxed;
pub(crate) struct Acquire;
/// In the kernel a full barrier on both sides, which is more than this is to the host's atomics.
pub(crate) struct Full;

impl Order for Relaxed {
    const LOAD: Ordering = Ordering::Relaxed;
    const STORE: Ordering = Ordering::Relaxed;
    const BOTH: Ordering = Ordering::Relaxed;
}

impl Order for Acquire {
    const LOAD: Ordering = Ordering::Acquire;
    const STORE: Ordering = Ordering::Relaxed;
    const BOTH: Ordering = Ordering::Acquire;
}

impl Order for Full {
    const LOAD: Ordering = Ordering::SeqCst;
    const STORE: Ordering = Ordering::SeqCst;
    const BOTH: Ordering = Ordering::SeqCst;

    fn barrier() {
        fence(Ordering::SeqCst);
    }
}

/// What an [`Atomic`] may hold.
pub(crate) trait Number: Copy {
    type Atomic;
    fn atomic(self) -> Self::Atomic;
    fn load(from: &Self::Atomic, order: Ordering) -> Self;
    fn store(self, to: &Self::Atomic, order: Ordering);
    fn swap(self, with: &Self::Atomic, order: Ordering) -> Self;
    fn add(self, to: &Self::Atomic, order: Ordering) -> Self;
    fn sub(self, from: &Self::Atomic, order: Ordering) -> Self;
    fn exchange(old: Self, new: Self, of: &Self::Atomic, order: Ordering) -> Result<Self, Self>;
}

macro_rules! number {
    ($($number:ty: $atomic:ident),*) => {
        $(impl Number for $number {
            type Atomic = atomic::$atomic;
            fn atomic(self) -> Self::Atomic {
                atomic::$atomic::new(self)
            }
            fn load(from: &Self::Atomic, order: Ordering) -> Self {
                from.load(order)
            }
            fn store(self, to: &Self::Atomic, order: Ordering) {
                to.store(self, order);
            }
            fn swap(self, with: &Self::Atomic, order: Ordering) -> Self {
                with.swap(self, order)
            }
            fn add(self, to: &Self::Atomic, order: Ordering) -> Self {
                to.fetch_add(self, order)
            }
            fn sub(self, from: &Self::Atomic, order: Ordering) -> Self {
                from.fetch_sub(self, order)
            }
            fn exchange(
                old: Self,
                new: Self,
                of: &Self::Atomic,
                order: Ordering,
            ) -> Result<Self, Self> {
                of.compare_exchange(old, new, order, Ordering::Relaxed)
            }
        })*
    };
}

number!(u32: AtomicU32, u64: AtomicU64, i64: AtomicI64);

pub(crate) struct Atomic<T: Number>(T::Atomic);

impl<T: Number> Atomic<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(T::atomic(value))
    }

    pub(crate) fn load<O: Order>(&self, _: O) -> T {
        T::load(&self.0, O::LOAD)
    }

    pub(crate) fn store<O: Order>(&self, value: T, _: O) {
        value.store(&self.0, O::STORE);
    }

    pub(crate) fn xchg<O: Order>(&self, value: T, _: O) -> T {
        between::<O, _>(|| value.swap(&self.0, O::BOTH))
    }

    pub(crate) fn fetch_add<O: Order>(&self, value: T, _: O) -> T {
        between::<O, _>(|| value.add(&self.0, O::BOTH))
    }

    pub(crate) fn fetch_sub<O: Order>(&self, value: T, _: O) -> T {
        between::<O, _>(|| value.sub(&self.0, O::BOTH))
    }

    pub(crate) fn cmpxchg<O: Order>(&self, old: T, new: T, _: O) -> Result<T, T> {
        between::<O, _>(|| T::exchange(old, new, &self.0, O::BOTH))
    }
}

fn between<O: Order, R>(operation: impl FnOnce() -> R) -> R {
    O::barrier();
    let result = operation();
    O::barrier();
    result
}

// SPDX-License-Identifier: GPL-2.0-only

//! Atomics whose loads, and relaxed stores, are one instruction where the machine has one.
//!
//! They are [`kernel::sync::atomic`]'s, which calls a C function for each; there are some dozens of
//! loads on the way of an I/O.
//!
//! C header: [`include/asm-generic/rwonce.h`](srctree/include/asm-generic/rwonce.h)

#[cfg(CONFIG_X86)]
use core::sync::atomic::{compiler_fence, Ordering::Acquire};
use kernel::sync::atomic::{
    self,
    ordering::{AcquireOrRelaxed, Ordering, OrderingType, ReleaseOrRelaxed},
    AtomicType,
};

/// An atomic.
#[repr(transparent)]
pub(crate) struct Atomic<T: AtomicType>(atomic::Atomic<T>);

/// All but loads and stores is as there.
impl<T: AtomicType> core::ops::Deref for Atomic<T> {
    type Target = atomic::Atomic<T>;

    #[inline(always)]
    fn deref(&self) -> &atomic::Atomic<T> {
        &self.0
    }
}

macro_rules! words {
    ($($word:ty),*) => {
        $(impl Atomic<$word> {
            /// Loads the value.
            #[inline(always)]
            pub(crate) fn load<O: AcquireOrRelaxed>(
                &self,
                #[cfg_attr(CONFIG_X86, expect(unused_variables))] order: O,
            ) -> $word {
                match O::TYPE {
                    // SAFETY: As `READ_ONCE`, which `atomic_read` is: the place is valid and
                    // aligned, and a word is read whole.
                    OrderingType::Relaxed => unsafe { self.as_ptr().read_volatile() },
                    // As `smp_load_acquire` there: loads are not reordered with later accesses, but
                    // by the compiler.
                    #[cfg(CONFIG_X86)]
                    _ => {
                        // SAFETY: As above.
                        let value = unsafe { self.as_ptr().read_volatile() };
                        compiler_fence(Acquire);
                        value
                    }
                    #[cfg(not(CONFIG_X86))]
                    _ => self.0.load(order),
                }
            }

            /// Stores a value.
            #[inline(always)]
            pub(crate) fn store<O: ReleaseOrRelaxed>(&self, value: $word, order: O) {
                match O::TYPE {
                    // SAFETY: As `WRITE_ONCE`, which `atomic_set` is: the place is valid and
                    // aligned, and a word is written whole.
                    OrderingType::Relaxed => unsafe { self.as_ptr().write_volatile(value) },
                    _ => self.0.store(value, order),
                }
            }
        })*
    };
}

words!(u32, u64, i64);

impl<T: AtomicType> Atomic<T> {
    /// An atomic of this value.
    pub(crate) const fn new(value: T) -> Self {
        Self(atomic::Atomic::new(value))
    }
}

/// Yes or no.
pub(crate) struct Flag(Atomic<u32>);

impl Flag {
    pub(crate) const fn new(value: bool) -> Self {
        Self(Atomic::new(value as u32))
    }

    #[inline(always)]
    pub(crate) fn load<O: AcquireOrRelaxed>(&self, order: O) -> bool {
        self.0.load(order) != 0
    }

    #[inline(always)]
    pub(crate) fn store<O: ReleaseOrRelaxed>(&self, value: bool, order: O) {
        self.0.store(value.into(), order);
    }

    pub(crate) fn xchg<O: Ordering>(&self, value: bool, order: O) -> bool {
        self.0.xchg(u32::from(value), order) != 0
    }
}
